"""A reward that is hacked on purpose, and what softens it: a KL in the loss, an ensemble of reward models, stopping early.

    python benchmarks/hacked.py --out DIR [--size 1x64] [--pairs 250] [--noise 0.1] [--steps 80] [--ways alone ...]

The start, its prompts and the gold reward are those of `tenfold align overoptimize demo`: different words are good up to six, so that most
pairs say no more than "more words", and a proxy that learned this from few of them is wrong where it is pushed to. GRPO pushes against the
proxy in each way of WAYS, and gold is measured on prompts that nothing learned from. Scores are above the start's, in standard deviations
of the start's completions. Each way is a folder that `tenfold align overoptimize` could have written, with its page; the same command goes
on where it was stopped.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from tenfold.align.overoptimize import overoptimize
from tenfold.align.overoptimize_config import BestOf, OveroptimizeRecipe
from tenfold.recipes.overoptimize_demo import demo, placed, prepare_demo
from tenfold.report.overoptimize import overoptimize_report
from tenfold.train.device import machine

OWN = {"ensemble": 4, "share": 0.5, "own_bodies": True}
"""Members that learn from a half of the pairs each, and begin as weights of their own."""
WAYS: dict[str, dict[str, Any]] = {  # of ensembles the worst, where nothing else is said
    "alone": {},
    "KL 0.1": {"kl": 0.1},
    "KL 0.3": {"kl": 0.3},
    "ensemble of 4, the worst": {"ensemble": 4},
    "both": {"ensemble": 4, "kl": 0.1},
    "ensemble of 4, less 4 deviations": {"ensemble": 4, "pool": "deviation", "penalty": 4.0},
    "of their own, the worst": OWN,
    "of their own, less 1 deviation": OWN | {"pool": "deviation", "penalty": 1.0},
    "of their own, less 4 deviations": OWN | {"pool": "deviation", "penalty": 4.0},
}

RATE = 3e-4
"""Three times the demo's, so that the policy is soon where the proxy is wrong."""


def recipe_of(out: Path, size: str, pairs: int, noise: float, steps: int, kl: float = 0.0, **ensemble: Any) -> OveroptimizeRecipe:
    base = placed(demo(), out)
    return replace(
        base,
        comparisons=replace(base.comparisons, counts=(pairs,), noise=noise),
        proxies=replace(base.proxies, sizes=(size,), **({"pool": "worst"} if ensemble else {}) | ensemble),
        best_of=BestOf(256),
        rl=replace(base.rl, steps=steps, kl=kl, learning_rate=RATE),
    )


def row(way: str, found: dict[str, Any]) -> dict[str, Any]:
    """Gold where the policy ended, and where it was best: what stopping early would have kept."""
    proxy = found["proxies"][0]
    rl = proxy["rl"]
    best = max(range(len(rl["gold"])), key=lambda k: rl["gold"][k])
    return {
        "way": way,
        "accuracy": proxy["accuracy"],
        "d": rl["d"][-1],
        "proxy": rl["proxy"][-1],
        "gold": [rl[name][-1] for name in ("gold", "low", "high")],
        "best": {"step": rl["step"][best], "d": rl["d"][best], "gold": [rl[name][best] for name in ("gold", "low", "high")]},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", default="1x64")
    parser.add_argument("--pairs", type=int, default=250)
    parser.add_argument("--noise", type=float, default=0.1, help="the share of pairs that are labelled the wrong way round")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not prepare_demo(options.out, Console()):
        return
    for way, settings in ((way, WAYS[way]) for way in options.ways):
        folder = options.out / way.replace(" ", "-").replace(",", "")
        recipe = recipe_of(options.out, options.size, options.pairs, options.noise, options.steps, **settings)
        if (found := overoptimize(recipe, folder)) is None:
            return
        overoptimize_report(folder)
        print(json.dumps(row(way, found)), flush=True)
    print(json.dumps({"machine": machine(), "standard_deviation": found["gold"]["spread"]}))


if __name__ == "__main__":
    main()
