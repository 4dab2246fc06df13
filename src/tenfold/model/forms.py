"""Weights that are more than one array: whole numbers with scales, and a weight that stays with an adapter beside it.

Each is a dataclass of arrays that takes a weight's place in the tree, and is cut, stacked and looped over as any weight is; `linear`,
`matmul` and `lookup` take them all. Int8 is symmetric, with a scale for each output (as LLM.int8, Dettmers et al. 2022, section 2.1, does
for weights): w = scale round(w / scale), scale = max |w| / 127 over the inputs, so that no number moves by more than half its scale.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from tenfold.model.config import ModelConfig
from tenfold.model.params import Param, Params, model_params

INPUT_AXES = {"query": 1, "key": 1, "value": 1, "out": 2, "up": 1, "gate": 1, "down": 1}
"""How many axes of each of a block's matrices are summed over."""
TABLES = ("embedding", "head")  # [V, D]: a scale for each token, which is an output of the head


@jax.tree_util.register_dataclass
@dataclass
class Int8:
    """The weight `values * scale`: int8[..., in.., out..] and f32 of the same number of axes, those of `in` being 1."""

    values: jax.Array
    scale: jax.Array

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape


@jax.tree_util.register_dataclass
@dataclass
class Turned8:
    """A matrix for decoding: int8[N, M], f32[N], turned so that each output's weights lie together. What it multiplies is rounded to 8 bits
    too, with a scale for each row, and the products are summed as whole numbers (Dettmers et al. 2022, section 3.1). It has no gradient.
    """

    values_NM: jax.Array
    scale_N: jax.Array
    shape: tuple[int, ...] = field(metadata=dict(static=True))
    """[in.., out..], of the weight that it stands for."""


@jax.tree_util.register_dataclass
@dataclass
class Adapted:
    """`weight` with a low-rank adapter beside it: x weight + factor (x dropped) a b (Hu et al. 2021, equation 3)."""

    weight: Any
    """An array or an Int8, [in.., out..]."""
    a: jax.Array
    """[in.., r]"""
    b: jax.Array
    """[r, out..]"""
    keys_B: jax.Array | None
    """A random key for each row; None: nothing is dropped."""
    factor: float = field(metadata=dict(static=True))
    rate: float = field(metadata=dict(static=True))
    """Share of the adapter's input that is dropped; what is kept is divided by the rest."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.weight.shape


@jax.tree_util.register_dataclass
@dataclass
class Bits:
    """bf16 weights as their bits, uint16. A loop over stacked bf16 weights turns the stack to f32 at every call on CPUs, as XLA's backend
    there has no slices of bf16; of whole numbers it has. The forward pass spells them out a layer at a time. It has no gradient.
    """

    words: jax.Array

    @property
    def shape(self) -> tuple[int, ...]:
        return self.words.shape


FORMS = (Int8, Turned8, Adapted)


def quantise(w: jax.Array, axes: tuple[int, ...]) -> Int8:
    """`w` in 8 bits, with a scale for each place that is left when `axes`, the inputs, are taken away."""
    scale = scale_of(jnp.abs(w).max(axes, keepdims=True))
    return Int8(jnp.round(w / scale).astype(jnp.int8), scale)


def scale_of(largest: jax.Array) -> jax.Array:
    """The scale of weights of which the largest has this size."""
    return jnp.where(largest > 0, largest, 1.0) / 127


def turned8(w: jax.Array, inputs: int) -> Turned8:
    """`w`, [N, in.., out..] of N layers, as decoding in 8 bits reads it."""
    w_NMO = w.reshape(w.shape[0], math.prod(w.shape[1 : 1 + inputs]), -1).astype(jnp.float32)
    small = quantise(w_NMO.swapaxes(1, 2), (2,))
    return Turned8(small.values, small.scale[..., 0], w.shape[1:])


def as_head(table_VD: jax.Array) -> Turned8:
    """A table of tokens as the head that decoding in 8 bits reads."""
    small = quantise(table_VD.astype(jnp.float32), (1,))
    return Turned8(small.values, small.scale[:, 0], table_VD.shape[::-1])


def bits(w: jax.Array) -> Bits:
    """bf16 weights as their bits."""
    return Bits(jax.lax.bitcast_convert_type(w, jnp.uint16))


def spelled(weights):
    """A tree of weights with those that are bits as numbers again."""

    def spell(w):
        return jax.lax.bitcast_convert_type(w.words, jnp.bfloat16) if isinstance(w, Bits) else w

    return jax.tree.map(spell, weights, is_leaf=lambda w: isinstance(w, Bits))


def dense(w) -> jax.Array:
    """A weight as one array, f32 where it was int8."""
    return w.values * w.scale if isinstance(w, Int8) else w


def dense_params(params: Params) -> Params:
    """A model's weights with each as one array."""
    return jax.tree.map(dense, params, is_leaf=lambda w: isinstance(w, Int8))


def matrix(w, inputs: int):
    """[in.., out..] as [M, N], where the first `inputs` axes are the inputs."""
    if isinstance(w, Turned8):
        return w
    if isinstance(w, Int8):
        values = matrix(w.values, inputs)
        return Int8(values, w.scale.reshape(1, -1))
    return w.reshape(math.prod(w.shape[:inputs]), math.prod(w.shape[inputs:]))


def summed_axes(name: str, p: Param) -> tuple[int, ...]:
    """The axes of a weight that a product sums over; () for weights that are no matrices of products, or small."""
    if name in TABLES:
        return (1,)
    first = sum(axis in ("layers", "expert") for axis in p.axes)
    return tuple(range(first, first + INPUT_AXES.get(name, 0)))


def quantised_params(config: ModelConfig, params: Params) -> Params:
    """A model's weights, its large matrices (those of the blocks, the embedding, the head) as Int8."""

    def form(path, p: Param, w):
        axes = summed_axes(path[-1].key, p)
        return quantise(w, axes) if axes else w

    return jax.tree_util.tree_map_with_path(form, model_params(config), params, is_leaf=lambda p: isinstance(p, Param))


def quantised_axes(config: ModelConfig, place) -> Params:
    """`place(axes)` for each array of `quantised_params`: the logical axes of values and scales."""

    def form(path, p: Param):
        summed = summed_axes(path[-1].key, p)
        scale = tuple(None if number in summed else axis for number, axis in enumerate(p.axes))
        return Int8(place(p.axes), place(scale)) if summed else place(p.axes)

    return jax.tree_util.tree_map_with_path(form, model_params(config), is_leaf=lambda p: isinstance(p, Param))
