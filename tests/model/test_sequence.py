"""Rows cut over their positions: the numbers of one device, what crosses devices, and what is refused."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AbstractMesh, AxisType

from tenfold.errors import UserError
from tenfold.model.cache import empty_cache
from tenfold.model.config import ModelConfig
from tenfold.model.params import init_params
from tenfold.model.sequence import check_sequence
from tenfold.model.transformer import forward
from tenfold.sharding.axes import MESH_AXES
from tenfold.sharding.config import MeshConfig
from tenfold.train.recipe import Recipe

PROGRAM = Path(__file__).parent / "sequence_on_eight_devices.py"
TOGETHER = {"data": 1, "sequence": 4, "tensor": 2}
MESHES = [{"data": 1, "sequence": 8}, {"data": 2, "sequence": 4}, {"data": 1, "fsdp": 2, "sequence": 4}, TOGETHER]
CASES = {
    "dilated and banded": {"mixed": [TOGETHER]},
    "in parts": {"in parts": [TOGETHER]},
    "dilated": {"longnet": MESHES},
    "both ways": {"both ways": [MESHES[1], TOGETHER]},
    "dense": {"dense": MESHES},
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "name", ["dilated and banded", *(pytest.param(name, marks=pytest.mark.slow) for name in ("in parts", "dilated", "both ways", "dense"))]
)
def test_rows_cut_over_devices_give_the_numbers_of_one(run_python, name):
    """f32: the loss within 1e-5 relative, every weight's gradient within 1e-5 of its largest entry. And no device gathers whole rows."""
    lines = [json.loads(line) for line in run_python(PROGRAM, "numbers", json.dumps(CASES[name]), timeout=850).splitlines()]
    assert {line["model"] for line in lines} == set(CASES[name])
    for line in lines:
        named = line["model"], line["mesh"]
        assert line["loss"] < 1e-5, named
        # The true gradient of the keys' biases is zero: what is there is rounding.
        assert {name: far for name, far in line["gradients"].items() if not far < 1e-5 and "key_bias" not in name} == {}, named
        table = ([48, 24], [48, 12]) if line["model"] == "dense" else ()  # of learned positions, and its gradient
        assert [shape for shape in line["gathered"] if (48 in shape or 2 * 48 in shape) and shape not in table] == [], named
    assert any(line["gathered"] for line in lines) or name == "dense"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_crosses_devices_does_not_grow_with_the_context(run_python):
    """Bytes that reach a device in one layer's attention, forward and backward, from 64K to 16M positions: to longer shards, or more of
    them. Around a ring of devices they grow with the context."""
    lines = [json.loads(line) for line in run_python(PROGRAM, "bytes", devices=16, timeout=850).splitlines()]
    dilated = {(line["devices"], line["length"]): line["bytes"] for line in lines if line["attention"] == "dilated"}
    assert sorted(dilated) == [(8, 2**16), (8, 2**20), (8, 2**24), (16, 2**24)]
    branches, rows, heads, width = 2, 1024, 2, 8
    keys_and_values = 2 * branches * rows * heads * width
    for sums in dilated.values():
        assert sums == {
            "all-gather": 2 * keys_and_values * 2,  # bf16, forward and backward
            "reduce-scatter": keys_and_values * 4,
            "collective-permute": 0,
            "all-reduce": 0,
            "all-to-all": 0,
        }
    ring = [line["bytes"]["collective-permute"] for line in lines if line["attention"] == "ring"]
    assert ring[0] > 0 and ring[1] == 16 * ring[0]


@pytest.mark.parametrize(
    "fields, parts, message",
    [
        (
            dict(context=50),
            4,
            "mesh.sequence is 4, which does not divide rows of 50 positions: 50 = 12 x 4 + 2.\n  Use model.context 52 or 48",
        ),
        (dict(context=3), 4, "rows of 3 positions: 3 = 0 x 4 + 3.\n  Use model.context 4, or"),
        (
            dict(context=48, attention=("dilated:5x1,48x2",)),
            4,
            "shards of 12, and model.attention has segments of 5: 12 = 2 x 5 + 2, so that their borders do not fall together.\n"
            "  Use a segment of 4, or mesh.sequence 1.",
        ),
        (
            dict(context=48, attention=("dilated:6x1,16x2,48x4",)),
            4,
            "segments of 16: 16 = 1 x 12 + 4, so that their borders do not fall together.\n  Use a segment of 12, or mesh.sequence 1.",
        ),
        (dict(context=48, attention=("dilated:8x1,16x2,48x4",)), 4, "Use a segment of 6, or mesh.sequence 3."),
        (dict(context=48, positions="relative"), 4, "mesh.sequence is 4, but model.positions is 'relative'"),
        (dict(context=48, experts=4), 4, "mesh.sequence is 4, but model.experts is 4"),
        (dict(context=48, encoder_layers=12, causal=True), 4, "mesh.sequence is 4, but model.encoder_layers is 12"),
    ],
)
def test_what_cannot_be_cut_is_refused_with_the_arithmetic(fields, parts, message):
    with pytest.raises(UserError) as refused:
        check_sequence(ModelConfig(**fields), fields["context"], parts)
    assert message in str(refused.value)
    check_sequence(ModelConfig(**fields), fields["context"], 1)


def test_a_pass_is_refused_where_the_mesh_cuts_what_it_cannot():
    """Rows of another length than the context, and decoding."""
    config = ModelConfig(vocab=8, context=16, layers=1, embed=8, heads=2)
    mesh = AbstractMesh((1, 1, 4, 1), MESH_AXES, axis_types=(AxisType.Auto,) * 4)

    def run(T, cache=None):
        return forward(init_params(jax.random.key(0), config), config, jnp.zeros((1, T), jnp.int32), cache=cache).x_BTD

    with jax.sharding.use_abstract_mesh(mesh):
        assert jax.eval_shape(lambda: run(16)).shape == (1, 16, 8)
        with pytest.raises(UserError, match="mesh.sequence is 4, which does not divide rows of 15 positions"):
            jax.eval_shape(lambda: run(15))
        with pytest.raises(UserError, match="mesh.sequence is 4, but a row is decoded on whole positions"):
            jax.eval_shape(lambda: run(4, empty_cache(config, 1, 16)))


def test_a_recipe_is_refused_before_anything_is_read():
    with pytest.raises(UserError, match="which does not divide rows of 50 positions"):
        Recipe(model=ModelConfig(context=50), mesh=MeshConfig(sequence=4))
