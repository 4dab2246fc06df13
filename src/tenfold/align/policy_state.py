"""The State of a policy's training.

In PPO the critic, its optimiser and the weight of the KL stand beside the policy's optimiser, so that a checkpoint's model is the policy
alone, which every command takes.
"""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from tenfold.align.headed import first_headed, headed_params
from tenfold.align.policy_config import PolicyRecipe
from tenfold.align.policy_step import Learner
from tenfold.model.params import map_params
from tenfold.sharding.axes import sharding
from tenfold.train.batch_schedule import batch_schedule
from tenfold.train.lora import weights_of
from tenfold.train.optimizer import adamw, adamw_of
from tenfold.train.schedule import learning_rate
from tenfold.train.start import first_state
from tenfold.train.state import State, abstract_state, optimizer_shardings, state_shardings, tree_shardings


def rate_of(policy: PolicyRecipe):
    """The learning rate as a function of the step, from 0."""
    recipe = policy.recipe
    return learning_rate(recipe.optimizer, batch_schedule(recipe), recipe.train.steps)


def make_learner(policy: PolicyRecipe, vocab: int) -> Learner:
    """The parts of a recipe's training. The learning rate is that of the step, of all its updates alike."""
    recipe, method, rate = policy.recipe, policy.method, rate_of(policy)

    def rate_of_update(count):
        return rate(count // method.updates)

    optimizer = adamw(recipe.optimizer, recipe.model, rate_of_update, recipe.lora, recipe.train.frozen)
    critic = adamw_of(recipe.optimizer, headed_params(recipe.model, recipe.lora), rate_of_update) if policy.ppo else None
    rollout = policy.rollout
    config = replace(recipe.model, expert_capacity=0.0)  # as decoding has it: no token is dropped for its neighbours' sake
    return Learner(method, config, weights_of(recipe), optimizer, critic, rollout.temperature, vocab, rollout.max_tokens)


def policy_shardings(policy: PolicyRecipe, learner: Learner, mesh: Mesh) -> State:
    """A State of shardings."""
    recipe = policy.recipe
    state = state_shardings(recipe.model, learner.optimizer, mesh, recipe.lora)
    return state if learner.critic_optimizer is None else _with(state, _critic_shardings(policy, learner, mesh))


def first_policy(policy: PolicyRecipe, learner: Learner, mesh: Mesh) -> State:
    """The State before the first step: the start's weights, and in PPO a critic of the same with a new head."""
    state = first_state(policy.recipe, learner.optimizer, mesh)
    if learner.critic_optimizer is None:
        return state
    key = jax.random.fold_in(jax.random.key(policy.recipe.train.seed), 1)

    def critic_of(params):
        critic = first_headed(params, policy.recipe.model, key)
        return _parts(policy, learner, critic)

    return _with(state, jax.jit(critic_of, out_shardings=_critic_shardings(policy, learner, mesh))(state.params))


def abstract_policy(policy: PolicyRecipe, learner: Learner, mesh: Mesh) -> State:
    """Shapes and shardings of a State, for restoring one."""
    recipe = policy.recipe
    state = abstract_state(recipe.model, learner.optimizer, mesh, recipe.lora)
    if learner.critic_optimizer is None:
        return state
    declared = headed_params(recipe.model, recipe.lora)
    shapes = jax.eval_shape(lambda: _parts(policy, learner, map_params(lambda p: jnp.zeros(p.shape, jnp.float32), declared)))
    where = _critic_shardings(policy, learner, mesh)
    return _with(state, jax.tree.map(lambda s, w: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=w), shapes, where))


def _parts(policy: PolicyRecipe, learner: Learner, critic) -> dict[str, Any]:
    assert policy.ppo is not None and learner.critic_optimizer is not None
    return {"critic": critic, "critic_optimizer": learner.critic_optimizer.init(critic), "beta": jnp.float32(policy.ppo.kl)}


def _critic_shardings(policy: PolicyRecipe, learner: Learner, mesh: Mesh) -> dict[str, Any]:
    declared = headed_params(policy.recipe.model, policy.recipe.lora)
    moments = optimizer_shardings(declared, learner.critic_optimizer, mesh)
    return {"critic": tree_shardings(declared, mesh), "critic_optimizer": moments, "beta": sharding(mesh, ())}


def _with(state: State, parts: dict[str, Any]) -> State:
    return State(state.step, state.params, {"policy": state.opt_state} | parts)
