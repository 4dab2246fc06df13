"""Attention of some queries over some keys, each with its place in the row: what devices compute that hold parts of a row.

A tile of queries meets a tile of keys at a time, so that what is held does not grow with either (Dao et al. 2022, FlashAttention,
algorithms 1 and 4), and tiles that see nothing of each other are passed over. Log-sum-exps come out, so that results over other keys can be
joined (`blocked.joined`), and the log-sum-exp and result over all keys go into the gradients.

Shapes: B rows, H, K as in model/config.py; T queries, S keys.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.model.attention.blocked import HIDDEN, NOBODY, Pattern
from tenfold.model.matmul import dot, fixed

TILE = 512
"""Queries, and keys, of a tile."""
ROWS_HEADS = 64
"""Rows times heads that are attended to at once, or one row."""
BEYOND = 2**31 - 1
"""The place of keys that fill up the last tile."""


class Distance(NamedTuple):
    """What distance costs, for each unit of it."""

    slopes_H: jax.Array | None = None
    """What scores lose (ALiBi)."""
    decay_K: np.ndarray | None = None
    """The logarithm, at most 0, of what each number of a query's or key's product is multiplied by (xPos)."""

    @property
    def tile(self) -> int:
        """Positions of a tile: few enough that decay over its length is within float32, with room for the numbers that decay."""
        steepest = 0.0 if self.decay_K is None else -float(self.decay_K.min())
        return TILE if steepest == 0 else max(1, min(TILE, int(40 / steepest)))


class Places(NamedTuple):
    """Where queries or keys stand."""

    place_T: jax.Array
    """int32: greater is later. The distance between two is the difference."""
    document_BHT: jax.Array | None
    """int32[B, 1 or H, T]: what is of one document sees each other; None: all is of one."""


def mix_tiles(q, k, v, queries: Places, keys: Places, pattern: Pattern, distance: Distance) -> tuple[jax.Array, jax.Array]:
    """softmax(q k^T) v, f32[B, H, T, K], and the scores' log-sum-exp, f32[B, H, T]: 0 and HIDDEN where a query sees no key.

    q (scaled), k, v: [B, H, T or S, K] of the compute type. `distance` says what distance costs; the pattern, which has that by positions
    and for all heads of the model, is not asked.
    """

    def some_rows(rows):
        q, k, v, query_documents, key_documents = rows
        key_tiles = _tiles_of((k, v), Places(keys.place_T, key_documents), BEYOND, distance.tile)

        def query_tile(tile):
            q, asking = tile

            def meet(carry, tile):
                k, v, own = tile
                visit = functools.partial(_meet, q, k, v, asking, own, pattern, distance)
                return jax.lax.cond(_any_seen(asking.place_T, own.place_T, pattern), visit, lambda carry: carry, carry), None

            start = jnp.zeros(q.shape, jnp.float32), jnp.full(q.shape[:3], HIDDEN), jnp.zeros(q.shape[:3])
            (mixed, top, total), _ = jax.lax.scan(meet, start, key_tiles)
            some = jnp.maximum(total, 1e-37)
            return mixed / some[..., None], jnp.where(total > 0, top + jnp.log(some), HIDDEN)

        found = jax.lax.map(query_tile, _tiles_of((q,), Places(queries.place_T, query_documents), 0, distance.tile))
        return tuple(_joined_tiles(x, q.shape[2]) for x in found)

    return _rows_in_turn(some_rows, (q, k, v, queries.document_BHT, keys.document_BHT))


def _meet(q, k, v, asking: Places, own: Places, pattern: Pattern, distance: Distance, carry):
    """The sums over keys (result, largest score, weights) of a tile of queries, with those of a tile of keys."""
    mixed, top, total = carry
    q_decay, k_decay = _decays(asking, own, distance)
    scores = _product(_times(q, q_decay), _times(k, k_decay), 3, 3)
    scores, seen = _scores(scores, asking, own, pattern, distance.slopes_H)
    new_top = jnp.maximum(top, scores.max(-1))
    weights = jnp.where(seen, jnp.exp(scores - new_top[..., None]), 0)
    shrink = jnp.exp(top - new_top)
    added = fixed(_product(weights.astype(pattern.dtype), v, 3, 2))
    return mixed * shrink[..., None] + added, new_top, total * shrink + weights.sum(-1)


def mix_tiles_gradients(q, k, v, g, whole, queries: Places, keys: Places, pattern: Pattern, distance: Distance):
    """(dq, dk, dv) of `mix_tiles`, f32[B, H, T or S, K]. `g` is the result's gradient, of the compute type. `whole` is, of the softmax
    over all keys, of which these may be a part, the sum over K of g times the result, and the log-sum-exp: f32[B, H, T] each.
    """

    def some_rows(rows):
        q, k, v, g, delta, logsumexp, query_documents, key_documents = rows
        query_tiles = _tiles_of((q, g, delta, logsumexp), Places(queries.place_T, query_documents), 0, distance.tile)

        def key_tile(dq, tile):
            k, v, own = tile

            def meet(carry, tile):
                (*query_tile, asking), dq = tile
                visit = functools.partial(_meet_gradients, query_tile, k, v, asking, own, pattern, distance)
                carry = *carry, dq
                dk, dv, dq = jax.lax.cond(_any_seen(asking.place_T, own.place_T, pattern), visit, lambda carry: carry, carry)
                return (dk, dv), dq

            of_keys, dq = jax.lax.scan(meet, (jnp.zeros(k.shape), jnp.zeros(v.shape)), (query_tiles, dq))
            return dq, of_keys

        tiles = query_tiles[0].swapaxes(3, 4)
        dq, (dk, dv) = jax.lax.scan(
            key_tile, jnp.zeros(tiles.shape), _tiles_of((k, v), Places(keys.place_T, key_documents), BEYOND, distance.tile)
        )
        return _joined_tiles(dq.swapaxes(3, 4), q.shape[2]), *(_joined_tiles(x, k.shape[2]) for x in (dk, dv))

    return _rows_in_turn(some_rows, (q, k, v, g, *whole, queries.document_BHT, keys.document_BHT))


def _meet_gradients(query_tile, k, v, asking: Places, own: Places, pattern: Pattern, distance: Distance, carry):
    """The gradients of a tile of keys (dk, dv: [B, H, S, K]) and a tile of queries (dq: [B, H, K, T]), with what they owe to each other.

    The products' operands lie as in blocked.py: transposed scores, so that nothing large is turned.
    """
    (q, g, delta, logsumexp), (dk, dv, dq) = query_tile, carry
    q_decay, k_decay = _decays(asking, own, distance)
    q, k = _times(q, q_decay), _times(k, k_decay)
    scores, seen = _scores(_product(k, q, 3, 3), own, asking, pattern, distance.slopes_H, keys_first=True)
    weights = jnp.where(seen, jnp.exp(scores - logsumexp[:, :, None]), 0)
    dscores = weights * (_product(v, g, 3, 3) - delta[:, :, None])
    weights, dscores = (x.astype(pattern.dtype) for x in (weights, dscores))
    dk += _times(fixed(_product(dscores, q, 3, 2)), k_decay)
    dv += fixed(_product(weights, g, 3, 2))
    dq += _times(fixed(_product(k.swapaxes(2, 3), dscores, 3, 2)), None if q_decay is None else q_decay.T)
    return dk, dv, dq


def _decays(asking: Places, own: Places, distance: Distance):
    """f32[T, K] and [S, K]: what queries and keys of a tile are multiplied by, so that their products decay with their distance (xPos).

    Decay counts from the tile's first query: of keys before it both are at most 1, of keys within the tile their powers are bounded. What
    underflows is a product that decays below float32's least number.
    """
    if distance.decay_K is None:
        return None, None
    origin, tile = asking.place_T[0], distance.tile
    after_T, before_S = jnp.maximum(asking.place_T - origin, 0), jnp.maximum(origin - own.place_T, 1 - tile)
    q_decay_TK, k_decay_SK = (jnp.exp(x[:, None].astype(jnp.float32) * distance.decay_K) for x in (after_T, before_S))
    return q_decay_TK, k_decay_SK


def _times(x, factor):
    """x times a factor, of x's type."""
    return x if factor is None else (x * factor).astype(x.dtype)


