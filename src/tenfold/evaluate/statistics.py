"""How sure a score is: standard errors, bootstrap intervals, two models on the same items, and scores with chance taken out.

A bootstrap draws items with replacement (Efron 1979). Here it draws how often each distinct value comes up, which has the same
distribution and costs nothing where values are few: right or wrong is two of them, however many items there are.

Shapes: N items, U distinct values, R repeats.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tenfold.errors import UserError

REPEATS = 10_000
LEVEL = 0.95
DRAWS = 4_000_000  # numbers drawn at a time: bounds memory


@dataclass(frozen=True)
class Estimate:
    """A score, its standard error and the interval that holds it at the level of `LEVEL`."""

    value: float
    error: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A second model's score less the first's, on the same items."""

    value: float
    error: float
    low: float
    high: float
    p: float
    """Two-sided: how often a bootstrap's difference falls on the other side of zero, twice. Never below 1 / repeats."""
    items: int
    better: int
    """Items on which the second model scores more."""
    worse: int


def standard_error(values_N) -> float:
    """Of the mean: the sample's deviation (over N - 1) over sqrt(N); NaN of fewer than two items. Of right and wrong answers it is
    sqrt(p (1 - p) / (N - 1)), as lm-eval gives."""
    values_N = np.asarray(values_N, np.float64)
    return float(values_N.std(ddof=1) / math.sqrt(len(values_N))) if len(values_N) > 1 else math.nan


def mean(values_N, seed: int = 0, repeats: int = REPEATS) -> Estimate:
    """A mean with its error and interval. Raises UserError where there are no items."""
    values_N = _some(values_N)
    drawn_R = bootstrap_means(values_N[:, None], seed, repeats)[:, 0]
    return Estimate(float(values_N.mean()), standard_error(values_N), *interval(drawn_R))


def ratio(over_N, under_N, seed: int = 0, repeats: int = REPEATS, scale: Callable[[float], float] = float) -> Estimate:
    """sum(over) / sum(under), such as bits per byte, of items of unlike size; `scale`, which must be smooth and rise, is put on it at the
    end (exp: a perplexity). The error is the linearised one: that of the mean of (over - ratio under) / mean(under), times the slope
    of `scale`. Raises UserError where there are no items, or all of `under` is zero."""
    pairs_N2 = np.stack((_some(over_N), _some(under_N)), axis=1)
    over, under = pairs_N2.mean(axis=0)
    if under == 0:
        raise UserError("a ratio over nothing: the items hold no text to measure.\n  Name items that do.")
    value = over / under
    slope = (scale(value + 1e-6) - scale(value - 1e-6)) / 2e-6
    error = standard_error((pairs_N2[:, 0] - value * pairs_N2[:, 1]) / under) * slope
    drawn_R2 = bootstrap_means(pairs_N2, seed, repeats)
    drawn_R2 = drawn_R2[drawn_R2[:, 1] != 0]  # of few items, some of them empty, a sample may hold no text at all
    low, high = interval(drawn_R2[:, 0] / drawn_R2[:, 1])
    return Estimate(scale(value), error, scale(low), scale(high))


def paired(first_N, second_N, seed: int = 0, repeats: int = REPEATS) -> Difference:
    """How much better the second model is than the first on the same items, by a bootstrap over items: what both find hard does not
    blur the difference. Raises UserError where the numbers of items differ, or are zero."""
    first_N, second_N = _some(first_N), _some(second_N)
    if len(first_N) != len(second_N):
        raise UserError(f"one model has {len(first_N)} items and the other {len(second_N)}: compare the items that both have.")
    gain_N = second_N - first_N
    drawn_R = bootstrap_means(gain_N[:, None], seed, repeats)[:, 0]
    tail = min(int((drawn_R <= 0).sum()), int((drawn_R >= 0).sum()))
    p = min(1.0, 2 * max(tail, 0.5) / repeats)
    better, worse = int((gain_N > 0).sum()), int((gain_N < 0).sum())
    return Difference(float(gain_N.mean()), standard_error(gain_N), *interval(drawn_R), p, len(gain_N), better, worse)


def centred(score: float, chance: float) -> float:
    """0 for guessing and 1 for perfect, as DCLM's CORE: (score - chance) / (1 - chance). Below 0 is worse than guessing."""
    if not 0 <= chance < 1:
        raise UserError(f"chance is {chance}, but must be at least 0 and below 1.")
    return (score - chance) / (1 - chance)


def bootstrap_means(rows_NC: np.ndarray, seed: int = 0, repeats: int = REPEATS) -> np.ndarray:
    """f64[R, C]: the means of `repeats` samples of N rows drawn with replacement; the same seed gives the same ones."""
    distinct_UC, counts_U = np.unique(rows_NC, axis=0, return_counts=True)
    rng, count = np.random.default_rng(seed), len(rows_NC)
    if len(distinct_UC) <= 64:
        return rng.multinomial(count, counts_U / count, size=repeats) @ distinct_UC / count
    some = max(1, DRAWS // count)
    blocks = [rng.integers(count, size=(min(some, repeats - start), count)) for start in range(0, repeats, some)]
    return np.concatenate([rows_NC[drawn_RN].mean(axis=1) for drawn_RN in blocks])


def interval(drawn_R: np.ndarray) -> tuple[float, float]:
    """The middle 95% of what resamples gave, f[R]."""
    low, high = np.quantile(drawn_R, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _some(values_N) -> np.ndarray:
    values_N = np.asarray(values_N, np.float64)
    if not len(values_N):
        raise UserError("there are no items, so there is no score.\n  Ask for at least one, with a larger --limit.")
    return values_N
