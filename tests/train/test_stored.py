"""Checkpoints written and read a piece at a time, and the memory that takes."""

import json
import os
from dataclasses import replace
from math import prod
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.api import export
from tenfold.convert.hugging_face import open_checkpoint
from tenfold.convert.tensor_files import INDEX
from tenfold.errors import UserError
from tenfold.model.params import map_params, model_params, restack
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.train import checkpoint, stored
from tenfold.train.checkpoint import Checkpoints, load_params
from tenfold.train.imported import import_model
from tenfold.train.recipe import Recipe, save_recipe
from tenfold.train.state import state_of
from tenfold.train.stored import chunk_shape, stored_params, write_checkpoint
from tiny_checkpoint import GOLDEN

PROGRAM = Path(__file__).parent.parent / "random_checkpoint.py"


@pytest.fixture(scope="module")
def one():
    return make_mesh(MeshConfig(), jax.devices()[:1])


def numbers(config):
    """Weights that are all different."""
    random = np.random.default_rng(0)
    return map_params(lambda p: random.normal(size=p.shape).astype(np.float32), model_params(config))


@pytest.mark.parametrize("case", ["gpt2", "gpt_neox", "falcon_new", "mixtral", "t5_gated"])
def test_what_is_written_is_a_checkpoint_like_any_other(case, one, tmp_path, monkeypatch):
    """In many small chunks, some filled up: Orbax's own restore, and reading it in pieces, give the source's numbers to the last bit."""
    monkeypatch.setattr(stored, "CHUNK_BYTES", 300)
    opened = open_checkpoint(GOLDEN / case, "float32")
    write_checkpoint(tmp_path / "checkpoints", opened.lazy())
    restored, step = load_params(tmp_path, opened.config, one)
    lazy, same_step = stored_params(tmp_path, opened.config)
    assert step == same_step == 0 and len(list((tmp_path / "checkpoints" / "0" / "model" / "embedding").rglob("c/*/*"))) > 4
    jax.tree.map(np.testing.assert_array_equal, restored, opened.params(one))
    jax.tree.map(lambda found, wanted: np.testing.assert_array_equal(np.asarray(found), wanted), lazy, restored)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.randoms(), st.sampled_from([1, 2, 4]), st.integers(1, 400))
def test_a_chunk_is_small_and_one_run_of_its_source(shape, random, itemsize, limit):
    order = random.sample(range(len(shape)), len(shape))
    stored_limit, stored.CHUNK_BYTES = stored.CHUNK_BYTES, limit
    chunk = chunk_shape(tuple(shape), order, itemsize)
    stored.CHUNK_BYTES = stored_limit
    assert prod(chunk) * itemsize <= max(limit, itemsize)
    *ones, last = [axis for axis in order if chunk[axis] < shape[axis]] or [order[0]]
    assert all(chunk[axis] == 1 for axis in ones)
    before = order[: order.index(last)]
    assert all(chunk[axis] == 1 for axis in before), "all axes that are slower than one that is cut are cut to nothing"


@pytest.mark.parametrize("scan, old", [(False, False), (True, False), (True, True)])
def test_a_trained_checkpoint_is_exported_without_loading_it(scan, old, one, tmp_path, monkeypatch):
    """Blocks stacked or apart, a layer or (once) a stack at a time: the tensors of a model that was loaded, in any shards."""
    if old:
        monkeypatch.setattr(checkpoint, "_save_args", lambda params: None)
    opened = open_checkpoint(GOLDEN / "llama_gqa", "float32")
    config, optimizer = replace(opened.config, scan=scan), optax.sgd(0.1)
    with Checkpoints(tmp_path / "run" / "checkpoints", keep=1) as checkpoints:
        checkpoints.save(state_of(numbers(config), config, optimizer, one))
    save_recipe(Recipe(model=config), tmp_path / "run" / "recipe.yaml")
    chunks = {leaf.chunk[0] for leaf in jax.tree.leaves(stored_params(tmp_path / "run", config)[0]["blocks"])}
    assert chunks == ({config.layers} if old else {1})
    export(tmp_path / "run", tmp_path / "out", shard_bytes=9000)
    assert (tmp_path / "out" / INDEX).exists()
    found = open_checkpoint(tmp_path / "out", "float32").params(one)
    wanted = numbers(config)
    blocks = restack(wanted["blocks"], config.layers) if scan else wanted["blocks"]
    jax.tree.map(np.testing.assert_array_equal, found, wanted | {"blocks": blocks})


def test_a_damaged_checkpoint_leaves_no_export(tmp_path):
    import_model(GOLDEN / "gpt2", tmp_path / "run")
    chunk = next((tmp_path / "run" / "checkpoints" / "0" / "model" / "blocks.1.mlp.up").rglob("c/*/*/*"))
    chunk.write_bytes(chunk.read_bytes()[:-8])
    for name in ("out", "out.gguf"):
        with pytest.raises(UserError, match=r"blocks\.1\.mlp\.up cannot be read: .*\n  Remove that checkpoint"):
            export(tmp_path / "run", tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_memory_does_not_grow_with_the_model(run_python, tmp_path):
    """In and out, of Hugging Face's form and llama.cpp's: at most 1.3 times the largest tensor and the output shard, and bits unchanged.

    TENFOLD_IMPORT_MEGABYTES=2000 does it with a model of that size, and shows the figures.
    """
    megabytes = float(os.environ.get("TENFOLD_IMPORT_MEGABYTES", 200))
    found = json.loads(run_python(PROGRAM, tmp_path, megabytes, megabytes / 5, devices=1, timeout=3000))
    print(json.dumps(found))
    assert found["same"] and found["shards"] >= 4
    assert found["total"] > 2 * (1.3 * found["largest"] + found["shard"])
    room = 16e6  # of libraries and threads, whatever the size
    for direction in ("import", "import_gguf"):
        assert found[direction]["bytes"] < 1.3 * found["largest"] + room, direction
    for direction in ("export", "gguf"):
        assert found[direction]["bytes"] < 1.3 * found["largest"] + found["shard"] + room, direction


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["scan", "lora", "int8", "adapter"])
def test_memory_of_an_export_that_puts_tensors_together(kind, run_python, tmp_path):
    """Of stacked layers, and of adapters over f32 and 8 bits, a run's or PEFT's: bounded as above."""
    megabytes = float(os.environ.get("TENFOLD_IMPORT_MEGABYTES", 200))
    found = json.loads(run_python(PROGRAM.with_name("random_run.py"), tmp_path, megabytes, kind, devices=1, timeout=3000))
    print(json.dumps(found))
    assert found["total"] > 2 * (1.3 * found["largest"] + found["shard"])
    for form in ("export", "gguf"):
        assert found[form]["bytes"] < 1.3 * found["largest"] + found["shard"] + 16e6, form
