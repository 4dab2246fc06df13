"""Divergences against NumPy's, what stored logits lose, and where gradients lead."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.objectives.distill import forward_kl, reverse_kl, stored, stored_kl

RANDOM = np.random.default_rng(0)
TEACHER, STUDENT = (jnp.asarray(RANDOM.normal(0, 2, (2, 3, 11)), jnp.float32) for _ in range(2))


def plain_kl(p_logits, q_logits, temperature=1.0):
    p, q = (np.exp(np.float64(x) / temperature) for x in (p_logits, q_logits))
    p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
    return (p * np.log(p / q)).sum(-1)


def test_a_coin_by_hand():
    """Teacher 3/4, student 1/2: 3/4 log(3/2) + 1/4 log(1/2); the other way 1/2 log(2/3) + 1/2 log 2."""
    teacher, student = jnp.log(jnp.float32([[[0.75, 0.25]]])), jnp.zeros((1, 1, 2))
    assert float(forward_kl(teacher, student)[0, 0]) == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5), rel=1e-5)
    assert float(reverse_kl(teacher, student)[0, 0]) == pytest.approx(0.5 * np.log(2 / 3) + 0.5 * np.log(2), rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_against_numpy(temperature):
    np.testing.assert_allclose(
        forward_kl(TEACHER, STUDENT, temperature), temperature**2 * plain_kl(TEACHER, STUDENT, temperature), rtol=1e-4
    )
    np.testing.assert_allclose(
        reverse_kl(TEACHER, STUDENT, temperature), temperature**2 * plain_kl(STUDENT, TEACHER, temperature), rtol=1e-4
    )


def test_the_square_keeps_gradients_of_one_size():
    """At high temperatures the gradient tends to (student - teacher) / V, both centred (Hinton et al. 2015, equation 4)."""
    slope = jax.grad(lambda s: forward_kl(TEACHER, s, 500.0).sum())(STUDENT)
    away = (STUDENT - STUDENT.mean(-1, keepdims=True)) - (TEACHER - TEACHER.mean(-1, keepdims=True))
    np.testing.assert_allclose(slope, away / 11, atol=0.01)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_what_is_stored_is_exact_with_all_tokens_and_less_with_fewer(temperature):
    whole = forward_kl(TEACHER, STUDENT, temperature)
    found = {count: stored_kl(*stored(TEACHER, count, temperature), STUDENT, temperature) for count in (1, 4, 11)}
    np.testing.assert_allclose(found[11], whole, rtol=1e-3, atol=1e-4)
    assert (found[1] <= found[4] + 1e-6).all() and (found[4] <= whole + 1e-6).all() and (found[4] > 0).all()


def test_the_tail_counts():
    """A student that gives its mass to a token that was not stored pays for it, and its gradient takes it away."""
    ids, logp = stored(TEACHER, 3)
    astray = STUDENT.at[..., jnp.argmin(TEACHER[0, 0])].add(20.0)
    assert (stored_kl(ids, logp, astray) > stored_kl(ids, logp, STUDENT)).all()
    slope = jax.grad(lambda s: stored_kl(ids, logp, s).sum())(astray)
    assert jnp.isfinite(slope).all() and slope[0, 0, jnp.argmin(TEACHER[0, 0])] > 0


def test_a_teacher_that_is_sure_has_finite_losses_and_gradients():
    """One token holds all the mass: nothing is left for the tail, and what is ruled out counts nothing."""
    sure = jnp.full((1, 1, 5), -jnp.inf).at[0, 0, 2].set(0.0)
    student = jnp.float32([[[0.0, 1, 2, 3, 4]]])
    for loss in (forward_kl, lambda t, s: stored_kl(*stored(t, 2), s)):
        value, slope = jax.value_and_grad(lambda s, loss=loss: loss(sure, s).sum())(student)
        assert jnp.isfinite(value) and jnp.isfinite(slope).all()
        assert float(value) == pytest.approx(-float(jax.nn.log_softmax(student)[0, 0, 2]), abs=1e-3)
