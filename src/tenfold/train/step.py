"""One update, and one measurement. Pure functions; nothing here knows which family it trains."""

import math
import zlib
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from tenfold.model.config import ModelConfig
from tenfold.model.moe import Routing, no_routing
from tenfold.model.params import Params
from tenfold.objectives.causal import LossSums, causal_loss
from tenfold.objectives.masked import chosen_count, masked_loss
from tenfold.objectives.spans import span_loss
from tenfold.train.frozen import Weights, own_weights
from tenfold.train.state import State


class DeviceBatch(NamedTuple):
    """Rows on the device, in A microbatches: int32 or f32 [A, B, T] each; of an encoder-decoder, targets and weights are [A, B, U]."""

    tokens_ABT: jax.Array
    targets_ABT: jax.Array
    weights_ABT: jax.Array
    segments_ABT: jax.Array | None
    decoder_ABU: jax.Array | None = None
    """What an encoder-decoder's decoder reads."""
    places_ABT: jax.Array | None = None
    """Where each token stands in its own document, where learned positions are to count from there."""


class RouterLosses(NamedTuple):
    """What a mixture of experts adds to the objective: these weights times means over its layers."""

    balance: float = 0.0
    """Of the load-balancing loss."""
    z: float = 0.0
    """Of the router's z-loss."""


NO_ROUTER_LOSSES = RouterLosses()


class Metrics(NamedTuple):
    """What a step tells of itself, in f32 scalars."""

    loss: jax.Array
    """Mean negative log-likelihood in nats per token that counts."""
    grad_norm: jax.Array
    routing: Routing | None = None
    """What the routers of a mixture of experts did: means over layers and microbatches, these by their tokens that count."""


def batch_loss(
    params, config: ModelConfig, tokens_BT, targets_BT, weights_BT, segments_BT, decoder_BU, places_BT=None, *, z_loss: float = 0.0, most=0
) -> LossSums:
    """Loss sums of a microbatch by the objective that the model is made for. `most`: as in `causal_loss`."""
    if decoder_BU is not None:
        real_BT = None if segments_BT is None else segments_BT > 0
        return span_loss(params, config, tokens_BT, decoder_BU, targets_BT, weights_BT, real_BT, z_loss)
    if config.causal:
        return causal_loss(params, config, tokens_BT, targets_BT, weights_BT, segments_BT, z_loss, places_BT, most)
    most = chosen_count(tokens_BT.shape[1])  # of noise.Masked's rows
    return masked_loss(params, config, tokens_BT, targets_BT, weights_BT, segments_BT, z_loss, most)


def train_step(
    config: ModelConfig,
    optimizer: optax.GradientTransformation,
    z_loss: float,
    state: State,
    batch: DeviceBatch,
    base: Params | None = None,
    router: RouterLosses = NO_ROUTER_LOSSES,
    weights: Weights = own_weights,
    seed: int = 0,
    most: int = 0,
):
    """(new State, Metrics). Losses are means over the batch's real tokens, however it is cut into microbatches or devices.

    A mixture's router losses are those of each microbatch, whose tokens alone are balanced against each other.
    `weights(state.params, base, keys_B)` is the model: what is trained, put together with what is not. What it draws at random is by keys
    that are functions of `seed`, the step and the row's place in the batch. `most`: no row has more places that count; 0: all may.
    """
    keys_AB = row_keys(seed, state.step, batch.tokens_ABT.shape[:2])
    weight = jnp.maximum(batch.weights_ABT.sum(), 1)

    def objective(params, keys_B, *microbatch):
        sums = batch_loss(weights(params, base, keys_B), config, *microbatch, z_loss=z_loss, most=most)
        if sums.routing is None:
            return sums.loss / weight, (sums.nll / weight, None)
        routing = sums.routing.scaled(1 / weight)
        return sums.loss / weight + router.balance * routing.balance_loss + router.z * routing.z_loss, (sums.nll / weight, routing)

    gradient = jax.value_and_grad(objective, has_aux=True)

    def add_microbatch(carry, microbatch):
        (_, means), grads = gradient(state.params, *microbatch)
        return jax.tree.map(jnp.add, carry, (means, grads)), None

    if batch.tokens_ABT.shape[0] == 1:
        (_, (loss, routing)), grads = gradient(state.params, *jax.tree.map(lambda a: a[0], (keys_AB, *batch)))
    else:
        no_means = (jnp.float32(0), no_routing(config) if config.experts else None)
        zero = (no_means, jax.tree.map(jnp.zeros_like, state.params))
        ((loss, routing), grads), _ = jax.lax.scan(add_microbatch, zero, (keys_AB, *batch))

    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return State(state.step + 1, params, opt_state), Metrics(loss, optax.tree.norm(grads), routing)


def row_keys(seed: int, step: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """A random key for each row of a step's batch: of the same rows the same, into however many microbatches they are cut."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), zlib.crc32(b"rows of a step") & 0x7FFFFFFF), step)
    return jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(math.prod(shape))).reshape(shape)


def jit_train_step(
    config: ModelConfig,
    optimizer: optax.GradientTransformation,
    z_loss: float,
    shardings: State,
    router: RouterLosses = NO_ROUTER_LOSSES,
    weights: Weights = own_weights,
    seed: int = 0,
    most: int = 0,
) -> Callable:
    """`train_step` compiled, with its state donated and kept where it lies. XLA compiles once for each batch size."""
    step = partial(train_step, config, optimizer, z_loss, router=router, weights=weights, seed=seed, most=most)
    return jax.jit(step, donate_argnums=0, out_shardings=(shardings, None))


def evaluate_step(config: ModelConfig, params, batch: DeviceBatch) -> LossSums:
    """Loss sums of the first microbatch."""
    return batch_loss(params, config, *jax.tree.map(lambda a: a[0], tuple(batch)))
