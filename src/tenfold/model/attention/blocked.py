"""Attention in blocks of queries: what causality or the band hides is not computed, and no T x T array lives to the backward pass.

The gradient is that of softmax attention with the log-sum-exp kept for each query: Dao et al. 2022 (FlashAttention), algorithm 4.
The backward pass works on transposed scores, [S, T], so that each product is of a kind that runs fast and nothing large is turned.

Shapes: B, T, H, K as in model/config.py; S the keys of a block.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from tenfold.model.matmul import dot, fixed, inner

HIDDEN = -1e30  # the score of a key that may not be seen; its weight is exactly 0
NOBODY = -1  # the document of a position that fills up: it sees nothing and nothing sees it
SHARED = -2  # the document of a beginning that what follows it in the row sees, of whatever document that is


class Pattern(NamedTuple):
    """What is fixed when attention is compiled."""

    window: int | None
    """Positions a query sees, itself included; None: all before it."""
    scale: float
    """What queries are multiplied by."""
    dtype: str
    alibi: tuple[float, ...] | jax.Array | None = None
    """What each head's scores lose for each position of distance."""
    causal: bool = True
    """Positions see no later ones. False goes with no window."""
    decay: tuple[float, ...] | None = None
    """The logarithm of what each number of a product of query and key is multiplied by for each position of distance (long xPos, which goes
    with tiles.py alone)."""


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def blocked_attention(q_BTHK, k_BTHK, v_BTHK, segments_BT, pattern: Pattern) -> jax.Array:
    """f32[B, T, H, K]: each query sees itself and what comes before: all of it, or the `window` - 1 positions nearest; with segments,
    only those of its own document and SHARED ones. Softmax and sums are f32; q * scale, k, v and the unnormalised weights are rounded to
    `dtype`.
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


def _seen(queries: tuple[int, int], keys: tuple[int, int], pattern: Pattern, segments_BHT):
    """bool[T, S], or [B, 1 or H, T, S] with segments; None: all is seen."""
    t, s = jnp.arange(*queries)[:, None], jnp.arange(*keys)[None]
    seen = None
    if pattern.causal:
        seen = t >= s if pattern.window is None else (t >= s) & (t - s < pattern.window)
    if segments_BHT is not None:
        own, other = segments_BHT[:, :, slice(*queries), None], segments_BHT[:, :, None, slice(*keys)]
        same = (own == other) | (other == SHARED)
        seen = same if seen is None else seen & same
    return seen


def _scores(scores_BHTS, queries, keys, alibi):
    """The scores, with ALiBi's loss by distance."""
    if alibi is None:
        return scores_BHTS
    distance_TS = jnp.arange(*queries)[:, None] - jnp.arange(*keys)[None]
    return scores_BHTS - jnp.asarray(alibi, jnp.float32)[:, None, None] * jnp.abs(distance_TS)


def _product(a, b, contract_a: int, contract_b: int):
    """A product for each row and head, whose axes come first."""
    return dot(a, b, ((contract_a,), (contract_b,)), ((0, 1), (0, 1)))


def _forward(q_BTHK, k_BTHK, v_BTHK, segments_BT, pattern):
    q, k, v = (x.astype(pattern.dtype).transpose(0, 2, 1, 3) for x in (q_BTHK * pattern.scale, k_BTHK, v_BTHK))
    segments_B1T = None if segments_BT is None else segments_BT[:, None]
    mixed_BHTK, logsumexp_BHT = mix(q, k, v, segments_B1T, pattern)
    return mixed_BHTK.transpose(0, 2, 1, 3), (q, k, v, mixed_BHTK, logsumexp_BHT, segments_B1T)


def _backward(pattern, saved, dmixed_BTHK):
    q, k, v, mixed_BHTK, logsumexp_BHT, segments_B1T = saved
    g = dmixed_BTHK.transpose(0, 2, 1, 3)
    delta_BHT = inner(g, mixed_BHTK)
    dq_BHKT, dk_BHTK, dv_BHTK = mix_gradients(q, k, v, g.astype(pattern.dtype), delta_BHT, logsumexp_BHT, segments_B1T, pattern)
    dk_BTHK, dv_BTHK = (x.transpose(0, 2, 1, 3) for x in (dk_BHTK, dv_BHTK))
    return dq_BHKT.transpose(0, 3, 1, 2) * pattern.scale, dk_BTHK, dv_BTHK, None


