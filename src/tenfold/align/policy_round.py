"""One step of a policy's training, as its driver does it: completions, scores, a look, advantages, updates, figures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from tenfold.align.policy_config import PolicyRecipe
from tenfold.align.policy_state import make_learner, policy_shardings
from tenfold.align.policy_step import Figures, Learner, Lessons, Rows, Seen, Text, grpo_lessons, look, ppo_lessons, update
from tenfold.align.prompts import Example, chosen
from tenfold.align.ptx import Pretraining
from tenfold.align.reader import Reader
from tenfold.align.rewards import Weighted
from tenfold.align.rollouts import Rollouts, check_prompts, gap, roll_out, row_keys
from tenfold.errors import UserError
from tenfold.model.params import Params
from tenfold.objectives.policy import adapted_beta
from tenfold.sharding.axes import sharding
from tenfold.train.frozen import own_weights
from tenfold.train.lora import merge
from tenfold.train.meter import Diverged
from tenfold.train.state import State

HELD_OUT_STEP = 2**31 - 1
"""The step whose keys held-out completions are drawn with, so that each measurement draws alike."""


@dataclass
class Work:
    """All that a run needs while it runs."""

    policy: PolicyRecipe
    path: Path
    mesh: Mesh
    tokenizer: Reader
    reward: Weighted
    examples: list[Example]
    held_out: list[Example]
    pretraining: Pretraining | None = None
    base: Params | None = None
    """The model under the adapters, where adapters are trained."""
    start: Params | None = None
    """The model that training started from, where a KL to it is wanted."""
    longest: int = field(init=False)
    """Tokens of the longest prompt."""
    learner: Learner = field(init=False)
    look: Callable = field(init=False)
    update: Callable = field(init=False)
    whole: Callable = field(init=False)
    """(what is trained, base) -> the policy's weights, each as one array."""

    def __post_init__(self):
        recipe = self.policy.recipe
        if self.tokenizer.vocab > recipe.model.vocab:
            raise UserError(
                f"the tokenizer has {self.tokenizer.vocab} tokens, but the model knows {recipe.model.vocab}.\n"
                "  Use the tokenizer that the model has learned."
            )
        self.learner = make_learner(self.policy, self.tokenizer.vocab)
        prompts = [self.tokenizer.prompt(example) for example in (*self.examples, *self.held_out)]
        self.longest = check_prompts(recipe.model, prompts, self.policy.rollout.max_tokens)
        self.look = jax.jit(partial(look, self.learner))
        where = policy_shardings(self.policy, self.learner, self.mesh)
        self.update = jax.jit(partial(update, self.learner), donate_argnums=0, out_shardings=(where, None, None))
        self.whole = jax.jit(lambda trained, base: merge(base, trained, recipe.lora)) if recipe.lora.rank else own_weights


@dataclass(frozen=True)
class Drawn:
    """Completions and what they are worth."""

    examples: list[Example]
    rollouts: Rollouts
    scores: dict[str, list[float]]
    """By reward, each times its weight."""

    @property
    def score_R(self) -> np.ndarray:
        return np.asarray(np.sum(list(self.scores.values()), axis=0, dtype=np.float32))


def draw(work: Work, state: State, step: int, examples: list[Example]) -> Drawn:
    """A completion of each example by the weights as they are, and its scores."""
    params, config = work.whole(state.params, work.base), work.policy.recipe.model
    keys_B = row_keys(work.policy.recipe.train.seed, step, len(examples))
    prompts = [work.tokenizer.prompt(example) for example in examples]
    rollouts = roll_out(params, config, work.tokenizer, prompts, keys_B, work.policy.rollout, int(state.step), work.longest)
    texts = [example["prompt"] for example in examples]
    return Drawn(examples, rollouts, work.reward.each(texts, rollouts.completions, examples))


