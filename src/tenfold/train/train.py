"""`tenfold.train(recipe)`: data, mesh and state put together, then the loop."""

import logging
from dataclasses import dataclass
from pathlib import Path

import jax

from tenfold.corpus.documents import Progress
from tenfold.errors import UserError
from tenfold.model.host_memory import keep_freed_memory
from tenfold.model.params import parameter_count
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.processes import everyone, first_then_rest
from tenfold.tokens.loader import Loader
from tenfold.tokens.prepare import Prepared, prepare
from tenfold.train.batch_schedule import batch_schedule
from tenfold.train.batches import Batches
from tenfold.train.device import machine
from tenfold.train.feed import Feed, MakeFeed, check_prompts, document_feed
from tenfold.train.held_out import HeldOut
from tenfold.train.loop import Session, fit
from tenfold.train.meter import Watch
from tenfold.train.noise import reserved, row_tokens
from tenfold.train.recipe import Recipe
from tenfold.train.records import seconds_so_far, write_json
from tenfold.train.run import Run, begin_run, open_run
from tenfold.train.start import bring_tokenizer, fitted, open_start

log = logging.getLogger(__name__)


@dataclass
class Quiet:
    """Watches a run and says nothing; keeps the last figures."""

    loss: float = float("nan")
    found: HeldOut | None = None

    def start(self, first_step: int, steps: int) -> None: ...

    def step(self, step: int, loss: float, tokens_per_second: float | None, mfu: float | None) -> None:
        self.loss = loss

    def held_out(self, step: int, found: HeldOut) -> None:
        self.found = found

    def sample(self, step: int, prompt: str, text: str) -> None: ...


def train(recipe: Recipe, out: Path | str | None = None, watch: Watch | None = None, progress: Progress | None = None) -> Run:
    """Trains a recipe on documents in the run directory `out` (runs/NAME), from the start or from where it stopped, and returns the Run.

    Raises UserError for anything in the recipe, the data or the machine that cannot work, before compiling.
    """
    check_documents(recipe)

    def documents(fitted: Recipe, path: Path) -> Feed:
        return document_feed(fitted, prepare(fitted.data, path, fitted.model.vocab, progress, reserved(fitted)))

    return train_on(documents, recipe, out, watch)


def check_documents(recipe: Recipe) -> None:
    """Refuses recipes whose data are conversations."""
    if recipe.chat.template:
        raise UserError(
            f"chat.template is {recipe.chat.template!r}, so the recipe learns from conversations, not documents.\n"
            "  Use `tenfold align sft` with the same recipe, or leave chat.template empty."
        )


def train_on(make_feed: MakeFeed, recipe: Recipe, out: Path | str | None = None, watch: Watch | None = None) -> Run:
    """`train` on whatever `make_feed` gives."""
    keep_freed_memory()  # before JAX is asked anything
    path = Path(out) if out else Path("runs") / recipe.name
    start = open_start(recipe) if recipe.start is not None else None
    recipe = fitted(recipe, start, path) if start else recipe
    run = first_then_rest(lambda: open_run(path, recipe))
    first_then_rest(lambda: bring_tokenizer(start, path))
    feed = first_then_rest(lambda: make_feed(recipe, path))
    mesh = make_mesh(recipe.mesh)
    session = session_of(recipe, path, feed, mesh, watch or Quiet())
    if not session.held_out and jax.process_index() == 0:
        what = "conversation" if recipe.chat.template else "document"
        log.warning("%s: no %s is held out, so no held-out loss is measured: name some in data.held_out", path, what)
    first_then_rest(lambda: begin_run(run, feed.fingerprint, start.fingerprint() if start else None))
    state, finished = fit(session)
    if jax.process_index() == 0:
        write_json(path / "result.json", result(session, int(state.step), finished) | feed.found)
    everyone("the run has ended")
    return run


def make_session(recipe: Recipe, path: Path, data: Prepared, mesh, watch: Watch) -> Session:
    """Loader, batches and held-out rows of a recipe of documents, with the mesh: all that `fit` runs on."""
    return session_of(recipe, path, document_feed(recipe, data), mesh, watch)


def session_of(recipe: Recipe, path: Path, feed: Feed, mesh, watch: Watch) -> Session:
    """The same of any feed."""
    check_prompts(recipe, feed.tokenizer)
    batches = Batches(recipe, batch_schedule(recipe), feed.loader, mesh, feed.noise)
    return Session(recipe, path, mesh, batches, feed.tokenizer, feed.held_out, watch, feed.most)


def show_batch(recipe: Recipe, step: int, out: Path | str | None = None) -> list[dict]:
    """The rows of a step's batch (steps count from 1, as in metrics.jsonl): each row's documents, and its text."""
    if not 1 <= step <= recipe.train.steps:
        raise UserError(f"--show-batch is {step}, but the run's steps are 1 to {recipe.train.steps}.")
    check_documents(recipe)
    path = Path(out) if out else Path("runs") / recipe.name
    if recipe.start is not None:
        start = open_start(recipe)
        recipe = fitted(recipe, start, path)
        bring_tokenizer(start, path)
    data = prepare(recipe.data, path, recipe.model.vocab, reserved=reserved(recipe))
    loader, schedule = Loader(data.train, data.weights, row_tokens(recipe), recipe.data.seed), batch_schedule(recipe)
    rows = []
    for number in range(schedule.rows_before(step - 1), schedule.rows_before(step)):
        documents = [{"source": d["source"], "id": d["id"], "tokens": [first, last]} for d, first, last in loader.provenance(number)]
        tokens = loader.row(number)["tokens"]
        rows.append({"row": number, "documents": documents, "text": data.tokenizer.decode(tokens.tolist()) if data.tokenizer else None})
    return rows


def result(session: Session, step: int, finished: bool) -> dict:
    """What result.json says of a training run."""
    return {
        "command": "train",
        "finished": finished,
        "steps": step,
        "tokens": session.batches.schedule.tokens_before(step),
        "seconds": seconds_so_far(session.path),
        "parameters": parameter_count(session.recipe.model),
        "machine": machine(),
    }
