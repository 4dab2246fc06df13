"""Attention over rows in which a position sees its ancestors only: of texts that begin alike, the beginning is there once.

A row is a forest laid out depth first, so a position's descendants are the positions right after it, up to an end that it knows. Parents
come before children: blocks of queries skip the keys after them, as in blocked.py. It is differentiable, but for measuring: the backward
pass would keep all scores.

Shapes: as model/config.py; R heads of queries that share one of keys, N the R x T queries of a group.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from tenfold.model.attention.blocked import HIDDEN, Pattern, query_block
from tenfold.model.matmul import dot


class Tree(NamedTuple):
    """Who stands where in rows that are forests laid out depth first."""

    positions_BT: jax.Array
    """int32: how many ancestors each has."""
    ends_BT: jax.Array
    """int32: the index after the last of each one's descendants, or of its own where there are none."""


def tree_attention(q_BTHK, k_BTGK, v_BTGK, tree: Tree, bias_BHTS, pattern: Pattern) -> jax.Array:
    """f32[B, T, H, K]: each query sees itself and its ancestors: all of them, or the `window` - 1 nearest. Rounding as in blocked.py.

    `bias_BHTS`, where there is one, is added to the scores.
    """
    B, T, H, K = q_BTHK.shape
    G = k_BTGK.shape[2]
    dtype = pattern.dtype
    q_BGRTK = (q_BTHK * pattern.scale).astype(dtype).swapaxes(1, 2).reshape(B, G, H // G, T, K)
    k_BGTK, v_BGTK = (x.astype(dtype).swapaxes(1, 2) for x in (k_BTGK, v_BTGK))
    slopes_GR11 = None if pattern.alibi is None else jnp.asarray(pattern.alibi, jnp.float32).reshape(G, H // G, 1, 1)
    size, mixed = query_block(T, None), []
    for a in range(0, T, size):
        b = min(a + size, T)
        scores = dot(q_BGRTK[:, :, :, a:b].reshape(B, G, -1, K), k_BGTK[:, :, :b], ((3,), (3,)), ((0, 1), (0, 1)))
        scores_BGRTS = scores.reshape(B, G, H // G, b - a, b)
        distance_BTS = tree.positions_BT[:, a:b, None] - tree.positions_BT[:, None, :b]
        if slopes_GR11 is not None:
            scores_BGRTS -= slopes_GR11 * distance_BTS[:, None, None]
        if bias_BHTS is not None:
            scores_BGRTS += bias_BHTS[:, :, a:b, :b].reshape(scores_BGRTS.shape)
        index_T, index_S = jnp.arange(a, b)[:, None], jnp.arange(b)
        seen_BTS = (index_S <= index_T) & (index_T < tree.ends_BT[:, None, :b])
        if pattern.window is not None:
            seen_BTS &= distance_BTS < pattern.window
        scores_BGRTS = jnp.where(seen_BTS[:, None, None], scores_BGRTS, HIDDEN)
        weights = jnp.exp(scores_BGRTS - scores_BGRTS.max(-1, keepdims=True))
        total_BGRT1 = weights.sum(-1, keepdims=True)
        block = dot(weights.astype(dtype).reshape(scores.shape), v_BGTK[:, :, :b], ((3,), (2,)), ((0, 1), (0, 1)))
        mixed.append(block.reshape(B, G, H // G, b - a, K) / total_BGRT1)
    return jnp.concatenate(mixed, 3).reshape(B, H, T, K).swapaxes(1, 2)
