"""Low-rank adapters: h = W x + (alpha / r) B A x (Hu et al. 2021, equation 3), merged inside the step.

Ours are written the other way round, as our weights are [in, out]: W + (alpha / r) A B, A [N, in, r] and B [N, r, out], stacked over N
layers as the weights are; `in` and `out` are several axes where the weight's are (heads, head_dim). A starts from a normal distribution
of variance 1 / in, B from zero, so that the first step's model is the base to the last bit. Forming the sum inside the step leaves the
model as it is and gives A and B exactly their gradients; it has no place for dropout on the adapters' input.
"""

from functools import partial

import jax
import jax.numpy as jnp

from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.params import Param, Params, init_tree, model_params, normal
from tenfold.train.frozen import Weights, own_weights, still_weights
from tenfold.train.recipe import LoraConfig, Recipe

CONTRACT = {"query": 1, "key": 1, "value": 1, "out": 2, "up": 1, "gate": 1, "down": 1}  # axes of `in`
MODULES = ("attention", "mlp")


def adapter_params(config: ModelConfig, lora: LoraConfig) -> Params:
    """The adapters as a tree of Params: `blocks[i][module][target]` holds `a` and `b`. Raises UserError for targets the model has not."""
    if config.encoder_layers:
        raise UserError(f"lora.rank is {lora.rank}, but adapters are for models without an encoder.\n  Train all weights: lora.rank 0.")
    blocks = model_params(config)["blocks"]
    held = {name for module in MODULES for name in blocks[0].get(module, {})}
    for target in lora.targets:
        if target not in held:
            known = ", ".join(name for name in CONTRACT if name in held)
            raise UserError(f"lora.targets names {target}, which the blocks of this model have not.\n  They have {known}.")
    return {"blocks": [_block_adapters(block, lora) for block in blocks]}


def _block_adapters(block: Params, lora: LoraConfig) -> Params:
    found = {}
    for module in MODULES:
        targets = [name for name in lora.targets if name in block.get(module, {})]
        if targets:
            found[module] = {name: _pair(block[module][name], CONTRACT[name], lora.rank) for name in targets}
    return found


def _pair(weight: Param, contract: int, rank: int) -> dict[str, Param]:
    """A and B of one weight [N, in.., out..]."""
    cut = 1 + contract
    size = 1
    for n in weight.shape[1:cut]:
        size *= n
    return {
        "a": Param((*weight.shape[:cut], rank), (*weight.axes[:cut], None), normal(size**-0.5)),
        "b": Param((weight.shape[0], rank, *weight.shape[cut:]), (weight.axes[0], None, *weight.axes[cut:]), _nothing_yet),
    }


def _nothing_yet(key, shape):
    return jnp.zeros(shape, jnp.float32)  # not params.zeros, which says that weight decay leaves it alone


def trained_params(config: ModelConfig, lora: LoraConfig) -> Params:
    """What is trained, as a tree of Params: the adapters, or the model."""
    return adapter_params(config, lora) if lora.rank else model_params(config)


def init_adapters(key: jax.Array, config: ModelConfig, lora: LoraConfig) -> Params:
    """New adapters, f32, which change nothing yet."""
    return init_tree(key, config, adapter_params(config, lora))


def merge(params: Params, adapters: Params, lora: LoraConfig) -> Params:
    """The weights with the adapters in them: W + (alpha / r) A B. The base takes no gradient."""
    return _add(jax.lax.stop_gradient(params), adapters, lora.alpha / lora.rank)


def unmerge(params: Params, adapters: Params, lora: LoraConfig) -> Params:
    """The weights that `merge` was given, but for rounding."""
    return _add(params, adapters, -lora.alpha / lora.rank)


def _add(params: Params, adapters: Params, scale: float) -> Params:
    blocks = []
    for block, pairs in zip(params["blocks"], adapters["blocks"], strict=True):
        changed = {
            module: block[module] | {name: block[module][name] + scale * product(**pair) for name, pair in targets.items()}
            for module, targets in pairs.items()
        }
        blocks.append(block | changed)
    return params | {"blocks": blocks}


def product(a: jax.Array, b: jax.Array) -> jax.Array:
    """A B of every layer: [N, in.., r] and [N, r, out..] to [N, in.., out..], in full precision."""
    return jax.vmap(partial(jnp.tensordot, axes=1, precision=jax.lax.Precision.HIGHEST))(a, b)


def weights_of(recipe: Recipe) -> Weights:
    """How a recipe's step puts the model together of what is trained and what is not."""
    if recipe.lora.rank:
        return lambda adapters, base: merge(base, adapters, recipe.lora)  # type: ignore[arg-type]
    return still_weights(recipe.model, recipe.train.frozen) if recipe.train.frozen else own_weights
