"""What a step of a policy's training computes: a look at the completions, their advantages, and the updates. Pure functions.

Shapes: A microbatches, B rows, T places, as in objectives/policy.py. Fields that end in T alone are [R, T] on the host, R being all rows of
a step, and [A, B, T] on the device.
"""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from tenfold.align.headed import place_scores
from tenfold.align.policy_config import Grpo, Ppo
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params
from tenfold.objectives.causal import causal_loss
from tenfold.objectives.chosen import Chosen, chosen_logprobs
from tenfold.objectives.policy import (
    Totals,
    clipped_surrogate,
    clipped_value_loss,
    drift,
    gae,
    group_advantages,
    kl_k1,
    kl_k3,
    log_ratio,
    mean_over,
    mixed_loss,
    score_unended,
    token_rewards,
    totals,
    whiten,
)
from tenfold.train.frozen import Weights
from tenfold.train.state import State


class Rows(NamedTuple):
    """Completions."""

    tokens_T: jax.Array
    targets_T: jax.Array
    mask_T: jax.Array


class Seen(NamedTuple):
    """What the models think of completions before any of them changes: f32."""

    logp_T: jax.Array
    entropy_T: jax.Array
    ref_T: jax.Array | None
    """The start's log-probabilities, where there is a KL to it."""
    value_T: jax.Array | None
    """The critic's, in PPO."""


class Lessons(NamedTuple):
    """What an update learns from: f32."""

    advantage_T: jax.Array
    return_T: jax.Array | None
    """What the critic is to say, in PPO."""


class Text(NamedTuple):
    """Pretraining text for PPO-ptx: [A, B, T] each."""

    tokens_T: jax.Array
    targets_T: jax.Array
    weights_T: jax.Array


class Figures(NamedTuple):
    """Of one update, by the weights before it."""

    loss: jax.Array
    kl: jax.Array
    """From the policy that drew the completions: 0 at a step's first update."""
    clipped: jax.Array
    ratio: jax.Array
    value_loss: jax.Array
    ptx_loss: jax.Array
    grad_norm: jax.Array


class Learner(NamedTuple):
    """The parts of a policy's training that do not change."""

    method: Grpo | Ppo
    config: ModelConfig
    weights: Weights
    optimizer: optax.GradientTransformation
    critic_optimizer: optax.GradientTransformation | None
    temperature: float
    vocab: int
    longest: int
    """Tokens that a completion may have."""


def look(learner: Learner, state: State, base: Params | None, start: Params | None, rows: Rows) -> Seen:
    """Log-probabilities and entropies of the policy, log-probabilities of the start, and the critic's values."""
    config, critic = learner.config, state.opt_state["critic"] if learner.critic_optimizer else None

    def microbatch(rows):
        found = _chosen(learner, learner.weights(state.params, base, None), rows)
        ref_BT = None if start is None else _chosen(learner, start, rows).logp_BT
        value_BT = None if critic is None else place_scores(critic, base, learner.weights, config, rows.tokens_T)
        return Seen(found.logp_BT, found.entropy_BT, ref_BT, value_BT)

    return jax.lax.map(microbatch, rows)


def _chosen(learner: Learner, params: Params, rows: Rows) -> Chosen:
    """Of completions, by a model; 0 elsewhere, where their places are few."""
    how = dict(temperature=learner.temperature, vocab=learner.vocab, most=learner.longest)
    return chosen_logprobs(params, learner.config, *rows, **how)  # type: ignore[arg-type]


@partial(jax.jit, static_argnums=(0, 3))
def grpo_lessons(method: Grpo, score_R: jax.Array, ended_R: jax.Array, completions: int, mask_RT: jax.Array) -> Lessons:
    """Each token has its completion's advantage. Rows are in the order of their prompts, `completions` of each."""
    score_NG = score_unended(score_R, ended_R, method.unended).reshape(-1, completions)
    return Lessons(group_advantages(score_NG, method.scaled).reshape(-1, 1) * mask_RT, None)


@partial(jax.jit, static_argnums=0)
def ppo_lessons(method: Ppo, score_R: jax.Array, ended_R: jax.Array, seen: Seen, mask_RT: jax.Array, beta: jax.Array) -> Lessons:
    """Advantages of rewards with the KL in them, whitened over all rows, and returns. Without a start there is no KL."""
    kl_RT = jnp.zeros_like(mask_RT) if seen.ref_T is None else kl_k1(seen.logp_T, seen.ref_T)
    assert seen.value_T is not None
    reward_RT = token_rewards(score_unended(score_R, ended_R, method.unended), kl_RT, mask_RT, beta)
    if method.whiten_rewards:
        reward_RT = whiten(reward_RT, mask_RT, shift_mean=False)
    advantage_RT, return_RT = gae(reward_RT, seen.value_T, mask_RT, method.gamma, method.lam)
    return Lessons(whiten(advantage_RT, mask_RT), return_RT)


