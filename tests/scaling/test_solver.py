"""The solver: its steps are true to the derivatives, and it ends where L-BFGS ends."""

from functools import partial

import numpy as np
import pytest
from scipy.optimize import minimize

from made_ladder import drawn
from tenfold.scaling.forms import FORMS
from tenfold.scaling.laws import LAWS, PF_DAY, PUBLISHED
from tenfold.scaling.solver import DELTA, _jacobian, _second, evaluate, huber, minimise

CASES = {
    "chinchilla": "Hoffmann et al. 2022",
    "kaplan-nd": "Kaplan et al. 2020, L(N, D)",
    "power": "Brown et al. 2020",
    "power-offset": None,
}


def case(name: str, count: int = 40, noise: float = 0.01):
    """(terms, log losses, starts) of points drawn from a law."""
    constants = PUBLISHED[CASES[name]][1] if CASES[name] else {"E": 1.7, "a": 1.2, "b": 0.15}
    points = drawn(name, constants, count, noise)
    places = {"N": [p.parameters for p in points], "D": [p.tokens for p in points], "C": [p.flops / PF_DAY for p in points]}
    logs = [np.log(places[letter]) for letter in LAWS[name].reads]
    log_loss = np.log([p.loss for p in points])
    return FORMS[name].terms(*logs), log_loss, FORMS[name].starts(*logs, log_loss)


def objective(terms, log_loss, weights, theta) -> tuple[float, np.ndarray]:
    """Hoffmann et al.'s objective for one fit, written plainly, and its gradient."""
    model = evaluate(terms, theta[None])
    residual = model.log_loss_BN[0] - log_loss
    return float((weights * huber(residual, DELTA)).sum()), (weights * np.clip(residual, -DELTA, DELTA)) @ _jacobian(terms, model)[0]


@pytest.mark.parametrize("name", CASES)
def test_derivatives_are_those_of_the_law(name):
    """First and second, against differences."""
    terms, log_loss, starts = case(name)
    theta, step = starts[len(starts) // 3], 1e-5
    model = evaluate(terms, theta[None])
    first = _jacobian(terms, model)
    moved = [(theta + step * e, theta - step * e) for e in np.eye(len(theta))]
    ahead, behind = (np.stack([evaluate(terms, pair[i][None]).log_loss_BN[0] for pair in moved], 1) for i in (0, 1))
    assert np.allclose(first[0], (ahead - behind) / (2 * step), rtol=1e-4, atol=1e-6)
    slopes = np.cos(np.arange(len(log_loss)))[None]
    firsts = [[slopes[0] @ _jacobian(terms, evaluate(terms, at[None]))[0] for at in pair] for pair in moved]
    differences = np.stack([(up - down) / (2 * step) for up, down in firsts])
    assert np.allclose(_second(terms, model, first, slopes)[0], differences, rtol=1e-3, atol=1e-3 * np.abs(differences).max() + 1e-9)


@pytest.mark.parametrize("name", CASES)
def test_the_end_is_where_lbfgs_ends(name):
    """From the truth's neighbourhood, with weights as a bootstrap draws them: never above L-BFGS-B's objective."""
    terms, log_loss, starts = case(name)
    starts = starts[:: max(1, len(starts) // 100)]
    whole = minimise(terms, log_loss, np.ones((len(starts), len(log_loss))), starts, steps=100)
    best = whole.theta_BP[whole.objective_B.argmin()]
    weights = np.random.default_rng(0).multinomial(40, np.full(40, 1 / 40), size=6).astype(float)
    solved = minimise(terms, log_loss, weights, np.tile(best, (6, 1)))
    assert solved.converged_B.all()
    for i in range(6):
        options = {"maxiter": 5000, "maxfun": 20000, "ftol": 1e-15, "gtol": 1e-12}
        plain = minimize(partial(objective, terms, log_loss, weights[i]), best, jac=True, method="L-BFGS-B", options=options)
        assert solved.objective_B[i] <= plain.fun * (1 + 1e-9)
        assert objective(terms, log_loss, weights[i], solved.theta_BP[i])[0] == pytest.approx(solved.objective_B[i])


def test_fits_side_by_side_do_not_mix():
    """A fit's end does not depend on which others are solved with it; only sums in another order differ."""
    terms, log_loss, starts = case("chinchilla")
    weights = np.random.default_rng(0).multinomial(40, np.full(40, 1 / 40), size=5).astype(float)
    start = np.array([0.5, 6.0, 6.0, 0.34, 0.28])
    together = minimise(terms, log_loss, weights, np.tile(start, (5, 1)))
    alone = [minimise(terms, log_loss, weights[i : i + 1], start[None]) for i in range(5)]
    assert np.allclose(together.theta_BP, np.concatenate([a.theta_BP for a in alone]), rtol=1e-6)


def test_a_fit_never_ends_worse_than_it_began():
    terms, log_loss, starts = case("chinchilla")
    began = np.array([objective(terms, log_loss, 1.0, theta)[0] for theta in starts[::100]])
    ended = minimise(terms, log_loss, np.ones((len(began), 40)), starts[::100], steps=3).objective_B
    assert (ended <= began).all() and (ended < began).any()


def test_huber_is_a_square_and_then_a_line():
    assert huber(np.array([0.5e-3]), 1e-3)[0] == pytest.approx(0.5 * 0.25e-6)
    assert huber(np.array([-0.1]), 1e-3)[0] == pytest.approx(1e-3 * (0.1 - 0.5e-3))
