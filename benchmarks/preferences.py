"""A reward model on what people preferred, beside a rule that reads nothing but lengths: each fifth of the pairs held out in turn.

    python benchmarks/preferences.py pairs.jsonl --out DIR [--folds 5] [--epochs 2] [--members 4]

`pairs.jsonl` has lines of `chosen` and `rejected` dialogues, as the test part of Anthropic's hh-rlhf (MIT; 1,734 pairs on harmlessness are
what was measured; they hold offensive text). For each fold a small model reads the other folds' dialogues as text, and then an ensemble of
reward models learns from their pairs. Its accuracy on the held-out pairs, and how far that is above the rule's (the shorter or the longer
answer, whichever was more often preferred in training), are averaged over folds; the pairs of all folds are each measured once. The
same command goes on where it was stopped.
"""

import argparse
import json
import math
import random
from pathlib import Path

from tenfold.align.comparison import train_on_comparisons
from tenfold.align.comparison_config import ComparisonRecipe, RewardModel
from tenfold.model.config import ModelConfig
from tenfold.tokens.config import DataConfig
from tenfold.train.device import machine
from tenfold.train.recipe import OptimizerConfig, Recipe, TrainConfig
from tenfold.train.run import Run
from tenfold.train.train import train

ASSISTANT = "\n\nAssistant:"
PROMPT, ANSWER, WORD = 160, 200, 30
"""Letters: the last ones of a prompt, the first ones of an answer, and the longest word (an address is longer)."""
CONTEXT, BATCH = 256, 16
PRETRAINED, RATE = 500, 3e-4
"""Steps on the dialogues, and the learning rate of the reward models."""


def split_pair(chosen: str, rejected: str) -> tuple[str, str, str]:
    """(prompt, chosen, rejected): cut before the assistant's turn in which they part."""
    parted = next((i for i, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b), min(len(chosen), len(rejected)))
    at = chosen.rfind(ASSISTANT, 0, parted) + len(ASSISTANT)
    return chosen[:at], chosen[at:], rejected[at:]


def read_pairs(source: Path) -> list[dict]:
    """Comparisons in an order that is always the same, without those whose answers are empty or alike once they are cut, and addresses."""
    found = []
    for line in source.read_text("utf-8").splitlines():
        row = json.loads(line)
        prompt, *answers = split_pair(row["chosen"], row["rejected"])
        chosen, rejected = (answer[:ANSWER] for answer in answers)
        longest = max(map(len, " ".join((prompt[-PROMPT:], *answers)).split()))
        if chosen.strip() and rejected.strip() and chosen != rejected and longest <= WORD:
            found.append({"prompt": prompt[-PROMPT:], "chosen": chosen, "rejected": rejected})
    random.Random(0).shuffle(found)
    return found


def write_fold(folder: Path, pairs: list[dict], fold: int, folds: int) -> None:
    """texts.jsonl and pairs.jsonl of the other folds, and held_out.jsonl: no prompt is on both sides."""
    held_out = pairs[fold::folds]
    asked = {pair["prompt"] for pair in held_out}
    learned = [pair for i, pair in enumerate(pairs) if i % folds != fold and pair["prompt"] not in asked]
    texts = [{"text": pair["prompt"] + pair[which]} for pair in learned for which in ("chosen", "rejected")]
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in {"texts": texts, "pairs": learned, "held_out": held_out}.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def base_recipe(folder: Path) -> Recipe:
    return Recipe(
        "base",
        model=ModelConfig(vocab=2048, context=CONTEXT, layers=3, embed=128, heads=4, positions="rotary"),
        data=DataConfig((str(folder / "texts.jsonl"),)),
        optimizer=OptimizerConfig(2e-3, warmup_tokens=50_000),
        train=TrainConfig(PRETRAINED, BATCH, prompts=(), tensorboard=False),
    )


def reward_recipe(folder: Path, base: Run, epochs: float, members: int) -> ComparisonRecipe:
    pairs = len((folder / "pairs.jsonl").read_text().splitlines())
    recipe = Recipe(
        "reward",
        start=str(base.path),
        model=base.recipe.model,
        data=DataConfig((str(folder / "pairs.jsonl"),), held_out=str(folder / "held_out.jsonl")),
        optimizer=OptimizerConfig(RATE, weight_decay=0.1, warmup_tokens=20_000),
        train=TrainConfig(round(epochs * pairs / BATCH), BATCH, evaluate_every=10**6, tensorboard=False),
    )
    return ComparisonRecipe(recipe, reward_model=RewardModel(ensemble=members))


def pooled(results: list[dict], name: str) -> list[float]:
    """[mean, low, high] over folds, each in proportion to its pairs; the folds' errors, which are of different pairs, add up as squares."""
    count = sum(result["held_out_pairs"] for result in results)
    shares = [result["held_out_pairs"] / count for result in results]
    mean = sum(share * result[name] for share, result in zip(shares, results, strict=True))
    halves = [(result[f"{name}_high"] - result[f"{name}_low"]) / 2 for result in results]
    half = math.sqrt(sum((share * each) ** 2 for share, each in zip(shares, halves, strict=True)))
    return [round(each, 4) for each in (mean, mean - half, mean + half)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--members", type=int, default=4)
    options = parser.parse_args()
    pairs, results = read_pairs(options.source), []
    for fold in range(options.folds):
        folder = options.out / f"fold-{fold}"
        write_fold(folder, pairs, fold, options.folds)
        base = train(base_recipe(folder), folder / "base")
        run = train_on_comparisons(reward_recipe(folder, base, options.epochs, options.members), folder / "reward")
        results.append(run.result)
        shown = ("held_out_pairs", "held_out_accuracy", "held_out_loss", "length_rule", "length_accuracy", "length_loss")
        print(f"fold {fold}: {json.dumps({name: run.result.get(name) for name in shown})}", flush=True)
    found = {name: pooled(results, name) for name in ("held_out_accuracy", "length_accuracy", "above_length")}
    print(json.dumps({"machine": machine(), "pairs": sum(result["held_out_pairs"] for result in results)} | found))


if __name__ == "__main__":
    main()
