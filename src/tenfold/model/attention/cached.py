"""Attention of new positions over a cache of keys and values."""

import jax
import jax.numpy as jnp

from tenfold.model.attention.blocked import HIDDEN


def cached_attention(q_BTHK, k_BHSK, v_BHSK, start_B, window: int | None, dtype: str) -> jax.Array:
    """f32[B, T, H, K]: query t of row b, at position start_B[b] + t, sees the keys of the positions up to its own, or the band's.

    Queries and weights are rounded to `dtype` and then take the cache's type (cache.py), so that no product converts the cache.
    """
    T, S, K = q_BTHK.shape[1], k_BHSK.shape[2], q_BTHK.shape[3]
    distance_BTS = (start_B[:, None] + jnp.arange(T))[:, :, None] - jnp.arange(S)
    seen_BTS = (distance_BTS >= 0) if window is None else (distance_BTS >= 0) & (distance_BTS < window)
    q_BHTK = (q_BTHK * K**-0.5).swapaxes(1, 2).astype(dtype).astype(k_BHSK.dtype)
    scores_BHTS = jnp.einsum("bhtk,bhsk->bhts", q_BHTK, k_BHSK, preferred_element_type=jnp.float32)
    weights_BHTS = jax.nn.softmax(jnp.where(seen_BTS[:, None], scores_BHTS, HIDDEN), axis=-1).astype(dtype).astype(v_BHSK.dtype)
    return jnp.einsum("bhts,bhsk->bhtk", weights_BHTS, v_BHSK, preferred_element_type=jnp.float32).swapaxes(1, 2)