def update(
    learner: Learner, state: State, base: Params | None, rows: Rows, seen: Seen | None, lessons: Lessons, text: Text | None = None
) -> tuple[State, Figures, Seen | None]:
    """One update of the policy, and of the critic where there is one. Denominators are of all microbatches together.

    Without `seen` it is the only update of its step, by the policy that drew the completions, and what it sees itself is returned.
    `state.step` stays: it counts steps, of which one may hold several updates.
    """
    whole = totals(rows.mask_T.reshape(-1, rows.mask_T.shape[-1]))  # of all microbatches
    text_tokens = jnp.float32(1) if text is None else jnp.maximum(text.weights_T.sum(), 1)
    critic = state.opt_state["critic"] if learner.critic_optimizer else None
    objective = jax.value_and_grad(partial(_objective, learner, base, whole, text_tokens), has_aux=True)

    def add(carry, microbatch):
        (_, (figures, found)), grads = objective((state.params, critic), *microbatch)
        return jax.tree.map(jnp.add, carry, (figures, grads)), found

    none = Figures(*[jnp.float32(0)] * len(Figures._fields)), jax.tree.map(jnp.zeros_like, (state.params, critic))
    (figures, (grads, critic_grads)), found = jax.lax.scan(add, none, (rows, seen, lessons, text))
    figures = figures._replace(grad_norm=optax.tree.norm(grads))
    if learner.critic_optimizer is None:
        params, opt_state = _applied(learner.optimizer, grads, state.opt_state, state.params)
        return replace(state, params=params, opt_state=opt_state), figures, found
    params, policy = _applied(learner.optimizer, grads, state.opt_state["policy"], state.params)
    assert critic is not None
    critic, critic_state = _applied(learner.critic_optimizer, critic_grads, state.opt_state["critic_optimizer"], critic)
    changed = {"policy": policy, "critic": critic, "critic_optimizer": critic_state}
    return replace(state, params=params, opt_state=state.opt_state | changed), figures, found


def _objective(
    learner: Learner, base, whole: Totals, text_tokens, trained, rows: Rows, seen: Seen | None, lessons: Lessons, text: Text | None
):
    """This microbatch's share of the loss; its figures and, without `seen`, what it saw itself."""
    (policy, critic), method, zero = trained, learner.method, jnp.float32(0)
    params, mask_BT = learner.weights(policy, base, None), rows.mask_T
    logp_BT, entropy_BT = _chosen(learner, params, rows)
    before = Seen(*jax.lax.stop_gradient((logp_BT, entropy_BT)), None, None) if seen is None else seen
    log_r_BT = log_ratio(logp_BT, before.logp_T, mask_BT)
    loss_BT = clipped_surrogate(log_r_BT, lessons.advantage_T, method.clip_low, method.clip_high)
    value_loss = ptx_loss = zero
    if isinstance(method, Grpo):
        if before.ref_T is not None:
            loss_BT += method.kl * kl_k3(logp_BT, before.ref_T, mask_BT)
        loss = mean_over(loss_BT, mask_BT, method.over, whole, learner.longest)
    else:
        assert before.value_T is not None and lessons.return_T is not None
        value_BT = place_scores(critic, base, learner.weights, learner.config, rows.tokens_T)
        value_loss_BT = clipped_value_loss(value_BT, before.value_T, lessons.return_T, method.value_clip)
        value_loss = mean_over(value_loss_BT, mask_BT, "token", whole)
        loss = mean_over(loss_BT, mask_BT, "token", whole) + method.value_weight * value_loss
        if text is not None:
            ptx_loss = causal_loss(params, learner.config, *text).loss / text_tokens
            loss = mixed_loss(loss, ptx_loss, method.ptx)
    moved = drift(log_r_BT, mask_BT, whole, method.clip_low, method.clip_high)
    figures = jax.lax.stop_gradient(Figures(loss, moved.kl, moved.clipped, moved.ratio, value_loss, ptx_loss, zero))
    return loss, (figures, before if seen is None else None)


def _applied(optimizer: optax.GradientTransformation, grads: Any, opt_state: Any, params: Params) -> tuple[Params, Any]:
    updates, opt_state = optimizer.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state
