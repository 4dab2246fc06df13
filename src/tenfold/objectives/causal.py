"""Next-token prediction: cross-entropy over chunks of the vocabulary product.

The logits of a batch, f32[B, T, V], never exist whole: a chunk of positions at a time is multiplied with the embedding table, and the
gradient of that chunk is made on the spot, while its logits are at hand. That is three products of the head's size where
differentiating through a rematerialised head takes four. With the table cut over the vocabulary (tensor parallelism), each device
keeps its own columns: only per-token maxima, sums and target logits cross devices.

Shapes: B, T, D, V as in model/config.py; C positions of a chunk, N chunks.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from tenfold.model.config import ModelConfig
from tenfold.model.layers import plus
from tenfold.model.matmul import matmul_transposed, weight_gradient
from tenfold.model.moe import Routing
from tenfold.model.params import Params
from tenfold.model.transformer import Output, forward, head
from tenfold.objectives.counted import are_few, counted
from tenfold.sharding.axes import constrain, on_one_device
from tenfold.sharding.shards import summed_over_shards

CHUNK_ELEMENTS = 2**26  # of logits at once: 256 MiB of f32
SLAB = 128  # columns added up at once on a CPU
UNROLLED_CHUNKS = 16  # more are looped over


class LossSums(NamedTuple):
    """Sums over tokens, so that parts of a batch add up to the whole; divide by `weight` for means."""

    loss: jax.Array
    """The objective: negative log-likelihood in nats, plus z-loss where it is on."""
    nll: jax.Array
    """Negative log-likelihood in nats alone."""
    weight: jax.Array
    """Tokens that count."""
    routing: Routing | None = None
    """What the routers of a mixture of experts did: means over layers and all tokens, times `weight`."""


def causal_loss(
    params: Params, config: ModelConfig, tokens_BT, targets_BT, weights_BT, segments_BT=None, z_loss: float = 0.0, places_BT=None, most=0
) -> LossSums:
    """Sums of the losses of a batch. `segments_BT` masks attention across documents where given; with `places_BT`, learned positions count
    from each document's start. `most`: no row has more places that count; 0: all may."""
    output = forward(params, config, tokens_BT, segments_BT, places_BT=places_BT)
    return loss_sums(params, config, output, targets_BT, weights_BT, z_loss, most)


def loss_sums(params: Params, config: ModelConfig, output: Output, targets_BT, weights_BT, z_loss: float = 0.0, most: int = 0) -> LossSums:
    """Sums over the tokens of a forward pass, and what its routers did, for any objective that predicts tokens. The head reads `most`
    places of each row, where that is few."""
    (table_VD, bias_V), x_BTD = head(params), output.x_BTD
    if are_few(most, weights_BT.shape[1]):
        x_BTD, targets_BT, weights_BT, _ = counted(x_BTD, targets_BT, weights_BT, most)
    sums = token_losses(x_BTD, table_VD, targets_BT, weights_BT, config.dtype, z_loss, bias_V)
    return sums if output.routing is None else sums._replace(routing=output.routing.mean().scaled(sums.weight))


def token_losses(x_BTD, table_VD, targets_BT, weights_BT, dtype: str, z_loss: float = 0.0, bias_V=None) -> LossSums:
    """Sums of -log softmax(x @ table^T + bias)[target] * weight over tokens; z-loss adds z_loss * log(Z)^2 (PaLM, section 5)."""
    loss, nll = _token_losses(x_BTD, table_VD, bias_V, targets_BT, weights_BT, dtype, z_loss)
    return LossSums(loss, nll, weights_BT.sum())


def token_logprobs(x_BTD: jax.Array, table_VD: jax.Array, targets_BT: jax.Array, dtype: str, bias_V: jax.Array | None = None) -> jax.Array:
    """f32[B, T]: the natural log of each target's probability, the logits made a chunk at a time."""

    def chunk_logprobs(_, chunk):
        x_BCD, targets_BC = chunk
        logz_BC, target_BC = _normaliser_and_target(_logits(x_BCD, table_VD, bias_V, dtype), targets_BC)
        return None, target_BC - logz_BC

    _, logprobs_NBC = _scan(chunk_logprobs, None, _chunks(table_VD.shape[0], x_BTD, targets_BT))
    return jnp.moveaxis(logprobs_NBC, 0, 1).reshape(targets_BT.shape)


