"""Dilated attention of new positions over a dilated layer's cache: one softmax over what the branches hold and the new positions.

Shapes: as model/config.py; M keys that a branch's cache holds of each head, S all of them and the T new ones.
"""

import jax
import jax.numpy as jnp

from tenfold.model.attention.blocked import HIDDEN, Pattern
from tenfold.model.attention.cached import decayed
from tenfold.model.cache import DilatedCache, held_positions
from tenfold.model.config import Dilated


def dilated_cached_attention(kind: Dilated, q_BTHK, k_BTGK, v_BTGK, cache: DilatedCache, start_B, pattern: Pattern) -> jax.Array:
    """f32[B, T, H, K]: query t of row b, at position start_B[b] + t, over `cache`, which holds what stands before, and the new positions.

    What `dilated_attention` gives at these positions of the whole row, at any place of them and across segments' borders.
    """
    B, T, H, K = q_BTHK.shape
    dtype, held = pattern.dtype, cache.k_BHMK[0].dtype
    position_BT = start_B[:, None] + jnp.arange(T)
    k_new, v_new = (jnp.repeat(x, H // x.shape[2], 2).swapaxes(1, 2).astype(dtype).astype(held) for x in (k_BTGK, v_BTGK))
    k_BHSK, v_BHSK = jnp.concatenate([*cache.k_BHMK, k_new], 2), jnp.concatenate([*cache.v_BHMK, v_new], 2)
    branches = list(zip(kind.segments, kind.dilations, cache.k_BHMK, strict=True))
    held_BHM = [held_positions(w, r, k_BHMK, start_B) for w, r, k_BHMK in branches]
    times = [_seen_of_cache(w, r, x, position_BT, start_B) for (w, r, _), x in zip(branches, held_BHM, strict=True)]
    times_BHTS = jnp.concatenate([*times, _times_met(kind, H, position_BT)], 3)
    position_BHS = jnp.concatenate([*held_BHM, jnp.broadcast_to(position_BT[:, None], (B, H, T))], 2)
    if pattern.decay is not None:
        q_BTHK, k_BHSK = decayed(q_BTHK, k_BHSK, start_B, position_BHS, pattern.decay)
    q_BHTK = (q_BTHK * pattern.scale).astype(dtype).astype(held).swapaxes(1, 2)
    scores_BHTS = jnp.einsum("bhtk,bhsk->bhts", q_BHTK, k_BHSK, preferred_element_type=jnp.float32)
    if pattern.alibi is not None:
        distance_BHTS = position_BT[:, None, :, None] - position_BHS[:, :, None]
        scores_BHTS -= jnp.asarray(pattern.alibi, jnp.float32)[:, None, None] * distance_BHTS
    # A key met in several branches has a weight for each.
    scores_BHTS = jnp.where(times_BHTS > 0, scores_BHTS + jnp.log(jnp.maximum(times_BHTS, 1).astype(jnp.float32)), HIDDEN)
    weights_BHTS = jax.nn.softmax(scores_BHTS, axis=-1).astype(dtype).astype(held)
    return jnp.einsum("bhts,bhsk->bthk", weights_BHTS, v_BHSK, preferred_element_type=jnp.float32)


def _seen_of_cache(w: int, r: int, held_BHM, position_BT, start_B) -> jax.Array:
    """int32[B, H, T, M]: 1 where the query and the key, which a branch's cache holds, are of one segment and the head takes the query."""
    head_H11 = jnp.arange(held_BHM.shape[1])[:, None, None]
    takes_BHT1 = (position_BT % w % r)[:, None, :, None] == head_H11 % r
    same_BHTM = (position_BT // w)[:, None, :, None] == (held_BHM // w)[:, :, None]
    return (takes_BHT1 & same_BHTM & (held_BHM < start_B[:, None, None])[:, :, None]).astype(jnp.int32)


def _times_met(kind: Dilated, heads: int, position_BT) -> jax.Array:
    """int32[B, H, T, T]: the number of branches in which a new position sees another, or itself."""
    head_H1 = jnp.arange(heads)[:, None]
    times: jax.Array | int = 0
    for w, r in zip(kind.segments, kind.dilations, strict=True):
        takes_BHT = (position_BT % w % r)[:, None] == head_H1 % r
        same_BTT = (position_BT // w)[:, :, None] == (position_BT // w)[:, None]
        times += (takes_BHT[..., None] & takes_BHT[:, :, None] & same_BTT[:, None]).astype(jnp.int32)
    return jnp.where(jnp.tril(jnp.ones(same_BTT.shape[1:], bool)), times, 0)
