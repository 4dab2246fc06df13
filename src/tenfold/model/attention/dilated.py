"""Dilated attention: LongNet (Ding et al. 2023, arXiv 2307.02486), equations 3 to 15, on one device.

A branch (w, r) cuts a row into segments of w positions. In each, head j takes the positions whose place in the segment is j mod r, j mod r
+ r, ..., and attends among those as if there were no others. The branches of a query are mixed by their softmax denominators, which is one
softmax over the keys of all branches together, a key that several branches have taken counting once for each (equations 9 and 10).

So the backward pass is that of each branch with the log-sum-exp and the result of the whole, and the weights of the mixture have their
exact gradients without being differentiated. What lives from the forward to the backward pass is linear in T.

Shapes: as model/config.py; N segments of a branch, M positions that a head takes of each. The last segment is filled up with positions that
nobody sees.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from tenfold.model.attention.blocked import HIDDEN, Pattern, mix, mix_gradients
from tenfold.model.config import Dilated

ROWS_AT_ONCE = 2048
"""Segments are attended to in turn, so many gathered positions at once or one segment: what is held for them does not grow with T."""
NOBODY = -1
"""The document of positions that fill up."""


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


def branches(kind: Dilated, length: int) -> list[Branch]:
    """The branches of rows of `length` positions, where a longer segment is as one of `length`."""
    return [Branch(length, min(w, length), r) for w, r in zip(kind.segments, kind.dilations, strict=True)]


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def dilated_attention(q_BTHK, k_BTHK, v_BTHK, segments_BT, kind: Dilated, pattern: Pattern) -> jax.Array:
    """f32[B, T, H, K]. Documents (`segments_BT`, None: one a row) hide keys of other documents; the branches' segments stay where they are.

    A query that no branch takes gets 0. Rounding is as in `blocked_attention`.
    """
    return _forward(q_BTHK, k_BTHK, v_BTHK, segments_BT, kind, pattern)[0]


def _forward(q_BTHK, k_BTHK, v_BTHK, segments_BT, kind, pattern):
    qkv = [x.astype(pattern.dtype) for x in (q_BTHK * pattern.scale, k_BTHK, v_BTHK)]
    B, T, H, K = q_BTHK.shape
    mixed_BTHK, total_BTH = jnp.zeros((B, T, H, K)), jnp.full((B, T, H), HIDDEN)
    for branch in branches(kind, T):
        taken = [take(x, branch) for x in qkv]
        documents = _documents(segments_BT, branch, pattern, (B, T, H))
        parts = in_turn(functools.partial(mix, pattern=_within(pattern, branch)), (*taken, documents), branch)
        part_BTHK, logsumexp_BTH = (put(x, branch, fill) for x, fill in zip(parts, (0, HIDDEN), strict=True))
        before, total_BTH = total_BTH, jnp.logaddexp(total_BTH, logsumexp_BTH)
        mixed_BTHK *= jnp.exp(before - total_BTH)[..., None]
        mixed_BTHK += part_BTHK * jnp.exp(logsumexp_BTH - total_BTH)[..., None]
    return mixed_BTHK, (*qkv, mixed_BTHK, total_BTH, segments_BT)


def _backward(kind, pattern, saved, dmixed_BTHK):
    *qkv, mixed_BTHK, total_BTH, segments_BT = saved
    delta_BTH = (dmixed_BTHK * mixed_BTHK).sum(-1)
    operands = [*qkv, dmixed_BTHK.astype(pattern.dtype), delta_BTH, total_BTH]
    gradients = [jnp.zeros(dmixed_BTHK.shape)] * 3
    for branch in branches(kind, dmixed_BTHK.shape[1]):
        taken = [take(x, branch) for x in operands]
        documents = _documents(segments_BT, branch, pattern, total_BTH.shape)
        found = in_turn(functools.partial(_branch_gradients, _within(pattern, branch)), (*taken, documents), branch)
        gradients = [gradient + put(x, branch, 0) for gradient, x in zip(gradients, found, strict=True)]
    dq_BTHK, dk_BTHK, dv_BTHK = gradients
    return dq_BTHK * pattern.scale, dk_BTHK, dv_BTHK, None


dilated_attention.defvjp(_forward, _backward)


def _branch_gradients(pattern: Pattern, q, k, v, g, delta, logsumexp, documents):
    dq_BHKM, dk_BHMK, dv_BHMK = mix_gradients(q, k, v, g, delta, logsumexp, documents, pattern)
    return dq_BHKM.swapaxes(2, 3), dk_BHMK, dv_BHMK


def _within(pattern: Pattern, branch: Branch) -> Pattern:
    """The pattern among the positions taken, which stand `dilation` apart."""
    alibi = pattern.alibi and tuple(slope * branch.dilation for slope in pattern.alibi)
    return pattern._replace(alibi=alibi)


def _documents(segments_BT, branch: Branch, pattern: Pattern, shape: tuple[int, int, int]):
    """int32[B, N, H, M]: the document of each position taken, NOBODY for those that fill up; None where causality hides all there is."""
    if segments_BT is None and pattern.causal:
        return None  # what fills up stands at the end
    one_BT = jnp.zeros(shape[:2], jnp.int32) if segments_BT is None else segments_BT
    return take(jnp.broadcast_to(one_BT[..., None], shape), branch, NOBODY)


def take(x_BTH: jax.Array, branch: Branch, fill=0) -> jax.Array:
    """[B, T, H, ...] -> [B, N, H, M, ...]: the positions that each head takes of each segment (equations 3 to 5 and 13 to 15)."""
    T, w, r = branch
    x_BTH = _fill_up(x_BTH, 1, branch.segments * w, fill)
    x_BNWH = x_BTH.reshape(x_BTH.shape[0], branch.segments, w, *x_BTH.shape[2:])
    x_BNWH = _fill_up(x_BNWH, 2, branch.taken * r, fill)
    return jnp.stack([x_BNWH[:, :, head % r :: r, head] for head in range(x_BNWH.shape[3])], 2)


def put(y_BNHM: jax.Array, branch: Branch, fill: float) -> jax.Array:
    """[B, N, H, M, ...] -> [B, T, H, ...]: `take` undone, with `fill` at the positions that a head did not take (equations 7 and 8)."""
    T, w, r = branch
    y_BNMH = jnp.moveaxis(y_BNHM, 2, 3)
    B, N, M, H, *rest = y_BNMH.shape
    taken_RH = jnp.arange(r)[:, None] == jnp.arange(H) % r
    y_BNMRH = jnp.where(taken_RH.reshape(r, H, *[1] * len(rest)), y_BNMH[:, :, :, None], fill)
    return y_BNMRH.reshape(B, N, M * r, H, *rest)[:, :, :w].reshape(B, N * w, H, *rest)[:, :T]


def in_turn(function: Callable, arrays: tuple, branch: Branch) -> tuple[jax.Array, ...]:
    """`function` of arrays [rows, H, M, ...], a row being a segment, for arrays [B, N, H, M, ...] or None; so are its results."""
    B, N, H, M = arrays[0].shape[:4]
    turns = -(-N // max(1, ROWS_AT_ONCE // (B * M)))
    together = -(-N // turns)

    def cut(x):
        x = _fill_up(x, 1, turns * together, 0)
        return jnp.moveaxis(x.reshape(B, turns, together, *x.shape[2:]), 1, 0).reshape(turns, B * together, *x.shape[2:])

    def joined(y):
        y = jnp.moveaxis(y.reshape(turns, B, together, *y.shape[2:]), 0, 1)
        return y.reshape(B, turns * together, *y.shape[3:])[:, :N]

    pieces = jax.tree.map(cut, arrays)
    if turns == 1:
        found = jax.tree.map(lambda y: y[None], function(*jax.tree.map(lambda x: x[0], pieces)))
    else:
        found = jax.lax.map(lambda piece: function(*piece), pieces)
    return jax.tree.map(joined, found)


def _fill_up(x: jax.Array, axis: int, size: int, fill) -> jax.Array:
    missing = size - x.shape[axis]
    return x if missing == 0 else jnp.pad(x, [(0, missing if a == axis else 0) for a in range(x.ndim)], constant_values=fill)
