"""Dilated attention: LongNet (Ding et al. 2023, arXiv 2307.02486), equations 3 to 15, on one device.

A branch (w, r) cuts a row into segments of w positions. In each, head j takes the positions whose place in the segment is j mod r, j mod r
+ r, ..., and attends among those as if there were no others. The branches of a query are mixed by their softmax denominators, which is one
softmax over the keys of all branches together, a key that several branches have taken counting once for each (equations 9 and 10).

So the backward pass is that of each branch with the log-sum-exp and the result of the whole, and the weights of the mixture have their
exact gradients without being differentiated. What lives from the forward to the backward pass is linear in T.

A head's part of a segment is read, attended to and added to the result in place before the next: beyond operands and results, memory holds
one part's scores, whatever T is. And products of a single part are those that run fastest: XLA's CPU backend gives batches of them half
the speed.

Shapes: as model/config.py; N segments of a branch, M positions that a head takes of each, P parts handled at once.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from tenfold.model.attention.blocked import HIDDEN, NOBODY, Pattern, joined, mix, mix_gradients
from tenfold.model.config import Dilated
from tenfold.model.matmul import inner
from tenfold.sharding.axes import batch_cuts

ROWS_AT_ONCE = 512
"""A head's parts of short segments are attended to together, so many positions at once."""
NOWHERE = 2**31 - 1
"""A row beyond all: what is read there is 0, what is written there is dropped."""


