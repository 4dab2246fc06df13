"""Ring attention: dense or banded attention of rows cut over their positions (Liu et al. 2023, arXiv 2310.01889), exact.

Each device keeps its queries. Keys and values go round the ring of devices, a shard at a time, and each shard's share is joined to what
came before by the log-sum-exps. In the backward pass the gradients of keys and values go round with them, and then home. A band visits only
the shards that it reaches.

Shapes: as model/config.py; L positions of a shard.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.model.attention.blocked import HIDDEN, Pattern, joined
from tenfold.model.attention.tiles import Distance, Places, mix_tiles, mix_tiles_gradients
from tenfold.model.matmul import inner
from tenfold.sharding.axes import sequence_parts
from tenfold.sharding.shards import HEADS, SEQUENCE, in_shards, place_on


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def ring_attention(q_BTHK, k_BTGK, v_BTGK, segments_BT, pattern: Pattern) -> jax.Array:
    """f32[B, T, H, K]: `blocked_attention` on a mesh that cuts T over its sequence axis, and both ways where the pattern says so.

    Each of G heads of keys serves H / G of queries.
    """
    return _forward(q_BTHK, k_BTGK, v_BTGK, segments_BT, pattern)[0]


def _forward(q_BTHK, k_BTGK, v_BTGK, segments_BT, pattern):
    qkv = [x.astype(pattern.dtype) for x in (q_BTHK * pattern.scale, k_BTGK, v_BTGK)]
    forward = functools.partial(_forward_in_shard, pattern=pattern, parts=sequence_parts())
    mixed_BTHK, total_BTH = in_shards(forward, (*qkv, segments_BT), (4, 3))
    return mixed_BTHK, (*qkv, mixed_BTHK, total_BTH, segments_BT)


def _backward(pattern, saved, dmixed_BTHK):
    *qkv, mixed_BTHK, total_BTH, segments_BT = saved
    delta_BTH = inner(dmixed_BTHK, mixed_BTHK)
    operands = (*qkv, dmixed_BTHK.astype(pattern.dtype), delta_BTH, total_BTH, segments_BT)
    backward = functools.partial(_backward_in_shard, pattern=pattern, parts=sequence_parts())
    dq_BTHK, dk_BTGK, dv_BTGK = in_shards(backward, operands, (4, 4, 4))
    return dq_BTHK * pattern.scale, dk_BTGK, dv_BTGK, None


ring_attention.defvjp(_forward, _backward)


def visits(pattern: Pattern, length: int, parts: int) -> int:
    """How many shards, of `length` positions, a device's queries can see keys of: its own and some before, or all."""
    if pattern.window is None:
        return parts
    return min(parts, 1 + -(-(pattern.window - 1) // length))


def _forward_in_shard(q, k, v, segments, pattern: Pattern, parts: int):
    q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))
    (H, L), G = q.shape[1:3], k.shape[1]
    own, documents = place_on(SEQUENCE), None if segments is None else segments[:, None]
    distance = distance_of(pattern, H)

    def see(seen, visitor, step):
        k, v, their_documents = visitor
        queries, keys = _places(own, L, documents), _places((own - step) % parts, L, their_documents)
        part, logsumexp = mix_tiles(q, jnp.repeat(k, H // G, 1), jnp.repeat(v, H // G, 1), queries, keys, pattern, distance)
        return joined(seen[0], seen[1], part, logsumexp)

    def visit(carry, step):
        seen, visitor = carry
        visitor = _sent_on(visitor, 1, parts)
        return (see(seen, visitor, step), visitor), None

    visitor = k, v, documents
    seen = see((jnp.zeros(q.shape), jnp.full(q.shape[:3], HIDDEN)), visitor, 0)
    ((mixed, total), _), _ = jax.lax.scan(visit, (seen, visitor), jnp.arange(1, visits(pattern, L, parts)))
    return mixed.swapaxes(1, 2), total.swapaxes(1, 2)


def _backward_in_shard(q, k, v, g, delta, total, segments, pattern: Pattern, parts: int):
    q, k, v, g, delta, total = (x.swapaxes(1, 2) for x in (q, k, v, g, delta, total))
    (B, H, L, K), G = q.shape, k.shape[1]
    own, documents = place_on(SEQUENCE), None if segments is None else segments[:, None]
    distance, count = distance_of(pattern, H), visits(pattern, L, parts)

    def see(dq, visitor, step):
        k, v, their_documents, dk, dv = visitor
        queries, keys = _places(own, L, documents), _places((own - step) % parts, L, their_documents)
        k_BHSK, v_BHSK = (jnp.repeat(x, H // G, 1) for x in (k, v))
        added, *shares = mix_tiles_gradients(q, k_BHSK, v_BHSK, g, (delta, total), queries, keys, pattern, distance)
        dk, dv = (x + share.reshape(B, G, H // G, L, K).sum(2) for x, share in zip((dk, dv), shares, strict=True))
        return dq + added, (k, v, their_documents, dk, dv)

    def visit(carry, step):
        dq, visitor = carry
        return see(dq, _sent_on(visitor, 1, parts), step), None

    visitor = k, v, documents, jnp.zeros(k.shape, jnp.float32), jnp.zeros(v.shape, jnp.float32)
    start = see(jnp.zeros(q.shape, jnp.float32), visitor, 0)
    (dq, (*_, dk, dv)), _ = jax.lax.scan(visit, start, jnp.arange(1, count))
    dk, dv = _sent_on((dk, dv), 1 - count, parts)
    return tuple(x.swapaxes(1, 2) for x in (dq, dk, dv))


def _places(shard, length: int, documents) -> Places:
    return Places(shard * length + jnp.arange(length), documents)


def _sent_on(arrays, steps: int, parts: int):
    """What the device `steps` before had."""
    if steps % parts == 0:
        return arrays
    ring = [(i, (i + steps) % parts) for i in range(parts)]
    return jax.tree.map(lambda x: jax.lax.ppermute(x, SEQUENCE, ring), arrays)


def first_head(heads: int):
    """The number, among all heads, of the first that this device holds."""
    return place_on(HEADS) * heads


def distance_of(pattern: Pattern, heads: int, unit: int = 1) -> Distance:
    """What distance costs the heads that this device holds, for each `unit` positions."""
    decay_K = None if pattern.decay is None else unit * np.asarray(pattern.decay, np.float32)
    if pattern.alibi is None:
        return Distance(None, decay_K)
    slopes_H = jax.lax.dynamic_slice_in_dim(jnp.asarray(pattern.alibi, jnp.float32), first_head(heads), heads)
    return Distance(unit * slopes_H, decay_K)
