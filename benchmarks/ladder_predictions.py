"""How far predictions from made-up ladders are off: five runs 42 times apart in compute, with noise, and a sixth at 4 times the largest.

    python benchmarks/ladder_predictions.py [--ladders 60] [--noise 0.002]

Losses lie on a straight line in logarithms, on one with an offset, or on one whose slope steepens by two thirds, as small models' do. Each
ladder is predicted as `tenfold ladder predict` does (`chosen`), and by the law of that form fitted to all five. Prints the mean error, how
often the sixth run lay in the 95% interval, and how often small models were left out.
"""

import argparse

import numpy as np

from tenfold.scaling.fit import fit
from tenfold.scaling.points import Point
from tenfold.scaling.prediction import choose

C = np.append(np.geomspace(1.4e11, 5.8e12, 5), 4 * 5.8e12)
BOOTSTRAP = 200


def straight(flops: np.ndarray) -> np.ndarray:
    return 3 * (flops / 1e12) ** -0.06


def offset(flops: np.ndarray) -> np.ndarray:
    return 1.2 + 2 * (flops / 1e12) ** -0.15


def bent(flops: np.ndarray) -> np.ndarray:
    """A power of 0.065 that becomes one of 0.11 over the first decade and a half."""
    grid = np.linspace(11, 14.5, 400)
    power = 0.065 + 0.045 * np.clip((grid - 11) / 1.5, 0, 1)
    fallen = np.concatenate([[0], np.cumsum(power[1:] * np.diff(grid))])
    return 4 * 10 ** -np.interp(np.log10(flops), grid, fallen)


FORMS = {"straight": (straight, "power"), "offset": (offset, "power-offset"), "bent": (bent, "power")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ladders", type=int, default=60)
    parser.add_argument("--noise", type=float, default=0.002)
    options = parser.parse_args()
    chance, size = np.random.default_rng(0), np.sqrt(C / 120)
    print("| losses | predicted by | mean error | in the interval | small models left out |\n|---|---|--:|--:|--:|")
    for name, (form, law) in FORMS.items():
        off: dict[str, list[float]] = {"chosen": [], law: []}
        inside: dict[str, list[bool]] = {"chosen": [], law: []}
        fewer = 0
        for _ in range(options.ladders):
            losses = form(C) * np.exp(options.noise * chance.standard_normal(len(C)))
            made = zip(C, size, losses, strict=True)
            *points, last = (Point(f"run{i}", 20 * N, flops, loss, N, N) for i, (flops, N, loss) in enumerate(made))
            found = {"chosen": choose(points, None, BOOTSTRAP)[0], law: fit(law, points, bootstrap=BOOTSTRAP)}
            fewer += len(found["chosen"].points) < len(points)
            for how, fitted in found.items():
                loss, low, high = fitted.predict(last.parameters, last.tokens, last.flops)
                off[how].append(abs(loss / last.loss - 1))
                inside[how].append(low <= last.loss <= high)
        for how in off:
            left_out = f"{fewer / options.ladders:.0%}" if how == "chosen" else ""
            print(f"| {name} | {how} | {np.mean(off[how]):.2%} | {np.mean(inside[how]):.0%} | {left_out} |", flush=True)


if __name__ == "__main__":
    main()