class Branch(NamedTuple):
    """A segment length and a dilation, on rows of `length` positions."""

    length: int
    segment: int
    dilation: int

    @property
    def segments(self) -> int:
        """N"""
        return -(-self.length // self.segment)

    @property
    def taken(self) -> int:
        """M"""
        return -(-self.segment // self.dilation)

    @property
    def even(self) -> bool:
        """Whether every head takes as many positions of every segment."""
        return self.length % self.segment == 0 and self.segment % self.dilation == 0


class Parts(NamedTuple):
    """P segments of a branch, those of all rows of the batch counted through, as one head takes them."""

    branch: Branch
    first: jax.Array
    """The first segment."""
    together: int
    """P"""
    head: jax.Array
    heads: int


def branches(kind: Dilated, length: int) -> list[Branch]:
    """The branches of rows of `length` positions, where a longer segment is as one of `length`."""
    return [Branch(length, min(w, length), r) for w, r in zip(kind.segments, kind.dilations, strict=True)]


def dilated_attention(q_BTHK, k_BTGK, v_BTGK, segments_BT, kind: Dilated, pattern: Pattern) -> jax.Array:
    """f32[B, T, H, K]. Documents (`segments_BT`, None: one a row) hide keys of other documents; the branches' segments stay where they are.

    A query that no branch takes gets 0. Operands are rounded to the pattern's dtype, as are scaled queries and unnormalised weights. On a
    mesh each device attends to its own rows of the batch.
    """
    cuts = batch_cuts(q_BTHK.shape[0])
    if not cuts:
        return _attention(q_BTHK, k_BTGK, v_BTGK, segments_BT, kind, pattern)
    own = PartitionSpec(cuts)
    attend_own = jax.shard_map(
        lambda *rows: _attention(*rows, kind, pattern), in_specs=own, out_specs=own, axis_names=set(cuts), check_vma=False
    )
    return attend_own(q_BTHK, k_BTGK, v_BTGK, segments_BT)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _attention(q_BTHK, k_BTGK, v_BTGK, segments_BT, kind, pattern) -> jax.Array:
    return _forward(q_BTHK, k_BTGK, v_BTGK, segments_BT, kind, pattern)[0]


def _forward(q_BTHK, k_BTGK, v_BTGK, segments_BT, kind, pattern):
    qkv = [x.astype(pattern.dtype) for x in (q_BTHK, k_BTGK, v_BTGK)]
    B, T, H, K = q_BTHK.shape
    nothing = [jnp.zeros((B, T, H, K)), jnp.full((B, T, H), HIDDEN)]
    mixed_BTHK, total_BTH = add_branches(qkv, segments_BT, branches(kind, T), pattern, nothing)
    like = [jnp.zeros((), x.dtype) for x in (q_BTHK, k_BTGK, v_BTGK)]
    return mixed_BTHK, (*like, *qkv, mixed_BTHK, total_BTH, segments_BT)


def add_branches(qkv: list[jax.Array], segments_BT, which: list[Branch], pattern: Pattern, sofar: list[jax.Array]) -> list[jax.Array]:
    """`sofar` after the mixture with these branches: a result f32[B, T, H, K] and the log-sum-exp of its scores f32[B, T, H], which is
    HIDDEN where nothing is seen yet. q, k, v: [B, T, H or G, K] of the compute type.
    """

    def add(parts: Parts, operands, sofar):
        q, k, v, document = read_all(operands, parts)
        part, logsumexp = mix(scaled(q, pattern), k, v, seen_by(document, parts, pattern), within(pattern, parts))
        mixed, total = read_all(sofar, parts)
        return joined(mixed, total, part, logsumexp)

    heads = qkv[0].shape[2]
    for branch in which:
        sofar = each_part(add, branch, range(heads), heads, [*qkv, segments_BT], sofar)
    return sofar


def _backward(kind, pattern, saved, dmixed_BTHK):
    """A head's gradients are added up in f32 over all branches before the next head's: of one head, these sums are small."""
    *like, q, k, v, mixed_BTHK, total_BTH, segments_BT = saved
    whole = [dmixed_BTHK, inner(dmixed_BTHK, mixed_BTHK), total_BTH]
    which, H = branches(kind, q.shape[1]), q.shape[2]

    def of_head(head, gradients):
        columns = [head * x.shape[2] // H for x in gradients]
        own = [jax.lax.dynamic_slice_in_dim(x, at, 1, 2).astype(jnp.float32) for x, at in zip(gradients, columns, strict=True)]
        own = add_gradients([q, k, v], whole, segments_BT, which, pattern, own, [head])
        return [jax.lax.dynamic_update_slice_in_dim(x, y.astype(x.dtype), at, 2) for x, y, at in zip(gradients, own, columns, strict=True)]

    # Gradients of keys that several heads share are sums over these: in f32 until all are in.
    nothing = [jnp.zeros(x.shape, y.dtype if x.shape[2] == H else jnp.float32) for x, y in zip((q, k, v), like, strict=True)]
    gradients = jax.lax.fori_loop(0, H, of_head, nothing)
    return *(gradient.astype(x.dtype) for gradient, x in zip(gradients, like, strict=True)), None


_attention.defvjp(_forward, _backward)


def add_gradients(
    qkv: list[jax.Array], whole: list[jax.Array], segments_BT, which: list[Branch], pattern: Pattern, sofar: list[jax.Array], heads=None
) -> list[jax.Array]:
    """`sofar`, f32 gradients of q, k and v, with these branches' shares: those of all heads, or of the one in `heads`, whose columns alone
    `sofar` then has. `whole` is the gradient of the result over all branches, the sum over K of that times the result, and the log-sum-exp.
    """

    def add(parts: Parts, operands, sofar):
        q, k, v, g, delta, total, document = read_all(operands, parts)
        own = (seen_by(document, parts, pattern), within(pattern, parts))
        dq, dk, dv = mix_gradients(scaled(q, pattern), k, v, g.astype(pattern.dtype), delta, total, *own)
        return [x + y for x, y in zip(read_all(sofar, parts), (dq.swapaxes(2, 3) * pattern.scale, dk, dv), strict=True)]

    H = qkv[0].shape[2]
    for branch in which:
        sofar = each_part(add, branch, range(H) if heads is None else heads, H, [*qkv, *whole, segments_BT], sofar)
    return sofar


def each_part(step: Callable, branch: Branch, which, heads: int, operands: list[jax.Array | None], sofar: list[jax.Array]):
    """`sofar`, where `step(parts, operands, sofar)` has been written to all parts of it that these heads of a branch take, in turn.

    Arrays are [B, T, H, ...] or [B, T], or None; `step` has them as `lay` gives them. `which` are all heads, or one.
    """
    segments = sofar[0].shape[0] * branch.segments
    most = max(1, min(segments, ROWS_AT_ONCE // branch.taken))
    together = next(size for size in range(most, 0, -1) if segments % size == 0)
    laid = [None if x is None else lay(x, branch) for x in operands]

    def turn(number, sofar):
        parts = Parts(branch, number // len(which) * together, together, which[0] + number % len(which), heads)
        return [write(x, y, parts) for x, y in zip(sofar, step(parts, laid, sofar), strict=True)]

    found = jax.lax.fori_loop(0, segments // together * len(which), turn, [lay(x, branch) for x in sofar])
    return [y.reshape(x.shape) for x, y in zip(sofar, found, strict=True)]


def lay(x: jax.Array, branch: Branch) -> jax.Array:
    """[B, T, H, ...] as its branch's parts are read and written: [B N, M, r H, ...], or [B T, H, ...] where they are uneven.

    The shape is made outside the loop over parts: XLA writes in place only where nothing reshapes what it writes to.
    """
    B, T, *rest = x.shape if x.ndim > 2 else (*x.shape, 1)
    return x.reshape(-1, branch.taken, branch.dilation * rest[0], *rest[1:]) if branch.even else x.reshape(B * T, *rest)


def read_all(arrays: list, parts: Parts) -> list[Any]:
    return [None if x is None else read(x, parts) for x in arrays]


def read(x: jax.Array, parts: Parts) -> jax.Array:
    """-> [P, 1, M, ...]: what the head takes of the segments (equations 3 to 5 and 13 to 15), and 0 where it fills up.

    Where x has fewer heads, which several share, that of the head's group.
    """
    if x.dtype == jnp.bfloat16 and jax.default_backend() == "cpu":
        # Else XLA would turn all of x to f32, before the loop, to read parts of it. Of a loop over one segment, only the head changes.
        x, _ = jax.lax.optimization_barrier((x, (parts.first, parts.head)))
    if parts.branch.even:
        start, size = _place(x, parts)
        y = jax.lax.dynamic_slice(x, start, size)
    else:
        y = x.at[_rows(parts), _column(x.shape[1], parts)].get(mode="fill", fill_value=0)
    return y.reshape(parts.together, 1, parts.branch.taken, *x.shape[3 if parts.branch.even else 2 :])


def write(x: jax.Array, y_P1M: jax.Array, parts: Parts) -> jax.Array:
    """`x` with [P, 1, M, ...] in the places that `read` reads (equations 7 and 8)."""
    if parts.branch.even:
        start, size = _place(x, parts)
        return jax.lax.dynamic_update_slice(x, y_P1M.reshape(size), start)
    return x.at[_rows(parts), _column(x.shape[1], parts)].set(y_P1M[:, 0], mode="drop", unique_indices=True)


def _column(count: int, parts: Parts) -> jax.Array:
    return parts.head * count // parts.heads


def _place(x: jax.Array, parts: Parts) -> tuple[tuple, tuple]:
    """The first index of an even branch's parts, and their shape."""
    (_, M, columns, *rest), r = x.shape, parts.branch.dilation
    column = parts.head % r * (columns // r) + _column(columns // r, parts)
    return (parts.first, 0, column, *[0] * len(rest)), (parts.together, M, 1, *rest)


def _rows(parts: Parts) -> jax.Array:
    """int32[P, M]: which of all B T positions the head takes; NOWHERE where it fills up."""
    (T, w, r), N = parts.branch, parts.branch.segments
    segment_P1 = (parts.first + jnp.arange(parts.together))[:, None]
    place_M = parts.head % r + r * jnp.arange(parts.branch.taken)
    position_PM = segment_P1 % N * w + place_M
    return jnp.where((place_M < w) & (position_PM < T), segment_P1 // N * T + position_PM, NOWHERE)


def seen_by(document_P1M: jax.Array | None, parts: Parts, pattern: Pattern) -> jax.Array | None:
    """int32[P, 1, M]: the document of each position, NOBODY for those that fill up; None where no key has to be hidden by it."""
    if parts.branch.even or (document_P1M is None and pattern.causal):
        return document_P1M  # what fills up stands at the end
    real_P1M = (_rows(parts) < NOWHERE)[:, None]
    return jnp.where(real_P1M, 0 if document_P1M is None else document_P1M, NOBODY)


def scaled(q: jax.Array, pattern: Pattern) -> jax.Array:
    return (q.astype(jnp.float32) * pattern.scale).astype(pattern.dtype)


def within(pattern: Pattern, parts: Parts) -> Pattern:
    """What is seen among the positions that one head takes, which stand `dilation` apart."""
    if pattern.alibi is None:
        return pattern
    return pattern._replace(alibi=jnp.asarray(pattern.alibi, jnp.float32)[parts.head][None] * parts.branch.dilation)
