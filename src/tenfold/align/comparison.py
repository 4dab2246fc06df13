"""Reward models, and policies from pairs or from good and bad answers.

A run directory, batches that are a function of (seed, step), exact resume.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from tenfold.align.comparison_config import ComparisonRecipe
from tenfold.align.comparison_measure import Measured, measure, result_of
from tenfold.align.comparison_work import Work
from tenfold.align.comparisons import as_pairs, read_comparisons, split
from tenfold.align.ensemble import first_members
from tenfold.align.labelled import read_labelled
from tenfold.align.policy_config import FILE
from tenfold.align.policy_round import placed
from tenfold.align.prompts import chosen
from tenfold.align.reward_model import ModelReward, read_demonstrations
from tenfold.corpus.files import fingerprint
from tenfold.errors import UserError
from tenfold.model.host_memory import keep_freed_memory
from tenfold.model.params import map_params
from tenfold.objectives.reward import demonstration_bias
from tenfold.sharding.axes import RULES, make_mesh
from tenfold.tokens.tokenizer import Tokenizer
from tenfold.train.checkpoint import Checkpoints
from tenfold.train.lora import trained_params
from tenfold.train.meter import Diverged
from tenfold.train.optimizer import adamw_of
from tenfold.train.recipe import load_as, save_recipe, to_dict
from tenfold.train.records import Records, Stopwatch, cut_back, held, write_json
from tenfold.train.run import Run, begin_run, open_run
from tenfold.train.signals import stop_on_signals
from tenfold.train.start import Start, base_params, bring_template, bring_tokenizer, first_state, fitted, open_start, start_params
from tenfold.train.state import State

Watch = Callable[[int, dict[str, Any]], None]
ZEROED = 256
"""Comparisons whose answers score 0 on average where there are several models and no demonstrations."""


def train_on_comparisons(comparison: ComparisonRecipe, out: Path | str | None = None, watch: Watch | None = None) -> Run:
    """Trains a reward model, or a policy from comparisons, in the run directory `out` (runs/NAME), from its start or from where it stopped.

    Raises UserError for anything in the recipe, the comparisons or the machine that cannot work.
    """
    keep_freed_memory()  # before JAX is asked anything
    path = Path(out) if out else Path("runs") / comparison.recipe.name
    if jax.process_count() > 1:
        raise UserError("comparisons are learned by one process, on as many devices as it has.\n  Leave --coordinator out.")
    start = open_start(comparison.recipe)
    comparison = replace(comparison, recipe=fitted(comparison.recipe, start, path))
    data, mesh = comparison.recipe.data, make_mesh(comparison.recipe.mesh)
    _check(comparison, mesh)
    train, held_out = _read(comparison)
    run = open_run(path, comparison.recipe)
    if (path / FILE).exists() and to_dict(load_as(ComparisonRecipe, path / FILE)) | {"recipe": 0} != to_dict(comparison) | {"recipe": 0}:
        raise UserError(f"{path} was begun by another method.\n  Continue it with its own {FILE}, or choose another place with --out.")
    bring_tokenizer(start, path)
    bring_template(start, path)
    tokenizer = start.tokenizer() if data.tokenizer is None else Tokenizer.load(data.tokenizer)
    if tokenizer is None:
        raise UserError(f"{comparison.recipe.start} has no tokenizer to encode answers with.\n  Name one with --data.tokenizer.")
    if not (path / "tokenizer").exists():
        tokenizer.save(path / "tokenizer")
    work = Work(comparison, path, mesh, tokenizer, train, held_out)
    begun_from = "-".join([start.fingerprint(), *(each.fingerprint() for each in _bodies(comparison, tokenizer, path))])
    begin_run(run, fingerprint([to_dict(each) for each in (*train, *held_out)], len(train)), begun_from)
    save_recipe(comparison, path / FILE)
    state, found = _fit(work, watch or _nobody)
    write_json(path / "result.json", result_of(work, int(state.step), found))
    return run


def _nobody(step: int, figures: dict[str, Any]) -> None: ...


def _read(comparison: ComparisonRecipe) -> tuple[list[Any], list[Any]]:
    """What is learned from and what is measured on: Comparisons, of DPO pairs of them, of KTO Labelled answers."""
    data, read = comparison.recipe.data, read_labelled if comparison.kto else read_comparisons
    train, held_out = split(read(data.paths), data.held_out, read)
    return (as_pairs(train), as_pairs(held_out)) if comparison.dpo else (train, held_out)


def _bodies(comparison: ComparisonRecipe, tokenizer: Tokenizer, path: Path) -> list[Start]:
    """What the members of an ensemble begin as, where it is not all the recipe's start. Raises UserError for one of another shape."""
    recipe = comparison.recipe
    asked = [replace(recipe, start=name) for name in comparison.reward_model.starts] if comparison.reward_model else []
    bodies = [open_start(each) for each in asked]
    for each, body in zip(asked, bodies, strict=True):
        own, alike = body.tokenizer(), fitted(each, body, path).model == recipe.model
        if not alike or own is not None and own.fingerprint != tokenizer.fingerprint:
            what = "tokenizer" if alike else "shape"
            raise UserError(f"reward_model.starts names {each.start}, whose {what} is not that of start {recipe.start}.\n  Name its like.")
    return bodies


