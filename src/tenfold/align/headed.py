"""A model with a number for each place in a row, in the head's stead: reward models and critics.

Source: Ouyang et al. 2022, section 3.5; the head's first weights, Huang et al. 2024: N(0, 1 / sqrt(D + 1)).
Shapes: B, T, D as in model/config.py. What is trained is {"model": the weights or their adapters, "score": the head}.
"""

import math

import jax
import jax.numpy as jnp

from tenfold.model.config import ModelConfig
from tenfold.model.params import Param, Params, init_tree, normal, zeros
from tenfold.model.transformer import forward
from tenfold.train.frozen import Weights
from tenfold.train.lora import trained_params
from tenfold.train.recipe import LoraConfig


def head_params(config: ModelConfig) -> Params:
    """One number of a state."""
    return {"weight": Param((config.embed,), ("embed",), normal(1 / math.sqrt(config.embed + 1))), "bias": Param((1,), (None,), zeros)}


def headed_params(config: ModelConfig, lora: LoraConfig) -> Params:
    """All that is trained, as a tree of Params."""
    return {"model": trained_params(config, lora), "score": head_params(config)}


def first_headed(trained: Params, config: ModelConfig, key: jax.Array) -> Params:
    """A new head on weights, or adapters, which are copied."""
    return {"model": jax.tree.map(jnp.copy, trained), "score": init_tree(key, config, head_params(config))}


def place_scores(
    headed: Params, base: Params | None, weights: Weights, config: ModelConfig, tokens_BT: jax.Array, keys_B=None
) -> jax.Array:
    """f32[B, T]: the number at each place, of all tokens up to it. Sums are of f32."""
    x_BTD = forward(weights(headed["model"], base, keys_B), config, tokens_BT).x_BTD
    return x_BTD @ headed["score"]["weight"] + headed["score"]["bias"]


def last_scores(score_BT: jax.Array, length_B: jax.Array) -> jax.Array:
    """f32[B]: the number at each row's last token, whatever pads the row."""
    return jnp.take_along_axis(score_BT, (length_B - 1)[:, None], 1)[:, 0]
