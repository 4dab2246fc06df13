"""Distillation: a student learns the next token of documents, and a teacher's probabilities of it.

The teacher is asked first, once for each batch, and what it says is stored (its likeliest tokens, and so the mass of the others); then the
student is trained without it. A batch is a function of (seed, step), so what is stored under a step's number is of its rows.

Sources: Hinton et al. 2015; storing the top of the distribution, with the rest as one outcome, objectives/distill.py.
Shapes: A microbatches of B rows of T tokens, V vocabulary, L stored tokens.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tenfold.align.distill_config import Distill, DistillRecipe
from tenfold.align.policy_config import FILE
from tenfold.corpus.files import replacing
from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.host_memory import keep_freed_memory
from tenfold.model.transformer import forward, logits
from tenfold.objectives.distill import stored, stored_kl
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.tokens.prepare import prepare
from tenfold.tokens.tokenizer import Tokenizer
from tenfold.train.batches import Batches
from tenfold.train.feed import document_feed
from tenfold.train.loop import fit
from tenfold.train.meter import Watch
from tenfold.train.recipe import Recipe, load_as, save_recipe, to_dict
from tenfold.train.records import write_json
from tenfold.train.run import Run, begin_run, check_same, open_run
from tenfold.train.start import fitted, open_start, start_params
from tenfold.train.state import State, state_shardings
from tenfold.train.step import DeviceBatch, Metrics
from tenfold.train.train import Quiet, result, session_of

STORE = "teacher"
"""Where in the run's directory the teacher's probabilities are, a file a step."""


class Taught(NamedTuple):
    """A batch, and what the teacher says of it."""

    batch: DeviceBatch
    ids_ABTL: Any
    logp_ABTL: Any


class TaughtBatches:
    """The batches of a run with what is stored of them."""

    def __init__(self, batches: Batches, store: Path):
        self._batches, self._store = batches, store
        self.schedule, self.loader = batches.schedule, batches.loader

    def __call__(self, step: int) -> Taught:
        batch = self._batches(step)
        with np.load(_file(self._store, step)) as found:
            shape = (*batch.tokens_ABT.shape, -1)
            return Taught(batch, *(found[name].reshape(shape).astype(to) for name, to in (("ids", np.int32), ("logp", np.float32))))


def distill(distilled: DistillRecipe, out: Path | str | None = None, watch: Watch | None = None, say: Callable[[str], None] = print) -> Run:
    """Trains the student in the run directory `out` (runs/NAME), from its start or from where it stopped, and returns the Run.

    `say` is told of the teacher's part. Raises UserError for anything in the recipe, the data, the teacher or the machine that cannot work.
    """
    keep_freed_memory()  # before JAX is asked anything
    path = Path(out) if out else Path("runs") / distilled.recipe.name
    if jax.process_count() > 1:
        raise UserError("a student is trained by one process, on as many devices as it has.\n  Leave --coordinator out.")
    teacher = _teacher(distilled)
    start = open_start(distilled.recipe) if distilled.recipe.start is not None else None
    recipe = fitted(distilled.recipe, start, path) if start else distilled.recipe
    own = replace(recipe, data=replace(recipe.data, tokenizer=recipe.data.tokenizer or teacher.data.tokenizer))
    run = open_run(path, own)
    _check_same(replace(distilled, recipe=own), path)
    prepared = prepare(own.data, path, own.model.vocab)
    _check_tokens(prepared.tokenizer, teacher, own.model)
    feed, mesh = document_feed(own, prepared), make_mesh(own.mesh)
    session = session_of(own, path, feed, mesh, watch or Quiet())
    begin_run(run, feed.fingerprint, start.fingerprint() if start else None)
    save_recipe(replace(distilled, recipe=own), path / FILE)
    (path / STORE).mkdir(exist_ok=True)
    check_same(Run(path / STORE, teacher), "start", open_start(teacher).fingerprint())
    store(distilled.distill, teacher, session.batches, own.train.steps, path / STORE, say)
    session.batches = TaughtBatches(session.batches, path / STORE)  # type: ignore[assignment]
    shardings = state_shardings(own.model, session.optimizer, mesh)
    learn = partial(learn_step, own.model, session.optimizer, distilled.distill)
    session.train_step = jax.jit(learn, donate_argnums=0, out_shardings=(shardings, None))
    state, finished = fit(session)
    found = {"command": "align distill", "teacher": distilled.distill.teacher}
    write_json(path / "result.json", result(session, int(state.step), finished) | found)
    return run


def learn_step(
    config: ModelConfig, optimizer: optax.GradientTransformation, method: Distill, state: State, taught: Taught, base: None
) -> tuple[State, Metrics]:
    """(new State, Metrics), as of train.step. The loss that is reported is that of the text, so that it compares with any run's."""
    batch = taught.batch
    whole = jnp.maximum(batch.weights_ABT.sum(), 1)

    def objective(params, tokens_BT, targets_BT, weights_BT, segments_BT, places_BT, ids_BTL, logp_BTL):
        x_BTD = forward(params, config, tokens_BT, segments_BT, places_BT=places_BT).x_BTD
        logits_BTV = logits(params, config, x_BTD)
        nll_BT = optax.softmax_cross_entropy_with_integer_labels(logits_BTV, targets_BT)
        kl_BT = stored_kl(ids_BTL, logp_BTL, logits_BTV, method.temperature)
        nll, kl = ((each_BT * weights_BT).sum() / whole for each_BT in (nll_BT, kl_BT))
        return method.weight * kl + (1 - method.weight) * nll, nll

    def add(carry, microbatch):
        (_, nll), grads = jax.value_and_grad(objective, has_aux=True)(state.params, *microbatch)
        return jax.tree.map(jnp.add, carry, (nll, grads)), None

    rows = (batch.tokens_ABT, batch.targets_ABT, batch.weights_ABT, batch.segments_ABT, batch.places_ABT, taught.ids_ABTL, taught.logp_ABTL)
    (loss, grads), _ = jax.lax.scan(add, (jnp.float32(0), jax.tree.map(jnp.zeros_like, state.params)), rows)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    return State(state.step + 1, optax.apply_updates(state.params, updates), opt_state), Metrics(loss, optax.tree.norm(grads))