def _rows_in_turn(function, arrays: tuple):
    """`function` of so many rows of `arrays` at once as ROWS_HEADS says, one after the other."""
    B, H = arrays[0].shape[:2]
    together = max(n for n in range(1, B + 1) if B % n == 0 and (n == 1 or n * H <= ROWS_HEADS))
    if together == B:
        return function(arrays)
    pieces = jax.tree.map(lambda x: x.reshape(B // together, together, *x.shape[1:]), arrays)
    return jax.tree.map(lambda y: y.reshape(B, *y.shape[2:]), jax.lax.map(function, pieces))


def _product(a, b, contract_a: int, contract_b: int):
    return dot(a, b, ((contract_a,), (contract_b,)), ((0, 1), (0, 1)))


def _scores(scores, first: Places, second: Places, pattern: Pattern, slopes_H, keys_first: bool = False):
    """The scores of queries and keys (or keys and queries) with ALiBi's loss, HIDDEN where a key is not seen; and where it is."""
    first_T1, second_1S = first.place_T[:, None], second.place_T[None]
    before = second_1S - first_T1 if keys_first else first_T1 - second_1S
    seen = (first_T1 if keys_first else second_1S) < BEYOND
    if pattern.causal:
        seen &= (before >= 0) if pattern.window is None else (before >= 0) & (before < pattern.window)
    if first.document_BHT is not None and second.document_BHT is not None:
        one, other = first.document_BHT[..., None], second.document_BHT[:, :, None]
        seen = seen & (one == other) & (one != NOBODY)
    if slopes_H is not None:
        scores = scores - slopes_H[:, None, None] * jnp.abs(before).astype(jnp.float32)
    return jnp.where(seen, scores, HIDDEN), seen


def _any_seen(query_T, key_S, pattern: Pattern):
    """Whether any of the queries may see any of the keys, by their places."""
    if not pattern.causal:
        return key_S.min() < BEYOND
    near = True if pattern.window is None else query_T.min() - key_S.max() < pattern.window
    return (query_T.max() >= key_S.min()) & near


def _tiles_of(arrays: tuple, places: Places, beyond: int, most: int) -> tuple:
    """Arrays [B, H, T, ...] and places as stacks of tiles of `most` positions, or the last filled up with nobody's, at `beyond`."""
    size = min(places.place_T.shape[0], most)
    documents = None if places.document_BHT is None else _tiles(places.document_BHT, 2, size, NOBODY)
    return *(_tiles(x, 2, size, 0) for x in arrays), Places(_tiles(places.place_T, 0, size, beyond), documents)


def _tiles(x, axis: int, size: int, fill):
    """[..., T, ...] -> [tiles, ..., size, ...]"""
    count = -(-x.shape[axis] // size)
    missing = count * size - x.shape[axis]
    x = jnp.pad(x, [(0, missing if a == axis else 0) for a in range(x.ndim)], constant_values=fill) if missing else x
    return jnp.moveaxis(x.reshape(*x.shape[:axis], count, size, *x.shape[axis + 1 :]), axis, 0)


def _joined_tiles(x, length: int):
    """[tiles, B, H, size, ...] -> [B, H, length, ...]"""
    x = jnp.moveaxis(x, 0, 2)
    return x.reshape(*x.shape[:2], -1, *x.shape[4:])[:, :, :length]
