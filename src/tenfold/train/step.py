"""One update, and one measurement. Pure functions; nothing here knows which family it trains."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from tenfold.model.config import ModelConfig
from tenfold.objectives.causal import LossSums, causal_loss
from tenfold.train.state import State


class DeviceBatch(NamedTuple):
    """Rows on the device, in A microbatches: int32 or f32 [A, B, T] each."""

    tokens_ABT: jax.Array
    targets_ABT: jax.Array
    weights_ABT: jax.Array
    segments_ABT: jax.Array | None


class Metrics(NamedTuple):
    loss: jax.Array
    """Mean negative log-likelihood in nats per token that counts."""
    grad_norm: jax.Array


def train_step(config: ModelConfig, optimizer: optax.GradientTransformation, z_loss: float, state: State, batch: DeviceBatch):
    """(new State, Metrics). Losses are means over the batch's real tokens, however it is cut into microbatches or devices."""
    weight = jnp.maximum(batch.weights_ABT.sum(), 1)

    def objective(params, tokens_BT, targets_BT, weights_BT, segments_BT):
        sums = causal_loss(params, config, tokens_BT, targets_BT, weights_BT, segments_BT, z_loss)
        return sums.loss / weight, sums.nll / weight

    gradient = jax.value_and_grad(objective, has_aux=True)

    def add_microbatch(carry, microbatch):
        (_, loss), grads = gradient(state.params, *microbatch)
        return jax.tree.map(jnp.add, carry, (loss, grads)), None

    if batch.tokens_ABT.shape[0] == 1:
        (_, loss), grads = gradient(state.params, *jax.tree.map(lambda a: a[0], tuple(batch)))
    else:
        zero = (jnp.float32(0), jax.tree.map(jnp.zeros_like, state.params))
        (loss, grads), _ = jax.lax.scan(add_microbatch, zero, tuple(batch))

    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return State(state.step + 1, params, opt_state), Metrics(loss, optax.tree.norm(grads))


def jit_train_step(config: ModelConfig, optimizer: optax.GradientTransformation, z_loss: float, shardings: State) -> Callable:
    """`train_step` compiled, with its state donated and kept where it lies. XLA compiles once for each batch size."""
    return jax.jit(partial(train_step, config, optimizer, z_loss), donate_argnums=0, out_shardings=(shardings, None))


def evaluate_step(config: ModelConfig, params, batch: DeviceBatch) -> LossSums:
    """Loss sums of the first microbatch."""
    tokens_BT, targets_BT, weights_BT, segments_BT = jax.tree.map(lambda a: a[0], tuple(batch))
    return causal_loss(params, config, tokens_BT, targets_BT, weights_BT, segments_BT)
