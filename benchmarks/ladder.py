"""A bootstrap of Hoffmann et al.'s law: Tenfold's batched solver beside a plain loop of scipy's L-BFGS-B over the same resamples.

    OPENBLAS_NUM_THREADS=1 python benchmarks/ladder.py [--points 240] [--bootstrap 10000] [--peer 100] [--rounds 5]

Both start each fit from the constants of all points and minimise the same objective with exact gradients, written in NumPy. The loop takes
`--peer` resamples a round, as many as the time of one fit needs; Tenfold takes them all, and the same few again to compare the ends.
"""

import argparse
import platform
import statistics
import time

import numpy as np
import scipy
from scipy.optimize import minimize

from tenfold.scaling.fit import fit
from tenfold.scaling.forms import FORMS
from tenfold.scaling.laws import LAWS, PUBLISHED
from tenfold.scaling.points import Point
from tenfold.scaling.solver import DELTA, NEAR, huber, minimise

OPTIONS = {"scipy's tolerance": {"maxiter": 5000}, "ftol 1e-12, gtol 1e-9": {"maxiter": 5000, "ftol": 1e-12, "gtol": 1e-9}}


def points(count: int) -> list[Point]:
    """Runs drawn from the published constants, with errors of half a percent."""
    chance, constants = np.random.default_rng(0), PUBLISHED["Hoffmann et al. 2022"][1]
    sizes, tokens = 10 ** chance.uniform(7.5, 10, count), 10 ** chance.uniform(9, 11.5, count)
    losses = LAWS["chinchilla"].loss(constants, sizes, tokens, None) * np.exp(0.005 * chance.standard_normal(count))
    return [Point(f"run{i}", D, 6 * N * D, L, parameters=N) for i, (N, D, L) in enumerate(zip(sizes, tokens, losses, strict=True))]


def objective(theta, n, d, log_loss, weights) -> tuple[float, np.ndarray]:
    """Equation 3 of Hoffmann et al. and its gradient, for one fit."""
    e, a, b, alpha, beta = theta
    terms = np.stack([np.full_like(n, e), a - alpha * n, b - beta * d])
    top = terms.max(0)
    shares = np.exp(terms - top)
    total = shares.sum(0)
    residual = top + np.log(total) - log_loss
    shares /= total
    slope = weights * np.clip(residual, -DELTA, DELTA)
    gradient = [slope @ shares[0], slope @ shares[1], slope @ shares[2], -(slope * shares[1]) @ n, -(slope * shares[2]) @ d]
    return float((weights * huber(residual, DELTA)).sum()), np.array(gradient)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", type=int, default=240)
    parser.add_argument("--bootstrap", type=int, default=10_000)
    parser.add_argument("--peer", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    began = time.perf_counter()
    found = fit("chinchilla", points(options.points), bootstrap=0)
    grid = time.perf_counter() - began
    n, d, log_loss = (np.log([getattr(p, name) for p in found.points]) for name in ("parameters", "tokens", "loss"))
    terms, theta = (
        FORMS["chinchilla"].terms(n, d),
        np.array([*(np.log(found.constants[c]) for c in "EAB"), found.constants["alpha"], found.constants["beta"]]),
    )
    N = len(log_loss)
    weights = np.random.default_rng(1).multinomial(N, np.full(N, 1 / N), size=options.bootstrap).astype(float)
    ours, theirs, ends = [], {name: [] for name in OPTIONS}, {}
    for _ in range(options.rounds):
        began = time.perf_counter()
        solved = minimise(terms, log_loss, weights, np.tile(theta, (len(weights), 1)), damping=NEAR)
        ours.append(time.perf_counter() - began)
        for name, how in OPTIONS.items():
            began = time.perf_counter()
            plain = [
                minimize(objective, theta, (n, d, log_loss, w), jac=True, method="L-BFGS-B", options=how) for w in weights[: options.peer]
            ]
            theirs[name].append((time.perf_counter() - began) / options.peer * options.bootstrap)
            ends[name] = max(found.fun / end - 1 for found, end in zip(plain, solved.objective_B, strict=False))
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, scipy {scipy.__version__}"
    print(f"{platform.processor() or platform.machine()}, {versions}")
    print(f"{N} points; from all 4,500 starts to the constants {grid:.1f} s")
    print(f"{options.bootstrap:,} resamples, of which {solved.converged_B.mean():.1%} came to their end")
    print("Tenfold", *[f"{seconds:.1f}" for seconds in ours], f"s: median {statistics.median(ours):.1f} s")
    for name, each in theirs.items():
        ratio = statistics.median(their / our for our, their in zip(ours, each, strict=True))
        print(f"L-BFGS-B, {name}:", *[f"{seconds:.1f}" for seconds in each], f"s, from {options.peer} fits a round: {ratio:.1f}x")
        print(f"    its objectives end above Tenfold's by {ends[name]:.1g} at most, as a share")


if __name__ == "__main__":
    main()
