"""Who writes checkpoints, and who reads them meanwhile."""

from dataclasses import replace
from pathlib import Path

import jax
import optax
import pytest

from tenfold.model.config import ModelConfig
from tenfold.model.params import init_params
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.train.checkpoint import Checkpoints
from tenfold.train.state import State, state_of

HALF = "7.orbax-checkpoint-tmp"


@pytest.fixture(scope="module")
def state() -> State:
    config = ModelConfig(vocab=16, embed=8, layers=1, heads=1, head_dim=8, context=8)
    return state_of(init_params(jax.random.key(0), config), config, optax.sgd(0.1), make_mesh(MeshConfig(), jax.devices()[:1]))


def test_a_reader_leaves_alone_what_a_training_is_writing(state, tmp_path):
    """It was removed, which ended the training; the one that writes removes what an earlier one left half-written."""
    with Checkpoints(tmp_path, keep=1) as writer:
        writer.save(state)
    (tmp_path / HALF).mkdir()
    (tmp_path / HALF / "manifest.ocdbt.__lock").touch()
    with Checkpoints(tmp_path) as reader:
        assert reader.steps() == [0]
    assert [file.name for file in (tmp_path / HALF).iterdir()] == ["manifest.ocdbt.__lock"]
    with Checkpoints(tmp_path, keep=1) as writer:
        writer.save(replace(state, step=state.step + 1))  # which waits for the removal
    assert not (tmp_path / HALF).exists()


def test_a_reader_neither_writes_nor_makes_a_folder(state, tmp_path):
    place: Path = tmp_path / "checkpoints"
    with Checkpoints(place) as reader:
        assert reader.steps() == []
        with pytest.raises(ValueError, match="checkpoints was not opened to be written"):
            reader.save(state)
    assert not place.exists()
