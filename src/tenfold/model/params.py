"""Weights before they exist.

Every weight is declared once, as a `Param`. Initialisation, parameter counts, shardings, checkpoints and `plan` all read that line.
GPT-2's initialisation: N(0, 0.02), and the two projections that write to the residual stream scaled by 1/sqrt(2 layers), which keeps
the stream's variance flat in depth (Radford et al. 2019, section 2.3; GPT-3 says it uses the same). MAGNETO's (Wang et al. 2022, figure 2)
is Xavier's normal, with a gain of sqrt(log(2 layers)) on values, the output of attention and the feed-forward layer.
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp

from tenfold.model.config import ModelConfig

Axis = Literal["vocab", "context", "embed", "heads", "kv_heads", "head_dim", "mlp", "expert", "layers"] | None
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
    """How a weight starts from a normal distribution: `(key, shape) -> f32`."""
    return lambda key, shape: std * jax.random.normal(key, shape, jnp.float32)


def ones(key, shape):
    return jnp.ones(shape, jnp.float32)


def zeros(key, shape):
    """f32 of that shape: what biases, and values that must begin at nothing, are at first."""
    return jnp.zeros(shape, jnp.float32)


def block_params(config: ModelConfig, cross: bool = False) -> Params:
    """The weights of one block; `cross`: one that also attends to an encoder's output."""
    norm = partial(norm_params, config)
    block = {"attention_norm": norm(), "attention": attention_params(config)}
    if cross:
        block |= {"cross_norm": norm(), "cross": attention_params(config)}
    if config.residual != "shared":
        block["mlp_norm"] = norm()
    if not config.experts:
        return block | {"mlp": mlp_params(config)}
    experts = {name: stack(p, config.experts, "expert") for name, p in mlp_params(config).items()}
    router = {"router": Param((config.embed, config.experts), ("embed", None), normal(0.02))}
    shared = {"shared": mlp_params(config, config.shared_experts)} if config.shared_experts else {}
    return block | {"moe": router | experts | shared}


def attention_params(config: ModelConfig) -> dict[str, Param]:
    """Queries, keys, values and the projection back to the residual stream."""
    D, H, G, K = config.embed, config.heads, config.groups, config.width
    weights = {
        "query": Param((D, H, K), ("embed", "heads", "head_dim"), first_weights(config, D, H * K, gained=False)),
        "key": Param((D, G, K), ("embed", "kv_heads", "head_dim"), first_weights(config, D, G * K, gained=False)),
        "value": Param((D, G, K), ("embed", "kv_heads", "head_dim"), first_weights(config, D, G * K)),
        "out": Param((H, K, D), ("heads", "head_dim", "embed"), first_weights(config, H * K, D, residual=True)),
    }
    if config.qkv_bias:
        weights["query_bias"] = Param((H, K), ("heads", "head_dim"), zeros)
        weights |= {f"{name}_bias": Param((G, K), ("kv_heads", "head_dim"), zeros) for name in ("key", "value")}
    if config.sub_norm:
        weights |= sub_norm_params(config, (H, K), ("heads", "head_dim"))
    return weights | ({"out_bias": Param((D,), ("embed",), zeros)} if config.out_bias else {})


def mlp_params(config: ModelConfig, width: int = 1) -> dict[str, Param]:
    """A feed-forward layer, `width` times as wide as the configuration says."""
    D, F = config.embed, width * config.hidden
    weights = {
        "up": Param((D, F), ("embed", "mlp"), first_weights(config, D, F)),
        "down": Param((F, D), ("mlp", "embed"), first_weights(config, F, D, residual=True)),
    }
    if config.gated:
        weights["gate"] = Param((D, F), ("embed", "mlp"), first_weights(config, D, F))
    if config.sub_norm:
        weights |= sub_norm_params(config, (F,), ("mlp",))
    if config.mlp_bias:
        weights |= {"up_bias": Param((F,), ("mlp",), zeros), "down_bias": Param((D,), ("embed",), zeros)}
    return weights | ({"gate_bias": Param((F,), ("mlp",), zeros)} if config.mlp_bias and config.gated else {})


def first_weights(config: ModelConfig, ins: int, outs: int, residual: bool = False, gained: bool = True):
    """How a block's matrix starts; `residual`: one that writes to the residual stream; `gained`: one that MAGNETO's gain is on."""
    if config.init == "magneto":
        return normal(math.sqrt(2 / (ins + outs)) * (math.sqrt(math.log(2 * config.layers)) if gained else 1))
    return normal(0.02 / math.sqrt(2 * config.layers) if residual else 0.02)


def norm_params(config: ModelConfig) -> dict[str, Param]:
    D = config.embed
    return {"scale": Param((D,), ("embed",), ones)} | ({"bias": Param((D,), ("embed",), zeros)} if config.norm_bias else {})


