"""A language model of random weights, for the tests of a model that reads texts beside a CodeFusion."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import jax
import optax

from tenfold.codefusion.recipe import FusionRecipe, ReaderConfig
from tenfold.model.config import ModelConfig
from tenfold.model.params import init_params
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.train.checkpoint import Checkpoints
from tenfold.train.recipe import Recipe, TrainConfig, save_recipe
from tenfold.train.state import state_of

GPT = ModelConfig(vocab=300, context=16, layers=3, embed=24, heads=2, dtype="float32", scan=True)


def write_gpt(folder: Path, config=GPT, seed=3, objective: Literal["causal", "masked"] = "causal"):
    """A run of a language model of random weights, without a tokenizer."""
    params = init_params(jax.random.key(seed), config)
    with Checkpoints(folder / "checkpoints", keep=1) as checkpoints:
        checkpoints.save(state_of(params, config, optax.sgd(0.1), make_mesh(MeshConfig(), jax.devices()[:1])))
    save_recipe(Recipe("gpt", model=config, train=TrainConfig(objective=objective)), folder / "recipe.yaml")
    return params


def with_reader(recipe: FusionRecipe, folder: Path) -> FusionRecipe:
    """The recipe with two layers of the model in the folder."""
    return replace(recipe, name="read", reader=ReaderConfig(str(folder), layers=2, tokens=12))
