"""Attention of new positions over a cache of keys and values."""

import jax
import jax.numpy as jnp

from tenfold.model.attention.blocked import HIDDEN, Pattern


def cached_attention(q_BTHK, k_BGSK, v_BGSK, start_B, bias_BHTS, pattern: Pattern) -> jax.Array:
    """f32[B, T, H, K]: query t of row b, at position start_B[b] + t, sees the keys of the positions up to its own, or the band's.

    Each of G heads of keys serves H / G of queries. Queries and weights are rounded to the compute type and then take the cache's
    (cache.py), so that no product converts the cache.
    """
    B, T, H, K = q_BTHK.shape
    k_BGSK, v_BGSK = (a.reshape(B, *a.shape[-3:]) for a in (k_BGSK, v_BGSK))
    G, S = k_BGSK.shape[1:3]
    window, scale, dtype, alibi, _, decay = pattern
    if decay is not None:
        q_BTHK, k_BGSK = decayed(q_BTHK, k_BGSK, start_B, jnp.arange(S)[None, None], decay)
    distance_BTS = (start_B[:, None] + jnp.arange(T))[:, :, None] - jnp.arange(S)
    seen_BTS = (distance_BTS >= 0) if window is None else (distance_BTS >= 0) & (distance_BTS < window)
    q_BGNK = (q_BTHK * scale).astype(dtype).astype(k_BGSK.dtype).swapaxes(1, 2).reshape(B, G, H // G * T, K)  # N: a group's queries
    scores = jnp.einsum("bgnk,bgsk->bgns", q_BGNK, k_BGSK, preferred_element_type=jnp.float32)
    scores_BHTS = scores.reshape(B, H, T, S)
    if alibi is not None:
        scores_BHTS -= jnp.asarray(alibi, jnp.float32)[:, None, None] * distance_BTS[:, None]
    if bias_BHTS is not None:
        scores_BHTS += bias_BHTS
    weights = jax.nn.softmax(jnp.where(seen_BTS[:, None], scores_BHTS, HIDDEN), axis=-1).astype(dtype).astype(v_BGSK.dtype)
    mixed = jnp.einsum("bgns,bgsk->bgnk", weights.reshape(scores.shape), v_BGSK, preferred_element_type=jnp.float32)
    return mixed.reshape(B, H, T, K).swapaxes(1, 2)


def decayed(q_BTHK, k_BGSK, start_B, position_BGS, decay: tuple[float, ...]) -> tuple[jax.Array, jax.Array]:
    """Queries of new positions, from start_B[b] on, and keys at some positions, so that their products decay with distance (xPos).

    It counts from the first query, so that of keys before it nothing grows; new positions must not be so many that it overflows among them:
    `decay` times their number must stay above -80.
    """
    T, decay_K = q_BTHK.shape[1], jnp.asarray(decay, jnp.float32)
    before_BGS = jnp.maximum(start_B[:, None, None] - position_BGS, -T)
    k_BGSK = (k_BGSK * jnp.exp(before_BGS[..., None] * decay_K)).astype(k_BGSK.dtype)
    return q_BTHK * jnp.exp(jnp.arange(T)[:, None, None] * decay_K), k_BGSK