def sub_norm_params(config: ModelConfig, shape: tuple[int, ...], axes: tuple[Axis, ...]) -> dict[str, Param]:
    """The norm before a half's last projection, of what that projection reads."""
    return {"sub_scale": Param(shape, axes, ones)} | ({"sub_bias": Param(shape, axes, zeros)} if config.norm_bias else {})


def stack(p: Param, count: int, axis: Axis = "layers") -> Param:
    """`count` weights of one kind as one."""
    return Param((count, *p.shape), (axis, *p.axes), p.init)


def model_params(config: ModelConfig) -> Params:
    """The whole model as a tree of Params.

    `blocks` is a list of `config.period` blocks, each stacked over layers/period repeats in a leading axis "layers": layer l is
    `blocks[l % period][l // period]`. Unrolled models have a period of `layers` and a leading axis of 1; scanned ones the reverse.
    """
    D, V = config.embed, config.vocab
    tree: Params = {"embedding": Param((V, D), ("vocab", "embed"), normal(0.02))}
    if config.positions == "learned":
        tree["position"] = Param((config.context, D), (None, "embed"), normal(0.02))
    if config.token_types:
        tree["token_type"] = Param((config.token_types, D), (None, "embed"), normal(0.02))
    if config.embedding_norm:
        tree["embedding_norm"] = norm_params(config)
    if config.encoder_layers:
        tree["encoder"] = tower_params(config, config.encoder_layers, config.encoder_period)
    tree |= tower_params(config, config.layers, config.period, cross=config.encoder_layers > 0)
    if config.head_transform:
        transform = {"weight": Param((D, D), ("embed", None), normal(0.02)), "bias": Param((D,), (None,), zeros)}
        tree["head_transform"] = transform | {"norm": norm_params(config)}
    if not config.tied:
        tree["head"] = Param((V, D), ("vocab", "embed"), normal(0.02))
    return tree | ({"head_bias": Param((V,), ("vocab",), zeros)} if config.head_bias else {})


def tower_params(config: ModelConfig, layers: int, period: int, cross: bool = False) -> Params:
    """Blocks, the norm after the last of them, and T5's table of relative positions, which all layers share."""
    tower: Params = {"blocks": [map_params(lambda p: stack(p, layers // period), block_params(config, cross)) for _ in range(period)]}
    if config.norm_place == "before":
        tower["final_norm"] = norm_params(config)
    if config.positions == "relative":
        tower["relative"] = Param((config.relative_buckets, config.heads), (None, "heads"), normal(0.02))
    return tower


def map_params(function: Callable[[Param], Any], tree) -> Any:
    """`function` of every Param in a tree."""
    return jax.tree.map(function, tree, is_leaf=lambda p: isinstance(p, Param))


def parameter_count(config: ModelConfig) -> int:
    """Weights of the model, embeddings included, counted once each."""
    return sum(p.size for p in jax.tree.leaves(model_params(config), is_leaf=lambda p: isinstance(p, Param)))


def init_params(key: jax.Array, config: ModelConfig) -> Params:
    """Arrays for `model_params(config)`: f32. The same key gives the same numbers on any mesh, scanned or not."""
    return init_tree(key, config, model_params(config))


def init_tree(key: jax.Array, config: ModelConfig, tree: Params) -> Params:
    """Arrays for a tree of Params laid out as the model's: f32, the same for the same key on any mesh, scanned or not."""

    def start(path, p: Param):
        name = jax.tree_util.keystr(tuple(k for k in path if not isinstance(k, jax.tree_util.SequenceKey)))
        weight_key = jax.random.fold_in(key, zlib.crc32(name.encode()) & 0x7FFFFFFF)
        if not p.stacked:
            return p.init(weight_key, p.shape)
        first = next(k.idx for k in path if isinstance(k, jax.tree_util.SequenceKey))
        period = config.encoder_period if path[0].key == "encoder" else config.period
        layers = first + period * jnp.arange(p.shape[0])
        layer_keys = jax.vmap(lambda layer: jax.random.fold_in(weight_key, layer))(layers)
        return jax.vmap(lambda layer_key: p.init(layer_key, p.shape[1:]))(layer_keys)

    return jax.tree_util.tree_map_with_path(start, tree, is_leaf=lambda p: isinstance(p, Param))


def restack(blocks: list, period: int) -> list:
    """The same layers as a list of `period` stacked blocks: turns scanned weights into unrolled ones and back."""
    old, layers = len(blocks), len(blocks) * jax.tree.leaves(blocks[0])[0].shape[0]
    if layers % period:
        raise ValueError(f"{layers} layers do not make {period} equal stacks")

    def layer(number: int):
        return jax.tree.map(lambda w: w[number // old], blocks[number % old])

    return [jax.tree.map(lambda *w: jnp.stack(w), *[layer(number) for number in range(first, layers, period)]) for first in range(period)]
