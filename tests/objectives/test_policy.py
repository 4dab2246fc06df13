"""Each loss against numbers worked out by hand or by a loop in NumPy, and its indifference to padding and to how a batch is cut."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.objectives.policy import (
    Totals,
    adapted_beta,
    clipped_surrogate,
    clipped_value_loss,
    drift,
    gae,
    group_advantages,
    kl_k1,
    kl_k3,
    log_ratio,
    mean_over,
    mixed_loss,
    score_unended,
    token_rewards,
    totals,
    whiten,
)

MASK = jnp.float32([[0, 1, 1, 0], [0, 0, 1, 1], [0, 1, 0, 0]])
OVERS = ("token", "sequence", "longest")
jitted_gae = jax.jit(gae)


def test_the_surrogate_by_hand():
    """Ratios of 1.5, 0.5 and 1.1, each with advantages of 2 and -2, clipped to [0.8, 1.2], then to [0.8, 1.6]."""
    ratios, advantages = jnp.log(jnp.float32([1.5, 0.5, 1.1])), jnp.float32([[2.0], [-2.0]])
    np.testing.assert_allclose(clipped_surrogate(ratios, advantages), [[-2.4, -1.0, -2.2], [3.0, 1.6, 2.2]], rtol=1e-6)
    np.testing.assert_allclose(clipped_surrogate(ratios, advantages, high=0.6), [[-3.0, -1.0, -2.2], [3.0, 1.6, 2.2]], rtol=1e-6)


def test_a_clipped_token_has_no_gradient_and_another_that_of_its_log_probability():
    slope = jax.grad(lambda x, a: clipped_surrogate(x, a).sum())
    assert slope(jnp.log(1.3), 1.0) == 0 and slope(jnp.log(0.7), -1.0) == 0
    assert float(slope(0.0, 3.0)) == pytest.approx(-3.0)
    assert float(slope(jnp.log(1.3), -1.0)) == pytest.approx(1.3)


def test_log_ratios_elsewhere_are_none():
    """Beyond the text log-probabilities are of padding: e^500 there must not make a loss or its gradient NaN."""
    new, old, mask = jnp.float32([[0.0, 500.0]]), jnp.float32([[-0.1, 0.0]]), jnp.float32([[1, 0]])

    def loss(new):
        return mean_over(clipped_surrogate(log_ratio(new, old, mask), jnp.ones_like(new)), mask, "token", totals(mask))

    value, gradient = jax.value_and_grad(loss)(new)
    assert jnp.isfinite(value) and jnp.isfinite(gradient).all() and gradient[0, 1] == 0


def test_estimators_of_kl_by_hand_and_in_the_mean():
    """Of two coins, 0.8 against 0.5: both have the mean 0.8 log 1.6 + 0.2 log 0.4; k3 is never below 0, k1 is of either sign."""
    policy, ref = jnp.log(jnp.float32([[0.8, 0.2]])), jnp.log(jnp.float32([[0.5, 0.5]]))
    kl = 0.8 * np.log(1.6) + 0.2 * np.log(0.4)
    k1, k3 = kl_k1(policy, ref), kl_k3(policy, ref, jnp.ones((1, 2)))
    np.testing.assert_allclose(k3, [[0.5 / 0.8 - 1 + np.log(1.6), 0.5 / 0.2 - 1 + np.log(0.4)]], rtol=1e-5)
    for estimate in (k1, k3):
        assert float((jnp.float32([[0.8, 0.2]]) * estimate).sum()) == pytest.approx(kl, rel=1e-5)
    assert k1.min() < 0 < k1.max() and (k3 >= 0).all()


def test_rewards_of_tokens_by_hand():
    """beta 0.1: -0.1 KL at each chosen token, and the score once, at the last of the row's; a row without any has none."""
    kl = jnp.float32([[9, 1, 2, 9], [9, 9, -1, 3], [9, 0, 9, 9], [9, 9, 9, 9]])
    mask = jnp.concatenate([MASK, jnp.zeros((1, 4))])
    found = token_rewards(jnp.float32([1.0, 2.0, -1.0, 7.0]), kl, mask, 0.1)
    np.testing.assert_allclose(found, [[0, -0.1, 0.8, 0], [0, 0, 0.1, 1.7], [0, -1.0, 0, 0], [0, 0, 0, 0]], atol=1e-6)