def one_step(work: Work, state: State, step: int) -> tuple[State, Drawn, dict[str, Any]]:
    """The State after the step, its completions and its figures. Raises Diverged where a figure is no longer a number."""
    policy, train = work.policy, work.policy.recipe.train
    G = policy.rollout.completions
    asked = [work.examples[i] for i in chosen(len(work.examples), train.batch // G, step, policy.recipe.data.seed)]
    drawn = draw(work, state, step, [example for example in asked for _ in range(G)])
    rollouts = drawn.rollouts
    check_fresh(rollouts, state)
    arrays: Any = (rollouts.tokens_BT, rollouts.targets_BT, rollouts.mask_BT)
    rows = Rows(*arrays)
    seen = None
    if policy.looks:
        seen = on_host(work.look(state, work.base, work.start, placed(rows, train.microbatch or train.batch, work.mesh)))
    if policy.grpo:
        lessons = grpo_lessons(policy.grpo, drawn.score_R, rollouts.ended_B, G, rollouts.mask_BT)
    else:
        assert policy.ppo is not None and seen is not None
        lessons = ppo_lessons(policy.ppo, drawn.score_R, rollouts.ended_B, seen, rollouts.mask_BT, np.float32(state.opt_state["beta"]))
    state, updates, seen = updated(work, state, step, (rows, seen, lessons))
    values = figures_of(drawn, seen) | learned(updates, policy.ppo is not None)
    if policy.ppo:
        values["beta"] = float(state.opt_state["beta"])  # updates leave it as it is
    if not all(np.isfinite(value) for value in values.values()):
        raise Diverged(
            f"step {step + 1}: {_not_finite(values)}: training cannot go on.\n  A lower optimizer.learning_rate is the usual mend."
        )
    return advanced(policy, state, values), drawn, values


def check_fresh(rollouts: Rollouts, state: State) -> None:
    """Completions of other weights are not learned from as if they were of these. Raises ValueError."""
    if rollouts.version != int(state.step):
        raise ValueError(f"completions of the weights of step {rollouts.version}, but the weights are of step {int(state.step)}")


def updated(work: Work, state: State, step: int, everything: tuple[Rows, Seen | None, Lessons]) -> tuple[State, list[Figures], Seen]:
    """The step's updates, one after the other, and what was seen before them: `seen`, or what an only update saw itself."""
    method, train = work.policy.method, work.policy.recipe.train
    size = train.batch // method.minibatches
    figures, seen = [], everything[1]
    for number, order in enumerate(orders(train.batch, method.epochs, method.minibatches, (train.seed, step))):
        parts = jax.tree.map(lambda x_RT, order=order: np.asarray(x_RT)[order], everything)
        on_device = placed(parts, train.microbatch or size, work.mesh)
        text = _text(work, step * method.updates + number, size // (train.microbatch or size))
        state, of_update, found = work.update(state, work.base, *on_device, text)
        seen = seen or on_host(found)
        figures.append(of_update)
    assert seen is not None
    return state, figures, seen


def orders(rows: int, epochs: int, minibatches: int, seed: tuple[int, int]) -> Iterator[np.ndarray]:
    """The rows of each update: every row once an epoch, in an order drawn anew for each."""
    for epoch in range(epochs):
        order = np.random.default_rng((*seed, epoch)).permutation(rows) if minibatches > 1 else np.arange(rows)
        yield from order.reshape(minibatches, -1)


def placed(arrays: Any, microbatch: int, mesh: Mesh) -> Any:
    """Arrays [R, ...] on the device as [A, B, ...], rows cut over the mesh."""

    def place(x):
        shaped = np.asarray(x).reshape(-1, microbatch, *np.shape(x)[1:])
        return jax.device_put(shaped, sharding(mesh, (None, "batch", *[None] * (shaped.ndim - 2))))

    return jax.tree.map(place, arrays)


def on_host(seen: Seen) -> Seen:
    """[A, B, T] on the device to [R, T]."""
    return jax.tree.map(lambda x: np.asarray(x).reshape(-1, x.shape[-1]), seen)


def _text(work: Work, number: int, microbatches: int) -> Text | None:
    if work.pretraining is None:
        return None
    rows: Any = work.pretraining(number)
    return placed(Text(rows.tokens_BT, rows.targets_BT, rows.weights_BT), len(rows.tokens_BT) // microbatches, work.mesh)


def advanced(policy: PolicyRecipe, state: State, values: dict[str, Any]) -> State:
    """The State a step further; an adaptive KL's weight follows the KL that was found."""
    opt_state = state.opt_state
    if policy.ppo and policy.ppo.kl_target:
        beta = adapted_beta(
            opt_state["beta"], jnp.float32(values["kl"]), policy.ppo.kl_target, policy.ppo.kl_horizon, policy.recipe.train.batch
        )
        opt_state = opt_state | {"beta": jax.device_put(beta, opt_state["beta"].sharding)}
    return State(state.step + 1, state.params, opt_state)


def figures_of(drawn: Drawn, seen: Seen) -> dict[str, Any]:
    """What metrics.jsonl says of completions: rewards, nats of entropy a token, nats of KL to the start a completion, tokens, the gap."""
    rollouts, score_R = drawn.rollouts, drawn.score_R
    mask_RT = rollouts.mask_BT
    values: dict[str, Any] = rewards_of(drawn, "reward") | dict(reward_std=float(score_R.std()))
    if seen.ref_T is not None:
        values["kl"] = float(((seen.logp_T - seen.ref_T) * mask_RT).sum(-1).mean())
    values |= dict(entropy=float((seen.entropy_T * mask_RT).sum() / mask_RT.sum()), length=float(rollouts.lengths_B.mean()))
    return values | dict(ended=float(rollouts.ended_B.mean()), logp_gap=gap(rollouts.logp_BT, np.asarray(seen.logp_T), mask_RT))


def learned(updates: Sequence[Figures], critic: bool) -> dict[str, float]:
    """What it says of a step's updates: the first one's loss and gradient, and how far the first and the last found the policy moved.

    The first finds 0, but for rounding, or what was drawn is not what is learned from.
    """
    first, last = (jax.device_get(each) for each in (updates[0], updates[-1]))
    values = dict(loss=float(first.loss), grad_norm=float(first.grad_norm), first_kl=float(first.kl))
    values |= dict(last_kl=float(last.kl), clipped=float(last.clipped))
    return values | (dict(value_loss=float(first.value_loss), ptx_loss=float(first.ptx_loss)) if critic else {})


def measure(work: Work, state: State) -> tuple[Drawn, dict[str, float]] | None:
    """Completions of the first held-out prompts, one of each, drawn alike each time."""
    examples = work.held_out[: work.policy.recipe.train.evaluate_rows]
    if not examples:
        return None
    drawn = draw(work, state, HELD_OUT_STEP, examples)
    return drawn, rewards_of(drawn, "held_out_reward") | dict(held_out_length=float(drawn.rollouts.lengths_B.mean()))


def rewards_of(drawn: Drawn, name: str) -> dict[str, float]:
    """The mean score under that name and, where several are added up, that of each, times its weight, under NAME_REWARD."""
    means = {f"{name}_{each}": float(np.mean(scores)) for each, scores in drawn.scores.items()}
    return {name: float(drawn.score_R.mean())} | (means if len(means) > 1 else {})


def _not_finite(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} is {value}" for name, value in values.items() if not np.isfinite(value))
