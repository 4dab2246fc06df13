"""Work that a device does on its own part of rows cut over their positions, talking to others by name (`shard_map`)."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import PartitionSpec

from tenfold.sharding.axes import batch_cuts, sequence_parts

SEQUENCE, HEADS = "sequence", "tensor"
"""The mesh axes that positions and heads are cut over."""


def in_shards(function: Callable, operands: Sequence[Any], results: Sequence[int]) -> Any:
    """`function` of each device's part of `operands`, arrays [B, T] or [B, T, H, ...] or None, cut over rows, positions and heads.

    So are its results, a tuple of arrays of so many axes as `results` says. Positions must divide over the axis.
    """
    if jax.sharding.get_abstract_mesh().empty:
        return function(*operands)
    rows = batch_cuts(operands[0].shape[0]) or None

    def place(axes: int) -> PartitionSpec:
        return PartitionSpec(rows, SEQUENCE) if axes == 2 else PartitionSpec(rows, SEQUENCE, HEADS)

    in_specs = tuple(None if x is None else place(x.ndim) for x in operands)
    out_specs = tuple(place(axes) for axes in results)
    return jax.shard_map(function, in_specs=in_specs, out_specs=out_specs, check_vma=False)(*operands)


def parts_over(axis: str) -> int:
    """Over how many devices a mesh axis goes; 1 without a mesh."""
    mesh = jax.sharding.get_abstract_mesh()
    return 1 if mesh.empty else mesh.shape[axis]


def place_on(axis: str) -> jax.Array | int:
    """This device's number along a mesh axis, within `in_shards`; 0 without a mesh."""
    return 0 if parts_over(axis) == 1 else jax.lax.axis_index(axis)


def summed_over_shards(function: Callable, *cut: jax.Array, whole: Sequence[Any], kept: bool = False) -> Any:
    """`function(*cut, *whole)` of each device's positions of arrays [B, T, ...], and of arrays that are whole: a tree of sums over
    positions, added up over devices once; with `kept`, that and an array [B, T, ...], which stays cut. Other axes are cut as they were.
    """
    if sequence_parts() == 1:
        return function(*cut, *whole)

    def in_shard(*arrays):
        found = function(*arrays)
        sums, rest = found if kept else (found, None)
        sums = jax.lax.psum(sums, SEQUENCE)
        return (sums, rest) if kept else sums

    positions = PartitionSpec(None, SEQUENCE)
    return jax.shard_map(
        in_shard,
        in_specs=(*[positions] * len(cut), *[PartitionSpec()] * len(whole)),
        out_specs=(PartitionSpec(), positions) if kept else PartitionSpec(),
        axis_names={SEQUENCE},
        check_vma=False,
    )(*cut, *whole)
