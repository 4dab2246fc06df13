"""Only the places that count: a head is asked at them alone, where no row has many.

Shapes: B, T, D as in model/config.py; K places that may count of each row.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from tenfold.sharding.axes import constrain, sequence_parts


class Counted(NamedTuple):
    """What is left of rows, in the order of their places."""

    x_BKD: jax.Array
    targets_BK: jax.Array
    weights_BK: jax.Array
    places_BK: jax.Array


def counted(x_BTD: jax.Array, targets_BT: jax.Array, weights_BT: jax.Array, most: int) -> Counted:
    """The `most` heaviest places of each row; of places of one weight, the first. `most` is at least the places of a row that count."""
    weights_BK, places_BK = jax.lax.top_k(weights_BT, most)
    x_BKD = constrain(jnp.take_along_axis(x_BTD, places_BK[..., None], 1), "batch", None, None)
    return Counted(x_BKD, jnp.take_along_axis(targets_BT, places_BK, 1), weights_BK, places_BK)


def are_few(most: int, places: int) -> bool:
    """Whether `most` places (0: nobody knows how many) of so many a row are worth being taken out; rows cut over devices stay whole."""
    return 0 < most < places and sequence_parts() == 1


def put_back(values_BK: jax.Array, places_BK: jax.Array, places: int) -> jax.Array:
    """[B, T]: the values where they were taken from, and 0 elsewhere."""
    zeros_BT = jnp.zeros((values_BK.shape[0], places), values_BK.dtype)
    return jnp.put_along_axis(zeros_BT, places_BK, values_BK, 1, inplace=False)
