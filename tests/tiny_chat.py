"""A run with random weights and its tokenizer, and conversations in its words. For the tests of align/ and the command line."""

import json
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import optax

from tenfold.model.config import ModelConfig
from tenfold.model.params import init_params
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.tokens.config import DataConfig
from tenfold.tokens.tokenizer import train_tokenizer
from tenfold.train.checkpoint import Checkpoints
from tenfold.train.recipe import ChatConfig, OptimizerConfig, Recipe, TrainConfig, save_recipe
from tenfold.train.state import state_of
from tiny_run import NAMES

CONFIG = ModelConfig(vocab=288, context=48, layers=1, embed=16, heads=2, dtype="float32")


def write_model(folder: Path, config: ModelConfig = CONFIG) -> Path:
    """A run directory with random weights."""
    train_tokenizer([" ".join(NAMES)] * 3, config.vocab).save(folder / "tokenizer")
    params = init_params(jax.random.key(0), config)
    with Checkpoints(folder / "checkpoints", keep=1) as checkpoints:
        checkpoints.save(state_of(params, config, optax.sgd(0.1), make_mesh(MeshConfig(), jax.devices()[:1])))
    save_recipe(Recipe("base", model=config), folder / "recipe.yaml")
    return folder


def write_conversations(file: Path, count: int = 60, seed: int = 0) -> Path:
    """Which name comes after a name; every third goes on for another turn."""
    random = np.random.default_rng(seed)
    with file.open("w") as out:
        for number in range(count):
            first = int(random.integers(len(NAMES)))
            asked, answer = f"{number} {NAMES[first]}", NAMES[(first + 1) % len(NAMES)]
            messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
            if number % 3 == 0:
                messages += [{"role": "user", "content": "and"}, {"role": "assistant", "content": NAMES[(first + 2) % len(NAMES)]}]
            out.write(json.dumps({"messages": messages}) + "\n")
    return file


def tiny_sft(model: Path, data: Path, **train) -> Recipe:
    """6 steps of 4 rows; a measurement, samples and a checkpoint every 2."""
    defaults = dict(steps=6, batch=4, log_every=1, evaluate_every=2, checkpoint_every=2, sample_every=2, sample_tokens=4, tensorboard=False)
    return Recipe(
        "tiny-sft",
        start=str(model),
        model=replace(CONFIG, vocab=50257),  # the start's replaces it
        data=DataConfig((str(data),)),
        optimizer=OptimizerConfig(learning_rate=1e-2),
        train=TrainConfig(**(defaults | train)),
        chat=ChatConfig("plain"),
    )
