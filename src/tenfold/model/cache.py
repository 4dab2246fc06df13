"""Keys and values of earlier positions, kept for decoding.

Row b's key at position p lies at index p, so a position sees exactly the indices up to its own (less, in a band), and what a longer
neighbour's padding wrote beyond a row's length is overwritten before anything sees it.
"""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from tenfold.model.config import ModelConfig


@jax.tree_util.register_dataclass
@dataclass
class LayerCache:
    """One layer's keys and values: [B, G, S, K] each, and a leading axis of layers where blocks are looped over.

    A lone row's have no axis of rows: XLA's CPU would copy them whole, three times a step, between two shapes of the same numbers.
    """

    k_BGSK: jax.Array
    v_BGSK: jax.Array


@jax.tree_util.register_dataclass
@dataclass
class Cache:
    """All layers' keys and values, laid out as the blocks are, and how many positions of each row are filled."""

    layers: list
    length_B: jax.Array
    empty: bool = field(default=False, metadata={"static": True})
    """Whether it is known, when a program is compiled, that nothing is filled yet: then new positions see each other only."""


UNROLLED_ROWS = 16
"""Up to so many rows are written one by one, in place; XLA makes a scatter of more, which is slower on CPUs but quicker to compile."""


def empty_cache(config: ModelConfig, rows: int, positions: int) -> Cache:
    """A cache with room for `positions` positions in each of `rows` rows: 2 L B S G K numbers.

    They are of the compute type, but f32 on CPUs, whose XLA would turn a bf16 cache to f32 and back, whole, at every write.
    """
    if positions > config.context:
        raise ValueError(f"a cache of {positions} positions, but the model knows {config.context}")
    shape: tuple[int, ...] = (config.groups, positions, config.width)
    if rows > 1:
        shape = (rows, *shape)
    if config.period != config.layers:
        shape = (config.layers // config.period, *shape)
    dtype = jnp.float32 if jax.default_backend() == "cpu" else config.dtype
    layers = [LayerCache(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype)) for _ in range(config.period)]
    return Cache(layers, jnp.zeros(rows, jnp.int32), empty=True)


def extend(cache: LayerCache, config: ModelConfig, k_BTGK: jax.Array, v_BTGK: jax.Array, start_B: jax.Array) -> LayerCache:
    """`cache` with T new positions, rounded to the compute type, written from index `start_B[b]` on."""
    written = LayerCache(*(_write(old, new.astype(config.dtype), start_B) for old, new in ((cache.k_BGSK, k_BTGK), (cache.v_BGSK, v_BTGK))))
    return jax.lax.optimization_barrier(written)  # else XLA may fuse a copy of the write into each product that reads it


def _write(old_BGSK: jax.Array, new_BTGK: jax.Array, start_B: jax.Array) -> jax.Array:
    new_BGTK = new_BTGK.swapaxes(1, 2).astype(old_BGSK.dtype)
    if old_BGSK.ndim == 3:
        return jax.lax.dynamic_update_slice(old_BGSK, new_BGTK[0], (0, start_B[0], 0))
    if old_BGSK.shape[0] > UNROLLED_ROWS:
        return jax.vmap(lambda old, new, start: jax.lax.dynamic_update_slice(old, new, (0, start, 0)))(old_BGSK, new_BGTK, start_B)
    for row in range(old_BGSK.shape[0]):
        old_BGSK = jax.lax.dynamic_update_slice(old_BGSK, new_BGTK[row : row + 1], (row, 0, start_B[row], 0))
    return old_BGSK
