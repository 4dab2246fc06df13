"""Weights that stay as they are while the rest is trained."""

from collections.abc import Callable

import jax

from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.params import Param, Params, model_params

Weights = Callable[[Params, Params | None, jax.Array | None], Params]
"""(what is trained, what is not, a random key for each row or None where nothing is drawn) -> the model's weights, inside a step."""


def own_weights(params: Params, base: Params | None = None, keys_B: jax.Array | None = None) -> Params:
    """All weights are trained."""
    return params


def still_weights(config: ModelConfig, frozen: tuple[str, ...]) -> Weights:
    """All weights but some: those take no gradient, so none is computed."""
    mask = frozen_mask(config, frozen)
    return lambda params, base, keys_B: jax.tree.map(lambda w, still: jax.lax.stop_gradient(w) if still else w, params, mask)


def frozen_mask(config: ModelConfig, frozen: tuple[str, ...]) -> Params:
    """A tree of bools, True for the weights whose names begin with one of `frozen`.

    Raises UserError where one names no weight, where blocks are named by number in a scanned model, or where nothing is left to train.
    """
    flat, treedef = jax.tree_util.tree_flatten_with_path(model_params(config), is_leaf=lambda p: isinstance(p, Param))
    names = [".".join(str(getattr(k, "key", getattr(k, "idx", None))) for k in path) for path, _ in flat]
    for prefix in frozen:
        if config.scan and any(part.isdigit() for part in prefix.split(".")):
            raise UserError(
                f"train.frozen names {prefix}, but model.scan does not keep the blocks apart.\n  Set model.scan to False, or name blocks."
            )
        if not any(_begins(name, prefix) for name in names):
            tops = dict.fromkeys(name.split(".")[0] for name in names)
            raise UserError(
                f"train.frozen names {prefix!r}, which is no weight of this model.\n  It has {', '.join(tops)}; blocks.0 is one layer."
            )
    mask = [any(_begins(name, prefix) for prefix in frozen) for name in names]
    if all(mask):
        raise UserError(f"train.frozen is {' '.join(frozen)}, which are all of the model's weights.\n  Leave some to train.")
    return jax.tree.unflatten(treedef, mask)


def _begins(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")
