"""Learning a reward from rankings: all pairs of the answers to a prompt, in one element of the batch.

Sources: InstructGPT (Ouyang et al. 2022), equation 1; margins, Llama 2 (Touvron et al. 2023), equation 2; ensembles, Coste et al. 2024,
section 3. InstructGPT's reason for the one element: pairs that share answers, spread over a batch's steps, overfit in one epoch; and K
forward passes then serve K (K - 1) / 2 comparisons.

Shapes: N prompts, K answers of each (rows with fewer are filled up), E members of an ensemble. `rank_NK` is lower for better answers; equal
ranks are no comparison. Losses are sums over prompts: divide by the whole batch's number of prompts.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

Pool = Literal["mean", "deviation", "variance", "worst"]
"""How the scores of an ensemble become one."""


class Compared(NamedTuple):
    """Sums over prompts, so that parts of a batch add up to the whole."""

    loss: jax.Array
    """Of each prompt's mean over its pairs."""
    prompts: jax.Array
    """With at least one pair."""
    right: jax.Array
    """Pairs whose better answer has the higher score; equal scores count a half."""
    pairs: jax.Array


def pairs(rank_NK: jax.Array, real_NK: jax.Array) -> jax.Array:
    """bool[N, K, K]: where answer i is better than answer j, both being there."""
    both_NKK = real_NK[:, :, None] & real_NK[:, None, :]
    return both_NKK & (rank_NK[:, :, None] < rank_NK[:, None, :])


def ranking_loss(score_NK: jax.Array, rank_NK: jax.Array, real_NK: jax.Array, margin_NKK: jax.Array | float = 0.0) -> Compared:
    """-1 / C(K, 2) sum over pairs of log sigmoid(score of the better - score of the worse - margin), summed over prompts.

    A prompt counts once, however many answers it has; ties leave fewer than C(K, 2) pairs, and the mean is over those there are. Pairs of
    (chosen, rejected) are K = 2.
    """
    pair_NKK = pairs(rank_NK, real_NK)
    ahead_NKK = score_NK[:, :, None] - score_NK[:, None, :]
    loss_NKK = jnp.where(pair_NKK, -jax.nn.log_sigmoid(ahead_NKK - margin_NKK), 0.0)
    count_N = pair_NKK.sum((1, 2))
    right_NKK = jnp.where(pair_NKK, (ahead_NKK > 0) + 0.5 * (ahead_NKK == 0), 0.0)
    return Compared((loss_NKK.sum((1, 2)) / jnp.maximum(count_N, 1)).sum(), (count_N > 0).sum(), right_NKK.sum(), count_N.sum())


def demonstration_bias(score_B: jax.Array) -> jax.Array:
    """What to add to all scores so that demonstrations score 0 on average (InstructGPT, section 3.5): the loss does not know where 0 is.
    f32[E] of an ensemble's f32[E, B]."""
    return -score_B.mean(-1)


def calibration(ahead_P: jax.Array, bins: int = 10) -> jax.Array:
    """Expected calibration error of sigmoid(|difference of scores|) as the probability that the higher-scored of a pair is the better.

    `ahead_P` are the differences, better less worse. The mean over pairs of |share right - mean probability| of each of `bins` of 0.5 to 1.
    """
    said_P, right_P = jax.nn.sigmoid(jnp.abs(ahead_P)), (ahead_P > 0) + 0.5 * (ahead_P == 0)
    bin_P = jnp.clip(((said_P - 0.5) * 2 * bins).astype(jnp.int32), 0, bins - 1)
    off_bins = jax.ops.segment_sum(right_P - said_P, bin_P, bins)
    return jnp.abs(off_bins).sum() / ahead_P.size


def pooled(score_EB: jax.Array, how: Pool = "mean", weight: float = 1.0) -> jax.Array:
    """An ensemble's score of each text: the mean, the lowest (WCO), or the mean less `weight` times the members' standard deviation, or
    their variance (UWO; Coste et al.)."""
    if how == "worst":
        return score_EB.min(0)
    if how == "mean":
        return score_EB.mean(0)
    return score_EB.mean(0) - weight * (score_EB.std(0) if how == "deviation" else score_EB.var(0))
