"""Updates of reward models and of policies that learn from pairs. Pure functions.

Shapes: A microbatches of N prompts (or pairs) with K answers of S tokens. Denominators are of all microbatches together.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from tenfold.align.comparison_config import Dpo, Kto, RewardModel
from tenfold.align.comparisons import Ranked
from tenfold.align.forks import Forks, fork_logprobs
from tenfold.align.headed import last_scores, place_scores
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params
from tenfold.objectives.chosen import chosen_logprobs
from tenfold.objectives.preference import dpo_loss, implicit_rewards, ipo_loss, sequence_logprobs
from tenfold.objectives.reward import pairs, ranking_loss
from tenfold.train.frozen import Weights
from tenfold.train.state import State


class Judge(NamedTuple):
    """The parts of a training on comparisons that do not change."""

    method: RewardModel | Dpo | Kto
    config: ModelConfig
    weights: Weights
    optimizer: optax.GradientTransformation
    vocab: int
    most: int
    """Tokens of the longest answer."""


def answer_logprobs(judge: Judge, params: Params, tokens_BS, mask_BS) -> jax.Array:
    """f32[B]: log-probabilities of answers."""
    chosen = chosen_logprobs(params, judge.config, tokens_BS[:, :-1], tokens_BS[:, 1:], mask_BS[:, 1:], vocab=judge.vocab, most=judge.most)
    return sequence_logprobs(chosen.logp_BT, mask_BS[:, 1:])


class Judged(NamedTuple):
    """Sums over prompts and pairs, so that parts of a batch add up."""

    loss: jax.Array
    right: jax.Array
    """Pairs whose better answer scores higher; equal scores count a half."""
    pairs: jax.Array
    prompts: jax.Array
    score: jax.Array
    """Over answers; in DPO of implicit rewards."""
    answers: jax.Array


def row_logprobs(judge: Judge, params: Params, rows: Ranked | Forks) -> jax.Array:
    """f32[N, K]: log-probabilities of the answers of comparisons."""
    if isinstance(rows, Forks):
        return fork_logprobs(params, judge.config, rows, judge.vocab)
    (N, K, S) = rows.tokens_NKS.shape
    return answer_logprobs(judge, params, rows.tokens_NKS.reshape(N * K, S), rows.mask_NKS.reshape(N * K, S)).reshape(N, K)


def judged(judge: Judge, trained: Params, base: Params | None, start: Params | None, rows: Ranked | Forks) -> tuple[Judged, jax.Array]:
    """The sums of comparisons [N, ...], and the scores of their answers, f32[N, K]."""
    method = judge.method
    if isinstance(method, RewardModel):
        assert isinstance(rows, Ranked)
        N, K, S = rows.tokens_NKS.shape
        tokens_BS = rows.tokens_NKS.reshape(N * K, S)
        score_BS = place_scores(trained, base, judge.weights, judge.config, tokens_BS)
        score_NK = last_scores(score_BS, rows.length_NK.reshape(-1)).reshape(N, K)
        found = ranking_loss(score_NK, rows.rank_NK, rows.real_NK, rows.margin_N[:, None, None])
        loss, right, count, prompts = found.loss, found.right, found.pairs, found.prompts
    else:
        assert isinstance(method, Dpo) and start is not None  # a policy learns beside what it started from
        logp_NK, ref_NK = (row_logprobs(judge, params, rows) for params in (judge.weights(trained, base, None), start))
        real_N = pairs(rows.rank_NK, rows.real_NK)[:, 0, 1]
        (better_N, worse_N), (ref_better_N, ref_worse_N) = logp_NK.T, jax.lax.stop_gradient(ref_NK).T
        each_N = (dpo_loss if method.loss == "dpo" else ipo_loss)(better_N, worse_N, ref_better_N, ref_worse_N, method.beta)
        score_NK = implicit_rewards(logp_NK, ref_NK, method.beta)
        ahead_N = score_NK[:, 0] - score_NK[:, 1]
        right = ((ahead_N > 0) * real_N + 0.5 * (ahead_N == 0) * real_N).sum()
        loss, count, prompts = jnp.where(real_N, each_N, 0.0).sum(), real_N.sum(), real_N.sum()
    real_NK = rows.real_NK * 1.0
    return Judged(loss, right, count, prompts, (score_NK * real_NK).sum(), real_NK.sum()), score_NK


def learn(judge: Judge, state: State, base: Params | None, start: Params | None, rows: Ranked | Forks) -> tuple[State, dict[str, Any]]:
    """One update by comparisons [A, N, ...], and its figures, by the weights before it."""
    pair_ANKK = jax.vmap(pairs)(rows.rank_NK, rows.real_NK)
    whole = jnp.maximum(pair_ANKK.any((2, 3)).sum(), 1)

    def objective(trained, microbatch):
        sums, _ = judged(judge, trained, base, start, microbatch)
        return sums.loss / whole, sums

    return updated(judge, state, objective, rows)


def updated(judge: Judge, state: State, objective: Callable, rows: Any) -> tuple[State, dict[str, Any]]:
    """The State after an update by the gradient of `objective(trained, microbatch) -> (its part of the loss, Judged)`, and the figures."""

    def add(carry, microbatch):
        (_, sums), grads = jax.value_and_grad(objective, has_aux=True)(state.params, microbatch)
        return jax.tree.map(jnp.add, carry, (sums, grads)), None

    none = jax.eval_shape(partial(objective, state.params), jax.tree.map(lambda x: x[0], rows))[1]
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), none), jax.tree.map(jnp.zeros_like, state.params)
    (sums, grads), _ = jax.lax.scan(add, zero, rows)
    updates, opt_state = judge.optimizer.update(grads, state.opt_state, state.params)
    figures = dict(figures_of(sums), grad_norm=optax.tree.norm(grads))
    return replace(state, step=state.step + 1, params=optax.apply_updates(state.params, updates), opt_state=opt_state), figures


def figures_of(sums: Judged) -> dict[str, Any]:
    """Loss of a prompt (KTO: of an answer), share of pairs (answers) that are right, mean score."""
    return dict(
        loss=sums.loss / jnp.maximum(sums.prompts, 1),
        accuracy=sums.right / jnp.maximum(sums.pairs, 1),
        score=sums.score / jnp.maximum(sums.answers, 1),
    )
