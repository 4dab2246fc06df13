"""A model with adapters, merged one weight at a time, so that it is never held whole: W + (alpha / r) A B, as train/lora.py."""

from dataclasses import dataclass

import jax
import numpy as np

from tenfold.convert.weights import name_of, weight
from tenfold.model.config import ModelConfig
from tenfold.model.families.names import Shape
from tenfold.model.params import Param, Params, model_params
from tenfold.train.lora import product
from tenfold.train.recipe import Recipe


@dataclass(frozen=True)
class Merged:
    """A weight of a model laid out as a run's, made when it is indexed (by layer) or asked for as an array."""

    base: Params
    config: ModelConfig
    """Of the base, whose layers may be stacked otherwise."""
    name: str
    first: int
    period: int
    shape: Shape
    pair: dict[str, jax.Array] | None
    """A [N, in.., r] and B [N, r, out..]; None where the base stays as it is."""
    scale: float
    dtype: np.dtype = np.dtype(np.float32)

    def __getitem__(self, repeat: int) -> np.ndarray:
        found = np.asarray(weight(self.base, self.config, self.name, self.first + self.period * repeat), np.float32)
        if self.pair is None:
            return found
        return found + self.scale * np.asarray(product(self.pair["a"][repeat][None], self.pair["b"][repeat][None])[0])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """The whole of a weight that is of no layer; learned positions are cut to the run's context."""
        return np.asarray(weight(self.base, self.config, self.name, 0)[: self.shape[0]], dtype or self.dtype)


def merged_lazily(base: Params, config: ModelConfig, adapters: Params, recipe: Recipe) -> Params:
    """The weights of a run that trained `adapters` on a base of the layout `config`, as a tree of Merged."""

    def merged(path, p: Param) -> Merged:
        name, first = name_of(path)
        _, *inside = name.split(".")
        pairs = adapters["blocks"][first].get(inside[0], {}) if p.stacked else {}
        scale = recipe.lora.alpha / recipe.lora.rank
        return Merged(base, config, name, first, recipe.model.period, p.shape, pairs.get(inside[-1]) if p.stacked else None, scale)

    return jax.tree_util.tree_map_with_path(merged, model_params(recipe.model), is_leaf=lambda p: isinstance(p, Param))