def mix(q, k, v, segments_BHT, pattern: Pattern) -> tuple[jax.Array, jax.Array]:
    """softmax(q k^T) v, f32[B, H, T, K], and the scores' log-sum-exp, f32[B, H, T]. q (scaled), k, v: [B, H, T, K] of the compute type."""
    T, (window, _, dtype, alibi, causal, _) = q.shape[2], pattern
    blocks = _blocks(T, window)
    mixed, logsumexps = [], []
    for a, b in blocks:
        first = 0 if window is None else next(c for c, d in blocks if d > max(0, a - window + 1))
        end = b if causal else T
        scores_BHTS = _scores(_product(q[:, :, a:b], k[:, :, first:end], 3, 3), (a, b), (first, end), alibi)
        scores_BHTS = _hidden_out(scores_BHTS, _seen((a, b), (first, end), pattern, segments_BHT))
        top_BHT1 = scores_BHTS.max(-1, keepdims=True)
        weights_BHTS = jnp.exp(scores_BHTS - top_BHT1)
        total_BHT1 = weights_BHTS.sum(-1, keepdims=True)
        mixed.append(fixed(_product(weights_BHTS.astype(dtype), v[:, :, first:end], 3, 2)) / total_BHT1)
        logsumexps.append((top_BHT1 + jnp.log(total_BHT1))[..., 0])
    return jnp.concatenate(mixed, 2), jnp.concatenate(logsumexps, 2)


def mix_gradients(q, k, v, g, delta_BHT, logsumexp_BHT, segments_BHT, pattern: Pattern) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The gradients of `mix`'s operands: f32[B, H, K, T], and [B, H, T, K] twice. `g`, that of its result, is of the compute type;
    `delta` is the sum over K of g times the result. Where the softmax also runs over keys that are not here, result and log-sum-exp are
    those of the whole: then these are the shares of the gradients that come from here.
    """
    T, (window, _, dtype, alibi, causal, _) = q.shape[2], pattern
    blocks = _blocks(T, window)
    k_BHKS = k.swapaxes(2, 3)
    dq_parts: list[list[jax.Array]] = [[] for _ in blocks]
    dk, dv = [], []
    for number, (a, b) in enumerate(blocks):
        seeing = [m for m in range(number if causal else 0, len(blocks)) if window is None or blocks[m][0] < b + window - 1]
        start, end = blocks[seeing[0]][0], blocks[seeing[-1]][1]
        scores_BHST = _product(k[:, :, a:b], q[:, :, start:end], 3, 3)
        if alibi is not None:
            scores_BHST = jnp.swapaxes(_scores(jnp.swapaxes(scores_BHST, 2, 3), (start, end), (a, b), alibi), 2, 3)
        seen = _seen((start, end), (a, b), pattern, segments_BHT)
        seen = None if seen is None else jnp.swapaxes(seen, -1, -2)
        weights_BHST = jnp.exp(_hidden_out(scores_BHST, seen) - logsumexp_BHT[:, :, None, start:end])
        dweights_BHST = _product(v[:, :, a:b], g[:, :, start:end], 3, 3)
        dscores_BHST = (weights_BHST * (dweights_BHST - delta_BHT[:, :, None, start:end])).astype(dtype)
        dv.append(fixed(_product(weights_BHST.astype(dtype), g[:, :, start:end], 3, 2)))
        dk.append(fixed(_product(dscores_BHST, q[:, :, start:end], 3, 2)))
        dq_BHKT = fixed(_product(k_BHKS[:, :, :, a:b], dscores_BHST, 3, 2))
        for m in seeing:
            dq_parts[m].append(dq_BHKT[:, :, :, blocks[m][0] - start : blocks[m][1] - start])
    dq_BHKT = jnp.concatenate([functools.reduce(jnp.add, parts) for parts in dq_parts], 3)
    return dq_BHKT, jnp.concatenate(dk, 2), jnp.concatenate(dv, 2)


def _hidden_out(scores, seen):
    return scores if seen is None else jnp.where(seen, scores, HIDDEN)


blocked_attention.defvjp(_forward, _backward)


def joined(mixed, total, part, logsumexp) -> tuple[jax.Array, jax.Array]:
    """The result [..., K] and log-sum-exp [...] over two sets of keys, of those over each: mixed by their softmax denominators."""
    pair = jnp.stack([total, logsumexp])  # one array: where XLA reads what it overwrites in two places, it copies all of that first
    top = pair.max(0)
    both = top + jnp.log(jnp.exp(pair - top).sum(0))
    shares = jnp.exp(pair - both)[..., None]
    return mixed * shares[0] + part * shares[1], both
