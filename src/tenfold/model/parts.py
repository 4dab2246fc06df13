"""What a model computes of each position by itself, some positions at a time, so that its intermediate arrays do not grow with the row.

A feed-forward layer of a row of T positions makes arrays [T, F] on the way; of a part of the row it makes [chunk, F]. In the backward pass
a part is computed again when its turn comes, and the gradients of weights are added up over parts. Where rows are cut over devices, each
device goes through its own positions, and gradients of weights are added up over devices once.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from tenfold.sharding.axes import sequence_parts
from tenfold.sharding.shards import SEQUENCE


def in_parts(function: Callable, chunk: int, whole: Any, cut: Any) -> Any:
    """`function(whole, cut)`, of at most `chunk` positions of each device's shard at once; 0: of all.

    `cut`, and the result, are trees of arrays [B, T, ...], B being 1 where all rows are alike; `function` gives each position what it would
    get in any other company.
    """
    if chunk == 0:
        return function(whole, cut)
    in_shard = functools.partial(_in_parts, function, chunk)
    if sequence_parts() == 1:
        return in_shard(whole, cut)
    positions = PartitionSpec(None, SEQUENCE)
    specs = (PartitionSpec(), positions)
    return jax.shard_map(in_shard, in_specs=specs, out_specs=positions, axis_names={SEQUENCE}, check_vma=False)(whole, cut)


def _in_parts(function: Callable, chunk: int, whole: Any, cut: Any) -> Any:
    length = jax.tree.leaves(cut)[0].shape[1]
    parts, rest = divmod(length, chunk)
    if parts + (rest > 0) == 1:
        return function(whole, cut)
    part = jax.checkpoint(function)
    pieces = jax.tree.map(lambda x: _pieces(x[:, : parts * chunk], chunk), cut)
    _, found = jax.lax.scan(lambda _, piece: (None, part(whole, piece)), None, pieces)
    found = jax.tree.map(_joined, found)
    if not rest:
        return found
    last = part(whole, jax.tree.map(lambda x: x[:, parts * chunk :], cut))
    return jax.tree.map(lambda x, y: jnp.concatenate([x, y], 1), found, last)


def _pieces(x: jax.Array, chunk: int) -> jax.Array:
    """[B, T, ...] -> [T / chunk, B, chunk, ...]"""
    return jnp.moveaxis(x.reshape(x.shape[0], -1, chunk, *x.shape[2:]), 1, 0)


def _joined(y: jax.Array) -> jax.Array:
    """`_pieces` undone."""
    y = jnp.moveaxis(y, 0, 1)
    return y.reshape(y.shape[0], -1, *y.shape[3:])


def kept_rounded(function: Callable, dtype: str, weights: Any, x: jax.Array) -> Any:
    """`function(weights, x)`. The backward pass computes it again from x rounded to `dtype`, which is all that is kept of it.

    So the result is exact, and its gradient is that at a place nearby.
    """
    function, around = jax.closure_convert(function, weights, x)
    like = x.dtype

    @jax.custom_vjp
    def exact(weights, x, around):
        return function(weights, x, *around)

    def forward(weights, x, around):
        return exact(weights, x, around), (weights, x.astype(dtype), around)

    def backward(kept, gradient):
        weights, x, around = jax.lax.optimization_barrier(kept)  # or the compiler might begin before it has to
        return jax.vjp(lambda weights, x, around: function(weights, x, *around), weights, x.astype(like), around)[1](gradient)

    exact.defvjp(forward, backward)
    return exact(weights, x, around)
