"""A model with adapters, merged one weight at a time, so that it is never held whole: W + (alpha / r) A B, as train/lora.py.

Where the base is held in 8 bits, W is what they hold of it, as model/forms.py has it.
"""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from tenfold.convert.weights import EVERY, name_of, weight
from tenfold.model.config import ModelConfig
from tenfold.model.families.names import Shape
from tenfold.model.forms import scale_of, summed_axes
from tenfold.model.params import Param, Params, model_params
from tenfold.train.recipe import LoraConfig

PRODUCT_BYTES = 8 * 2**20
"""Of A B, made at once."""


@dataclass(frozen=True)
class Merged:
    """A weight of a model laid out as a run's, made when it is indexed (by layer) or asked for as an array."""

    base: Params
    config: ModelConfig
    """Of the base, whose layers may be stacked otherwise."""
    name: str
    first: int
    period: int
    """Layers from one repeat to the next; 0 where the weight is of no layer."""
    shape: Shape
    rounded: tuple[int, ...]
    """The axes of one layer's weight that have one scale, where the base is in 8 bits; else ()."""
    pair: dict[str, Any] | None
    """A [N, in.., r] and B [N, r, out..]; None where the base stays as it is."""
    scale: float
    dtype: np.dtype = np.dtype(np.float32)

    def __getitem__(self, at: int | tuple[int, slice]) -> np.ndarray:
        repeat, among = at if isinstance(at, tuple) else (at, EVERY)
        found = self._held(weight(self.base, self.config, self.name, self.first + self.period * repeat, among))
        if self.pair is not None:
            _add_product(found, np.asarray(self.pair["a"][repeat]), np.asarray(self.pair["b"][repeat]), self.scale)
        return found

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """The whole of a weight that is of no layer; learned positions are cut to the run's context."""
        return np.asarray(self._held(weight(self.base, self.config, self.name, 0)[: self.shape[0]]), dtype)

    def _held(self, found: np.ndarray) -> np.ndarray:
        """The base's numbers, f32, in an array of its own where they change."""
        if self.pair is None and not self.rounded:
            return np.asarray(found, np.float32)
        found = np.array(found, np.float32)
        if self.rounded:
            largest = np.maximum(found.max(self.rounded, keepdims=True), -found.min(self.rounded, keepdims=True))
            scale = np.asarray(jax.jit(scale_of)(largest))
            np.divide(found, scale, out=found)
            np.rint(found, out=found)
            found *= scale
        return found


def _add_product(found: np.ndarray, a: np.ndarray, b: np.ndarray, scale: float) -> None:
    """Adds scale x A B, a run of rows at a time."""
    some = max(1, PRODUCT_BYTES // found[0].nbytes)
    for row in range(0, len(found), some):
        found[row : row + some] += np.float32(scale) * np.tensordot(a[row : row + some], b, 1)


def merged_lazily(base: Params, base_config: ModelConfig, adapters: Params, lora: LoraConfig, config: ModelConfig) -> Params:
    """The weights of a model `config` with `adapters` over a base, which lies as `base_config` says, as a tree of Merged."""

    def merged(path, p: Param) -> Merged:
        name, first = name_of(path)
        rounded = tuple(axis - p.stacked for axis in summed_axes(path[-1].key, p)) if lora.base == "int8" else ()
        encoder, period, pair = name.startswith("encoder."), 0, None
        if p.stacked:
            *_, module, last = name.split(".")
            period = config.encoder_period if encoder else config.period
            pair = (adapters["encoder"] if encoder else adapters)["blocks"][first].get(module, {}).get(last)
        return Merged(base, base_config, name, first, period, p.shape, rounded, pair, lora.alpha / lora.rank)

    return jax.tree_util.tree_map_with_path(merged, model_params(config), is_leaf=lambda p: isinstance(p, Param))
