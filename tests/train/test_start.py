"""Starting from a trained model: its shape, its tokenizer and its weights."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from tenfold.convert.hugging_face import open_checkpoint
from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.recipes.registry import find_recipe
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.train.recipe import LoraConfig, load_recipe
from tenfold.train.start import fitted, open_start, start_params
from tenfold.train.train import train
from tiny_checkpoint import GOLDEN, tiny_finetune, write_checkpoint, write_text


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return write_text(tmp_path_factory.mktemp("text") / "text")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "llama_gqa")


@pytest.fixture(scope="module")
def run(checkpoint, text, tmp_path_factory):
    return train(tiny_finetune(checkpoint, text, steps=2), tmp_path_factory.mktemp("run") / "run")


def test_a_run_has_the_shape_and_the_tokenizer_of_its_start(run, checkpoint):
    """recipe.yaml holds the whole model; context and dtype are the recipe's own."""
    recipe = load_recipe(run.path / "recipe.yaml")
    assert recipe.model == replace(open_checkpoint(checkpoint).config, context=32, dtype="float32")
    assert recipe.data.tokenizer == str(checkpoint) and recipe.start == str(checkpoint)
    assert run.result["finished"] and run.metrics()[0]["step"] == 0
    assert run.metrics()[0]["held_out_loss"] != run.metrics()[-1]["held_out_loss"]


def test_the_same_command_and_the_same_recipe_go_on(run, checkpoint, text):
    before = (run.path / "metrics.jsonl").read_bytes()
    for recipe in (tiny_finetune(checkpoint, text, steps=2), load_recipe(run.path / "recipe.yaml")):
        assert train(recipe, run.path).result["finished"]
    assert (run.path / "metrics.jsonl").read_bytes() == before


def test_a_run_starts_from_a_run(run, text, tmp_path):
    """What the second measures before its first step is what the first measured after its last."""
    second = train(tiny_finetune(run.path, text, steps=1), tmp_path / "second")
    measured = [line["held_out_loss"] for line in run.metrics() if "held_out_loss" in line]
    assert second.metrics()[0]["held_out_loss"] == measured[-1]
    assert second.recipe.model == run.recipe.model and second.recipe.data.tokenizer == str(run.path / "tokenizer")


@pytest.mark.parametrize("scan", [False, True])
def test_weights_are_laid_out_as_the_recipe_asks(scan, tmp_path):
    """GPT-2's blocks stacked or apart, and its table of positions cut to the context."""
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    asked = tiny_finetune(write_checkpoint(tmp_path / "gpt2", "gpt2"), tmp_path, model=dict(context=8, scan=scan))
    recipe = fitted(asked, open_start(asked), tmp_path)
    found, original = start_params(recipe, mesh), open_checkpoint(tmp_path / "gpt2").params(mesh)
    layers = recipe.model.layers
    assert len(found["blocks"]) == (1 if scan else layers) and layers > 1
    np.testing.assert_array_equal(found["position"], original["position"][:8])
    for layer in range(layers):
        ours = found["blocks"][0]["mlp"]["up"][layer] if scan else found["blocks"][layer]["mlp"]["up"][0]
        np.testing.assert_array_equal(ours, original["blocks"][layer]["mlp"]["up"][0])


def test_a_context_beyond_learned_positions_is_refused(text, tmp_path):
    write_checkpoint(tmp_path / "gpt2", "gpt2")
    known = open_checkpoint(tmp_path / "gpt2").config.context
    with pytest.raises(UserError, match=rf"model.context is {known + 1}, but .*gpt2 has learned {known} positions.*\n.*context {known} or"):
        train(tiny_finetune(tmp_path / "gpt2", text, model=dict(context=known + 1)), tmp_path / "run")


def test_documents_without_a_tokenizer_are_refused(text, tmp_path):
    with pytest.raises(UserError, match="llama_gqa has no tokenizer to encode .*text with"):
        train(tiny_finetune(GOLDEN / "llama_gqa", text), tmp_path / "run")


@pytest.mark.parametrize(("name", "why"), [("nowhere", "nowhere does not exist"), ("", "holds no config.json")])
def test_what_is_no_model_is_refused_by_name(name, why, text, tmp_path):
    with pytest.raises(UserError, match=why):
        train(tiny_finetune(tmp_path / name, text), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_recipe_for_fine_tuning_asks_what_to_start_from(text, tmp_path):
    recipe = find_recipe("finetune")
    with pytest.raises(UserError, match="start names none.\n  Name one with --from"):
        train(replace(recipe, data=replace(recipe.data, paths=(str(text),))), tmp_path / "run")


def test_adapters_of_nothing_are_refused():
    with pytest.raises(UserError, match="lora.rank is 4, but start names no model"):
        replace(find_recipe("demo"), lora=LoraConfig(rank=4), model=ModelConfig())
