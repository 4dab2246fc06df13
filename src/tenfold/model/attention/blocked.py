"""Causal attention in blocks of queries: what causality or the band hides is not computed, and no T x T array lives to the backward pass.

The gradient is that of softmax attention with the log-sum-exp kept for each query: Dao et al. 2022 (FlashAttention), algorithm 4.
The backward pass works on transposed scores, [S, T], so that each product is of a kind that runs fast and nothing large is turned.

Shapes: B, T, H, K as in model/config.py; S the keys of a block.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from tenfold.model.matmul import dot, fixed

HIDDEN = -1e30  # the score of a key that may not be seen; its weight is exactly 0


class Pattern(NamedTuple):
    """What is fixed when attention is compiled."""

    window: int | None
    """Positions a query sees, itself included; None: all before it."""
    scale: float
    """What queries are multiplied by."""
    dtype: str
    alibi: tuple[float, ...] | None = None
    """What each head's scores lose for each position of distance."""


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def blocked_attention(q_BTHK, k_BTHK, v_BTHK, segments_BT, pattern: Pattern) -> jax.Array:
    """f32[B, T, H, K]: each query sees itself and what comes before: all of it, or the `window` - 1 positions nearest; with segments,
    only those of its own document. Softmax and sums are f32; q * scale, k, v and the unnormalised weights are rounded to `dtype`.
    """
    return _forward(q_BTHK, k_BTHK, v_BTHK, segments_BT, pattern)[0]


def query_block(T: int, window: int | None) -> int:
    """Queries handled at once: small enough to skip what is hidden, and at most 8 blocks (32 in a band) so that compiling stays quick."""
    size = -(-T // 8)
    if window is not None:
        size = min(size, max(window, -(-T // 32)))
    return max(64, -(-size // 64) * 64)


def _blocks(T: int, window: int | None) -> list[tuple[int, int]]:
    size = query_block(T, window)
    return [(a, min(a + size, T)) for a in range(0, T, size)]


def _seen(queries: tuple[int, int], keys: tuple[int, int], window: int | None, segments_BT):
    """bool[T, S], or [B, 1, T, S] with segments."""
    t, s = jnp.arange(*queries)[:, None], jnp.arange(*keys)[None]
    seen = t >= s
    if window is not None:
        seen &= t - s < window
    if segments_BT is not None:
        seen = seen & (segments_BT[:, None, slice(*queries), None] == segments_BT[:, None, None, slice(*keys)])
    return seen


def _scores(scores_BHTS, queries, keys, alibi):
    """The scores, with ALiBi's loss by distance."""
    if alibi is None:
        return scores_BHTS
    distance_TS = jnp.arange(*queries)[:, None] - jnp.arange(*keys)[None]
    return scores_BHTS - jnp.asarray(alibi, jnp.float32)[:, None, None] * distance_TS


def _product(a, b, contract_a: int, contract_b: int):
    """A product for each row and head, whose axes come first."""
    return dot(a, b, ((contract_a,), (contract_b,)), ((0, 1), (0, 1)))


def _forward(q_BTHK, k_BTHK, v_BTHK, segments_BT, pattern):
    T, (window, scale, dtype, alibi) = q_BTHK.shape[1], pattern
    blocks = _blocks(T, window)
    q, k, v = (x.astype(dtype).transpose(0, 2, 1, 3) for x in (q_BTHK * scale, k_BTHK, v_BTHK))
    mixed, logsumexps = [], []
    for a, b in blocks:
        first = 0 if window is None else next(c for c, d in blocks if d > max(0, a - window + 1))
        scores_BHTS = _scores(_product(q[:, :, a:b], k[:, :, first:b], 3, 3), (a, b), (first, b), alibi)
        scores_BHTS = jnp.where(_seen((a, b), (first, b), window, segments_BT), scores_BHTS, HIDDEN)
        top_BHT1 = scores_BHTS.max(-1, keepdims=True)
        weights_BHTS = jnp.exp(scores_BHTS - top_BHT1)
        total_BHT1 = weights_BHTS.sum(-1, keepdims=True)
        mixed.append(fixed(_product(weights_BHTS.astype(dtype), v[:, :, first:b], 3, 2)) / total_BHT1)
        logsumexps.append((top_BHT1 + jnp.log(total_BHT1))[..., 0])
    mixed_BHTK, logsumexp_BHT = jnp.concatenate(mixed, 2), jnp.concatenate(logsumexps, 2)
    return mixed_BHTK.transpose(0, 2, 1, 3), (q, k, v, mixed_BHTK, logsumexp_BHT, segments_BT)


def _backward(pattern, saved, dmixed_BTHK):
    q, k, v, mixed_BHTK, logsumexp_BHT, segments_BT = saved
    T, (window, scale, dtype, alibi) = dmixed_BTHK.shape[1], pattern
    blocks = _blocks(T, window)
    g = dmixed_BTHK.transpose(0, 2, 1, 3)
    delta_BHT = (g * mixed_BHTK).sum(-1)
    g, k_BHKS = g.astype(dtype), k.swapaxes(2, 3)
    dq_parts: list[list[jax.Array]] = [[] for _ in blocks]
    dk, dv = [], []
    for number, (a, b) in enumerate(blocks):
        seeing = [m for m in range(number, len(blocks)) if window is None or blocks[m][0] < b + window - 1]
        end = blocks[seeing[-1]][1]
        scores_BHST = _product(k[:, :, a:b], q[:, :, a:end], 3, 3)
        if alibi is not None:
            scores_BHST = jnp.swapaxes(_scores(jnp.swapaxes(scores_BHST, 2, 3), (a, end), (a, b), alibi), 2, 3)
        seen = jnp.swapaxes(_seen((a, end), (a, b), window, segments_BT), -1, -2)
        weights_BHST = jnp.exp(jnp.where(seen, scores_BHST, HIDDEN) - logsumexp_BHT[:, :, None, a:end])
        dweights_BHST = _product(v[:, :, a:b], g[:, :, a:end], 3, 3)
        dscores_BHST = (weights_BHST * (dweights_BHST - delta_BHT[:, :, None, a:end])).astype(dtype)
        dv.append(fixed(_product(weights_BHST.astype(dtype), g[:, :, a:end], 3, 2)))
        dk.append(fixed(_product(dscores_BHST, q[:, :, a:end], 3, 2)))
        dq_BHKT = fixed(_product(k_BHKS[:, :, :, a:b], dscores_BHST, 3, 2))
        for m in seeing:
            dq_parts[m].append(dq_BHKT[:, :, :, blocks[m][0] - a : blocks[m][1] - a])
    dq_BHKT = jnp.concatenate([functools.reduce(jnp.add, parts) for parts in dq_parts], 3)
    dk_BTHK, dv_BTHK = (jnp.concatenate(x, 2).transpose(0, 2, 1, 3) for x in (dk, dv))
    return dq_BHKT.transpose(0, 3, 1, 2) * scale, dk_BTHK, dv_BTHK, None


blocked_attention.defvjp(_forward, _backward)
