"""GRPO and PPO: completions, what they are worth, updates, and again; in a run directory like any other.

Each part of a step (policy_round.py) is a function of the weights, (seed, step) and the rewards, so a run that was stopped goes on to the
same numbers, if its rewards are functions too.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from tenfold.align.policy_config import FILE, PolicyRecipe
from tenfold.align.policy_round import Drawn, Work, measure, one_step
from tenfold.align.policy_state import abstract_policy, first_policy, rate_of
from tenfold.align.prompts import read_prompts
from tenfold.align.ptx import Pretraining
from tenfold.align.reader import make_reader
from tenfold.align.reward_pool import weighted
from tenfold.align.rewards import Reward
from tenfold.corpus.files import fingerprint
from tenfold.errors import UserError
from tenfold.model.host_memory import keep_freed_memory
from tenfold.model.params import parameter_count
from tenfold.sharding.axes import RULES, make_mesh
from tenfold.tokens.tokenizer import Tokenizer
from tenfold.train.checkpoint import Checkpoints
from tenfold.train.device import machine
from tenfold.train.recipe import load_as, save_recipe, to_dict
from tenfold.train.records import Records, Stopwatch, cut_back, held, write_json
from tenfold.train.run import Run, begin_run, open_run
from tenfold.train.signals import stop_on_signals
from tenfold.train.start import base_params, bring_template, bring_tokenizer, fitted, open_start, start_params
from tenfold.train.state import State

Watch = Callable[[int, dict[str, Any]], None]
"""Is told of each line of metrics.jsonl: the step, counted from 1, and the figures."""
SHOWN = 4
"""Completions of a step that samples.jsonl keeps."""


def train_policy(
    policy: PolicyRecipe, out: Path | str | None = None, rewards: dict[str, Reward] | None = None, watch: Watch | None = None
) -> Run:
    """Trains a policy in the run directory `out` (runs/NAME), from its start or from where it stopped, and returns the Run.

    `rewards` are functions by name, beside those that the recipe names. Raises UserError for anything in the recipe, the prompts, the
    rewards or the machine that cannot work. A reward that fails ends the run; its checkpoints are of steps before.
    """
    keep_freed_memory()  # before JAX is asked anything
    path = Path(out) if out else Path("runs") / policy.recipe.name
    if jax.process_count() > 1:
        raise UserError("a policy is trained by one process, on as many devices as it has.\n  Leave --coordinator out.")
    start = open_start(policy.recipe)
    policy = replace(policy, recipe=fitted(policy.recipe, start, path))
    data = policy.recipe.data
    examples, held_out = read_prompts(data.paths, True), read_prompts([data.held_out], True) if data.held_out else []
    mesh = make_mesh(policy.recipe.mesh)
    _check_rows(policy, mesh)
    with ExitStack() as stack:
        reward = weighted(policy.reward, rewards or {}, stack)
        run = open_run(path, policy.recipe)
        _check_method(policy, path)
        bring_tokenizer(start, path)
        tokenizer = start.tokenizer() if data.tokenizer is None else Tokenizer.load(data.tokenizer)
        if tokenizer is None:
            raise UserError(f"{policy.recipe.start} has no tokenizer to encode prompts with.\n  Name one with --data.tokenizer.")
        if not (path / "tokenizer").exists():
            tokenizer.save(path / "tokenizer")
        reader = make_reader([*examples, *held_out], tokenizer, policy.recipe.chat.template, start.chat_template, str(policy.recipe.start))
        bring_template(start, path, reader.chat.template.source if reader.chat else None)
        pretraining = Pretraining(policy, path) if policy.ppo and policy.ppo.ptx else None
        work = Work(policy, path, mesh, reader, reward, examples, held_out, pretraining)
        read = [examples, held_out, pretraining.fingerprint if pretraining else None]
        begin_run(run, fingerprint(*read, *([reader.chat.template.source] if reader.chat else [])), start.fingerprint())
        save_recipe(policy, path / FILE)
        state, finished = _fit(work, watch or _nobody)
    write_json(path / "result.json", _result(work, int(state.step), finished))
    return run


def _nobody(step: int, figures: dict[str, Any]) -> None: ...


def _fit(work: Work, watch: Watch) -> tuple[State, bool]:
    """Trains from the newest checkpoint, or the start, to the last step. Returns the state and whether it got there."""
    policy, recipe = work.policy, work.policy.recipe
    with (
        held(work.path),
        Checkpoints(work.path / "checkpoints", recipe.train.keep) as checkpoints,
        jax.set_mesh(work.mesh),
        stop_on_signals() as stop,
    ):
        state = checkpoints.restore_newest(abstract_policy(policy, work.learner, work.mesh))
        if state is None:
            state = first_policy(policy, work.learner, work.mesh)
        if recipe.lora.rank:
            work.base = base_params(recipe, work.mesh)
        if policy.method.kl or (policy.ppo and policy.ppo.kl_target):
            work.start = work.base if recipe.lora.rank else start_params(recipe, work.mesh)
        first = int(state.step)
        cut_back(work.path, first if first else -1)
        records, clock = Records(work.path, recipe.train.tensorboard, recipe.train.wandb, to_dict(recipe)), Stopwatch(work.path)
        try:
            if first == 0:
                _write_held_out(work, state, records, watch)
            return _steps(work, state, first, checkpoints, records, clock, stop, watch)
        finally:
            records.close()


def _steps(work: Work, state: State, first: int, checkpoints, records, clock, stop, watch: Watch) -> tuple[State, bool]:
    train, rate = work.policy.recipe.train, rate_of(work.policy)
    for step in range(first, train.steps):
        state, drawn, values = one_step(work, state, step)
        done, completions = step + 1, (step + 1) * train.batch
        ending = done == train.steps or stop.asked
        if done % train.log_every == 0 or step == 0 or ending:
            values = dict(completions=completions) | values | dict(lr=float(rate(jnp.int32(step))))
            records.write("metrics.jsonl", done, **values)
            records.write("timing.jsonl", done, seconds=clock.seconds(), completions=completions)
            watch(done, values)
        if done % train.every("sample") == 0 or done == train.steps:
            _write_samples(drawn, done, records)
        if done % train.every("evaluate") == 0 or done == train.steps:
            _write_held_out(work, state, records, watch)
        if ending or done % train.every("checkpoint") == 0:
            checkpoints.save(state)
        if ending:
            return state, done == train.steps
    return state, True


def _write_held_out(work: Work, state: State, records: Records, watch: Watch) -> None:
    if (found := measure(work, state)) is not None:
        records.write("metrics.jsonl", int(state.step), **found[1])
        watch(int(state.step), found[1])


def _write_samples(drawn: Drawn, done: int, records: Records) -> None:
    places = range(0, len(drawn.examples), max(1, len(drawn.examples) // SHOWN))
    for row in list(places)[:SHOWN]:
        text, score = drawn.rollouts.completions[row], float(drawn.score_R[row])
        records.write("samples.jsonl", done, prompt=drawn.examples[row]["prompt"], text=text, reward=score)


def _check_rows(policy: PolicyRecipe, mesh: Mesh) -> None:
    """Refuses microbatches that do not divide over the mesh, or text that does not divide over them, with the arithmetic."""
    train, minibatch = policy.recipe.train, policy.recipe.train.batch // policy.method.minibatches
    rows, parts = train.microbatch or minibatch, int(np.prod([mesh.shape[axis] for axis in RULES["batch"]]))
    over = " x ".join(f"mesh.{axis} {mesh.shape[axis]}" for axis in RULES["batch"])
    if rows % parts:
        raise UserError(f"updates take {rows} rows at once, which {over} = {parts} does not divide.\n  Try {rows + parts - rows % parts}.")
    pieces = minibatch // rows * parts
    if policy.ppo and policy.ppo.ptx and policy.ppo.ptx_rows % pieces:
        raise UserError(
            f"ppo.ptx_rows is {policy.ppo.ptx_rows}, which {minibatch // rows} microbatches over {over} do not divide.\n  Try {pieces}."
        )


def _check_method(policy: PolicyRecipe, path: Path) -> None:
    """Refuses to go on with a run by another method, or with other rewards, than it began with."""
    if not (path / FILE).exists():
        return
    before, now = (to_dict(each) for each in (load_as(PolicyRecipe, path / FILE), policy))
    for part in ("rollout", "reward", "grpo", "ppo"):
        if before[part] != now[part]:
            both = before[part] and now[part]
            changed = [f"{part}.{name}" for name in before[part] if before[part][name] != now[part][name]] if both else [part]
            raise UserError(
                f"{path} was begun with another {' '.join(changed)}.\n"
                f"  Continue it with its own {FILE}, or choose another place with --out."
            )


def _result(work: Work, step: int, finished: bool) -> dict:
    """What result.json says."""
    policy, rewards = work.policy, work.reward
    found = {"command": f"align {'grpo' if policy.grpo else 'ppo'}", "finished": finished, "steps": step}
    return found | {
        "completions": step * policy.recipe.train.batch,
        "seconds": Stopwatch(work.path).spent,
        "parameters": parameter_count(policy.recipe.model),
        "rewards": list(rewards.rewards),
        "machine": machine(),
    }
