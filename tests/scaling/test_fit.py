"""A fit finds the law that points were drawn from, says how sure it is, and refuses what cannot be fitted."""

import json
import math

import numpy as np
import pytest

from made_ladder import drawn, on_line
from tenfold.errors import UserError
from tenfold.scaling.fit import Cost, budgets, compare, fit
from tenfold.scaling.laws import LAWS, PUBLISHED
from tenfold.scaling.optimal import compute_optimal, over_training, tokens_to_reach
from tenfold.scaling.points import Point

EXPONENTS = ("alpha", "beta", "alpha_N", "alpha_D", "alpha_C", "b")
KNOWN = {**PUBLISHED, "an offset": ("power-offset", {"E": 1.7, "a": 1.2, "b": 0.15})}


@pytest.mark.parametrize("who", KNOWN)
def test_exponents_of_a_known_law_come_back(who):
    """Within 2%, from 60 runs whose losses are off by 0.1%; every exponent's interval is narrow and about it."""
    law, constants = KNOWN[who]
    found = fit(law, drawn(law, constants, 60, noise=0.001), bootstrap=200)
    for name in LAWS[law].constants:
        low, high = found.intervals[name]
        assert low <= found.constants[name] <= high
        if name in EXPONENTS:
            assert found.constants[name] == pytest.approx(constants[name], rel=0.02)
            assert low == pytest.approx(high, rel=0.1)


def test_exact_points_give_exact_constants():
    law, constants = PUBLISHED["Hoffmann et al. 2022"]
    found = fit(law, drawn(law, constants, 30), bootstrap=0)
    assert {k: pytest.approx(v, rel=1e-3) for k, v in constants.items()} == found.constants
    assert np.abs(found.residuals).max() < 1e-6


def test_one_wild_run_does_not_move_the_fit():
    """That is what Huber's loss is for: with squares the run would."""
    law, constants = PUBLISHED["Hoffmann et al. 2022"]
    points = drawn(law, constants, 40)
    wild = next(p for p in points if not any(q.parameters > p.parameters and q.tokens > p.tokens for q in points))
    points[points.index(wild)] = Point(**{**wild.record(), "loss": wild.loss * 0.9})
    found = fit(law, points, bootstrap=0)
    assert found.constants["alpha"] == pytest.approx(constants["alpha"], rel=0.02)
    assert min(found.residuals) == pytest.approx(-0.1, abs=0.01)


def test_the_same_seed_gives_the_same_fit_and_another_does_not():
    points = drawn(*PUBLISHED["Brown et al. 2020"], 20, noise=0.003)
    first, same, other = (fit("power", points, seed=seed, bootstrap=50) for seed in (0, 0, 1))
    assert first.record() == same.record() and first.predict(flops=1e25) == same.predict(flops=1e25)
    assert first.constants == other.constants and first.intervals != other.intervals


def test_a_prediction_holds_the_next_run_about_as_often_as_it_says():
    """95% intervals from five runs over 30 times the compute, of a sixth at 4 times that: in 40 ladders at most 6 misses."""
    chance, hits = np.random.default_rng(0), 0
    for _ in range(40):
        flops = np.append(np.geomspace(1e14, 3e15, 5), 1.2e16)
        losses = LAWS["power"].loss({"a": 2.57, "b": 0.048}, None, None, flops) * np.exp(0.003 * chance.standard_normal(6))
        sizes = (flops / 120) ** 0.5
        points = [Point(f"{C:.0e}", 20 * N, C, L, N, N) for C, N, L in zip(flops, sizes, losses, strict=True)]
        loss, low, high = fit("power", points[:-1], bootstrap=100).predict(points[-1].parameters, points[-1].tokens, points[-1].flops)
        assert low < loss < high
        hits += low <= points[-1].loss <= high
    assert 34 <= hits


def test_the_record_is_json_and_says_what_was_counted():
    found = fit("kaplan-n", drawn(*PUBLISHED["Kaplan et al. 2020, L(N)"], 10, noise=0.001), bootstrap=20)
    record = json.loads(json.dumps(found.record(), allow_nan=False))
    assert record["parameters"] == "without embeddings" and record["measure"] == "loss" and len(record["points"]) == 10
    assert fit("chinchilla", drawn(*PUBLISHED["Hoffmann et al. 2022"], 12), bootstrap=0).record()["parameters"] == "with embeddings"


