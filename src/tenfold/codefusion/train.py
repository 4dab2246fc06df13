"""Trains a model that writes code in a run directory, and goes on from where it stopped.

Batches are functions of (seed, step) and noise of (seed, step, row): a run that was stopped writes the same bytes as one that was not.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from tenfold.codefusion.model import fusion_count
from tenfold.codefusion.reader import Progress, open_reader, read_all
from tenfold.codefusion.recipe import FusionRecipe
from tenfold.codefusion.rows import RowMaker, Rows
from tenfold.codefusion.run import FusionRun, Prepared, begin_fusion_run, first_params, open_fusion_run, prepare_fusion, shaped
from tenfold.codefusion.step import (
    FusionMetrics,
    abstract_fusion_state,
    check_mesh,
    fusion_measure,
    fusion_rate,
    fusion_state_of,
    programs,
)
from tenfold.errors import UserError
from tenfold.model.host_memory import keep_freed_memory
from tenfold.sharding.axes import RULES, make_mesh, sharding
from tenfold.tokens.prefetch import Prefetcher
from tenfold.train.checkpoint import Checkpoints
from tenfold.train.device import machine
from tenfold.train.held_out import HeldOut
from tenfold.train.meter import Diverged, Watch
from tenfold.train.records import Records, cut_back, held, seconds_so_far, write_json
from tenfold.train.signals import stop_on_signals
from tenfold.train.state import State
from tenfold.train.train import Quiet


def train_fusion(
    recipe: FusionRecipe, out: Path | str | None = None, watch: Watch | None = None, reading: Progress | None = None
) -> FusionRun:
    """Trains a recipe in the run directory `out` (runs/NAME), from the start or from where it stopped, and returns the run.

    `reading` is told of how many texts of how many a reader has read. Raises UserError for anything in the recipe or the data that cannot
    work, before compiling.
    """
    keep_freed_memory()  # before JAX is asked anything
    path = Path(out) if out else Path("runs") / recipe.name
    recipe = shaped(recipe)
    mesh = make_mesh(recipe.mesh)
    check_mesh(recipe.model, mesh)
    _check_batch(recipe, mesh)
    run = open_fusion_run(path, recipe)
    prepared = prepare_fusion(recipe, path)
    begin_fusion_run(run, prepared)
    states = _states(recipe, prepared, path, reading)
    maker = RowMaker(recipe, prepared.train, prepared.tokenizer, states)
    held_out = []
    if prepared.held_out:
        held_out = RowMaker(recipe, prepared.held_out, prepared.tokenizer, states).held_out(recipe.train.evaluate_rows)
    fit = _Fit(run, mesh, maker, held_out, prepared.tokenizer.end_of_text, watch or Quiet())
    step, finished = fit.go()
    found = {"command": "codefusion train", "finished": finished, "steps": step, "seconds": seconds_so_far(path)}
    write_json(path / "result.json", found | {"parameters": fusion_count(recipe.model), **prepared.said, "machine": machine()})
    return run


def _states(recipe: FusionRecipe, prepared: Prepared, path: Path, reading: Progress | None) -> Callable[[Sequence[str]], np.ndarray] | None:
    """What the run's reader makes of its texts, all of which it reads now, to be let go before training; None where it has none."""
    if recipe.reader.path is None:
        return None
    reader = open_reader(recipe.reader, prepared.said["reader"])
    said = [*prepared.train.said, *(prepared.held_out.said if prepared.held_out else [])]
    folder = Path(recipe.reader.kept).expanduser() if recipe.reader.kept is not None else path / "states"
    return read_all(reader, said if "pairs" in recipe.train.tasks else [], folder, reading or (lambda done, total: None)).states


def place_rows(rows: Rows, mesh: Mesh, microbatch: int = 0) -> Rows:
    """Rows on the mesh, [A, B, ...] each, cut over its axes of batches."""
    size = microbatch or len(rows.alone_B)
    where = sharding(mesh, (None, "batch"))
    return jax.tree.map(lambda array: jax.device_put(array.reshape(-1, size, *array.shape[1:]), where), rows)


def _check_batch(recipe: FusionRecipe, mesh: Mesh) -> None:
    parts, train = int(np.prod([mesh.shape[axis] for axis in RULES["batch"]])), recipe.train
    name, size = ("microbatch", train.microbatch) if train.microbatch else ("batch", train.batch)
    if size % parts:
        raise UserError(
            f"train.{name} is {size}, which mesh.data x mesh.fsdp = {parts} does not divide.\n  Try {size + parts - size % parts}."
        )


