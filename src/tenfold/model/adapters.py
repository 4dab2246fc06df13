"""Low-rank adapters (Hu et al. 2021) as a tree of Params: for each target weight W [N, in.., out..] of a block, A [N, in.., r] and
B [N, r, out..], stacked over N layers as the weights are. A starts from a normal distribution of variance 1 / in, B from zero.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp

from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.forms import INPUT_AXES
from tenfold.model.params import Param, Params, model_params, normal

MODULES = ("attention", "cross", "mlp")


def adapter_params(config: ModelConfig, targets: Sequence[str], rank: int) -> Params:
    """`blocks[i][module][target]` holds `a` and `b`, and `encoder` the same for an encoder's blocks.

    Raises UserError for targets the model has not.
    """
    model = model_params(config)
    held = {name for module in MODULES for name in model["blocks"][0].get(module, {})}
    for target in targets:
        if target not in held:
            known = ", ".join(name for name in INPUT_AXES if name in held)
            why = "\n  The experts of a mixture take no adapters." if config.experts else ""
            raise UserError(f"lora.targets names {target}, which the blocks of this model have not.\n  They have {known}.{why}")
    return _tower(model, targets, rank)


def _tower(tower: Params, targets: Sequence[str], rank: int) -> Params:
    encoder = {"encoder": _tower(tower["encoder"], targets, rank)} if "encoder" in tower else {}
    return {"blocks": [_block(block, targets, rank) for block in tower["blocks"]]} | encoder


def _block(block: Params, targets: Sequence[str], rank: int) -> Params:
    found = {}
    for module in MODULES:
        here = [name for name in targets if name in block.get(module, {})]
        if here:
            found[module] = {name: _pair(block[module][name], 1 + INPUT_AXES[name], rank) for name in here}
    return found


def _pair(weight: Param, cut: int, rank: int) -> dict[str, Param]:
    """A and B of one weight, whose inputs end before axis `cut`."""
    a = Param((*weight.shape[:cut], rank), (*weight.axes[:cut], None), normal(math.prod(weight.shape[1:cut]) ** -0.5))
    return {"a": a, "b": Param((weight.shape[0], rank, *weight.shape[cut:]), (weight.axes[0], None, *weight.axes[cut:]), _nothing_yet)}


def _nothing_yet(key, shape):
    return jnp.zeros(shape, jnp.float32)  # not params.zeros, which says that weight decay leaves it alone
