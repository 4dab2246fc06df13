"""Low-rank adapters: h = W x + (alpha / r) B A x (Hu et al. 2021, equation 3), beside frozen weights in a step, or merged into them.

Ours are written the other way round, as our weights are [in, out]: x W + (alpha / r) x A B, A [N, in, r] and B [N, r, out], stacked over N
layers as the weights are; `in` and `out` are several axes where the weight's are (heads, head_dim). B starts from zero, so that the first
step's model is the base to the last bit. Dropout is on the x of x A only, another draw for each row, layer and target: a function of the
keys given, whatever the microbatches and the mesh.
"""

import zlib
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from tenfold.model.adapters import adapter_params
from tenfold.model.config import ModelConfig
from tenfold.model.forms import Adapted, dense_params
from tenfold.model.params import Params, init_tree, model_params
from tenfold.train.frozen import Weights, own_weights, still_weights
from tenfold.train.recipe import LoraConfig, Recipe


def trained_params(config: ModelConfig, lora: LoraConfig) -> Params:
    """What is trained, as a tree of Params: the adapters, or the model."""
    return adapter_params(config, lora.targets, lora.rank) if lora.rank else model_params(config)


def init_adapters(key: jax.Array, config: ModelConfig, lora: LoraConfig) -> Params:
    """New adapters, f32, which change nothing yet."""
    return init_tree(key, config, trained_params(config, lora))


def beside(params: Params, adapters: Params, lora: LoraConfig, keys_B: jax.Array | None = None) -> Params:
    """The weights, which take no gradient, with the adapters beside them. `keys_B`: drop out, each row by its key."""
    draws = keys_B if lora.dropout else None

    def adapted(name: str, layers: jax.Array, weight, pair: Params) -> Adapted:
        keys_NB = None if draws is None else _keys(draws, name, layers)
        return Adapted(weight, pair["a"], pair["b"], keys_NB, lora.alpha / lora.rank, lora.dropout)

    return _changed(jax.lax.stop_gradient(params), adapters, adapted)


def _keys(keys_B: jax.Array, name: str, layers: jax.Array) -> jax.Array:
    """[N, B] keys: one for each layer that has such a weight and each row."""
    own_B = jax.vmap(lambda key: jax.random.fold_in(key, zlib.crc32(name.encode()) & 0x7FFFFFFF))(keys_B)
    return jax.vmap(lambda layer: jax.vmap(lambda key: jax.random.fold_in(key, layer))(own_B))(layers)


def merge(params: Params, adapters: Params, lora: LoraConfig) -> Params:
    """The weights, each as one array, with the adapters in them: W + (alpha / r) A B."""
    return _add(dense_params(params), adapters, lora.alpha / lora.rank)


def unmerge(params: Params, adapters: Params, lora: LoraConfig) -> Params:
    """The weights that `merge` was given, but for rounding."""
    return _add(params, adapters, -lora.alpha / lora.rank)


def _add(params: Params, adapters: Params, factor: float) -> Params:
    return _changed(params, adapters, lambda name, layers, weight, pair: weight + factor * product(**pair))


def _changed(tower: Params, adapters: Params, change: Callable, where: str = "") -> Params:
    """The weights, with `change(name, numbers of its layers [N], weight, pair)` in place of each that has an adapter."""
    blocks, period = [], len(tower["blocks"])
    for first, (block, pairs) in enumerate(zip(tower["blocks"], adapters["blocks"], strict=True)):
        changed = {}
        for module, targets in pairs.items():
            changed[module] = dict(block[module])
            for name, pair in targets.items():
                layers = first + period * jnp.arange(len(pair["a"]))
                changed[module][name] = change(f"{where}{module}.{name}", layers, block[module][name], pair)
        blocks.append(block | changed)
    encoder = {"encoder": _changed(tower["encoder"], adapters["encoder"], change, "encoder.")} if "encoder" in adapters else {}
    return tower | {"blocks": blocks} | encoder


def product(a: jax.Array, b: jax.Array) -> jax.Array:
    """A B of every layer: [N, in.., r] and [N, r, out..] to [N, in.., out..], in full precision."""
    return jax.vmap(partial(jnp.tensordot, axes=1, precision=jax.lax.Precision.HIGHEST))(a, b)


def weights_of(recipe: Recipe) -> Weights:
    """How a recipe's step puts the model together of what is trained and what is not."""
    if recipe.lora.rank:
        return lambda adapters, base, keys_B: beside(base, adapters, recipe.lora, keys_B)  # type: ignore[arg-type]
    return still_weights(recipe.model, recipe.train.frozen) if recipe.train.frozen else own_weights
