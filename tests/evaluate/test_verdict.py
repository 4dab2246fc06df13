"""The rules by which an ability appears, or was only measured coarsely."""

import numpy as np
import pytest

from made_emergence import X, hinge, level, line, measured, saturating
from tenfold.evaluate.curves import curves, in_context
from tenfold.evaluate.grades import Grade
from tenfold.evaluate.verdict import WORDS, below_ceiling, too_few


def nothing(x):
    return 0 * x


@pytest.mark.parametrize(
    "exact, finer, word, why",
    [
        (hinge, hinge, "appears", "and so do log-probability, edit distance in tokens"),
        (hinge, line, "coarse", "exact match bends upward at 10^13"),
        (nothing, line, "coarse", "exact match does not rise"),
        (line, line, "smooth", "on a straight line in log compute: exact match"),
        (nothing, nothing, "flat", "the largest model is not above chance"),
        (level, level, "unknown", "though the largest model is above chance"),
        (hinge, saturating, "unknown", "finer ones that bend: none; on a line: none; that rise at all: log-probability"),
    ],
)
def test_curves_of_a_known_kind_are_called_by_it(exact, finer, word, why):
    found = curves(measured(exact, finer), X)
    assert (found["verdict"], found["said"]) == (word, WORDS[word]) and why in found["why"], found["why"]


@pytest.mark.parametrize("count", [1, 3, 4])
def test_few_models_give_scores_and_no_verdict(count):
    found = curves(measured(hinge, hinge, x=X[:count]), X[:count])
    assert found["verdict"] == "unknown" and f"{count} model" in found["why"] and "a break needs 5" in found["why"]
    assert all(curve["bend"] is None and len(curve["centred"]) == count for curve in found["measures"].values())


def test_models_at_the_ceiling_are_not_tested():
    """The first that reaches it stays, and what had as much compute; where five are no longer left, that is said."""
    x = np.array([1.0, 2, 3, 3, 4, 5])
    assert below_ceiling(x, np.array([0, 0.3, 0.92, 0.5, 0.99, 0.97])) == [0, 1, 2, 3]
    assert below_ceiling(x, np.array([0, 0.3, 0.8, 0.5, 0.8, 0.85])) == [0, 1, 2, 3, 4, 5]
    assert "3 more are at the ceiling, so train smaller ones" in too_few(np.arange(6.0), [0, 1, 2]).why
    assert too_few(np.arange(6.0), range(5)) is None


def test_what_saturates_after_a_break_is_still_a_break():
    """Exact match that leaps from nothing to all: eight models, the last three of them done."""
    leap = lambda x: np.clip(1.2 * (x - 13.2), 0.0, 0.98)  # noqa: E731
    found = curves(measured(leap, leap), X)
    assert len(found["tested"]) < len(X) and found["verdict"] == "appears"


def test_the_slope_by_examples_is_that_of_the_line():
    """0, 1 and 3 examples are 0, 1 and 2 doublings: 10% a doubling, and of a model that does not read them, none."""
    rows = [[np.full(50, 0.1 * step), np.full(50, 0.4)] for step in (1, 2, 3)]
    found = in_context([0, 1, 3], [[Grade(row, 0.0, row) for row in rows_M] for rows_M in rows])
    assert [row["slope"] for row in found] == pytest.approx([0.1, 0.0])
    assert found[0]["low"] == pytest.approx(0.1) == found[0]["high"]
    assert in_context([4], [[Grade(rows[0][0], 0.0, rows[0][0])]]) == []