def chunk_length(B: int, T: int, V: int) -> int:
    """Positions of every row whose logits are made at once: the largest divisor of T that keeps within CHUNK_ELEMENTS."""
    fits = [n for n in range(1, min(T, CHUNK_ELEMENTS // (B * V)) + 1) if T % n == 0]
    return max(fits, default=1)


@partial(jax.custom_vjp, nondiff_argnums=(5, 6))
def _token_losses(x_BTD, table_VD, bias_V, targets_BT, weights_BT, dtype, z_loss):
    """(objective, nll), both summed over tokens. Only the first is differentiated."""
    return summed_over_shards(partial(_sums, dtype=dtype, z_loss=z_loss), x_BTD, targets_BT, weights_BT, whole=(table_VD, bias_V))


def _sums(x_BTD, targets_BT, weights_BT, table_VD, bias_V, dtype, z_loss):
    table_VD = table_VD.astype(dtype)

    def add_chunk(sums, chunk):
        x_BCD, targets_BC, weights_BC = chunk
        logz_BC, target_BC = _normaliser_and_target(_logits(x_BCD, table_VD, bias_V, dtype), targets_BC)
        return _add_losses(sums, logz_BC, target_BC, weights_BC, z_loss), None

    chunks = _chunks(table_VD.shape[0], x_BTD, targets_BT, weights_BT)
    return _scan(add_chunk, (jnp.float32(0), jnp.float32(0)), chunks)[0]


def _forward_with_gradients(x_BTD, table_VD, bias_V, targets_BT, weights_BT, dtype, z_loss):
    both = partial(_sums_and_gradients, dtype=dtype, z_loss=z_loss)
    (sums, *of_weights), dx_BTD = summed_over_shards(both, x_BTD, targets_BT, weights_BT, whole=(table_VD, bias_V), kept=True)
    return sums, (*of_weights, dx_BTD)


def _sums_and_gradients(x_BTD, targets_BT, weights_BT, table_VD, bias_V, dtype, z_loss):
    """((sums, gradients of the table and the bias), the gradient of x)"""
    table_VD = table_VD.astype(dtype)

    def add_chunk(carry, chunk):
        sums, dtable_DV, dbias_V = carry
        x_BCD, targets_BC, weights_BC = chunk
        logits_BCV = _logits(x_BCD, table_VD, bias_V, dtype)
        logz_BC, target_BC = _normaliser_and_target(logits_BCV, targets_BC)
        softmax_BCV = jnp.exp(logits_BCV - logz_BC[..., None])
        scale_BC = weights_BC * (1 + 2 * z_loss * logz_BC)
        dlogits_BCV = softmax_BCV * scale_BC[..., None] - jnp.where(_hit(logits_BCV, targets_BC), weights_BC[..., None], 0)
        dbias_V = None if bias_V is None else dbias_V + dlogits_BCV.sum((0, 1))
        dlogits_BCV = dlogits_BCV.astype(dtype)
        dtable_DV += weight_gradient(x_BCD.astype(dtype), dlogits_BCV)
        dx_BCD = jnp.einsum("bcv,vd->bcd", dlogits_BCV, table_VD, preferred_element_type=jnp.float32)
        return (_add_losses(sums, logz_BC, target_BC, weights_BC, z_loss), dtable_DV, dbias_V), dx_BCD

    V, D = table_VD.shape
    start = ((jnp.float32(0), jnp.float32(0)), jnp.zeros((D, V), jnp.float32), None if bias_V is None else jnp.zeros(V, jnp.float32))
    (sums, dtable_DV, dbias_V), dx_NBCD = _scan(add_chunk, start, _chunks(V, x_BTD, targets_BT, weights_BT))
    dx_BTD = jnp.moveaxis(dx_NBCD, 0, 1).reshape(x_BTD.shape)
    return (sums, dtable_DV, dbias_V), dx_BTD


def _backward(dtype, z_loss, gradients, cotangents):
    scale, _ = cotangents
    dtable_DV, dbias_V, dx_BTD = gradients
    return dx_BTD * scale, (dtable_DV * scale).T, None if dbias_V is None else dbias_V * scale, None, None


_token_losses.defvjp(_forward_with_gradients, _backward)


def _add_losses(sums, logz_BC, target_BC, weights_BC, z_loss):
    nll_BC = logz_BC - target_BC
    loss_BC = nll_BC + z_loss * jnp.square(logz_BC)
    return sums[0] + (loss_BC * weights_BC).sum(), sums[1] + (nll_BC * weights_BC).sum()


def _logits(x_BCD, table_VD, bias_V, dtype):
    return constrain(plus(matmul_transposed(x_BCD, table_VD, dtype), bias_V), "batch", None, "vocab")


def _hit(logits_BCV, targets_BC):
    """Where each target lies, as a mask: a comparison stays on the device that holds the column."""
    return targets_BC[..., None] == jnp.arange(logits_BCV.shape[-1])


def _normaliser_and_target(logits_BCV, targets_BC):
    """(log Z, the target's logit), f32[B, C] each."""
    if not on_one_device("cpu"):
        return jax.nn.logsumexp(logits_BCV, axis=-1), jnp.where(_hit(logits_BCV, targets_BC), logits_BCV, 0).sum(-1)
    target_BC = jnp.take_along_axis(logits_BCV, targets_BC[..., None], -1)[..., 0]
    return _normaliser_on_cpu(logits_BCV, target_BC), target_BC


def _normaliser_on_cpu(logits_BCV, target_BC):
    """log Z in one pass over the logits: shifted by the target's logit the sum is at least 1, so it cannot vanish.

    It overflows where a target is 88 nats or more less likely than another token; then the shift is the largest logit, as usual.
    """
    total_BC = _sum_of_exponentials(logits_BCV, target_BC)
    shifted_by_target = target_BC + jnp.log(total_BC)
    return jax.lax.cond(jnp.isfinite(total_BC).all(), lambda: shifted_by_target, lambda: jax.nn.logsumexp(logits_BCV, axis=-1))


def _sum_of_exponentials(logits_BCV, shift_BC):
    """f32[B, C]: the sum over V of exp(logits - shift), added up slab by slab.

    From a plain reduction XLA's CPU backend makes one loop that writes the exponentials to memory and another that adds them up.
    """
    V = logits_BCV.shape[-1]
    slabs = V // SLAB

    def add(number, total_BCS):
        slab_BCS = jax.lax.dynamic_slice_in_dim(logits_BCV, number * SLAB, SLAB, -1)
        return total_BCS + jnp.exp(slab_BCS - shift_BC[..., None])

    rest_BC = jnp.exp(logits_BCV[..., slabs * SLAB :] - shift_BC[..., None]).sum(-1)
    if not slabs:
        return rest_BC
    total_BCS = jax.lax.fori_loop(0, slabs, add, jnp.zeros((*shift_BC.shape, SLAB), jnp.float32))
    return total_BCS.sum(-1) + rest_BC


def _chunks(V: int, *arrays):
    """[B, T, ...] arrays as [N, B, C, ...] ones."""
    B, T = arrays[0].shape[:2]
    C = chunk_length(B, T, V)
    return tuple(jnp.moveaxis(a.reshape(B, T // C, C, *a.shape[2:]), 1, 0) for a in arrays)


def _scan(function, start, chunks):
    """`lax.scan` over the chunks, unrolled where they are few."""
    count = chunks[0].shape[0]
    return jax.lax.scan(function, start, chunks, unroll=count if count <= UNROLLED_CHUNKS else 1)
