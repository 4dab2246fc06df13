"""Weights before they exist.

Every weight is declared once, as a `Param`. Initialisation, parameter counts, shardings, checkpoints and `plan` all read that line.
GPT-2's initialisation: N(0, 0.02), and the two projections that write to the residual stream scaled by 1/sqrt(2 layers), which keeps
the stream's variance flat in depth (Radford et al. 2019, section 2.3; GPT-3 says it uses the same).
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp

from tenfold.model.config import ModelConfig

Axis = Literal["vocab", "context", "embed", "heads", "head_dim", "mlp", "layers"] | None
Params = dict[str, Any]


@dataclass(frozen=True)
class Param:
    """One weight: its shape, the name of each axis, and how it starts.

    `stacked` says that the first axis counts layers, each of which starts from a key of its own.
    """

    shape: tuple[int, ...]
    axes: tuple[Axis, ...]
    init: Callable[[jax.Array, tuple[int, ...]], jax.Array]

    def __post_init__(self):
        if len(self.shape) != len(self.axes):
            raise ValueError(f"Param of shape {self.shape} names {len(self.axes)} axes {self.axes}: name one per dimension")

    @property
    def stacked(self) -> bool:
        return self.axes[0] == "layers"

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def is_matrix(self) -> bool:
        """True for weights of matrix products and embeddings; False for gains and biases, which weight decay leaves alone."""
        return self.init is not ones and self.init is not zeros


def normal(std: float):
    return lambda key, shape: std * jax.random.normal(key, shape, jnp.float32)


def ones(key, shape):
    return jnp.ones(shape, jnp.float32)


def zeros(key, shape):
    return jnp.zeros(shape, jnp.float32)


def block_params(config: ModelConfig) -> dict[str, dict[str, Param]]:
    """The weights of one block."""
    D, H, K, F = config.embed, config.heads, config.width, config.hidden
    residual = normal(0.02 / math.sqrt(2 * config.layers))
    return {
        "attention_norm": norm_params(D),
        "attention": {
            "query": Param((D, H, K), ("embed", "heads", "head_dim"), normal(0.02)),
            "key": Param((D, H, K), ("embed", "heads", "head_dim"), normal(0.02)),
            "value": Param((D, H, K), ("embed", "heads", "head_dim"), normal(0.02)),
            "query_bias": Param((H, K), ("heads", "head_dim"), zeros),
            "key_bias": Param((H, K), ("heads", "head_dim"), zeros),
            "value_bias": Param((H, K), ("heads", "head_dim"), zeros),
            "out": Param((H, K, D), ("heads", "head_dim", "embed"), residual),
            "out_bias": Param((D,), ("embed",), zeros),
        },
        "mlp_norm": norm_params(D),
        "mlp": {
            "up": Param((D, F), ("embed", "mlp"), normal(0.02)),
            "up_bias": Param((F,), ("mlp",), zeros),
            "down": Param((F, D), ("mlp", "embed"), residual),
            "down_bias": Param((D,), ("embed",), zeros),
        },
    }


def norm_params(D: int) -> dict[str, Param]:
    return {"scale": Param((D,), ("embed",), ones), "bias": Param((D,), ("embed",), zeros)}


def model_params(config: ModelConfig) -> Params:
    """The whole model as a tree of Params.

    `blocks` is a list of `config.period` blocks, each stacked over layers/period repeats in a leading axis "layers": layer l is
    `blocks[l % period][l // period]`. Unrolled models have a period of `layers` and a leading axis of 1; scanned ones the reverse.
    """
    repeats = config.layers // config.period

    def stack(p: Param) -> Param:
        return Param((repeats, *p.shape), ("layers", *p.axes), p.init)

    return {
        "embedding": Param((config.vocab, config.embed), ("vocab", "embed"), normal(0.02)),
        "position": Param((config.context, config.embed), (None, "embed"), normal(0.02)),
        "blocks": [map_params(stack, block_params(config)) for _ in range(config.period)],
        "final_norm": norm_params(config.embed),
    }


def map_params(function: Callable[[Param], Any], tree) -> Any:
    """`function` of every Param in a tree."""
    return jax.tree.map(function, tree, is_leaf=lambda p: isinstance(p, Param))


def parameter_count(config: ModelConfig) -> int:
    """Weights of the model, embeddings included, counted once each."""
    return sum(p.size for p in jax.tree.leaves(model_params(config), is_leaf=lambda p: isinstance(p, Param)))


def init_params(key: jax.Array, config: ModelConfig) -> Params:
    """Arrays for `model_params(config)`: f32. The same key gives the same numbers on any mesh, scanned or not."""

    def start(path, p: Param):
        name = jax.tree_util.keystr(tuple(k for k in path if not isinstance(k, jax.tree_util.SequenceKey)))
        weight_key = jax.random.fold_in(key, zlib.crc32(name.encode()) & 0x7FFFFFFF)
        if not p.stacked:
            return p.init(weight_key, p.shape)
        first = next(k.idx for k in path if isinstance(k, jax.tree_util.SequenceKey))
        layer_keys = jax.vmap(lambda layer: jax.random.fold_in(weight_key, layer))(jnp.arange(first, config.layers, config.period))
        return jax.vmap(lambda layer_key: p.init(layer_key, p.shape[1:]))(layer_keys)

    return jax.tree_util.tree_map_with_path(start, model_params(config), is_leaf=lambda p: isinstance(p, Param))


def restack(blocks: list, period: int) -> list:
    """The same layers as a list of `period` stacked blocks: turns scanned weights into unrolled ones and back."""
    old, layers = len(blocks), len(blocks) * jax.tree.leaves(blocks[0])[0].shape[0]
    if layers % period:
        raise ValueError(f"{layers} layers do not make {period} equal stacks")

    def layer(number: int):
        return jax.tree.map(lambda w: w[number // old], blocks[number % old])

    return [jax.tree.map(lambda *w: jnp.stack(w), *[layer(number) for number in range(first, layers, period)]) for first in range(period)]
