"""The laws give the figures that were published, and agree with each other where their authors say so."""

import numpy as np
import pytest

from tenfold.errors import UserError
from tenfold.scaling.batch_size import critical_batch
from tenfold.scaling.fit import Cost
from tenfold.scaling.forms import FORMS
from tenfold.scaling.laws import LAWS, PF_DAY, PUBLISHED, named_law, power
from tenfold.scaling.optimal import optimal_sizes
from tenfold.scaling.solver import evaluate

HOFFMANN = PUBLISHED["Hoffmann et al. 2022"][1]


def published_loss(who: str, N=None, D=None, C=None) -> float:
    law, constants = PUBLISHED[who]
    return float(LAWS[law].loss(constants, N, D, C))


def test_gpt3s_curve_at_gpt3s_compute():
    """2.57 C^-0.048 at 3,640 PF/s-days is 1.73."""
    assert round(power(3640, a=2.57, b=0.048), 2) == 1.73
    assert round(float(published_loss("Brown et al. 2020", C=3640 * PF_DAY)), 2) == 1.73
    assert published_loss("Kaplan et al. 2020, L(C_min)", C=3640 * PF_DAY) == pytest.approx(1.73, rel=0.025)  # two fits of one curve


def test_each_of_kaplans_scales_is_where_its_loss_is_one():
    for who, place in (("L(N)", {"N": 8.8e13}), ("L(D)", {"D": 5.4e13}), ("L(C_min)", {"C": 3.1e8 * PF_DAY})):
        assert published_loss(f"Kaplan et al. 2020, {who}", **place) == pytest.approx(1)


def test_kaplans_law_of_both_becomes_that_of_each():
    """With no end of data it is L(N), with no end of parameters L(D) (Kaplan et al., section 4.1)."""
    constants = PUBLISHED["Kaplan et al. 2020, L(N, D)"][1]
    N, D = 1e9, 1e10
    of_both = LAWS["kaplan-nd"]
    assert of_both.loss(constants, N, 1e40, None) == pytest.approx(LAWS["kaplan-n"].loss(constants, N, None, None), rel=1e-6)
    assert of_both.loss(constants, 1e50, D, None) == pytest.approx(LAWS["kaplan-d"].loss(constants, None, D, None), rel=1e-6)


def test_kaplans_exponent_of_overfitting():
    """The excess of the loss depends on N^(alpha_N / alpha_D) / D: 0.74."""
    constants = PUBLISHED["Kaplan et al. 2020, L(N, D)"][1]
    assert constants["alpha_N"] / constants["alpha_D"] == pytest.approx(0.74, abs=0.005)
    law = LAWS["kaplan-nd"]
    excess = [law.loss(constants, N, 100 * N**0.73786, None) / law.loss(constants, N, 1e60, None) for N in (1e6, 1e8, 1e10)]
    assert np.ptp(excess) < 1e-4 and excess[0] > 1.001


def test_kaplans_batch_grows_with_compute_to_the_quarter():
    """B ~ C^(alpha_C / alpha_B) = C^0.24, as published; at a loss of 1 the critical batch is B*."""
    constants = PUBLISHED["Kaplan et al. 2020, L(C_min)"][1]
    C = np.array([1.0, 1e4])
    batch = critical_batch(LAWS["kaplan-c"].loss(constants, None, None, C * PF_DAY))
    assert np.diff(np.log(batch))[0] / np.log(1e4) == pytest.approx(0.24, abs=0.003)
    assert critical_batch(1.0) == 2e8  # tokens


@pytest.mark.parametrize(
    "who, size_exponent", [("Hoffmann et al. 2022", 0.45), ("Besiroglu et al. 2024", 0.51)], ids=["Hoffmann", "Besiroglu"]
)
def test_the_best_size_is_where_published_constants_put_it(who, size_exponent):
    """beta / (alpha + beta) of the printed constants, and Hoffmann et al.'s equation 4 in closed form."""
    law, c = PUBLISHED[who]
    flops = np.array([1e19, 1e21, 5.76e23])
    sizes = np.array([optimal_sizes(LAWS[law], tuple(np.array([v]) for v in c.values()), C, Cost())[0] for C in flops])
    a, whole = c["beta"] / (c["alpha"] + c["beta"]), c["alpha"] + c["beta"]
    assert np.allclose(sizes, (c["alpha"] * c["A"] / (c["beta"] * c["B"])) ** (1 / whole) * (flops / 6) ** a, rtol=1e-4)
    assert round(a, 2) == size_exponent


def test_gophers_compute_is_best_spent_on_a_chinchilla():
    """The constants fitted again give about 70B and 1.4T tokens, 20 a parameter; those first printed a model half that size."""
    flops = 5.76e23
    again = optimal_sizes(LAWS["chinchilla"], tuple(np.array([v]) for v in PUBLISHED["Besiroglu et al. 2024"][1].values()), flops, Cost())[
        0
    ]
    first = optimal_sizes(LAWS["chinchilla"], tuple(np.array([v]) for v in HOFFMANN.values()), flops, Cost())[0]
    assert again == pytest.approx(70e9, rel=0.06) and flops / (6 * again**2) == pytest.approx(20, rel=0.12)
    assert first == pytest.approx(32e9, rel=0.02)


@pytest.mark.parametrize("who", PUBLISHED)
def test_the_form_that_is_fitted_is_the_law(who):
    """Constants made of any theta give the loss that the sum of powers gives."""
    name, _ = PUBLISHED[who]
    law, form, chance = LAWS[name], FORMS[name], np.random.default_rng(1)
    N, D, C = 10 ** chance.uniform(6, 10, 9), 10 ** chance.uniform(8, 12, 9), 10 ** chance.uniform(18, 24, 9)
    places = {"N": N, "D": D, "C": C / PF_DAY}
    logs = [np.log(places[letter]) for letter in law.reads]
    loss_9 = law.loss(PUBLISHED[who][1], N, D, C)
    for theta in form.starts(*logs, np.log(loss_9))[::7]:
        constants = dict(zip(law.constants, form.constants(theta), strict=True))
        with np.errstate(over="ignore"):
            expected = np.log(law.loss(constants, N, D, C))
        if np.isfinite(expected).all():
            assert np.allclose(evaluate(form.terms(*logs), theta[None]).log_loss_BN[0], expected, rtol=1e-8)


def test_an_unknown_law_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="no law is called 'gopher'.*\n.*chinchilla"):
        named_law("gopher")
