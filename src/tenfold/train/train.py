"""`tenfold.train(recipe)`: data, mesh and state put together, then the loop."""

import logging
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import jax

from tenfold.corpus.documents import Progress
from tenfold.errors import UserError
from tenfold.model.host_memory import keep_freed_memory
from tenfold.model.params import parameter_count
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.processes import everyone, first_then_rest
from tenfold.tokens.evaluation import evaluation_rows
from tenfold.tokens.loader import Batch, Loader
from tenfold.tokens.prepare import Prepared, prepare
from tenfold.train.batch_schedule import batch_schedule
from tenfold.train.batches import Batches
from tenfold.train.device import machine
from tenfold.train.held_out import HeldOut
from tenfold.train.loop import Session, fit
from tenfold.train.meter import Watch
from tenfold.train.noise import HELD_OUT, noise_of, reserved, row_tokens
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
    """Trains a recipe in the run directory `out` (runs/NAME), from the start or from where it stopped, and returns the Run.

    Raises UserError for anything in the recipe, the data or the machine that cannot work, before compiling.
    """
    path = Path(out) if out else Path("runs") / recipe.name
    start = open_start(recipe) if recipe.start is not None else None
    recipe = fitted(recipe, start, path) if start else recipe
    run = first_then_rest(lambda: open_run(path, recipe))
    first_then_rest(lambda: bring_tokenizer(start, path))
    data = first_then_rest(lambda: prepare(recipe.data, path, recipe.model.vocab, progress, reserved(recipe)))
    keep_freed_memory()
    mesh = make_mesh(recipe.mesh)
    session = make_session(recipe, path, data, mesh, watch or Quiet())
    if not session.held_out and jax.process_index() == 0:
        log.warning("%s: no document is held out, so no held-out loss is measured: name some in data.held_out", path)
    first_then_rest(lambda: begin_run(run, data.fingerprint, start.fingerprint() if start else None))
    state, finished = fit(session)
    if jax.process_index() == 0:
        write_json(path / "result.json", result(session, int(state.step), finished))
    everyone("the run has ended")
    return run


def make_session(recipe: Recipe, path: Path, data: Prepared, mesh, watch: Watch) -> Session:
    """Loader, batches and held-out rows of a recipe, with the mesh: all that `fit` runs on."""
    check_prompts(recipe, data)
    loader = Loader(data.train, data.weights, row_tokens(recipe), recipe.data.seed)
    schedule, noise = batch_schedule(recipe), noise_of(recipe, data)
    batches = Batches(recipe, schedule, loader, mesh, noise)
    size = recipe.train.microbatch or schedule.batch_rows(0)
    plain = held_out_batches(data, row_tokens(recipe), size, recipe.train.evaluate_rows)
    held_out = [noise(batch, range(i * size, (i + 1) * size), HELD_OUT) for i, batch in enumerate(plain)]
    return Session(recipe, path, mesh, batches, data.tokenizer, held_out, watch)


def held_out_batches(data: Prepared, context: int, rows: int, most: int | None = None, stride: int | None = None) -> list[Batch]:
    """Up to about `most` rows of the held-out documents in order, in batches of `rows`."""
    batches = (batch for shards in data.held_out for batch in evaluation_rows(shards, context, stride or context).batches(rows))
    return list(islice(batches, -(-most // rows) if most else None))


def check_prompts(recipe: Recipe, data: Prepared) -> None:
    """Refuses prompts that leave no room for a sample, before a run finds out at its first one."""
    for prompt in recipe.train.prompts if data.tokenizer and recipe.train.objective == "causal" else ():
        length = len(data.tokenizer.encode(prompt)) if data.tokenizer else 0
        if length >= recipe.model.context:
            raise UserError(
                f"train.prompts has one of {length} tokens ({prompt[:40]!r}), but model.context is {recipe.model.context}.\n"
                "  Shorten it: a sample needs room for at least one token."
            )


def show_batch(recipe: Recipe, step: int, out: Path | str | None = None) -> list[dict]:
    """The rows of a step's batch (steps count from 1, as in metrics.jsonl): each row's documents, and its text."""
    if not 1 <= step <= recipe.train.steps:
        raise UserError(f"--show-batch is {step}, but the run's steps are 1 to {recipe.train.steps}.")
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