def test_advantages_by_hand():
    """gamma 1, lambda 0.5; values 1, 2; rewards 0, 3: d = (0 + 2 - 1, 3 - 2) = (1, 1), A = (1 + 0.5 x 1, 1), returns A + V."""
    mask, value = jnp.float32([[0, 1, 1, 0]]), jnp.float32([[8.0, 1.0, 2.0, 8.0]])
    advantage, returns = gae(jnp.float32([[0, 0, 3.0, 0]]), value, mask, 1.0, 0.5)
    np.testing.assert_allclose(advantage, [[0, 1.5, 1.0, 0]])
    np.testing.assert_allclose(returns, [[0, 2.5, 3.0, 0]])


@pytest.mark.parametrize("seed, gamma, lam", [(0, 1.0, 0.95), (1, 0.9, 0.5), (2, 1.0, 0.0), (3, 0.5, 1.0)])
def test_advantages_are_discounted_sums_of_surprises(seed, gamma, lam):
    """Against the definition (Schulman et al. 2016, equation 16), summed term by term in float64."""
    random = np.random.default_rng(seed)
    start, length = random.integers(0, 3), random.integers(1, 5)
    mask = np.zeros((1, 8), np.float32)
    mask[0, start : start + length] = 1
    reward, value = random.normal(size=(2, 1, 8)).astype(np.float32)
    found, _ = jitted_gae(jnp.asarray(reward * mask), jnp.asarray(value), jnp.asarray(mask), gamma, lam)
    r, v = (np.float64(x[0, start : start + length]) for x in (reward, value))
    surprise = r + gamma * np.append(v[1:], 0) - v
    wanted = [sum((gamma * lam) ** k * surprise[t + k] for k in range(length - t)) for t in range(length)]
    np.testing.assert_allclose(found[0, start : start + length], wanted, rtol=1e-4, atol=1e-5)


def test_lambda_1_and_gamma_1_take_the_rewards_to_come_less_the_value():
    reward, value, mask = jnp.float32([[0, 1.0, 2.0, 0]]), jnp.float32([[5.0, 1.0, 7.0, 5.0]]), jnp.float32([[0, 1, 1, 0]])
    np.testing.assert_allclose(gae(reward, value, mask, 1.0, 1.0)[1], [[0, 3.0, 2.0, 0]])


def test_whitened_numbers():
    """Mean 0 and variance 1 over chosen tokens alone; without the shift the mean stays; what stands elsewhere counts nothing."""
    x = jnp.float32([[99, 1, 2, 99], [99, 99, 3, 6], [99, 8, 99, 99]])
    chosen = np.asarray(MASK, bool)
    for shift, mean in ((True, 0.0), (False, 4.0)):
        white = np.asarray(whiten(x, MASK, shift))
        assert white[chosen].mean() == pytest.approx(mean, abs=1e-6) and white[chosen].std() == pytest.approx(1, rel=1e-6)
        assert (white[~chosen] == 0).all()


def test_the_value_loss_by_hand():
    """Old 1, return 2, clip 0.2: from 1.5 only 1.2 counts, 0.5 x 0.8^2; from 0.5 the true distance is the larger, 0.5 x 1.5^2."""
    found = clipped_value_loss(jnp.float32([[1.5, 0.5]]), jnp.float32([[1.0, 1.0]]), jnp.float32([[2.0, 2.0]]), 0.2)
    np.testing.assert_allclose(found, [[0.32, 1.125]], rtol=1e-6)