def test_parameters_are_counted_as_asked_or_as_the_points_can():
    points = [
        Point(p.name, p.tokens, p.flops, p.loss, parameters=2 * p.parameters, non_embedding=p.parameters) for p in on_line([4, 3.5, 3])
    ]
    N_c = {counted: fit("kaplan-n", points, bootstrap=0, embeddings=counted).constants["N_c"] for counted in (True, False, None)}
    assert N_c[True] == pytest.approx(2 * N_c[False]) and N_c[None] == N_c[False]
    whole = [Point(p.name, p.tokens, p.flops, p.loss, parameters=p.parameters) for p in points]
    assert fit("kaplan-n", whole, bootstrap=0).embeddings
    with pytest.raises(UserError, match="does not say its non_embedding"):
        fit("kaplan-n", whole, embeddings=False)


def test_compute_is_read_off_the_points():
    assert fit("power", on_line([4, 3.5, 3]), bootstrap=0).cost == Cost(pytest.approx(6), pytest.approx(1))
    dear = [Point(p.name, p.tokens, 3 * p.flops, p.loss, p.parameters) for p in on_line([4, 3.5, 3])]
    found = fit("power", dear, bootstrap=0)
    assert found.loss(dear[1].parameters, dear[1].tokens) == pytest.approx(found.loss(flops=dear[1].flops))


def test_laws_stand_side_by_side_with_the_error_of_each():
    """The law that points came from predicts the largest best; one with too many constants says why it cannot."""
    points = drawn("chinchilla", PUBLISHED["Hoffmann et al. 2022"][1], 30)
    rows = compare(points, bootstrap=0)
    assert [r.law.name for r in rows][0] == "chinchilla" and abs(rows[0].error) < 1e-4
    assert {r.law.name for r in rows} == set(LAWS)
    assert [abs(r.error) for r in rows] == sorted(abs(r.error) for r in rows)
    largest = max(points, key=lambda p: p.flops)
    assert all(set(r.errors) == {largest.name} for r in rows)
    few = {r.law.name: r for r in compare(on_line([4.0, 3.6, 3.3, 3.1]), bootstrap=0)}
    assert few["power"].fit and math.isfinite(few["power"].error)
    assert few["chinchilla"].fit is None and "5 constants" in few["chinchilla"].refused and few["chinchilla"].error == math.inf
    assert few["power-offset"].fit and "only 3 points" in few["power-offset"].refused


def bent(steps: list[float]) -> list[Point]:
    """Points 4 times apart in compute, whose loss falls by a power of each step."""
    losses = 5 * np.cumprod([1.0, *(4**-power for power in steps)])
    return on_line(losses.tolist())


def test_small_models_that_are_not_yet_on_the_line_are_left_out():
    """The first two steps fall slower than the rest: the largest three points foretell what comes after them, all six do not."""
    points = bent([0.02, 0.05, 0.1, 0.1, 0.1, 0.1])
    found = {c.law.name: c for c in compare(points[:-1], bootstrap=50)}["power"]
    assert found.budgets == 3 and abs(found.error) < 1e-3
    assert [p.name for p in found.fit.points] == [p.name for p in points[3:-1]]
    assert {a.point.name for a in found.fit.aside} == {p.name for p in points[:3]} and "3 largest" in found.fit.aside[0].reason
    beyond = points[-1]
    assert found.fit.loss(flops=beyond.flops) == pytest.approx(beyond.loss, rel=1e-3)
    assert abs(fit("power", points[:-1], bootstrap=0).loss(flops=beyond.flops) / beyond.loss - 1) > 0.02


def test_points_on_one_line_are_all_fitted():
    assert all(c.budgets == 0 for c in compare(bent([0.1] * 5), bootstrap=0) if c.fit and abs(c.error) < 1e-9)


def test_largest_budgets_that_give_no_law_are_left_with_the_others():
    """The three largest alone rise with the size: all points are fitted, and nothing is refused."""
    sizes, losses = [1e6, 4e6, 1.6e7, 1.5e7, 1.4e7, 1.3e7], [4.0, 3.5, 3.1, 3.0, 2.95, 2.9]
    points = [Point(f"run{i}", 1e9 * 4**i, 1e17 * 8**i, loss, size, size) for i, (size, loss) in enumerate(zip(sizes, losses, strict=True))]
    with pytest.raises(UserError, match="does not fall"):
        fit("kaplan-n", points[-3:])
    assert all(c.fit for c in compare(points, bootstrap=0) if c.law.name in ("kaplan-n", "kaplan-d", "power"))


