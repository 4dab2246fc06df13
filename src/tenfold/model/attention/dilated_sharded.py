"""Dilated attention of rows cut over their positions: LongNet's distributed algorithm (Ding et al. 2023, section 3.1, equations 21 to 25).

Each device holds a shard of L positions. A branch whose segments lie within shards is attended to where it lies. Of a longer segment each
shard takes its own rows, and only those rows' keys and values are gathered, from the shards of the segment; queries stay. The backward pass
gathers them again and sends the gradients of gathered rows home by a reduce-scatter. A branch (w, r) so moves about w / r rows a head,
whatever the context. Strides count from the segment's start, documents and causality are those of the whole row, and the log-sum-exp and
the result of the whole go into each branch's gradients, as in dilated.py.

Shapes: as model/config.py; L positions of a shard, N pieces that a shard holds of a branch's segments, M rows that a head takes of each.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.model.attention.blocked import HIDDEN, NOBODY, Pattern, joined
from tenfold.model.attention.dilated import add_branches, add_gradients, branches
from tenfold.model.attention.ring import distance_of, first_head
from tenfold.model.attention.tiles import Places, mix_tiles, mix_tiles_gradients
from tenfold.model.config import Dilated
from tenfold.model.matmul import inner
from tenfold.sharding.axes import sequence_parts
from tenfold.sharding.shards import HEADS, SEQUENCE, in_shards, parts_over, place_on


class Part(NamedTuple):
    """What a shard holds of a branch: pieces of its segments, which may have others on other shards."""

    length: int
    """L"""
    pieces: int
    """N. The last is filled up with what is nobody's, where a row that is not cut is no multiple of its segments."""
    size: int
    """Positions of a piece."""
    dilation: int
    shards: int
    """Over how many shards a segment reaches."""
    parts: int
    """Shards of the row."""

    @property
    def taken(self) -> int:
        """M. A shard need not begin with a row's first place, and so may hold one more, which is partly nobody's."""
        slack = 0 if self.shards == 1 else self.dilation - math.gcd(self.size, self.dilation)
        return -(-(self.size + slack) // self.dilation)

    @property
    def whole(self) -> bool:
        """Whether all rows taken are positions, whatever the head."""
        return self.size % self.dilation == 0 and self.pieces * self.size == self.length and self.parts % self.shards == 0


class Here(NamedTuple):
    """Where this device's part of a branch stands; the numbers are known when it runs."""

    group: jax.Array | int
    """The number of the segment."""
    row: jax.Array | int
    """The piece's first row, counted from the segment's start."""
    shift: jax.Array | int
    """Positions of that row that belong to the shard before."""
    head: jax.Array | int
    """The number, among all heads, of the first that this device holds."""


def part_of(w: int, r: int, length: int, parts: int) -> Part:
    """The branch (w, r) on shards of `length` positions; sequence.py refuses what has no answer here."""
    w = min(w, length * parts)
    return Part(length, -(-length // w), w, r, 1, parts) if w <= length else Part(length, 1, length, r, w // length, parts)


def here(part: Part, heads: int) -> Here:
    if part.shards == 1:
        return Here(0, 0, 0, first_head(heads))
    group, place = jnp.divmod(place_on(SEQUENCE), part.shards)
    row, shift = jnp.divmod(place * part.size, part.dilation)
    return Here(group, row, shift if part.size % part.dilation else 0, first_head(heads))


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def dilated_attention_sharded(q_BTHK, k_BTGK, v_BTGK, segments_BT, kind: Dilated, pattern: Pattern) -> jax.Array:
    """f32[B, T, H, K]: `dilated_attention` on a mesh that cuts T over its sequence axis, and H over its tensor axis.

    Each of G heads of keys serves H / G of queries.
    """
    return _forward(q_BTHK, k_BTGK, v_BTGK, segments_BT, kind, pattern)[0]


def _forward(q_BTHK, k_BTGK, v_BTGK, segments_BT, kind, pattern):
    qkv = [x.astype(pattern.dtype) for x in (q_BTHK * pattern.scale, k_BTGK, v_BTGK)]
    forward = functools.partial(_forward_in_shard, kind=kind, pattern=pattern, parts=sequence_parts())
    mixed_BTHK, total_BTH = in_shards(forward, (*qkv, segments_BT), (4, 3))
    return mixed_BTHK, (*qkv, mixed_BTHK, total_BTH, segments_BT)


def _backward(kind, pattern, saved, dmixed_BTHK):
    backward = functools.partial(_backward_in_shard, kind=kind, pattern=pattern, parts=sequence_parts())
    *arrays, segments_BT = saved
    dq_BTHK, dk_BTGK, dv_BTGK = in_shards(backward, (*arrays, dmixed_BTHK, segments_BT), (4, 4, 4))
    return dq_BTHK * pattern.scale, dk_BTGK, dv_BTGK, None


dilated_attention_sharded.defvjp(_forward, _backward)


def _split(kind: Dilated, pattern: Pattern, heads: int, length: int, parts: int) -> tuple[Dilated | None, list[Part]]:
    """The branches that dilated.py attends to as they lie, or None, and the others.

    Those are the ones whose heads take all rows. To go through strided rows as they lie, compilers for accelerators lay whole arrays out
    anew, filled up to several times their size; rows taken out are a dilation's share of them.
    """
    easy, others = [], []
    for w, r in zip(kind.segments, kind.dilations, strict=True):
        same_slopes = parts_over(HEADS) == 1 or pattern.alibi is None
        local = w <= length and r == 1 and same_slopes and pattern.decay is None
        easy.append((w, r)) if local else others.append(part_of(w, r, length, parts))
    return Dilated(*map(tuple, zip(*easy, strict=True))) if easy else None, others


def _forward_in_shard(q, k, v, segments, kind: Dilated, pattern: Pattern, parts: int):
    _, L, H, _ = q.shape
    k, v = (jnp.repeat(x, H // x.shape[2], 2) for x in (k, v))
    local, others = _split(kind, pattern, H, L, parts)
    mixed, total = jnp.zeros(q.shape, jnp.float32), jnp.full(q.shape[:3], HIDDEN)
    if local:
        mixed, total = add_branches([q, k, v], segments, branches(local, L), pattern._replace(scale=1.0), [mixed, total])
    for part in others:
        at = here(part, H)
        q_rows, k_rows, v_rows = (take(x, part, at) for x in (q, k, v))
        queries, keys = _places(segments, q.shape[:3], part, at, pattern)
        k_rows, v_rows = gather(k_rows, part, at), gather(v_rows, part, at)
        found = mix_tiles(q_rows, k_rows, v_rows, queries, keys, pattern, distance_of(pattern, H, part.dilation))
        mixed, total = each_head(joined, [mixed, total], found, part, at, (0, HIDDEN))
    return mixed, total


def _backward_in_shard(q, k, v, mixed, total, dmixed, segments, kind: Dilated, pattern: Pattern, parts: int):
    (B, L, H, K), G = q.shape, k.shape[2]
    k, v = (jnp.repeat(x, H // G, 2) for x in (k, v))
    local, others = _split(kind, pattern, H, L, parts)
    gradients = [jnp.zeros(q.shape, jnp.float32)] * 3
    delta, dmixed = inner(dmixed, mixed), dmixed.astype(pattern.dtype)
    if local:
        whole, own = [dmixed, delta, total], pattern._replace(scale=1.0)
        gradients = add_gradients([q, k, v], whole, segments, branches(local, L), own, gradients)
    for part in others:
        at = here(part, H)
        q_rows, k_rows, v_rows, g, *whole = (take(x, part, at) for x in (q, k, v, dmixed, delta, total))
        queries, keys = _places(segments, q.shape[:3], part, at, pattern)
        k_rows, v_rows = gather(k_rows, part, at), gather(v_rows, part, at)
        dq, dk, dv = mix_tiles_gradients(q_rows, k_rows, v_rows, g, whole, queries, keys, pattern, distance_of(pattern, H, part.dilation))
        found = dq, send_home(dk, part, at), send_home(dv, part, at)
        gradients = each_head(lambda *x: (x[0] + x[3], x[1] + x[4], x[2] + x[5]), gradients, found, part, at, (0, 0, 0))
    dq, *of_keys = gradients
    return dq, *(x.reshape(B, L, G, H // G, K).sum(3) for x in of_keys)


def _places(segments, shape, part: Part, at: Here, pattern: Pattern) -> tuple[Places, Places]:
    """The places, in rows of the segment, and documents of a part's queries and of its segment's keys."""
    rows_M, shard_S1 = np.arange(part.taken), np.arange(part.shards)[:, None]
    key_rows = (shard_S1 * part.size // part.dilation + rows_M).reshape(-1)
    documents = None
    if segments is not None or not (part.whole or (part.shards == 1 and pattern.causal)):  # what fills up a local piece stands at the end
        one_BL = jnp.zeros(shape[:2], jnp.int32) if segments is None else segments
        documents = take(jnp.broadcast_to(one_BL[..., None], shape), part, at, NOBODY)
    theirs = None if documents is None else gather(documents, part, at, NOBODY)
    return Places(at.row + jnp.asarray(rows_M, jnp.int32), documents), Places(jnp.asarray(key_rows, jnp.int32), theirs)


def take(x_BLH: jax.Array, part: Part, at: Here, fill=0) -> jax.Array:
    """[B, L, H, ...] -> [B N, H, M, ...]: the rows that each head takes of each piece (equations 13 to 15)."""
    B, L, H, *rest = x_BLH.shape
    if missing := part.pieces * part.size - L:
        x_BLH = jnp.concatenate([x_BLH, jnp.full((B, missing, H, *rest), fill, x_BLH.dtype)], 1)
    x_NWH = x_BLH.reshape(B * part.pieces, part.size, H, *rest)
    r, M = part.dilation, part.taken
    if M * r > part.size:
        frame = jnp.full((x_NWH.shape[0], M * r, H, *rest), fill, x_NWH.dtype)
        x_NWH = jax.lax.dynamic_update_slice_in_dim(frame, x_NWH, at.shift, 1)
    x_NMRH = x_NWH.reshape(-1, M, r, H, *rest)
    return jnp.stack([jax.lax.dynamic_index_in_dim(x_NMRH[:, :, :, h], (at.head + h) % r, 2, keepdims=False) for h in range(H)], 1)


def each_head(step: Callable, sofar: Sequence[jax.Array], found: Sequence[jax.Array], part: Part, at: Here, fills: Sequence[float]):
    """`sofar`, [B, L, H, ...] each, with `step(*sofar, *found)` written to it, a head's after the other's. `found`, [B N, H, M, ...] each,
    is put back to all L positions, with its fill where a head took nothing: a head at a time, as all would take as much again as `sofar`.
    """

    def turn(h, sofar_H):
        own = [jnp.moveaxis(jax.lax.dynamic_index_in_dim(x, h, 0, keepdims=False), -1, 1) for x in sofar_H]
        rows = [jax.lax.dynamic_index_in_dim(y, h, 1, keepdims=False) for y in found]
        new = step(*own, *(put(y_NM, h, part, at, fill) for y_NM, fill in zip(rows, fills, strict=True)))
        return [jax.lax.dynamic_update_index_in_dim(x, jnp.moveaxis(y, 1, -1), h, 0) for x, y in zip(sofar_H, new, strict=True)]

    # [H, B, ..., L]: accelerators fill axes up to multiples of 8 and 128, and would do so to heads and their width.
    changed = jax.lax.fori_loop(0, sofar[0].shape[2], turn, [jnp.moveaxis(x, (2, 1), (0, -1)) for x in sofar])
    return [jnp.moveaxis(x, (0, -1), (2, 1)) for x in changed]


def put(y_NM: jax.Array, h: jax.Array, part: Part, at: Here, fill: float) -> jax.Array:
    """[B N, M, ...] -> [B, L, ...]: `take` undone for head h, with `fill` at the positions that it did not take (equations 7 and 8)."""
    N, M, *rest = y_NM.shape
    r = part.dilation
    taken_R = jnp.arange(r) == (at.head + h) % r
    y_NMR = jnp.where(taken_R.reshape(r, *[1] * len(rest)), y_NM[:, :, None], fill)
    y_NW = jax.lax.dynamic_slice_in_dim(y_NMR.reshape(N, M * r, *rest), at.shift, part.size, 1)
    return y_NW.reshape(N // part.pieces, part.pieces * part.size, *rest)[:, : part.length]


def gather(x_BHM: jax.Array, part: Part, at: Here, fill=0) -> jax.Array:
    """[B, H, M, ...] -> [B, H, S, ...]: the rows of all of the segment's shards, in order. Where such groups of shards do not divide the
    row's, the last segment is short, and the rows of all segments are gathered."""
    if part.shards == 1:
        return x_BHM
    if part.parts % part.shards == 0:
        return jax.lax.all_gather(x_BHM, SEQUENCE, axis=2, tiled=True, axis_index_groups=_groups(part))
    M = x_BHM.shape[2]
    x_BHS = jax.lax.all_gather(x_BHM, SEQUENCE, axis=2, tiled=True)
    missing = -part.parts % part.shards * M
    x_BHS = jnp.pad(x_BHS, [(0, missing if axis == 2 else 0) for axis in range(x_BHS.ndim)], constant_values=fill)
    return jax.lax.dynamic_slice_in_dim(x_BHS, at.group * part.shards * M, part.shards * M, 2)


def send_home(y_BHS: jax.Array, part: Part, at: Here) -> jax.Array:
    """[B, H, S, K] -> [B, H, M, K]: the sum over devices of what each has for the rows that `gather` gathered, to where they came from."""
    if part.shards == 1:
        return y_BHS
    if part.parts % part.shards == 0:
        return jax.lax.psum_scatter(y_BHS, SEQUENCE, scatter_dimension=2, tiled=True, axis_index_groups=_groups(part))
    B, H, S, K = y_BHS.shape
    M = S // part.shards
    whole = jnp.zeros((B, H, -(-part.parts // part.shards) * S, K))
    whole = jax.lax.dynamic_update_slice_in_dim(whole, y_BHS, at.group * S, 2)[:, :, : part.parts * M]
    return jax.lax.psum_scatter(whole, SEQUENCE, scatter_dimension=2, tiled=True)


def _groups(part: Part) -> list[list[int]] | None:
    if part.parts == part.shards:
        return None
    return np.arange(part.parts).reshape(-1, part.shards).tolist()
