"""Updates of policies that learn from good and bad answers (KTO). Pure functions.

Shapes: A microbatches of N examples, K = 2 rows of each: the answer, and the answer to another prompt, by which the reference point is
found. That is one number for the whole batch, so it is found in a pass of its own before the first microbatch is learned from.
"""

from typing import Any

import jax
import jax.numpy as jnp

from tenfold.align.comparison_config import Kto
from tenfold.align.comparison_step import Judge, Judged, answer_logprobs, updated
from tenfold.align.labelled import LabelledRows
from tenfold.model.params import Params
from tenfold.objectives.preference import implicit_rewards, kto_loss, kto_reference
from tenfold.train.state import State


def kto_logprobs(judge: Judge, params: Params, rows: LabelledRows, k: int) -> jax.Array:
    """f32[N]: log-probabilities of the answers in the k-th row of each example."""
    return answer_logprobs(judge, params, rows.tokens_NKS[:, k], rows.mask_NKS[:, k])


def kto_learn(judge: Judge, state: State, base: Params | None, start: Params | None, rows: LabelledRows) -> tuple[State, dict[str, Any]]:
    """One update by examples [A, N, K, S], and its figures, by the weights before it."""
    method = judge.method
    assert isinstance(method, Kto) and start is not None  # a policy learns beside what it started from
    weights = judge.weights(state.params, base, None)
    logp_AN, ref_AN = (jax.lax.map(lambda some, p=p: kto_logprobs(judge, p, some, 1), rows) for p in (weights, start))
    kl = kto_reference(logp_AN, ref_AN, rows.real_NK[..., 1])
    whole = jnp.maximum(rows.real_NK[..., 0].sum(), 1)

    def objective(trained, some):
        logp_N = kto_logprobs(judge, judge.weights(trained, base, None), some, 0)
        ref_N = jax.lax.stop_gradient(kto_logprobs(judge, start, some, 0))
        sums = kto_sums(method, logp_N, ref_N, some.good_N, some.real_NK[:, 0], kl)
        return sums.loss / whole, sums

    state, figures = updated(judge, state, objective, rows)
    return state, figures | {"kl": kl}


def kto_sums(method: Kto, logp_N, ref_N, good_N, real_N, kl) -> Judged:
    """Sums over examples. Right are good answers above the reference point, and bad ones below it."""
    each_N = kto_loss(logp_N, ref_N, good_N, kl, method.beta, method.good_weight, method.bad_weight)
    score_N = implicit_rewards(logp_N, ref_N, method.beta)
    above_N = score_N - method.beta * kl
    right_N = jnp.where(good_N, above_N > 0, above_N < 0) + 0.5 * (above_N == 0)
    count = real_N.sum()
    loss, right, score = (jnp.where(real_N, x_N, 0.0).sum() for x_N in (each_N, right_N, score_N))
    return Judged(loss, right, count, count, score, count)


def kto_looked(judge: Judge, trained: Params, base: Params | None, start: Params, rows: LabelledRows) -> tuple[jax.Array, jax.Array]:
    """f32[N, K] each: log-probabilities of both answers of each example, by the policy and by its start."""
    both = (judge.weights(trained, base, None), start)
    policy_NK, ref_NK = (jnp.stack([kto_logprobs(judge, params, rows, k) for k in (0, 1)], 1) for params in both)
    return policy_NK, ref_NK
