"""The laws of over-optimisation on points whose law is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.align.overoptimize_config import FitConfig
from tenfold.align.overoptimize_fit import fit, law, peak
from tenfold.errors import UserError
from tenfold.objectives.best_of_n import best_of_n_kl

FORMS = ("best_of_n", "rl")
KL_K = np.geomspace(0.05, 40, 14)


def points(form, alpha, beta, prompts=24, noise=0.0, kl_K=KL_K):
    """(kl_PK, score_PK) of prompts whose mean lies on the law, but for noise."""
    random = np.random.default_rng(0)
    score_K = law(form, alpha, beta, np.sqrt(kl_K))
    return np.tile(kl_K, (prompts, 1)), score_K + noise * random.normal(size=(prompts, 1)) * np.sqrt(kl_K)


@pytest.mark.parametrize("form", FORMS)
@given(st.floats(0.1, 3), st.floats(0.05, 1))
def test_coefficients_of_a_known_law_are_found(form, alpha, beta):
    found = fit(form, *points(form, alpha, beta), repeats=2)
    assert (found.alpha.value, found.beta.value) == pytest.approx((alpha, beta), rel=1e-6)
    assert found.explained == pytest.approx(1)


@pytest.mark.parametrize("form", FORMS)
@given(st.floats(0.1, 3), st.floats(0.05, 1))
def test_the_peak_is_the_highest_place_of_the_law(form, alpha, beta):
    """On a grid about it, no place is higher; and R* is what the algebra says."""
    at = peak(form, alpha, beta)
    grid = np.linspace(0.5, 1.5, 1001) * at
    assert grid[np.argmax(law(form, alpha, beta, grid))] == pytest.approx(at, rel=1e-3)
    highest = alpha**2 / (4 * beta) if form == "best_of_n" else beta * at
    assert law(form, alpha, beta, np.array([at]))[0] == pytest.approx(highest)


@pytest.mark.parametrize(("form", "alpha", "beta"), [("best_of_n", 0.9, 0.15), ("rl", 0.9, 0.5)])
def test_intervals_hold_the_truth_and_shrink_with_prompts(form, alpha, beta):
    """Of prompts that scatter about the law; with nine times as many prompts a third as wide."""

    def width(prompts):
        found = fit(form, *points(form, alpha, beta, prompts, noise=0.2), repeats=400)
        for estimate, true in ((found.alpha, alpha), (found.peak, peak(form, alpha, beta))):
            assert estimate.low < true < estimate.high
        assert found.verdict == "peak" and found.within > 0.9
        return found.alpha.high - found.alpha.low

    assert width(40) / width(360) == pytest.approx(3, rel=0.35)


def test_a_peak_that_nothing_has_seen_is_marked():
    n = 2.0 ** np.arange(8)
    kl_K = np.array([best_of_n_kl(each) for each in n])  # d up to 1.97
    found = fit("best_of_n", *points("best_of_n", 1.0, 0.1, kl_K=kl_K), repeats=10)
    assert found.verdict == "beyond" and found.peak.value == pytest.approx(5) and found.farthest < 2 and found.within == 0
    assert found.points == 7  # the best of 1 is the start


@pytest.mark.parametrize(
    ("form", "alpha", "beta", "verdict"),
    [("best_of_n", 1.0, -0.1, "rises"), ("rl", 1.0, -0.1, "rises"), ("best_of_n", -1.0, 0.1, "nearer"), ("rl", -2.0, 0.5, "nearer")],
)
def test_laws_without_a_peak(form, alpha, beta, verdict):
    found = fit(form, *points(form, alpha, beta), repeats=10)
    assert found.verdict == verdict
    assert (found.peak.value is None) == (verdict == "rises")


def test_a_collapse_further_out_changes_nothing():
    """Of a law's points up to `until`: the law, whatever comes after."""
    kl_PK, score_PK = points("rl", 1.0, 0.4)
    until = float(np.sqrt(kl_PK.mean(0)).max())
    fallen = np.hstack([kl_PK, 2 * kl_PK[:, -1:]]), np.hstack([score_PK, score_PK[:, -1:] - 50])
    assert fit("rl", *fallen, repeats=20, until=until) == fit("rl", kl_PK, score_PK, repeats=20)
    assert fit("rl", *fallen, repeats=20).peak != fit("rl", kl_PK, score_PK, repeats=20).peak
    with pytest.raises(UserError, match="fit.until is 0.1, but must be above fit.cut, 0.1"):
        FitConfig(until=0.1)


def test_few_points_are_not_fitted():
    """Two points, and many at one place: alpha and beta cannot be told apart."""
    kl_PK, score_PK = points("rl", 1.0, 0.2)
    near = fit("rl", kl_PK, score_PK, cut=5.5)
    assert near.verdict == "few" and near.points == 1 and near.alpha.value is None
    assert fit("best_of_n", np.full((4, 5), 2.0), np.ones((4, 5))).verdict == "few"
    assert fit("rl", np.zeros((4, 5)), np.zeros((4, 5))).farthest == 0


def test_the_same_seed_gives_the_same_intervals():
    some = points("rl", 1.0, 0.3, noise=0.3)
    assert fit("rl", *some, repeats=50) == fit("rl", *some, repeats=50) != fit("rl", *some, repeats=50, seed=1)
