"""Keys and values of earlier positions, kept for decoding.

Row b's key at position p lies at index p, so a position sees exactly the indices up to its own (less, in a band), and what a longer
neighbour's padding wrote beyond a row's length is overwritten before anything sees it.
"""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from tenfold.model.config import AttentionKind, Dilated, ModelConfig


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
class DilatedCache:
    """One dilated layer's keys and values: for each branch (w, r) those that each head took of the segment that its row stands in.

    [B, H, M, K] for each, M being w / r: index m of head j holds the place j mod r + m r of the segment. What an earlier segment left
    beyond the row's own place is overwritten before anything sees it.
    """

    k_BHMK: list[jax.Array]
    v_BHMK: list[jax.Array]


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
    """A cache with room for `positions` positions in each of `rows` rows: 2 B S G K numbers a layer, and in a dilated one 2 B H K for each
    of the w / r that its branches add up to, segments beyond `positions` counting as so long.

    They are of the compute type, but f32 on CPUs, whose XLA would turn a bf16 cache to f32 and back, whole, at every write.
    """
    if positions > config.context:
        raise ValueError(f"a cache of {positions} positions, but the model knows {config.context}")
    stacked = (config.layers // config.period,) if config.period != config.layers else ()
    dtype = jnp.float32 if jax.default_backend() == "cpu" else config.dtype

    def layer(kind: AttentionKind) -> LayerCache | DilatedCache:
        if not isinstance(kind, Dilated):
            shape = (*stacked, *((rows,) if rows > 1 else ()), config.groups, positions, config.width)
            return LayerCache(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))
        taken = [-(-min(w, positions) // r) for w, r in zip(kind.segments, kind.dilations, strict=True)]
        shapes = [(*stacked, rows, config.heads, M, config.width) for M in taken]
        return DilatedCache([jnp.zeros(shape, dtype) for shape in shapes], [jnp.zeros(shape, dtype) for shape in shapes])

    return Cache([layer(kind) for kind in config.kinds[: config.period]], jnp.zeros(rows, jnp.int32), empty=True)


def in_order(cache: Cache, row_R: jax.Array) -> Cache:
    """The cache whose row r is row row_R[r] of this one."""

    def layer(layer):
        if not isinstance(layer, LayerCache):
            return jax.tree.map(lambda x: x[row_R], layer)
        taken = jax.tree.map(lambda x: x.reshape(-1, *x.shape[-3:])[row_R], layer)  # a lone row has no axis of rows
        return jax.tree.map(lambda x: x[0], taken) if len(row_R) == 1 else taken

    return Cache([layer(each) for each in cache.layers], cache.length_B[row_R])


def extend(cache, kind: AttentionKind, config: ModelConfig, k_BTGK, v_BTGK, start_B, real_B=None) -> LayerCache | DilatedCache:
    """`cache` with T new positions, rounded to the compute type, written from index `start_B[b]` on.

    A dilated layer's keeps no padding, which comes after `real_B[b]` of them (None: there is none): it has no room beyond a segment.
    """
    if isinstance(kind, Dilated):
        return _extend_dilated(cache, kind, config, k_BTGK, v_BTGK, start_B, start_B + (k_BTGK.shape[1] if real_B is None else real_B))
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


def held_positions(segment: int, dilation: int, cached_BHMK: jax.Array, end_B: jax.Array) -> jax.Array:
    """int32[B, H, M]: the positions that a branch's cache has room for, in the segment of the last position before `end_B`; what is not
    before `end_B` is not filled yet."""
    H, M = cached_BHMK.shape[1:3]
    place_HM = jnp.arange(H)[:, None] % dilation + dilation * jnp.arange(M)
    return ((end_B - 1) // segment * segment)[:, None, None] + place_HM


def _extend_dilated(cache: DilatedCache, kind: Dilated, config: ModelConfig, k_BTGK, v_BTGK, start_B, end_B) -> DilatedCache:
    def written(old_BHMK: jax.Array, new_BTGK: jax.Array, w: int, r: int) -> jax.Array:
        new_BTHK = jnp.repeat(new_BTGK, config.heads // config.groups, 2).astype(config.dtype).astype(old_BHMK.dtype)
        position_BHM = held_positions(w, r, old_BHMK, end_B)
        index_BHM = jnp.clip(position_BHM - start_B[:, None, None], 0, new_BTHK.shape[1] - 1)
        found_BHMK = jnp.take_along_axis(new_BTHK.swapaxes(1, 2), index_BHM[..., None], 2)
        is_new = (position_BHM >= start_B[:, None, None]) & (position_BHM < end_B[:, None, None])
        return jnp.where(is_new[..., None], found_BHMK, old_BHMK)

    def all_written(old: list[jax.Array], new_BTGK: jax.Array) -> list[jax.Array]:
        return [written(x, new_BTGK, w, r) for x, w, r in zip(old, kind.segments, kind.dilations, strict=True)]

    return DilatedCache(all_written(cache.k_BHMK, k_BTGK), all_written(cache.v_BHMK, v_BTGK))
