"""Log-probabilities of tokens that were chosen, as their choice was made, and the entropy of each choice.

The logits of a batch of some size never exist whole: a chunk of places at a time, forwards and, made again, backwards. The distribution
is that of generate/sampling.py without top-k and top-p: logits over the temperature, of the tokenizer's tokens only.
Shapes: B, T, D, V as in model/config.py; C places of a chunk.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from tenfold.model.config import ModelConfig
from tenfold.model.layers import plus
from tenfold.model.matmul import matmul_transposed
from tenfold.model.params import Params
from tenfold.model.transformer import forward, head
from tenfold.objectives.causal import chunk_length
from tenfold.objectives.counted import are_few, counted, put_back
from tenfold.sharding.axes import constrain

KEPT_ELEMENTS = 2**24  # of logits that are kept for the gradient: 64 MiB of f32


class Chosen(NamedTuple):
    """f32[B, T] each, in nats."""

    logp_BT: jax.Array
    entropy_BT: jax.Array


def chosen_logprobs(
    params: Params, config: ModelConfig, tokens_BT, targets_BT, mask_BT, temperature: float = 1.0, vocab: int = 0, most: int = 0
) -> Chosen:
    """Of `targets_BT[b, t]`, chosen after `tokens_BT[b, : t + 1]`, one forward pass. Ids from `vocab` on (0: none) are no tokens.

    What counts is where `mask_BT` is 1. `most`: no row has more such places (0: all may be); where that is few, the head is asked at so
    many of each row, and both are 0 elsewhere.
    """
    x_BTD = forward(params, config, tokens_BT).x_BTD
    if not are_few(most, mask_BT.shape[1]):
        return of_states(params, config, x_BTD, targets_BT, temperature, vocab)
    x_BKD, targets_BK, _, places_BK = counted(x_BTD, targets_BT, mask_BT, most)
    found = of_states(params, config, x_BKD, targets_BK, temperature, vocab)
    return Chosen(*(put_back(each_BK, places_BK, mask_BT.shape[1]) for each_BK in found))


def of_states(params: Params, config: ModelConfig, x_BTD, targets_BT, temperature: float = 1.0, vocab: int = 0) -> Chosen:
    """The same of a forward pass's output."""
    (table_VD, bias_V), (B, T) = head(params), targets_BT.shape
    V, C = table_VD.shape[0], chunk_length(B, T, table_VD.shape[0])

    def chunk(x_BCD, targets_BC):
        logits_BCV = constrain(plus(matmul_transposed(x_BCD, table_VD, config.dtype), bias_V), "batch", None, "vocab") / temperature
        is_token_V = jnp.arange(V) < (vocab or V)
        logp_BCV = jax.nn.log_softmax(jnp.where(is_token_V, logits_BCV, -jnp.inf))
        hit_BCV = targets_BC[..., None] == jnp.arange(V)  # a comparison stays on the device that holds the column
        entropy_BC = -jnp.where(is_token_V, jnp.exp(logp_BCV) * jnp.where(is_token_V, logp_BCV, 0.0), 0.0).sum(-1)
        return jnp.where(hit_BCV, logp_BCV, 0.0).sum(-1), entropy_BC

    if B * T * V <= KEPT_ELEMENTS:
        return Chosen(*chunk(x_BTD, targets_BT))
    chunk_again = jax.checkpoint(chunk)
    parts = [jnp.moveaxis(a.reshape(B, T // C, C, *a.shape[2:]), 1, 0) for a in (x_BTD, targets_BT)]
    _, found = jax.lax.scan(lambda _, some: (None, chunk_again(*some)), None, tuple(parts))
    return Chosen(*(jnp.moveaxis(x_NBC, 0, 1).reshape(B, T) for x_NBC in found))
