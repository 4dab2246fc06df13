"""The three approaches find the exponents of the law that runs were drawn from."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from made_ladder import on_line
from tenfold.errors import UserError
from tenfold.scaling.fit import fit
from tenfold.scaling.isoflop import approach_1, approach_2, approach_3, profiles
from tenfold.scaling.laws import LAWS, PUBLISHED
from tenfold.scaling.points import Point
from tenfold.scaling.read import Curve

CHINCHILLA = LAWS["chinchilla"]
BOTH = ["Hoffmann et al. 2022", "Besiroglu et al. 2024"]


def truth(c: dict[str, float], flops):
    """(exponent of N, the best N) by equation 4 of Hoffmann et al."""
    whole = c["alpha"] + c["beta"]
    factor = (c["alpha"] * c["A"] / (c["beta"] * c["B"])) ** (1 / whole)
    return c["beta"] / whole, factor * (flops / 6) ** (c["beta"] / whole)


def isoflops(c: dict[str, float], noise: float = 0.0, sizes: int = 7, cost: float = 6.0) -> list[Point]:
    """Budgets of 6e18 to 3e21 FLOPs, each with sizes from a third to three times the best."""
    chance, points = np.random.default_rng(0), []
    for flops in np.geomspace(6e18, 3e21, 8):
        for factor in np.geomspace(1 / 3, 3, sizes):
            N = truth(c, flops)[1] * factor
            D = flops / (cost * N)
            loss = float(CHINCHILLA.loss(c, N, D, None) * np.exp(noise * chance.standard_normal()))
            points.append(Point(f"{flops:.1e} {factor:.2f}", D, flops, loss, N, N))
    return points


def curves(c: dict[str, float], count: int) -> list[Curve]:
    found = []
    for N in np.geomspace(7e7, 1.5e10, count):
        D = np.geomspace(1e8, 4e12, 120)
        loss = CHINCHILLA.loss(c, N, D, None)
        found.append(Curve(Point(f"{N:.1e}", D[-1], 6 * N * D[-1], float(loss[-1]), N, N), D, loss))
    return found


@pytest.mark.parametrize("who", BOTH)
def test_parabolas_find_the_exponents(who):
    c = PUBLISHED[who][1]
    found = approach_2(isoflops(c, noise=0.0005), bootstrap=200)
    exponent, best = truth(c, 1e20)
    assert found.size_exponent == pytest.approx(exponent, rel=0.02) and found.token_exponent == pytest.approx(1 - exponent, rel=0.02)
    assert found.size_interval[0] < exponent < found.size_interval[1] and np.ptp(found.size_interval) < 0.02
    assert found.size(1e20) == pytest.approx(best, rel=0.05) and 6 * found.size(1e20) * found.tokens(1e20) == pytest.approx(1e20, rel=1e-3)
    assert len(found.budgets) == 8 and not found.aside
    json.dumps(found.record(), allow_nan=False)


@pytest.mark.parametrize("who", BOTH)
def test_the_fitted_law_finds_the_exponents(who):
    c = PUBLISHED[who][1]
    found = approach_3(fit("chinchilla", isoflops(c, noise=0.0005), bootstrap=100))
    exponent, best = truth(c, 1e20)
    assert found.size_exponent == pytest.approx(exponent, rel=0.02) and found.size(1e20) == pytest.approx(best, rel=0.05)
    assert found.size_interval[0] < found.size_exponent < found.size_interval[1]
    assert 6 * found.size(1e20) * found.tokens(1e20) == pytest.approx(1e20)


@pytest.mark.parametrize("who", BOTH)
def test_curves_find_the_exponents(who):
    """Sizes are steps, so many are needed: with 30 the exponents are within 2%."""
    c = PUBLISHED[who][1]
    found = approach_1(curves(c, 30), bootstrap=20)
    assert found.size_exponent == pytest.approx(truth(c, 1e20)[0], rel=0.02)
    assert found.size_exponent + found.token_exponent == pytest.approx(1)
    assert found.size_interval[0] < truth(c, 1e20)[0] < found.size_interval[1]


def test_a_dearer_token_moves_the_best_size():
    """At twice the operations a token the same budget buys a smaller model, by the exponent of the law."""
    c = PUBLISHED["Hoffmann et al. 2022"][1]
    dear = approach_3(fit("chinchilla", isoflops(c, cost=12.0), bootstrap=0))
    assert dear.size(1e20) == pytest.approx(truth(c, 5e19)[1], rel=1e-3)
    assert 12 * dear.size(1e20) * dear.tokens(1e20) == pytest.approx(1e20)


def test_kaplans_law_of_both_has_a_best_size_too():
    constants = PUBLISHED["Kaplan et al. 2020, L(N, D)"][1]
    points = [
        replace(p, loss=float(LAWS["kaplan-nd"].loss(constants, p.parameters, p.tokens, None)))
        for p in isoflops(PUBLISHED["Hoffmann et al. 2022"][1])
    ]
    found = approach_3(fit("kaplan-nd", points, bootstrap=0))
    assert found.size_exponent == pytest.approx(0.103 / (0.076 + 0.103), rel=1e-3)
    N = np.geomspace(0.5, 2, 2001) * found.size(1e20)
    assert N[LAWS["kaplan-nd"].loss(constants, N, 1e20 / 6 / N, None).argmin()] == pytest.approx(found.size(1e20), rel=2e-3)


def test_budgets_that_show_no_lowest_place_are_set_aside_with_the_reason():
    c = PUBLISHED["Hoffmann et al. 2022"][1]
    points = isoflops(c)
    first, second, third = sorted({p.flops for p in points})[:3]
    bent = [Point(p.name, p.tokens, p.flops, 2 * 3.0 - p.loss if p.flops == second else p.loss, p.parameters) for p in points]
    bent = [p for p in bent if p.flops != first or p.parameters < 0.8 * truth(c, first)[1]]  # all too small
    bent = [p for p in bent if p.flops != third or p.parameters > 1.2 * truth(c, third)[1]]  # all too large
    found = approach_2(bent, bootstrap=0)
    assert [each.split(": ")[1] for each in found.aside] == [
        "its lowest loss lies above the sizes that were trained",
        "the parabola through its losses opens downwards",
        "its lowest loss lies below the sizes that were trained",
    ]
    assert len(found.budgets) == 5 and found.size_exponent == pytest.approx(truth(c, 1)[0], rel=0.02)


def test_three_sizes_a_budget_fit_exactly_and_say_nothing_of_how_sure_they_are():
    found = approach_2(isoflops(PUBLISHED["Hoffmann et al. 2022"][1], sizes=3))
    assert all(math.isnan(end) for end in found.size_interval) and found.record()["size_interval"] == [None, None]


def test_a_parabola_goes_through_its_runs():
    profile = profiles(isoflops(PUBLISHED["Hoffmann et al. 2022"][1], sizes=3))[0]
    assert np.allclose(profile.loss(np.array([p.parameters for p in profile.points])), [p.loss for p in profile.points])


def test_too_little_is_refused():
    with pytest.raises(UserError, match="at least two budgets.*there are 0"):
        approach_2(on_line([4.0, 3.6, 3.3]))
    with pytest.raises(UserError, match="curves of at least 3 sizes, and there are 2"):
        approach_1(curves(PUBLISHED["Hoffmann et al. 2022"][1], 2))
    with pytest.raises(UserError, match="power is of C"):
        approach_3(fit("power", on_line([4.0, 3.6, 3.3]), bootstrap=0))
