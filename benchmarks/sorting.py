"""PPO and GRPO on a task that can be checked: words are to be sorted, from a model that sometimes does it; three seeds each.

    python benchmarks/sorting.py --out DIR [--seeds 0 1 2] [--methods grpo ppo]

A small model is tuned to sort lists (`tenfold align sft`), and then on mixed demonstrations, of which a quarter sort the list and the
others say it again as it stands. So it can sort, and seldom does. From there GRPO and PPO go on with no more than a reward
of 1 where the answer is the sorted list. Success is the share of right answers to lists that are in no training data, drawn at temperature
1, measured as it goes. Prints when each run was above 90% and what it reached, and writes DIR/sorting.html: each method's mean over seeds,
with the lowest and the highest. The same command goes on where it was stopped.
"""

import argparse
import itertools
import json
import random
from pathlib import Path

import numpy as np

from tenfold.align.policy import train_policy
from tenfold.align.policy_config import Grpo, PolicyRecipe, Ppo, RewardConfig, RolloutConfig
from tenfold.align.sft import train_sft
from tenfold.model.config import ModelConfig
from tenfold.report.page import drawn, template, write_page
from tenfold.report.plots import Figure, Series
from tenfold.tokens.config import DataConfig
from tenfold.train.device import machine
from tenfold.train.recipe import ChatConfig, OptimizerConfig, Recipe, TrainConfig
from tenfold.train.run import Run
from tenfold.train.train import train

WORDS = "ant bat bear bee cat cow crab deer dog duck fish fox frog hen lion owl".split()
LENGTH = 4
SORTED = 0.25
"""The share of demonstrations that do what is asked."""
HELD_OUT = 512
WANTED = 0.9
STEPS, EVERY = 150, 10
RATE = 3e-4
TUNED = 10_000
"""Lists of the tunings."""
PAGE = """{% extends "base.html" %}{% from "plot.html" import plot %}{% block content %}{{ plot(box) }}{% endblock %}"""


