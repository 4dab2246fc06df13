"""The test of a break: it finds breaks that are there, where they are, and none in lines, levels and what saturates."""

import numpy as np
import pytest

from made_emergence import X, hinge, level, line, right_and_wrong, saturating
from tenfold.errors import UserError
from tenfold.evaluate.breaks import SAME, bend, computes

DRAWS = 60


def rejected(curve, x=X, **how) -> float:
    """The share of draws in which a break is found at 5%."""
    return float(np.mean([bend(x, right_and_wrong(curve, x, items=100, seed=seed, **how), seed, 300).p < 0.05 for seed in range(DRAWS)]))


@pytest.mark.parametrize("curve", [line, level, saturating])
@pytest.mark.parametrize("scatter", [0.0, 0.03])
def test_what_has_no_upward_break_is_rarely_said_to_have_one(curve, scatter):
    """5% of 60 draws are 3; more than 8 of them would come up once in 200 such tests."""
    assert rejected(curve, scatter=scatter) <= 8 / DRAWS


@pytest.mark.parametrize("x", [X, X[[0, 1, 3, 5, 7]]])
def test_what_breaks_is_found_where_it_does(x):
    """Of eight models, and of fewer. The interval holds the true place nearly always."""
    at = float(np.median(x))
    found = [bend(x, right_and_wrong(lambda x: hinge(x, at), x, seed=seed), seed, 300) for seed in range(15)]
    assert np.mean([each.p < 0.05 for each in found]) >= 0.9
    assert np.mean([each.low <= at <= each.high for each in found]) >= 0.9
    assert np.mean([each.at for each in found]) == pytest.approx(at, abs=0.15)
    assert np.mean([each.before for each in found]) == pytest.approx(0, abs=0.05)
    assert np.mean([each.after for each in found]) == pytest.approx(0.45, abs=0.05)


def test_a_line_is_seen_to_rise_and_a_level_is_not():
    found = bend(X, right_and_wrong(line), repeats=500)
    assert found.rise_p < 0.01 and found.straight > 0.9
    assert found.line == (pytest.approx(0.1 - 0.2 * X[0], abs=0.3), pytest.approx(0.2, abs=0.02))
    assert np.mean([bend(X, right_and_wrong(level, items=100, seed=seed), seed, 300).rise_p < 0.05 for seed in range(DRAWS)]) <= 8 / DRAWS


def test_models_that_scatter_are_not_taken_for_a_break():
    """The same hinge under noise from model to model as large as itself: told by what is left, not by the items."""
    bent = right_and_wrong(hinge, seed=1)
    scattered = right_and_wrong(hinge, scatter=0.3, seed=1)
    assert bend(X, bent, repeats=500).scatter < 0.05 < bend(X, scattered, repeats=500).scatter
    assert bend(X, bent, repeats=500).p < 0.01 < bend(X, scattered, repeats=500).p


def test_a_break_without_noise_is_exact():
    rows = np.tile(np.maximum(0, np.array([1.0, 2, 3, 4, 5, 6]) - 3), (10, 1))
    found = bend([1, 2, 3, 4, 5, 6], rows, repeats=500)
    assert (found.at, found.before, found.after, found.start) == (
        pytest.approx(3, abs=0.02),
        *(pytest.approx(v, abs=0.02) for v in (0, 1, 0)),
    )
    assert found.p < 0.01 and found.low == pytest.approx(3, abs=0.02) == found.high


def test_scores_that_are_all_alike_say_nothing():
    found = bend(X, np.zeros((50, len(X))), repeats=200)
    assert (found.p, found.rise_p, found.straight) == (1, 1, 1) and np.isnan(found.at)


def test_the_same_seed_gives_the_same_answer():
    rows = right_and_wrong(line)
    assert bend(X, rows, seed=3, repeats=200) == bend(X, rows, seed=3, repeats=200) != bend(X, rows, seed=4, repeats=200)


@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_few_models_give_no_test(count):
    """Three points, and four: through those a hinge passes whatever they are."""
    with pytest.raises(UserError, match=f"there are {count}: a line with a break passes through any four points"):
        bend(X[:count], np.zeros((9, count)))


def test_models_of_one_compute_are_one_place():
    """An IsoFLOP profile is no ladder."""
    assert computes([12, 12 + SAME / 2, 13, 13, 14]) == 3 and computes([]) == 0
    with pytest.raises(UserError, match="there are 3"):
        bend([12, 12, 13, 13, 14, 14], np.zeros((9, 6)))
    with pytest.raises(UserError, match="there are no items"):
        bend(X, np.zeros((0, len(X))))
