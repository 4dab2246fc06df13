"""DPO, IPO and KTO against numbers worked out by hand, and what their gradients do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.objectives.preference import dpo_loss, implicit_rewards, ipo_loss, kto_loss, kto_reference, sequence_logprobs

CHOSEN, REJECTED = jnp.float32([-1.0, -4.0]), jnp.float32([-3.0, -2.0])
REF_CHOSEN, REF_REJECTED = jnp.float32([-2.0, -3.0]), jnp.float32([-2.0, -3.0])


def test_dpo_by_hand():
    """Differences of log-ratios 1 - (-1) = 2 and -1 - 1 = -2, beta 0.5: log(1 + e^-1) and log(1 + e)."""
    found = dpo_loss(CHOSEN, REJECTED, REF_CHOSEN, REF_REJECTED, beta=0.5)
    np.testing.assert_allclose(found, [np.log1p(np.exp(-1)), np.log1p(np.exp(1))], rtol=1e-6)


def test_at_the_start_every_pair_costs_the_log_of_2():
    """The policy is the reference: the loss is log 2, and its gradient raises the chosen and lowers the rejected by beta / 2 each."""
    up, down = jax.grad(lambda c, r: dpo_loss(c, r, CHOSEN, REJECTED, 0.1).sum(), (0, 1))(CHOSEN, REJECTED)
    np.testing.assert_allclose(dpo_loss(CHOSEN, REJECTED, CHOSEN, REJECTED, 0.1), np.log(2), rtol=1e-6)
    np.testing.assert_allclose(up, -0.05, rtol=1e-6)
    np.testing.assert_allclose(down, 0.05, rtol=1e-6)


def test_ipo_by_hand_and_where_it_rests():
    """(2 - 1/(2 x 0.25))^2 = 0 and (-2 - 2)^2 = 16: past 1 / (2 beta) it pulls back, where DPO goes on for ever."""
    np.testing.assert_allclose(ipo_loss(CHOSEN, REJECTED, REF_CHOSEN, REF_REJECTED, beta=0.25), [0.0, 16.0], atol=1e-6)
    slope = jax.grad(lambda c: ipo_loss(c, REJECTED, REF_CHOSEN, REF_REJECTED, beta=0.25).sum())
    assert slope(CHOSEN + 1)[0] > 0 > slope(CHOSEN - 1)[0]


def test_kto_by_hand():
    """beta 0.5; log-ratios 1 and -1; kl 0.4: r - z = 0.3 and -0.7. Of good answers 1 - sigmoid(r - z), of bad 1 - sigmoid(z - r)."""
    logp, ref, good = jnp.float32([-1.0, -4.0]), jnp.float32([-2.0, -3.0]), jnp.array([True, False])
    found = kto_loss(logp, ref, good, jnp.float32(0.4), 0.5, bad_weight=2.0)
    np.testing.assert_allclose(found, [1 - 1 / (1 + np.exp(-0.3)), 2 * (1 - 1 / (1 + np.exp(-0.7)))], rtol=1e-5)
    assert float(kto_reference(logp, ref)) == 0 and float(kto_reference(logp + 1.5, ref)) == pytest.approx(1.5)
    assert float(kto_reference(logp - 3, ref)) == 0, "an estimate of a KL is not below 0"
    assert float(kto_reference(logp, ref, jnp.array([True, False]))) == 1, "log-ratios 1 and -1, of which the second is not there"
    assert float(kto_reference(logp, ref, jnp.array([False, False]))) == 0


def test_no_gradient_passes_through_ktos_reference():
    def loss(logp):
        return kto_loss(logp, REF_CHOSEN, jnp.array([True, True]), kto_reference(logp + 1, REF_CHOSEN), 0.5).sum()

    np.testing.assert_allclose(jax.grad(loss)(CHOSEN) < 0, True)


def test_an_answer_is_the_sum_of_its_tokens():
    logp, mask = jnp.float32([[-1, -2, jnp.nan], [-3, -4, -5]]), jnp.float32([[1, 1, 0], [0, 1, 1]])
    assert sequence_logprobs(logp, mask).tolist() == [-3, -9]
    assert implicit_rewards(jnp.float32([-1.0]), jnp.float32([-3.0]), 0.5).tolist() == [1.0]
