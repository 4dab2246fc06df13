"""The noise schedule, and the ways back: what is closed form agrees with what is done step by step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.codefusion.bound import snr_weights
from tenfold.codefusion.noise import embedding_under, noise_over, posterior, q_sample, signal_shares, step_back, steps_taken

STEPS = 50


def test_the_schedule_is_that_of_diffusion_lm():
    """1 - sqrt(u + 1e-4), over its value at 0: by hand at a quarter and at half; only the last step is capped."""
    share = signal_shares(1200)
    assert share[0] == 1 and (np.diff(share) < 0).all()
    assert share[300] == pytest.approx((1 - 0.2501**0.5) / 0.99, rel=1e-12)
    assert share[600] == pytest.approx((1 - 0.5001**0.5) / 0.99, rel=1e-12)
    assert share[1200] / share[1199] == pytest.approx(0.001)


def test_noise_at_once_is_noise_step_by_step():
    """x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) noise, t times: mean and variance of the closed form."""
    share = signal_shares(STEPS)
    beta = 1 - share[1:] / share[:-1]
    mean, variance = 1.0, 0.0
    for t in range(1, STEPS + 1):
        mean, variance = mean * np.sqrt(1 - beta[t - 1]), variance * (1 - beta[t - 1]) + beta[t - 1]
        here = jnp.array([t])
        assert q_sample(STEPS, jnp.ones((1, 1, 1)), here, 0.0).item() == pytest.approx(mean, rel=1e-5)
        assert q_sample(STEPS, 0.0, here, jnp.ones((1, 1, 1))).item() == pytest.approx(np.sqrt(variance), rel=1e-5)


def example():
    keys = jax.random.split(jax.random.key(0), 3)
    x, x0, fresh = (jax.random.normal(key, (4, 3, 2)) for key in keys)
    return x, x0, fresh, jnp.array([2, 7, 31, STEPS])


def test_noise_and_embedding_are_two_ways_to_say_one_thing():
    x, x0, _, t = example()
    noise = noise_over(STEPS, x, t, x0)
    np.testing.assert_allclose(q_sample(STEPS, x0, t, noise), x, atol=1e-5)
    np.testing.assert_allclose(embedding_under(STEPS, x, t, noise)[:3], x0[:3], atol=1e-4)


def test_ddim_with_all_steps_and_eta_1_samples_the_posterior():
    """Song et al.'s step with s = t - 1 and eta 1 has the mean and the deviation of Ho et al.'s equation 7."""
    x, x0, fresh, t = example()
    mean, variance = posterior(STEPS, x, x0, t)
    np.testing.assert_allclose(step_back(STEPS, x, x0, t, t - 1, 1.0, jnp.zeros_like(x)), mean, atol=2e-5)
    np.testing.assert_allclose(step_back(STEPS, x, x0, t, t - 1, 1.0, fresh), mean + jnp.sqrt(variance) * fresh, atol=2e-5)


def test_the_posterior_is_bayes():
    """Of one number: the product of q(x_t | x_{t-1}) and q(x_{t-1} | x_0), both normal."""
    share, t = signal_shares(STEPS), 9
    beta, before = 1 - share[t] / share[t - 1], share[t - 1]
    precision = 1 / (1 - before) + (1 - beta) / beta
    mean = (np.sqrt(before) * 0.7 / (1 - before) + np.sqrt(1 - beta) * -0.4 / beta) / precision
    found, variance = posterior(STEPS, jnp.full((1, 1, 1), -0.4), jnp.full((1, 1, 1), 0.7), jnp.array([t]))
    assert found.item() == pytest.approx(mean, rel=1e-5)
    assert variance.item() == pytest.approx(1 / precision, rel=1e-5)


def test_with_eta_0_noise_stays_what_it_is():
    """DDIM moves x_t along its own noise: known x_0 and s steps give q_sample at s with the same noise, and x_0 at 0."""
    _, x0, noise, t = example()
    x = q_sample(STEPS, x0, t, noise)
    s = t // 2
    np.testing.assert_allclose(step_back(STEPS, x, x0, t, s, 0.0, 0.0), q_sample(STEPS, x0, s, noise), atol=1e-4)
    np.testing.assert_allclose(step_back(STEPS, x, x0, t, 0 * t, 1.0, noise), x0, atol=1e-5)


def test_the_bounds_weights_are_the_posteriors_divergences():
    """KL(q(x_{t-1} | x_t, x_0) || the same with an estimate) is (SNR_{t-1} - SNR_t) / 2 times the estimate's squared error."""
    x, x0, _, _ = example()
    for t in (2, 20, STEPS):
        at = jnp.full(4, t)
        (mean, variance), (other, _) = posterior(STEPS, x, x0, at), posterior(STEPS, x, x0 + 1, at)
        kl = jnp.square(mean - other) / (2 * variance)
        np.testing.assert_allclose(kl, snr_weights(STEPS)[t - 2], rtol=2e-3)


@pytest.mark.parametrize("count", [1, 7, 16, STEPS])
def test_steps_taken_go_all_the_way_down(count):
    taken = steps_taken(STEPS, count)
    assert len(taken) == count + 1 and taken[0] == STEPS and taken[-1] == 0 and (np.diff(taken) < 0).all()