def write_data(out: Path) -> None:
    """lists.jsonl for the base, sorted.jsonl and mixed.jsonl for the tunings, prompts.jsonl and held_out.jsonl for the rewards."""
    lists = list(itertools.permutations(WORDS, LENGTH))
    drawn = random.Random(0)
    drawn.shuffle(lists)

    def write(name: str, rows: list[dict]) -> None:
        (out / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    def asked(words: tuple[str, ...]) -> dict:
        return {"prompt": [{"role": "user", "content": " ".join(words)}], "answer": " ".join(sorted(words))}

    def shown(words: tuple[str, ...], share: float) -> dict:
        said = sorted(words) if drawn.random() < share else words
        return {"instruction": " ".join(words), "output": " ".join(said)}

    held_out, few, rest = lists[:HELD_OUT], lists[HELD_OUT : HELD_OUT + TUNED], lists[HELD_OUT + TUNED :]
    write("held_out.jsonl", [asked(words) for words in held_out])
    write("sorted.jsonl", [shown(words, 1) for words in few])
    write("mixed.jsonl", [shown(words, SORTED) for words in few])
    write("prompts.jsonl", [asked(words) for words in rest])
    write("lists.jsonl", [{"text": " ".join(words)} for words in rest[:8000]])


def base_recipe(out: Path) -> Recipe:
    return Recipe(
        "base",
        model=ModelConfig(vocab=512, context=48, layers=2, embed=96, heads=4, positions="rotary", dtype="float32"),
        data=DataConfig((str(out / "lists.jsonl"),)),
        optimizer=OptimizerConfig(learning_rate=3e-3, warmup_tokens=20_000),
        train=TrainConfig(100, 32, prompts=(), tensorboard=False),
    )


def sft_recipe(out: Path, base: Run, name: str, steps: int, rate: float) -> Recipe:
    return Recipe(
        name,
        start=str(base.path),
        model=base.recipe.model,
        data=DataConfig((str(out / f"{name}.jsonl"),)),
        optimizer=OptimizerConfig(learning_rate=rate, warmup_tokens=10_000),
        train=TrainConfig(steps, 16, evaluate_every=10**6, prompts=(), tensorboard=False),
        chat=ChatConfig("plain", epochs=0),
    )


def policy_recipe(out: Path, start: Run, method: str, seed: int) -> PolicyRecipe:
    recipe = Recipe(
        f"{method}-{seed}",
        start=str(start.path),
        model=start.recipe.model,
        data=DataConfig((str(out / "prompts.jsonl"),), held_out=str(out / "held_out.jsonl"), seed=seed),
        optimizer=OptimizerConfig(RATE, weight_decay=0.0, final_fraction=0.1),
        train=TrainConfig(
            STEPS,
            512,
            seed=seed,
            log_every=10,
            evaluate_every=EVERY,
            evaluate_rows=HELD_OUT,
            checkpoint_every=100,
            prompts=(),
            tensorboard=False,
        ),
    )
    grpo = Grpo(minibatches=4, clip_high=0.28) if method == "grpo" else None
    ppo = None if grpo else Ppo(epochs=1, minibatches=4, kl=0.0)
    rollout = RolloutConfig(completions=8 if grpo else 1, max_tokens=16)
    return PolicyRecipe(recipe, rollout, RewardConfig(("exact",)), grpo=grpo, ppo=ppo)


def curve(run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps, seconds of training up to them, and success."""
    rows = [line for line in run.metrics() if "held_out_reward" in line]
    times = [json.loads(line) for line in (run.path / "timing.jsonl").read_text().splitlines()]
    steps = np.array([row["step"] for row in rows])
    seconds = np.interp(steps, [0] + [row["step"] for row in times], [0.0] + [row["seconds"] for row in times])
    return steps, seconds, np.array([row["held_out_reward"] for row in rows])


def told(run: Run) -> dict:
    steps, seconds, success = curve(run)
    above = np.flatnonzero(success > WANTED)
    return {
        "start": success[0],
        "above_90_at": {"step": int(steps[above[0]]), "seconds": round(float(seconds[above[0]]))} if len(above) else None,
        "last": success[-1],
        "seconds": round(float(seconds[-1])),
    }


def page(out: Path, runs: dict[str, list[Run]]) -> None:
    """Each method's mean over its seeds, and the lowest and the highest of them."""
    series = []
    for i, (method, some) in enumerate(runs.items()):
        steps, success_RN = curve(some[0])[0], np.array([curve(run)[2] for run in some])
        series += [Series("", steps, bound(success_RN, axis=0), "raw", i) for bound in (np.min, np.max)]
        series.append(Series(method.upper(), steps, success_RN.mean(0), "line", i))
    caption = f"Right answers to {HELD_OUT} lists that are in no training data. Faint: the lowest and the highest of the seeds."
    figure = Figure("Success", "step", series, from_zero=True, percent=True, caption=caption)
    text = template("base.html").environment.from_string(PAGE).render(title="Sorting words", box=drawn(figure))
    write_page(out / "sorting.html", text)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=["grpo", "ppo"], default=["grpo", "ppo"])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    write_data(options.out)
    base = train(base_recipe(options.out), options.out / "base")
    able = train_sft(sft_recipe(options.out, base, "sorted", 700, 4e-3), options.out / "sorted")
    start = train_sft(sft_recipe(options.out, able, "mixed", 500, 2e-3), options.out / "mixed")
    runs: dict[str, list[Run]] = {}
    for method in options.methods:
        for seed in options.seeds:
            recipe = policy_recipe(options.out, start, method, seed)
            runs.setdefault(method, []).append(train_policy(recipe, options.out / recipe.recipe.name))
            print(f"{recipe.recipe.name}: {json.dumps(told(runs[method][-1]))}", flush=True)
    page(options.out, runs)
    print(json.dumps({"machine": machine(), "parameters": start.result["parameters"], "page": str(options.out / "sorting.html")}))


if __name__ == "__main__":
    main()
