"""A rival that reads nothing: of two answers, the longer (or the shorter) one is the better. What a reward model must beat.

People like long answers, and models that learn from people find that out first (Singhal et al. 2023, "A long way to go"). Lengths are in
letters, as no tokenizer need be asked. Shapes: N prompts, P pairs of all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tenfold.align.comparisons import Comparison

STEEPEST = 30.0
"""Log-odds of a usual difference, at most: where length decides every pair, the likelihood has no end."""


@dataclass(frozen=True)
class LengthRule:
    """What training comparisons say of length."""

    longer: bool
    """Whether the longer of two answers is the better one more often than the shorter."""
    slope: float
    """Log-odds a letter that an answer is the better one: the logistic regression on the difference of lengths."""


def fit_length(comparisons: Sequence[Comparison]) -> LengthRule:
    """The rule of training comparisons, of which each prompt counts once, as it does in the loss of reward models."""
    from scipy.optimize import minimize_scalar

    ahead_P, weight_P = _ahead(comparisons)
    scale = float(np.sqrt(np.square(ahead_P).mean())) or 1.0

    def loss(slope: float) -> float:
        return float((weight_P * np.logaddexp(0.0, -slope * ahead_P / scale)).sum())

    slope = float(minimize_scalar(loss, bounds=(-STEEPEST, STEEPEST), method="bounded").x) / scale
    return LengthRule(bool((ahead_P > 0).sum() >= (ahead_P < 0).sum()), slope)


def length_rights(rule: LengthRule, comparisons: Sequence[Comparison]) -> np.ndarray:
    """f64[N]: each prompt's pairs that the rule gets right; answers of equal length count a half."""
    sign = 1 if rule.longer else -1
    return np.array([sum(0.5 + 0.5 * np.sign(sign * each) for each in _differences(one)) for one in comparisons], np.float64)


def length_loss(rule: LengthRule, comparisons: Sequence[Comparison]) -> float:
    """Of a prompt, as the loss of reward models is: the mean over its pairs of -log sigmoid(slope x difference of lengths)."""
    ahead_P, weight_P = _ahead(comparisons)
    return float((weight_P * np.logaddexp(0.0, -rule.slope * ahead_P)).sum() / len(comparisons))


def _ahead(comparisons: Sequence[Comparison]) -> tuple[np.ndarray, np.ndarray]:
    """f64[P] each: letters by which the better answer is the longer; and weights of pairs, 1 a prompt in all."""
    rows = [_differences(each) for each in comparisons]
    ahead_P = np.concatenate([np.asarray(row, np.float64) for row in rows])
    return ahead_P, np.concatenate([np.full(len(row), 1 / len(row)) for row in rows])


def _differences(comparison: Comparison) -> list[int]:
    lengths = [len(answer) for answer in comparison.answers]
    return [lengths[better] - lengths[worse] for better, worse in comparison.pairs]