def test_beta_follows_the_kl():
    """At most a fifth of rows / horizon a step, up above the target and down below it."""
    beta = jnp.float32(0.1)
    assert float(adapted_beta(beta, jnp.float32(6.0), 6.0, 1000, 100)) == pytest.approx(0.1)
    assert float(adapted_beta(beta, jnp.float32(6.6), 6.0, 1000, 100)) == pytest.approx(0.1 * 1.01)
    assert float(adapted_beta(beta, jnp.float32(99.0), 6.0, 1000, 100)) == pytest.approx(0.1 * 1.02)
    assert float(adapted_beta(beta, jnp.float32(0.0), 6.0, 1000, 100)) == pytest.approx(0.1 * 0.98)


def test_a_text_without_an_end_gets_the_penalty():
    scores, ended = jnp.float32([3.0, 5.0]), jnp.array([True, False])
    assert score_unended(scores, ended, -1.0).tolist() == [3.0, -1.0]
    assert score_unended(scores, ended, None).tolist() == [3.0, 5.0]


def test_group_advantages_by_hand():
    """Scores 0, 0, 0, 1: mean 1/4, deviation sqrt(3)/4. A group of equals has none, whatever rounding does to its mean."""
    scores = jnp.float32([[0, 0, 0, 1], [0.1, 0.1, 0.1, 0.1], [1e8 / 3] * 4])
    scaled, plain = group_advantages(scores), group_advantages(scores, scaled=False)
    np.testing.assert_allclose(scaled[0], np.float32([-1, -1, -1, 3]) / np.sqrt(3), rtol=1e-5)
    np.testing.assert_allclose(plain[0], [-0.25, -0.25, -0.25, 0.75])
    assert (scaled[1:] == 0).all() and (plain[1:] == 0).all()


def test_means_by_hand():
    """Losses 1, 2 | 3, 4 | 5 of rows of 2, 2 and 1 tokens, of at most 4."""
    loss = jnp.float32([[9, 1, 2, 9], [9, 9, 3, 4], [9, 5, 9, 9]])
    found = {over: float(mean_over(loss, MASK, over, totals(MASK), 4)) for over in OVERS}
    assert found["token"] == pytest.approx(15 / 5)
    assert found["sequence"] == pytest.approx((1.5 + 3.5 + 5) / 3)
    assert found["longest"] == pytest.approx(15 / (3 * 4))


@pytest.mark.parametrize("over", OVERS)
def test_a_batch_may_be_cut_and_filled_up_anyhow(over):
    """Parts of uneven lengths add up to the whole, as their denominators are the whole batch's; empty rows and padding change nothing."""
    random = np.random.default_rng(0)
    loss = jnp.asarray(random.normal(size=MASK.shape), jnp.float32)
    whole = totals(MASK)
    together = float(mean_over(loss, MASK, over, whole, 4))
    parts = [float(mean_over(loss[b : b + 1], MASK[b : b + 1], over, whole, 4)) for b in range(3)]
    assert sum(parts) == pytest.approx(together, rel=1e-6)
    wide_loss, wide_mask = (jnp.pad(x, ((0, 2), (0, 3)), constant_values=fill) for x, fill in ((loss, jnp.nan), (MASK, 0)))
    assert float(mean_over(wide_loss, wide_mask, over, totals(wide_mask), 4)) == pytest.approx(together, rel=1e-6)


def test_an_empty_batch_has_a_loss_of_0():
    nothing = jnp.zeros((2, 3))
    assert all(float(mean_over(nothing + 1, nothing, over, totals(nothing), 3)) == 0 for over in OVERS)


def test_drift_is_nothing_where_nothing_moved():
    found = drift(jnp.zeros((3, 4)), MASK, totals(MASK))
    assert (float(found.kl), float(found.clipped), float(found.ratio)) == (0, 0, 1)
    moved = drift(jnp.where(MASK > 0, jnp.log(1.5), 0.0), MASK, Totals(jnp.float32(5), jnp.float32(3)))
    np.testing.assert_allclose(moved, [0.5 - np.log(1.5), 1, 1.5], rtol=1e-5)


def test_pretraining_is_mixed_in():
    assert float(mixed_loss(jnp.float32(2.0), jnp.float32(3.0), 27.8)) == pytest.approx(2 + 3 * 27.8)
