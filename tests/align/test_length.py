"""The rule of length, against counts and a likelihood worked out by hand."""

import numpy as np
import pytest

from tenfold.align.comparisons import Comparison
from tenfold.align.length import fit_length, length_loss, length_rights


def pair(better: int, worse: int) -> Comparison:
    return Comparison("p", ("a" * better, "b" * worse), (0, 1))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_rule_is_what_training_pairs_say_more_often(sign):
    """Three of four times the longer (the shorter) one, always by one letter: log-odds log 3, and their loss the entropy of 3/4."""
    pairs = [pair(*(2, 1)[::sign])] * 3 + [pair(*(1, 2)[::sign])]
    rule = fit_length(pairs)
    assert rule.longer == (sign == 1) and rule.slope == pytest.approx(sign * np.log(3), abs=1e-3)
    assert length_loss(rule, pairs) == pytest.approx(-0.75 * np.log(0.75) - 0.25 * np.log(0.25), abs=1e-5)


def test_rights_are_counted_for_each_prompt_and_equal_lengths_are_halves():
    ranking = Comparison("p", ("aaa", "a", "aa"), (0, 1, 2))  # pairs 3 > 1, 3 > 2, 1 > 2
    rule = fit_length([pair(3, 1)])
    assert rule.longer and length_rights(rule, [ranking, pair(2, 2), pair(1, 5)]).tolist() == [2, 0.5, 0]


def test_a_prompt_counts_once_however_many_pairs_it_has():
    """Six pairs of one ranking say longer, one pair as surely shorter: the likelihood is even, though the count is not."""
    ranking = Comparison("p", ("aaaa", "aaa", "aa", "a"), (0, 1, 2, 3))
    even = Comparison("q", ("aaaa", "aaa", "aa", "a"), (3, 2, 1, 0))
    assert fit_length([ranking, even]).slope == pytest.approx(0, abs=1e-3)
    assert fit_length([ranking, pair(1, 2)]).longer


def test_pairs_that_length_decides_have_a_finite_slope():
    rule = fit_length([pair(9, 1), pair(4, 3)])
    assert np.isfinite(rule.slope) and 0 <= length_loss(rule, [pair(9, 1)]) < 1e-3
