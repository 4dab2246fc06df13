"""MeshConfig: how many devices each kind of parallelism gets. Imports no JAX."""

from dataclasses import dataclass

from tenfold.errors import UserError


@dataclass(frozen=True)
class MeshConfig:
    """Sizes of the mesh's axes; their product must be the number of devices. -1 means all devices that are left."""

    data: int = -1
    """Copies of the model, each with a part of the batch."""
    fsdp: int = 1
    """Parts the weights, gradients and optimiser state are cut into; the batch is cut over them too."""
    sequence: int = 1
    """Parts each row is cut into over its positions, for contexts that one device cannot hold."""
    tensor: int = 1
    """Parts each matrix product is cut into: heads, mlp and vocab."""

    def __post_init__(self):
        sizes = {axis: getattr(self, axis) for axis in ("data", "fsdp", "sequence", "tensor")}
        for axis, size in sizes.items():
            if size < 1 and size != -1:
                raise UserError(f"mesh.{axis} is {size}, but must be at least 1, or -1 for all devices that are left.")
        if list(sizes.values()).count(-1) > 1:
            shown = ", ".join(f"{axis} {size}" for axis, size in sizes.items())
            raise UserError(f"mesh has -1 on more than one axis ({shown}).\n  Only one can take what is left.")
