"""One table from the logical axes of arrays to the axes of the device mesh; `jax.jit` does the rest.

Weights name their axes in `Param`, activations in calls of `constrain`. What is not in the table is not cut.
"""

import math
from collections.abc import Sequence

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tenfold.errors import UserError
from tenfold.sharding.config import MeshConfig

MESH_AXES = ("data", "fsdp", "sequence", "tensor")

RULES: dict[str, str | tuple[str, ...]] = {
    "batch": ("data", "fsdp"),
    "positions": "sequence",
    "embed": "fsdp",  # of weights; activations leave it whole
    "heads": "tensor",
    "kv_heads": "tensor",
    "mlp": "tensor",
    "vocab": "tensor",
}


def spec(axes: Sequence[str | None]) -> PartitionSpec:
    """The mesh axes of an array whose logical axes are `axes`."""
    return PartitionSpec(*[RULES.get(axis) if axis else None for axis in axes])


def make_mesh(config: MeshConfig, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh of all devices (of all processes), or a UserError with the arithmetic."""
    devices = list(jax.devices() if devices is None else devices)
    sizes = {axis: getattr(config, axis) for axis in MESH_AXES}
    fixed = math.prod(size for size in sizes.values() if size > 0)
    shown = " x ".join(f"{axis} {size}" for axis, size in sizes.items() if size > 0)
    if -1 in sizes.values():
        if len(devices) % fixed:
            raise UserError(
                f"mesh {shown} = {fixed} does not divide the {len(devices)} devices.\n  Choose sizes whose product divides {len(devices)}."
            )
        sizes = {axis: len(devices) // fixed if size == -1 else size for axis, size in sizes.items()}
    elif fixed != len(devices):
        raise UserError(
            f"mesh {shown} = {fixed}, but there are {len(devices)} devices.\n  Make the product {len(devices)}, or leave one axis at -1."
        )
    return jax.make_mesh(tuple(sizes.values()), MESH_AXES, devices=devices, axis_types=(jax.sharding.AxisType.Auto,) * len(sizes))


def sharding(mesh: Mesh, axes: Sequence[str | None]) -> NamedSharding:
    """Where an array whose logical axes are `axes` lies on the mesh."""
    return NamedSharding(mesh, spec(axes))


def constrain(x: jax.Array, *axes: str | None) -> jax.Array:
    """`x` with its logical axes placed on the mesh in use (`jax.set_mesh`); without one, `x` itself. An axis that `shard_map` has cut
    already stays as it is."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.size == 1:
        return x
    free = [None if axis and RULES.get(axis) in mesh.manual_axes else axis for axis in axes]
    return jax.lax.with_sharding_constraint(x, spec(free))


def batch_cuts(rows: int) -> tuple[str, ...]:
    """The axes of the mesh in use over which a batch of so many rows is cut evenly; () where it is whole."""
    mesh = jax.sharding.get_abstract_mesh()
    cuts = () if mesh.empty else tuple(axis for axis in RULES["batch"] if mesh.shape[axis] > 1)
    return cuts if rows % math.prod(mesh.shape[axis] for axis in cuts) == 0 else ()


def sequence_parts() -> int:
    """How many parts the mesh in use cuts rows into over their positions; 1 without a mesh, and within a part of a row (`shard_map`)."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or "sequence" in mesh.manual_axes:
        return 1
    return mesh.shape["sequence"]


def on_one_device(platform: str | None = None) -> bool:
    """Whether what is being traced runs on one device (no mesh in use, or a mesh of one), of that platform where one is named."""
    mesh = jax.sharding.get_abstract_mesh()
    return (mesh.empty or mesh.size == 1) and platform in (None, jax.default_backend())


def check_divides(name: str, shape: Sequence[int], axes: Sequence[str | None], mesh: Mesh) -> None:
    """Refuses an array that the mesh cannot cut evenly, with the arithmetic."""
    for size, axis in zip(shape, axes, strict=True):
        rule = RULES.get(axis) if axis else None
        if rule is None:
            continue
        mesh_axes = (rule,) if isinstance(rule, str) else rule
        parts = math.prod(mesh.shape[a] for a in mesh_axes)
        if size % parts:
            cut = " x ".join(f"mesh.{a} {mesh.shape[a]}" for a in mesh_axes if mesh.shape[a] > 1)
            raise UserError(
                f"{name} has {axis} {size}, which {cut} does not divide: {size} = {size // parts} x {parts} + {size % parts}.\n"
                f"  Use {axis} {size + parts - size % parts}"
                + (f" or {size - size % parts}" if size > parts else "")
                + ", or a smaller mesh axis."
            )
