"""Drawing the next token. Pure: the same logits, keys and settings give the same tokens.

Shapes: B batch rows, V vocab. Sources: top-k, Fan et al. 2018, section 5.4; nucleus (top-p), Holtzman et al. 2020, section 3.1.
In the order of the Hugging Face library: temperature, then top-k, then top-p of what top-k left.

A row's randomness is its key and the position it writes to, nothing else: not its neighbours, not the number of rows, not how
prompts were padded.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

BLOCK = 128
"""Logits of which the largest is found together."""


def row_keys(seed: int, rows: int) -> jax.Array:
    """A key for each row of a call, key[B]: the seed's key with the row's number folded in, so equal prompts get different texts."""
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), jnp.arange(rows, dtype=jnp.uint32))


def position_keys(key_B: jax.Array, position_B: jax.Array) -> jax.Array:
    """The keys with which rows draw the tokens that will stand at `position_B`."""
    return jax.vmap(jax.random.fold_in)(key_B, position_B)


def sample(logits_BV: jax.Array, key_B: jax.Array, temperature, top_k, top_p) -> jax.Array:
    """The next token of each row, int32[B]; V, which is no token, where a row's logits hold a NaN.

    `temperature` >= 0 (0: the likeliest token, the first of equals), `top_k` >= 0 (0: all) and `top_p` in (0, 1] are numbers or arrays [B].
    None of them is compiled in, and what no row asks for is not computed.
    """
    B = logits_BV.shape[0]
    temperature_B = jnp.broadcast_to(jnp.asarray(temperature, jnp.float32), B)
    top_k_B = jnp.broadcast_to(jnp.asarray(top_k, jnp.int32), B)
    top_p_B = jnp.broadcast_to(jnp.asarray(top_p, jnp.float32), B)
    greedy_B = first_largest(logits_BV)

    def drawn_B():
        score_BV = restrict(scale(logits_BV, temperature_B), top_k_B, top_p_B)
        noise_BV = jax.vmap(lambda key: jax.random.gumbel(key, score_BV.shape[1:]))(key_B)
        return jnp.where(temperature_B > 0, first_largest(score_BV + noise_BV), greedy_B)

    return jax.lax.cond(jnp.any(temperature_B > 0), drawn_B, lambda: greedy_B)


def scale(logits_BV: jax.Array, temperature_B: jax.Array) -> jax.Array:
    """f32[B, V]: 0 for the likeliest token and less for others, however small the temperature; temperature 0 counts as 1."""
    below_BV = logits_BV.astype(jnp.float32) - logits_BV.max(-1, keepdims=True)
    return below_BV / jnp.where(temperature_B > 0, temperature_B, 1)[:, None]


def restrict(score_BV: jax.Array, top_k_B: jax.Array, top_p_B: jax.Array) -> jax.Array:
    """The scores with -inf for what top-k and top-p leave out. Scores are log-probabilities less any constant, and at most 0."""
    V = score_BV.shape[1]

    def cut_k(score_BV):
        need_B = jnp.where(top_k_B > 0, jnp.minimum(top_k_B, V), V).astype(jnp.float32)
        return jnp.where(keep_largest(score_BV, jnp.ones_like, need_B), score_BV, -jnp.inf)

    def cut_p(score_BV):
        keep_BV = keep_largest(score_BV, jnp.exp, top_p_B * jnp.exp(score_BV).sum(-1))
        return jnp.where(keep_BV | (top_p_B >= 1)[:, None], score_BV, -jnp.inf)

    score_BV = jax.lax.cond(jnp.any(top_k_B > 0), cut_k, lambda s: s, score_BV)
    return jax.lax.cond(jnp.any(top_p_B < 1), cut_p, lambda s: s, score_BV)


def keep_largest(score_BV: jax.Array, weight: Callable[[jax.Array], jax.Array], need_B: jax.Array) -> jax.Array:
    """bool[B, V]: the fewest entries of largest score whose weights add up to at least `need_B`; of equal scores the first.

    No sort: the smallest score that stays is found bit by bit in 32 passes, which XLA's CPU does many times faster.
    """
    order_BV = ordered_bits(score_BV)
    weight_BV = weight(score_BV)

    def weight_of(mask_BV):
        return jnp.where(mask_BV, weight_BV, 0).sum(-1)

    def set_bit(i, floor_B):
        higher_B = floor_B | (jnp.uint32(1) << (31 - i).astype(jnp.uint32))
        return jnp.where(weight_of(order_BV >= higher_B[:, None]) >= need_B, higher_B, floor_B)

    floor_B = jax.lax.fori_loop(0, 32, set_bit, jnp.zeros_like(need_B, jnp.uint32))
    above_BV, equal_BV = order_BV > floor_B[:, None], order_BV == floor_B[:, None]
    left_B1 = (need_B - weight_of(above_BV))[:, None]

    def first_equals():
        rank_BV = jnp.cumsum(equal_BV, -1) - 1
        return equal_BV & (rank_BV * weight_BV < left_B1)

    several = jnp.any(equal_BV.sum(-1) > 1)
    return above_BV | jax.lax.cond(several, first_equals, lambda: equal_BV)


def ordered_bits(x: jax.Array) -> jax.Array:
    """uint32 in the order of the f32 numbers `x`: the bits, with the sign turned so that negative numbers come first."""
    bits = jax.lax.bitcast_convert_type(jnp.where(x == 0, 0.0, x), jnp.uint32)  # -0.0 is the equal of 0.0
    return jnp.where(bits >> 31 == 1, ~bits, bits | jnp.uint32(1 << 31))


def first_largest(x_BV: jax.Array) -> jax.Array:
    """argmax over V, int32[B], and V where that is a NaN, which counts as infinity.

    By blocks: the largest of each, and of the first with the largest of all each entry. XLA's CPU does not vectorise its argmax, and two
    reductions over V would write V numbers between them.
    """
    B, V = x_BV.shape
    N = -(-V // BLOCK)
    x_BNW = jnp.pad(x_BV, ((0, 0), (0, N * BLOCK - V)), constant_values=-jnp.inf).reshape(B, N, BLOCK)
    block_B = _first(jax.lax.optimization_barrier(_nan_is_largest(x_BNW).max(-1)))
    place_BW = jnp.minimum(block_B[:, None] * BLOCK + jnp.arange(BLOCK), V - 1)
    block_BW = jnp.take_along_axis(x_BV, place_BW, 1)
    found_B = jnp.take_along_axis(place_BW, _first(_nan_is_largest(block_BW))[:, None], 1)[:, 0]
    return jnp.where(jnp.isnan(jnp.take_along_axis(x_BV, found_B[:, None], 1)[:, 0]), V, found_B)


def _nan_is_largest(x: jax.Array) -> jax.Array:
    """Else a NaN could be passed over: XLA's CPU takes the larger of it and a number to be the number, for some shapes."""
    return jnp.where(jnp.isnan(x), jnp.inf, x)


def _first(x_BN: jax.Array) -> jax.Array:
    N = x_BN.shape[1]
    return jnp.where(x_BN == x_BN.max(-1, keepdims=True), jnp.arange(N, dtype=jnp.int32), N).min(-1)