@dataclass
class _Fit:
    """All that a training needs while it runs."""

    run: FusionRun
    mesh: Mesh
    maker: RowMaker
    held_out: list[Rows]
    pad: int
    watch: Watch

    def go(self) -> tuple[int, bool]:
        """Trains to the recipe's last step, or until a signal. Returns the steps made, and whether they are all."""
        recipe, path = self.run.recipe, self.run.path
        self.rate, (optimizer, new_state, self.step) = fusion_rate(recipe), programs(recipe, self.pad, self.mesh)
        self.measure = jax.jit(fusion_measure, static_argnums=(0, 1))
        with (
            held(path),
            Checkpoints(path / "checkpoints", recipe.train.keep) as checkpoints,
            jax.set_mesh(self.mesh),
            stop_on_signals() as stop,
        ):
            state = checkpoints.restore_newest(abstract_fusion_state(recipe.model, optimizer, self.mesh))
            if state is None:
                params = first_params(recipe, self.mesh)
                if params is None:
                    state = new_state(jax.random.key(recipe.train.seed))
                else:
                    state = fusion_state_of(params, recipe.model, optimizer, self.mesh)
            first = int(state.step)
            cut_back(path, first if first else -1)
            self.seconds = seconds_so_far(path)
            self.records = Records(path, recipe.train.tensorboard)
            self.watch.start(first, recipe.train.steps)
            try:
                return self._steps(state, first, checkpoints, stop)
            finally:
                self.records.close()

    def _steps(self, state: State, first: int, checkpoints: Checkpoints, stop: Any) -> tuple[int, bool]:
        train = self.run.recipe.train
        self.mark, self.marked = time.perf_counter(), first
        waiting: tuple[int, FusionMetrics] | None = None
        with Prefetcher(lambda step: place_rows(self.maker.batch(step), self.mesh, train.microbatch), range(first, train.steps)) as batches:
            for step, batch in batches:
                state, metrics = self.step(state, batch)
                if waiting:
                    self._write(*waiting)
                waiting, done = (step, metrics), step + 1
                ending = done == train.steps or stop.asked
                due = {name for name in ("evaluate", "checkpoint") if done % train.every(name) == 0 or done == train.steps}  # type: ignore[arg-type]
                if due or ending:
                    self._write(*waiting)
                    waiting = None
                    if "evaluate" in due and self.held_out:
                        self._measure(state, done)
                    if "checkpoint" in due or ending:
                        checkpoints.save(state)
                    self.mark, self.marked = time.perf_counter(), done
                if ending:
                    return done, done == train.steps
        return int(state.step), True

    def _write(self, step: int, metrics: FusionMetrics) -> None:
        """A step's numbers into the files, a step late, so that the device never waits. Raises Diverged where they are none."""
        train, done = self.run.recipe.train, step + 1
        loss, norm = float(metrics.loss), float(metrics.grad_norm)
        if not np.isfinite(loss) or not np.isfinite(norm):
            raise Diverged(
                f"step {done}: the loss is {loss} and the gradient's norm {norm}.\n  Lower optimizer.learning_rate, now "
                f"{self.run.recipe.optimizer.learning_rate}, or warm it up longer, in a new run."
            )
        if done % train.log_every and done not in (1, train.steps):
            return
        parts = {name: float(value) for name, value in metrics.parts.items()}
        self.records.write("metrics.jsonl", done, loss=loss, grad_norm=norm, lr=float(self.rate(jnp.int32(step))), **parts)
        now = time.perf_counter()
        rows = (done - self.marked) * train.batch
        self.seconds, speed = self.seconds + now - self.mark, rows / max(now - self.mark, 1e-9)
        self.mark, self.marked = now, done
        self.records.write("timing.jsonl", done, seconds=round(self.seconds, 3), rows_per_second=round(speed, 1))
        self.watch.step(done, loss, speed * self.run.recipe.model.length, None)

    def _measure(self, state: State, done: int) -> None:
        loss = weight = 0.0
        parts: dict[str, float] = {}
        for number, rows in enumerate(self.held_out):
            batch = jax.tree.map(lambda x: x[0], place_rows(rows, self.mesh))
            sums = self.measure(self.run.recipe.model, self.pad, state.params, batch, jnp.int32(number))
            loss, weight = loss + float(sums.loss), weight + float(sums.weight)
            parts = {name: parts.get(name, 0.0) + float(value) for name, value in sums.parts.items()}
        found = {f"held_out_{name}": value / weight for name, value in ({"loss": loss} | parts).items()}
        self.records.write("metrics.jsonl", done, **found)
        self.watch.held_out(done, HeldOut(loss / weight, None, int(weight), 0))
