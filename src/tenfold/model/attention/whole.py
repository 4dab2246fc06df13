"""Attention with all scores at once, where blocked.py does not reach: both ways, over another sequence, or with learned biases."""

import jax
import jax.numpy as jnp

from tenfold.model.attention.blocked import HIDDEN


def whole_attention(q_BTHK, k_BSGK, v_BSGK, seen, bias_BHTS, scale: float, dtype: str) -> jax.Array:
    """f32[B, T, H, K]: softmax(scale q k^T + bias) v over the keys that `seen` (bool, [B or 1, T, S]; None: all) lets a query see.

    Softmax and sums are f32; q * scale, k, v and the weights are rounded to `dtype`. Each of G heads of keys serves H / G of queries.
    """
    B, T, H, K = q_BTHK.shape
    G = k_BSGK.shape[2]
    q_BTGRK = (q_BTHK * scale).astype(dtype).reshape(B, T, G, H // G, K)
    scores = jnp.einsum("btgrk,bsgk->bgrts", q_BTGRK, k_BSGK.astype(dtype), preferred_element_type=jnp.float32)
    scores_BHTS = scores.reshape(B, H, T, -1)
    if bias_BHTS is not None:
        scores_BHTS += bias_BHTS
    if seen is not None:
        scores_BHTS = jnp.where(seen[:, None], scores_BHTS, HIDDEN)
    weights = jax.nn.softmax(scores_BHTS, axis=-1).astype(dtype).reshape(scores.shape)
    mixed = jnp.einsum("bgrts,bsgk->btgrk", weights, v_BSGK.astype(dtype), preferred_element_type=jnp.float32)
    return mixed.reshape(B, T, H, K)
