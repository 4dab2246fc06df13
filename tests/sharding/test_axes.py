"""Meshes and shardings that cannot work are refused with the arithmetic; devices stand in for real ones."""

from types import SimpleNamespace

import jax
import pytest
from jax.sharding import PartitionSpec

from tenfold.errors import UserError
from tenfold.sharding.axes import batch_cuts, check_divides, constrain, make_mesh, sequence_parts, spec
from tenfold.sharding.config import MeshConfig
from tenfold.sharding.processes import join


@pytest.mark.parametrize(
    "fields, message",
    [
        (dict(fsdp=0), "mesh.fsdp is 0, but must be at least 1, or -1 for all devices that are left."),
        (dict(tensor=-2), "mesh.tensor is -2"),
        (dict(sequence=0), "mesh.sequence is 0"),
        (dict(data=-1, fsdp=-1), "mesh has -1 on more than one axis (data -1, fsdp -1, sequence 1, tensor 1).\n  Only one"),
    ],
)
def test_sizes_that_mean_nothing_are_refused(fields, message):
    with pytest.raises(UserError) as refused:
        MeshConfig(**fields)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "config, devices, message",
    [
        (MeshConfig(fsdp=3), 8, "mesh fsdp 3 x sequence 1 x tensor 1 = 3 does not divide the 8 devices.\n  Choose sizes"),
        (MeshConfig(fsdp=4, tensor=4), 8, "mesh fsdp 4 x sequence 1 x tensor 4 = 16 does not divide the 8 devices."),
        (MeshConfig(data=2, fsdp=2, tensor=1), 8, "mesh data 2 x fsdp 2 x sequence 1 x tensor 1 = 4, but there are 8 devices.\n  Make"),
        (MeshConfig(data=8), 1, "mesh data 8 x fsdp 1 x sequence 1 x tensor 1 = 8, but there are 1 devices."),
    ],
)
def test_meshes_that_do_not_fit_the_devices_are_refused_with_the_arithmetic(config, devices, message):
    with pytest.raises(UserError) as refused:
        make_mesh(config, [SimpleNamespace(id=i) for i in range(devices)])
    assert message in str(refused.value)


def test_weights_that_the_mesh_cannot_cut_are_refused_with_the_arithmetic():
    """The name, the axis, the division with its rest, and sizes that work."""
    mesh = SimpleNamespace(shape={"data": 1, "fsdp": 2, "tensor": 4})
    with pytest.raises(UserError) as refused:
        check_divides("model.embedding", (50257, 768), ("vocab", "embed"), mesh)
    assert str(refused.value) == (
        "model.embedding has vocab 50257, which mesh.tensor 4 does not divide: 50257 = 12564 x 4 + 1.\n"
        "  Use vocab 50260 or 50256, or a smaller mesh axis."
    )
    check_divides("model.embedding", (50304, 768), ("vocab", "embed"), mesh)
    check_divides("model.position", (7, 768), (None, "embed"), mesh)


def test_the_table_gives_each_axis_its_mesh_axis():
    assert spec(("vocab", "embed")) == PartitionSpec("tensor", "fsdp")
    assert spec(("layers", "embed", "heads", "head_dim")) == PartitionSpec(None, "fsdp", "tensor", None)
    assert spec(("batch", "positions")) == PartitionSpec(("data", "fsdp"), "sequence")


def test_without_a_mesh_nothing_is_constrained():
    x = jax.numpy.ones((3, 5))
    assert constrain(x, "batch", "vocab") is x
    assert batch_cuts(8) == () and sequence_parts() == 1


@pytest.mark.parametrize(
    "coordinator, processes, process, message",
    [
        ("localhost", 2, 0, "--coordinator is 'localhost', but must be HOST:PORT"),
        ("localhost:port", 2, 0, "--coordinator is 'localhost:port'"),
        ("localhost:1234", 2, 2, "--process is 2 of --processes 2: number the processes from 0 to 1."),
        ("localhost:1234", 0, 0, "--process is 0 of --processes 0"),
    ],
)
def test_processes_that_cannot_meet_are_refused_at_once(coordinator, processes, process, message):
    with pytest.raises(UserError) as refused:
        join(coordinator, processes, process)
    assert message in str(refused.value)
