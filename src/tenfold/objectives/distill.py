"""Learning from a larger model's probabilities.

Sources: temperature and its square, Hinton et al. 2015, sections 2 and 2.1; the reverse direction, on the student's own texts, MiniLLM
(Gu et al. 2024), equation 1; both on texts of either, GKD (Agarwal et al. 2024), equation 2.

Shapes: B, T, V as in model/config.py; L likeliest tokens that were stored. All give f32[B, T], in nats: mean over the whole batch's tokens
that count (`objectives.policy.mean_over`).
"""

import jax
import jax.numpy as jnp


def forward_kl(teacher_BTV: jax.Array, student_BTV: jax.Array, temperature: float = 1.0) -> jax.Array:
    """T^2 KL(teacher || student) of logits at temperature T. The square keeps gradients of one size as T changes (Hinton, section 2.1)."""
    return temperature**2 * _kl(*(jax.nn.log_softmax(x / temperature) for x in (teacher_BTV, student_BTV)))


def reverse_kl(teacher_BTV: jax.Array, student_BTV: jax.Array, temperature: float = 1.0) -> jax.Array:
    """T^2 KL(student || teacher): the student gives up what it cannot hold, instead of spreading over it."""
    return temperature**2 * _kl(*(jax.nn.log_softmax(x / temperature) for x in (student_BTV, teacher_BTV)))


def stored(teacher_BTV: jax.Array, count: int, temperature: float = 1.0) -> tuple[jax.Array, jax.Array]:
    """(ids int32[B, T, L], log-probabilities f32[B, T, L]) of a teacher's likeliest tokens at temperature T: what is kept of it on disk.

    Probabilities, not logits: their sum says how much the tail holds, whatever else was thrown away.
    """
    logp_BTL, ids_BTL = jax.lax.top_k(jax.nn.log_softmax(teacher_BTV / temperature), count)
    return ids_BTL, logp_BTL


def stored_kl(ids_BTL: jax.Array, teacher_BTL: jax.Array, student_BTV: jax.Array, temperature: float = 1.0) -> jax.Array:
    """T^2 KL(teacher || student) over L + 1 outcomes: the stored tokens, and "any other", with the mass that each side leaves to it.

    At most the KL of the whole distributions, and the same with L = V. Without the last outcome a student that gave its mass to tokens that
    were not stored would look good. `temperature` must be the one that the log-probabilities were stored at.
    """
    student_BTL = jnp.take_along_axis(jax.nn.log_softmax(student_BTV / temperature), ids_BTL, -1)
    both = [jnp.concatenate([x_BTL, _rest(x_BTL)], -1) for x_BTL in (teacher_BTL, student_BTL)]
    return temperature**2 * _kl(*both)


def _rest(logp_BTL: jax.Array) -> jax.Array:
    """log(1 - sum of probabilities), f32[B, T, 1], of a sum that rounding may have brought to 1."""
    return jnp.log1p(-jnp.minimum(jnp.exp(logp_BTL).sum(-1, keepdims=True), 1 - 1e-6))


def _kl(logp_BTV: jax.Array, logq_BTV: jax.Array) -> jax.Array:
    """What p rules out (-inf) counts nothing."""
    p_BTV = jnp.exp(logp_BTV)
    return jnp.where(p_BTV > 0, p_BTV * (jnp.where(p_BTV > 0, logp_BTV, 0.0) - logq_BTV), 0.0).sum(-1)