def _check(comparison: ComparisonRecipe, mesh: Mesh) -> None:
    train, parts = comparison.recipe.train, int(np.prod([mesh.shape[axis] for axis in RULES["batch"]]))
    rows = train.microbatch or train.batch
    if rows % parts:
        raise UserError(f"updates take {rows} prompts at once, which {parts} devices do not divide.\n  Try {rows + parts - rows % parts}.")
    if template := comparison.recipe.chat.template:
        raise UserError(f"chat.template is {template!r}, but comparisons are plain texts.\n  Leave it out.")
    if comparison.recipe.train.frozen:
        raise UserError("train.frozen is of `tenfold train`.\n  Leave it out, or train adapters: --lora.rank 8.")


def _first(work: Work) -> State:
    recipe = work.comparison.recipe
    if work.comparison.reward_model is None:
        return first_state(recipe, work.judge.optimizer, work.mesh)
    optimizer, seed = adamw_of(recipe.optimizer, trained_params(recipe.model, recipe.lora), work.rate), recipe.train.seed
    starts = work.comparison.reward_model.starts or (recipe.start,)
    members = range(work.members if recipe.lora.rank else len(starts))  # whose adapters begin unlike each other, where there are some
    seeded = [replace(recipe, start=starts[m % len(starts)], train=replace(recipe.train, seed=seed + m)) for m in members]
    trained = [first_state(each, optimizer, work.mesh).params for each in seeded]

    def begin(trained):
        headed = first_members(trained, recipe.model, seed, work.members)
        return State(jnp.int32(0), headed, work.moments(headed))

    return jax.jit(begin, out_shardings=work.where)(trained)


def _like(work: Work) -> State:
    def shapes():
        params = map_params(lambda p: jnp.zeros(p.shape, jnp.float32), work.declared)
        return State(jnp.int32(0), params, work.moments(params))

    return jax.tree.map(lambda s, w: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=w), jax.eval_shape(shapes), work.where)


def _fit(work: Work, watch: Watch) -> tuple[State, Measured]:
    """Trains from the newest checkpoint, or the start, to the last step. Returns the state and what it found on held-out comparisons."""
    recipe = work.comparison.recipe
    train, found = recipe.train, Measured()
    with (
        held(work.path),
        Checkpoints(work.path / "checkpoints", train.keep) as checkpoints,
        jax.set_mesh(work.mesh),
        stop_on_signals() as stop,
    ):
        state = checkpoints.restore_newest(_like(work))
        state = _first(work) if state is None else state
        work.base = base_params(recipe, work.mesh) if recipe.lora.rank else None
        if work.comparison.reward_model is None:
            work.start = work.base if recipe.lora.rank else start_params(recipe, work.mesh)
        first = int(state.step)
        cut_back(work.path, first if first else -1)
        shares = [work.share(member) for member in range(work.members)]
        records, clock = Records(work.path, train.tensorboard, train.wandb, to_dict(recipe)), Stopwatch(work.path)

        def write(step: int, **figures) -> None:
            records.write("metrics.jsonl", step, **figures)
            watch(step, figures)

        try:
            if first == 0 and work.held_out:
                write(0, **measure(work, state.params).figures)
            for step in range(first, train.steps):
                done = step + 1
                seeds = [recipe.data.seed + member for member in range(work.members)]
                items = [own[i] for seed, own in zip(seeds, shares, strict=True) for i in chosen(len(own), train.batch, step, seed)]
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
                if done == train.steps and work.comparison.reward_model:
                    state = _normalised(work, state)
                if work.held_out and (done % train.every("evaluate") == 0 or done == train.steps):
                    found = measure(work, state.params)
                    write(done, **found.figures)
                if ending or done % train.every("checkpoint") == 0:
                    checkpoints.save(state)
                if ending:
                    break
            if work.held_out and not found.figures:
                found = measure(work, state.params)
        finally:
            records.close()
    return state, found


def _normalised(work: Work, state: State) -> State:
    """With demonstrations at 0 on average (InstructGPT, section 3.5). Without them an ensemble's members have the answers that they learned
    from there, or the lowest score would be that of the member whose zero happens to be the highest."""
    asked = work.comparison.reward_model
    if asked is None or not (asked.demonstrations or work.members > 1):
        return state
    if asked.demonstrations:
        prompts, texts = read_demonstrations(asked.demonstrations)
    else:
        pairs = [(each.prompt, answer) for each in work.train[:ZEROED] for answer in each.answers]
        prompts, texts = [prompt for prompt, _ in pairs], [text for _, text in pairs]
    model = ModelReward(state.params, work.base, work.judge.weights, work.judge.config, work.tokenizer, work.members)
    score, bias_E = state.params["score"], demonstration_bias(model.each(prompts, texts))
    moved = jax.device_put(score["bias"] + bias_E.reshape(score["bias"].shape), score["bias"].sharding)
    return replace(state, params=state.params | {"score": score | {"bias": moved}})
