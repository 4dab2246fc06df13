"""How often `tenfold eval emergence` finds a break where there is none, and where there is one: the table of docs/emergence.md.

    python benchmarks/emergence_breaks.py [--draws 200] [--repeats 500]

Scores of 400 items are drawn from known curves, at models evenly over three decades of compute, with and without scatter from model to
model.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from made_emergence import level, line, right_and_wrong, saturating
from tenfold.evaluate.breaks import Bend, bend

BREAK = 13.5


def hinge(x):
    """From no slope to 40 points a decade, in the middle."""
    return 0.05 + 0.4 * np.maximum(0, x - BREAK)


def draws(curve, models: int, scatter: float, count: int, repeats: int) -> list[Bend]:
    x = np.linspace(12.0, 15.0, models)
    return [bend(x, right_and_wrong(curve, x, scatter=scatter, seed=seed), seed, repeats) for seed in range(count)]


def row(case: tuple[int, float], count: int, repeats: int) -> str:
    models, scatter = case
    shares = [np.mean([each.p < 0.05 for each in draws(curve, *case, count, repeats)]) for curve in (line, level, saturating)]
    bent = draws(hinge, *case, count, repeats)
    shares += [np.mean([each.p < 0.05 for each in bent]), np.mean([each.low <= BREAK <= each.high for each in bent])]
    said = f"{100 * scatter:g} points" if scatter else "0"
    return f"| {models} | {said} | {' | '.join(f'{100 * share:.3g}%' for share in shares)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=500, help="simulations of a test")
    asked = parser.parse_args()
    found = "a break found on a line | on a level | where scores saturate | where one is | its interval held it"
    print(f"| models | scatter between models | {found} |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    with ProcessPoolExecutor() as pool:
        for line_of in pool.map(partial(row, count=asked.draws, repeats=asked.repeats), product((5, 6, 8, 12), (0.0, 0.03))):
            print(line_of, flush=True)


if __name__ == "__main__":
    main()
