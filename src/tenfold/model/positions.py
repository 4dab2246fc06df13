"""How attention knows places: rotary embeddings, xPos, ALiBi, and T5's relative buckets. Learned positions are a table in params.py.

Shapes: as config.py; J pairs of a head that turn together. Sources: rotary, Su et al. 2021, eq. 34; xPos, Sun et al. 2022, algorithm 1;
ALiBi, Press et al. 2022, section 3; relative buckets, Raffel et al. 2020, section 2.1, as their code does it.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.model.config import XPOS_LONGEST, ModelConfig

XPOS_GAMMA, XPOS_BASE = 0.4, 512  # of the xPos paper
LONG = 65536
"""The context beyond which a position times a frequency, in f32, would be an angle too coarse: from there on turns are made of digits."""


class Turns(NamedTuple):
    """What queries and keys at some positions are turned by; the same in every layer."""

    cos_BTJ: jax.Array
    sin_BTJ: jax.Array
    decay_BTJ: jax.Array | None
    """xPos, in contexts up to XPOS_LONGEST: queries are multiplied by it, keys divided."""


def turns(config: ModelConfig, positions_BT: jax.Array) -> Turns | None:
    """The turns of `rotary` and `xpos` models at these positions; None for others."""
    if config.positions not in ("rotary", "xpos"):
        return None
    R = config.rotated
    share_J = jnp.arange(0, R, 2, dtype=jnp.float32) / R
    if config.context > LONG:
        return Turns(*_long_turns(positions_BT, config.rotary_base ** (-np.arange(0, R, 2) / R)), None)
    angle_BTJ = positions_BT[..., None].astype(jnp.float32) * config.rotary_base**-share_J
    decay_BTJ = None
    if config.positions == "xpos":
        # Only differences of positions matter, so they count from the context's middle: the powers stay near 1.
        away_BT1 = (positions_BT - config.context // 2)[..., None] / XPOS_BASE
        decay_BTJ = ((share_J + XPOS_GAMMA) / (1 + XPOS_GAMMA)) ** away_BT1
    return Turns(jnp.cos(angle_BTJ), jnp.sin(angle_BTJ), decay_BTJ)


def _long_turns(positions_BT: jax.Array, frequency_J: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """cos and sin of position times frequency, f32[B, T, J], as near at 2^31 as at 1: a position's turn is that of its four digits to the
    base of 256, one after the other, each looked up in a table made in f64."""
    cos_BTJ: jax.Array | float = 1.0
    sin_BTJ: jax.Array | float = 0.0
    for bits in (0, 8, 16, 24):
        angle_XJ = (np.arange(256)[:, None] * 2.0**bits) * frequency_J
        digit_BT = positions_BT >> bits & 255
        cos, sin = (jnp.asarray(table(angle_XJ), jnp.float32)[digit_BT] for table in (np.cos, np.sin))
        cos_BTJ, sin_BTJ = cos_BTJ * cos - sin_BTJ * sin, sin_BTJ * cos + cos_BTJ * sin
    return jnp.asarray(cos_BTJ), jnp.asarray(sin_BTJ)


def turn(x_BTHK: jax.Array, by: Turns, config: ModelConfig, key: bool = False) -> jax.Array:
    """Queries, or keys, with the first `rotated` numbers of each head turned pair by pair."""
    R = config.rotated
    turned, rest = x_BTHK[..., :R], x_BTHK[..., R:]
    cos, sin = by.cos_BTJ[:, :, None], by.sin_BTJ[:, :, None]
    if config.rotary_pairs == "halves":
        a, b = turned[..., : R // 2], turned[..., R // 2 :]
    else:
        a, b = turned[..., ::2], turned[..., 1::2]
    a, b = a * cos - b * sin, b * cos + a * sin
    if by.decay_BTJ is not None:
        decay = 1 / by.decay_BTJ if key else by.decay_BTJ
        a, b = a * decay[:, :, None], b * decay[:, :, None]
    if config.rotary_pairs == "halves":
        return jnp.concatenate([a, b, rest], -1)
    return jnp.concatenate([jnp.stack([a, b], -1).reshape(turned.shape), rest], -1)


def xpos_decay(config: ModelConfig) -> tuple[float, ...] | None:
    """The logarithm of what each number of a product of query and key is multiplied by for each position between them (xPos, equation 11),
    where no one factor for each position could hold it; None for others."""
    if config.positions != "xpos" or config.context <= XPOS_LONGEST:
        return None
    R = config.rotated
    decay_J = np.log((np.arange(0, R, 2) / R + XPOS_GAMMA) / (1 + XPOS_GAMMA)) / XPOS_BASE
    decay_R = np.tile(decay_J, 2) if config.rotary_pairs == "halves" else np.repeat(decay_J, 2)
    return (*decay_R.tolist(), *[0.0] * (config.width - R))


def alibi_slopes(config: ModelConfig) -> tuple[float, ...] | None:
    """What a head's scores lose for each position of distance; None but for `alibi` models. Heads that are no power of two as in the
    paper's code: the slopes of the next lower power, then every other one of the next higher."""
    if config.positions != "alibi":
        return None
    power = 2 ** math.floor(math.log2(config.heads))
    slopes = [2 ** (-8 * (head + 1) / power) for head in range(power)]
    slopes += [2 ** (-4 * (head + 1) / power) for head in range(0, 2 * (config.heads - power), 2)]
    return tuple(slope / math.sqrt(config.width) if config.alibi_scaled else slope for slope in slopes)


def relative_bias(table_WH: jax.Array, config: ModelConfig, positions_BT: jax.Array, positions_BS: jax.Array, causal: bool) -> jax.Array:
    """f32[B, H, T, S]: what each head adds to the score of a query and a key at their positions (those of keys: [B, S] or [S]), by T5's
    buckets."""
    distance_BTS = positions_BT[..., None] - positions_BS[..., None, :]
    return jnp.moveaxis(table_WH[buckets(distance_BTS, config.relative_buckets, config.relative_distance, causal)], -1, 1)


def buckets(distance: jax.Array, count: int, furthest: int, causal: bool) -> jax.Array:
    """The bucket of each distance (query less key): half of them one distance each, the others growing as its logarithm."""
    first: jax.Array | int = 0
    if causal:
        distance = jnp.maximum(distance, 0)
    else:
        count //= 2
        first = jnp.where(distance < 0, count, 0)
        distance = jnp.abs(distance)
    exact = count // 2
    ratio = jnp.log(jnp.maximum(distance, 1).astype(jnp.float32) / exact) / math.log(furthest / exact)
    large = jnp.minimum(exact + (ratio * (count - exact)).astype(jnp.int32), count - 1)
    return first + jnp.where(distance < exact, distance, large)