def test_points_of_one_budget_are_together():
    points = [Point(f"run{i}", 1e9, flops, 3.0, 1e6, 1e6) for i, flops in enumerate([1e18, 4.1e18, 4e18, 16e18])]
    assert [[p.name for p in budget] for budget in budgets(points)] == [["run0"], ["run2", "run1"], ["run3"]]


@pytest.mark.parametrize("count, law", [(2, "power"), (3, "power-offset"), (5, "chinchilla")])
def test_too_few_points_are_refused(count, law):
    with pytest.raises(UserError, match="at least|constants"):
        fit(law, on_line([4.0, 3.6, 3.3, 3.1, 2.95][:count]))


def test_a_law_by_which_the_loss_would_rise_is_refused():
    """Losses that fall with compute because tokens rise, and rise with the size: no L(N) has them."""
    points = [Point(f"run{i}", 1e9 * 8**i, 1e15 * 4**i, 4 - i / 4, 1e6 * 0.5**i, 1e6 * 0.5**i) for i in range(4)]
    assert fit("kaplan-d", points, bootstrap=0).constants["alpha_D"] > 0
    with pytest.raises(UserError, match="does not fall with all that the law kaplan-n reads"):
        fit("kaplan-n", points)


def test_every_resample_kept_is_a_law_and_many_that_are_none_are_said():
    """Noisy runs hold four constants poorly: by some resamples the loss would rise with N or D."""
    noisy = drawn("kaplan-nd", PUBLISHED["Kaplan et al. 2020, L(N, D)"][1], 8, noise=0.2, seed=1)
    found = fit("kaplan-nd", noisy, bootstrap=300)
    assert len(found.theta_BP) < 300
    for name in ("alpha_N", "alpha_D"):
        assert found.constants[name] > 0 and found.intervals[name][0] > 0
    assert any("resamples" in warning for warning in found.warnings) == (len(found.theta_BP) < 240)


def test_a_law_that_sees_nothing_change_is_refused():
    points = [Point(f"run{i}", 1e9 * 4**i, 6e15 * 4**i, 4 - i / 4, 1e6, 1e6) for i in range(4)]
    with pytest.raises(UserError, match="all points have the same size.*kaplan-n"):
        fit("kaplan-n", points)


def test_the_best_size_has_the_least_loss():
    law, constants = PUBLISHED["Hoffmann et al. 2022"]
    found = fit(law, drawn(law, constants, 40, noise=0.001), bootstrap=100)
    best = compute_optimal(found, 1e21)
    assert found.cost.a_token(best.parameters) * best.tokens == pytest.approx(1e21)
    for factor in (0.9, 1.1):
        assert found.loss(best.parameters * factor, best.tokens / factor) > best.loss
    for name in ("parameters", "tokens", "loss"):
        low, high = getattr(best, f"{name}_interval")
        assert low < getattr(best, name) < high
    json.dumps(best.record(), allow_nan=False)


def test_smaller_for_longer_has_its_price():
    law, constants = PUBLISHED["Hoffmann et al. 2022"]
    found = fit(law, drawn(law, constants, 40), bootstrap=0)
    same, half, far = over_training(found, 1e21, (1, 2, 1e4))
    best = compute_optimal(found, 1e21)
    assert same.flops_ratio == pytest.approx(1, rel=1e-3) and same.same_budget_loss == pytest.approx(best.loss)
    assert half.flops_ratio > 1.05 and half.same_budget_loss > best.loss
    assert found.loss(half.parameters, half.tokens) == pytest.approx(best.loss)
    assert far.tokens == math.inf and far.record()["tokens"] is None
    assert tokens_to_reach(found, best.parameters, best.loss) == pytest.approx(best.tokens, rel=1e-3)


def test_what_names_no_best_size_is_refused():
    line = on_line([4.0, 3.6, 3.3, 3.1, 2.95, 2.85, 2.77])
    with pytest.raises(UserError, match="names no best size"):
        compute_optimal(fit("power", line, bootstrap=0), 1e20)
    together = fit("chinchilla", line, bootstrap=0)
    assert together.together and "along one line" in together.warnings[0]
    with pytest.raises(UserError, match="along one line"):
        compute_optimal(together, 1e20)
    with pytest.raises(UserError, match="flops is -1"):
        compute_optimal(fit("chinchilla", drawn(*PUBLISHED["Hoffmann et al. 2022"], 12), bootstrap=0), -1)
