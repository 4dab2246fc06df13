"""Models small enough to compile in a moment, in f32."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.model.config import ModelConfig
from tenfold.model.params import map_params, model_params
from tenfold.model.transformer import forward, logits

TINY = ModelConfig(vocab=61, context=16, layers=2, embed=16, heads=2, dtype="float32")


@pytest.fixture
def tiny():
    """`tiny(**changes)` -> a configuration; 2 layers unless it says otherwise."""
    return partial(replace, TINY)


@pytest.fixture
def noisy_params():
    """`noisy_params(config, seed=0)` -> weights far from their start, so that biases, gains and every layer matter."""

    def make(config: ModelConfig, seed: int = 0):
        random = np.random.default_rng(seed)
        return map_params(lambda p: jnp.asarray(random.normal(0, 0.3, p.shape), jnp.float32), model_params(config))

    return make


@partial(jax.jit, static_argnums=1)
def score_tokens(params, config, tokens_BT, segments_BT=None):
    return logits(params, config, forward(params, config, tokens_BT, segments_BT)[0])


@pytest.fixture
def score():
    """`score(params, config, tokens_BT, segments_BT=None)` -> f32[B, T, V], compiled."""
    return score_tokens


@pytest.fixture
def tokens():
    """`tokens(config, rows=2)` -> int32[rows, context]."""
    return lambda config, rows=2: jnp.asarray(np.random.default_rng(7).integers(0, config.vocab, (rows, config.context)), jnp.int32)