def store(method: Distill, teacher: Recipe, batches: Batches, steps: int, folder: Path, say: Callable[[str], None]) -> None:
    """Writes what the teacher says of each step's batch, where it is not there: ids and log-probabilities [A, B, T, L]."""
    missing = [step for step in range(steps) if not _file(folder, step).exists()]
    if not missing:
        return
    say(f"the teacher reads {len(missing):,} batches")
    mesh = make_mesh(MeshConfig(), jax.local_devices()[:1])
    params, config = start_params(teacher, mesh), replace(teacher.model, expert_capacity=0.0)
    vocab = Tokenizer.load(str(teacher.data.tokenizer)).vocab

    @jax.jit
    def asked(params, rows):
        def microbatch(rows):
            tokens_BT, segments_BT, places_BT = rows
            logits_BTV = logits(params, config, forward(params, config, tokens_BT, segments_BT, places_BT=places_BT).x_BTD)
            is_token_V = jnp.arange(logits_BTV.shape[-1]) < vocab
            return stored(jnp.where(is_token_V, logits_BTV, -jnp.inf), min(method.top, vocab), method.temperature)

        return jax.lax.map(microbatch, rows)

    for done, step in enumerate(missing, 1):
        batch = batches(step)
        with jax.set_mesh(mesh):
            rows = jax.tree.map(np.asarray, (batch.tokens_ABT, batch.segments_ABT, batch.places_ABT))
            ids, logp = (np.asarray(x_ABTL) for x_ABTL in asked(params, rows))
        with replacing(_file(folder, step)) as file:
            np.savez(file, ids=ids.astype(np.uint16 if vocab <= 2**16 else np.int32), logp=logp)
        if done % max(1, len(missing) // 10) == 0:
            say(f"  {done:,}/{len(missing):,} batches")


def _file(folder: Path, step: int) -> Path:
    return folder / f"{step:07}.npz"


def _teacher(distilled: DistillRecipe) -> Recipe:
    """A recipe whose start is the teacher, with the teacher's shape and tokenizer."""
    name = distilled.distill.teacher
    if not name:
        raise UserError("distill.teacher names no model to learn from.\n  Name a run or a Hugging Face directory: --teacher.")
    plain = Recipe("teacher", start=name, data=replace(distilled.recipe.data, tokenizer=None))
    found = open_start(plain)
    if found.tokenizer_path is None:
        raise UserError(
            f"the teacher {name} has no tokenizer in a file, which the student could have too.\n"
            f"  Make a run of it, and name that: tenfold convert import {name} RUN."
        )
    return fitted(replace(plain, model=found.config), found, Path(name))


def _check_tokens(tokenizer: Tokenizer | None, teacher: Recipe, student: ModelConfig) -> None:
    """Refuses a student of other tokens, or of longer rows, than the teacher knows."""
    theirs = Tokenizer.load(str(teacher.data.tokenizer))
    if tokenizer is None or tokenizer.fingerprint != theirs.fingerprint:
        raise UserError(
            f"the documents are of another tokenizer than that of the teacher, {teacher.start}: its tokens would mean something else.\n"
            "  Leave out data.tokenizer, and give documents or the shards that the teacher learned from."
        )
    if student.vocab < theirs.vocab:
        raise UserError(f"model.vocab is {student.vocab}, but the teacher has {theirs.vocab} tokens.\n  Use --model.vocab {theirs.vocab}.")
    if student.context > teacher.model.context:
        raise UserError(
            f"model.context is {student.context}, but the teacher knows {teacher.model.context} positions.\n"
            f"  Use --model.context {teacher.model.context}."
        )


def _check_same(distilled: DistillRecipe, path: Path) -> None:
    """Refuses to go on with another teacher, or otherwise."""
    if (path / FILE).exists() and to_dict(load_as(DistillRecipe, path / FILE))["distill"] != to_dict(distilled)["distill"]:
        raise UserError(f"{path} was begun with another distill.\n  Continue it with its own {FILE}, or choose another place with --out.")
