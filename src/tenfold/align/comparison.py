"""Reward models, and policies from pairs: a run directory, batches that are a function of (seed, step), exact resume."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from tenfold.align.comparison_config import ComparisonRecipe
from tenfold.align.comparison_step import Judge, figures_of, judged, learn
from tenfold.align.comparisons import Comparison, Ranked, as_pairs, encoded, ranked, read_comparisons, split
from tenfold.align.headed import first_headed, headed_params
from tenfold.align.policy_config import FILE
from tenfold.align.policy_round import placed
from tenfold.align.prompts import chosen
from tenfold.align.reward_model import ModelReward, read_demonstrations
from tenfold.corpus.files import fingerprint
from tenfold.errors import UserError
from tenfold.model.host_memory import keep_freed_memory
from tenfold.model.params import Params, map_params, parameter_count
from tenfold.objectives.reward import calibration, demonstration_bias
from tenfold.sharding.axes import RULES, make_mesh, sharding
from tenfold.tokens.tokenizer import Tokenizer
from tenfold.train.batch_schedule import batch_schedule
from tenfold.train.checkpoint import Checkpoints
from tenfold.train.device import machine
from tenfold.train.lora import trained_params, weights_of
from tenfold.train.meter import Diverged
from tenfold.train.optimizer import adamw_of
from tenfold.train.recipe import load_as, save_recipe, to_dict
from tenfold.train.records import Records, Stopwatch, cut_back, write_json
from tenfold.train.run import Run, begin_run, open_run
from tenfold.train.schedule import learning_rate
from tenfold.train.signals import stop_on_signals
from tenfold.train.start import base_params, bring_tokenizer, first_state, fitted, open_start, start_params
from tenfold.train.state import State, optimizer_shardings, tree_shardings

Watch = Callable[[int, dict[str, Any]], None]


@dataclass
class Work:
    """All that a run needs while it runs."""

    comparison: ComparisonRecipe
    path: Path
    mesh: Mesh
    tokenizer: Tokenizer
    train: list[Comparison]
    held_out: list[Comparison]

    def __post_init__(self):
        recipe = self.comparison.recipe
        everything = [*self.train, *self.held_out]
        self.answers = max(len(each.answers) for each in everything)
        longest = max(len(encoded(c.prompt, a, self.tokenizer, recipe.model.context)[0]) for c in everything for a in c.answers)
        self.width = min(-(-longest // 8) * 8, recipe.model.context) + bool(self.comparison.dpo)  # of which the last is a target alone
        self.rate = learning_rate(recipe.optimizer, batch_schedule(recipe), recipe.train.steps)
        self.declared = trained_params(recipe.model, recipe.lora) if self.comparison.dpo else headed_params(recipe.model, recipe.lora)
        method = self.comparison.dpo or self.comparison.reward_model
        optimizer = adamw_of(recipe.optimizer, self.declared, self.rate)
        assert method is not None
        config = replace(recipe.model, expert_capacity=0.0)  # no token is dropped for its neighbours' sake
        self.judge = Judge(method, config, weights_of(recipe), optimizer, self.tokenizer.vocab)
        opt_state = optimizer_shardings(self.declared, optimizer, self.mesh)
        self.where = State(sharding(self.mesh, ()), tree_shardings(self.declared, self.mesh), opt_state)  # type: ignore[arg-type]
        self.learn = jax.jit(partial(learn, self.judge), donate_argnums=0, out_shardings=(self.where, None))
        self.judged = jax.jit(partial(judged, self.judge))
        self.base: Params | None = None
        self.start: Params | None = None

    def rows(self, comparisons: Sequence[Comparison]) -> Ranked:
        return ranked(comparisons, self.tokenizer, self.comparison.recipe.model.context, self.answers, self.width)


def train_on_comparisons(comparison: ComparisonRecipe, out: Path | str | None = None, watch: Watch | None = None) -> Run:
    """Trains a reward model, or a policy from pairs, in the run directory `out` (runs/NAME), from its start or from where it stopped.

    Raises UserError for anything in the recipe, the comparisons or the machine that cannot work.
    """
    path = Path(out) if out else Path("runs") / comparison.recipe.name
    if jax.process_count() > 1:
        raise UserError("comparisons are learned by one process, on as many devices as it has.\n  Leave --coordinator out.")
    start = open_start(comparison.recipe)
    comparison = replace(comparison, recipe=fitted(comparison.recipe, start, path))
    keep_freed_memory()
    data, mesh = comparison.recipe.data, make_mesh(comparison.recipe.mesh)
    _check(comparison, mesh)
    train, held_out = split(read_comparisons(data.paths), data.held_out)
    if comparison.dpo:
        train, held_out = as_pairs(train), as_pairs(held_out)
    run = open_run(path, comparison.recipe)
    if (path / FILE).exists() and to_dict(load_as(ComparisonRecipe, path / FILE)) | {"recipe": 0} != to_dict(comparison) | {"recipe": 0}:
        raise UserError(f"{path} was begun by another method.\n  Continue it with its own {FILE}, or choose another place with --out.")
    bring_tokenizer(start, path)
    tokenizer = start.tokenizer() if data.tokenizer is None else Tokenizer.load(data.tokenizer)
    if tokenizer is None:
        raise UserError(f"{comparison.recipe.start} has no tokenizer to encode answers with.\n  Name one with --data.tokenizer.")
    if not (path / "tokenizer").exists():
        tokenizer.save(path / "tokenizer")
    work = Work(comparison, path, mesh, tokenizer, train, held_out)
    begin_run(run, fingerprint([to_dict(each) for each in (*train, *held_out)], len(train)), start.fingerprint())
    save_recipe(comparison, path / FILE)
    state, found = _fit(work, watch or _nobody)
    write_json(path / "result.json", _result(work, int(state.step), found))
    return run


def _nobody(step: int, figures: dict[str, Any]) -> None: ...


def _check(comparison: ComparisonRecipe, mesh: Mesh) -> None:
    train, parts = comparison.recipe.train, int(np.prod([mesh.shape[axis] for axis in RULES["batch"]]))
    rows = train.microbatch or train.batch
    if rows % parts:
        raise UserError(f"updates take {rows} prompts at once, which {parts} devices do not divide.\n  Try {rows + parts - rows % parts}.")
    if comparison.recipe.train.frozen:
        raise UserError("train.frozen is of `tenfold train`.\n  Leave it out, or train adapters: --lora.rank 8.")


def _first(work: Work) -> State:
    recipe = work.comparison.recipe
    if work.comparison.dpo:
        return first_state(recipe, work.judge.optimizer, work.mesh)
    trained = first_state(recipe, adamw_of(recipe.optimizer, trained_params(recipe.model, recipe.lora), work.rate), work.mesh).params
    key = jax.random.fold_in(jax.random.key(recipe.train.seed), 1)

    def begin(trained):
        headed = first_headed(trained, recipe.model, key)
        return State(jnp.int32(0), headed, work.judge.optimizer.init(headed))

    return jax.jit(begin, out_shardings=work.where)(trained)


def _like(work: Work) -> State:
    def shapes():
        params = map_params(lambda p: jnp.zeros(p.shape, jnp.float32), work.declared)
        return State(jnp.int32(0), params, work.judge.optimizer.init(params))

    return jax.tree.map(lambda s, w: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=w), jax.eval_shape(shapes), work.where)


def _fit(work: Work, watch: Watch) -> tuple[State, dict[str, float]]:
    """Trains from the newest checkpoint, or the start, to the last step. Returns the state and what it found on held-out comparisons."""
    recipe = work.comparison.recipe
    train, found = recipe.train, {}
    with Checkpoints(work.path / "checkpoints", train.keep) as checkpoints, jax.set_mesh(work.mesh), stop_on_signals() as stop:
        state = checkpoints.restore_newest(_like(work))
        state = _first(work) if state is None else state
        work.base = base_params(recipe, work.mesh) if recipe.lora.rank else None
        if work.comparison.dpo:
            work.start = work.base if recipe.lora.rank else start_params(recipe, work.mesh)
        first = int(state.step)
        cut_back(work.path, first if first else -1)
        records, clock = Records(work.path, train.tensorboard, train.wandb, to_dict(recipe)), Stopwatch(work.path)

        def write(step: int, **figures) -> None:
            records.write("metrics.jsonl", step, **figures)
            watch(step, figures)

        try:
            if first == 0 and work.held_out:
                write(0, **measure(work, state.params))
            for step in range(first, train.steps):
                done = step + 1
                items = [work.train[i] for i in chosen(len(work.train), train.batch, step, recipe.data.seed)]
                state, figures = work.learn(
                    state, work.base, work.start, placed(work.rows(items), train.microbatch or train.batch, work.mesh)
                )
                figures = {name: float(value) for name, value in figures.items()}
                if not all(np.isfinite(list(figures.values()))):
                    raise Diverged(f"step {done}: {figures}: training cannot go on.\n  A lower optimizer.learning_rate is the usual mend.")
                ending = done == train.steps or stop.asked
                if done % train.log_every == 0 or step == 0 or ending:
                    write(done, **figures, lr=float(work.rate(jnp.int32(step))))
                    records.write("timing.jsonl", done, seconds=clock.seconds())
                if done == train.steps and work.comparison.reward_model and work.comparison.reward_model.demonstrations:
                    state = _normalised(work, state)
                if work.held_out and (done % train.every("evaluate") == 0 or done == train.steps):
                    found = measure(work, state.params)
                    write(done, **found)
                if ending or done % train.every("checkpoint") == 0:
                    checkpoints.save(state)
                if ending:
                    break
            if work.held_out and not found:
                found = measure(work, state.params)
        finally:
            records.close()
    return state, found


def _normalised(work: Work, state: State) -> State:
    """With demonstrations at 0 on average (InstructGPT, section 3.5)."""
    assert work.comparison.reward_model is not None
    model = ModelReward(state.params, work.base, work.judge.weights, work.judge.config, work.tokenizer)
    scores = model(*read_demonstrations(str(work.comparison.reward_model.demonstrations)))
    score = state.params["score"]
    moved = jax.device_put(score["bias"] + demonstration_bias(jnp.asarray(scores)), score["bias"].sharding)
    return replace(state, params=state.params | {"score": score | {"bias": moved}})


def measure(work: Work, trained: Params) -> dict[str, float]:
    """Of held-out comparisons: loss, accuracy over their pairs, and the calibration of differences of scores."""
    size, sums, ahead = work.comparison.recipe.train.microbatch or work.comparison.recipe.train.batch, None, []
    for first in range(0, len(work.held_out), size):
        some = work.held_out[first : first + size]
        rows = work.rows(some + some[:1] * (size - len(some)))
        rows = rows._replace(real_NK=rows.real_NK & (np.arange(size) < len(some))[:, None])
        found, score_NK = work.judged(trained, work.base, work.start, jax.tree.map(lambda x: x[0], placed(rows, size, work.mesh)))
        sums = found if sums is None else jax.tree.map(jnp.add, sums, found)
        score_NK = np.asarray(score_NK)
        ahead += [score_NK[n, i] - score_NK[n, j] for n, each in enumerate(some) for i, j in each.pairs]
    assert sums is not None
    values = {f"held_out_{name}": float(value) for name, value in figures_of(sums).items()}
    return values | {"held_out_calibration": float(calibration(jnp.asarray(ahead)))}


def _result(work: Work, step: int, found: dict[str, float]) -> dict:
    """What result.json says."""
    comparison = work.comparison
    values = {"command": f"align {'dpo' if comparison.dpo else 'reward'}", "finished": step == comparison.recipe.train.steps, "steps": step}
    values |= {"comparisons": len(work.train), "held_out": len(work.held_out), "seconds": Stopwatch(work.path).spent}
    return values | found | {"parameters": parameter_count(comparison.recipe.model), "machine": machine()}
