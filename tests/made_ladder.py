"""Runs that never ran: points whose losses are drawn from a known law. For the tests of scaling/ and its report."""

import numpy as np

from tenfold.scaling.laws import LAWS
from tenfold.scaling.points import Point


def drawn(law: str, constants: dict[str, float], count: int = 40, noise: float = 0.0, seed: int = 0) -> list[Point]:
    """`count` runs of 1e6 to 1e10 parameters on 1e8 to 1e12 tokens; losses are off by `noise` as a share, normally."""
    chance = np.random.default_rng(seed)
    sizes, tokens = 10 ** chance.uniform(6, 10, count), 10 ** chance.uniform(8, 12, count)
    factors = np.exp(noise * chance.standard_normal(count))
    losses = LAWS[law].loss(constants, sizes, tokens, 6 * sizes * tokens) * factors
    return [
        Point(f"run{i}", float(D), float(6 * N * D), float(L), parameters=float(N), non_embedding=float(N))
        for i, (N, D, L) in enumerate(zip(sizes, tokens, losses, strict=True))
    ]


def on_line(losses: list[float], ratio: float = 4.0, first: float = 1e6) -> list[Point]:
    """A ladder, each run `ratio` times the compute of the one before, 20 tokens a parameter, with these losses."""
    sizes = [first * ratio ** (i / 2) for i in range(len(losses))]
    return [
        Point(f"rung{i}", 20 * N, 120 * N * N, loss, parameters=N, non_embedding=N)
        for i, (N, loss) in enumerate(zip(sizes, losses, strict=True))
    ]
