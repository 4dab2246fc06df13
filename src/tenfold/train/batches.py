"""Batches on the device: a pure function of (seed, step), whatever the devices.

Every process reads only the rows that its own devices hold.
"""

from functools import cache

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from tenfold.errors import UserError
from tenfold.sharding.axes import RULES, spec
from tenfold.tokens.loader import Batch, Loader
from tenfold.train.batch_schedule import BatchSchedule
from tenfold.train.recipe import Recipe
from tenfold.train.step import DeviceBatch


class Batches:
    """The batches of a run. `batches(step)` is that of the step numbered `step` from 0."""

    def __init__(self, recipe: Recipe, schedule: BatchSchedule, loader: Loader, mesh: Mesh):
        self.schedule, self.loader, self._mesh = schedule, loader, mesh
        self._microbatch, self._mask = recipe.train.microbatch, recipe.data.mask_documents
        check_batch(recipe, schedule, mesh)

    def __call__(self, step: int) -> DeviceBatch:
        first, rows = self.schedule.rows_before(step), self.schedule.batch_rows(step)
        size = self._microbatch or rows

        @cache
        def read(number: int, start: int, stop: int) -> Batch:
            return self.loader.rows(first + number * size + start, stop - start)

        return place(read, rows // size, size, self.loader.context, self._mesh, self._mask)

    def on_host(self, step: int) -> Batch:
        """All rows of a step's batch as they come from the loader."""
        return self.loader.rows(self.schedule.rows_before(step), self.schedule.batch_rows(step))


def place(read, microbatches: int, size: int, context: int, mesh: Mesh, mask: bool) -> DeviceBatch:
    """A DeviceBatch of `read(microbatch, start, stop)`'s rows; each process calls it for the rows of its own devices only."""
    where = NamedSharding(mesh, spec((None, "batch", None)))
    shape = (microbatches, size, context)

    def array(field: str) -> jax.Array:
        def part(index):
            numbers, rows, _ = (s.indices(n) for s, n in zip(index, shape, strict=True))
            return np.stack([getattr(read(n, rows[0], rows[1]), field) for n in range(numbers[0], numbers[1])])

        return jax.make_array_from_callback(shape, where, part)

    return DeviceBatch(array("tokens_BT"), array("targets_BT"), array("weights_BT"), array("segments_BT") if mask else None)


def place_batch(batch: Batch, mesh: Mesh, mask: bool) -> DeviceBatch:
    """A whole host batch as one microbatch."""

    def read(_, start, stop):
        return Batch(*(a[start:stop] for a in batch))

    size, context = batch.tokens_BT.shape
    return place(read, 1, size, context, mesh, mask)


def check_batch(recipe: Recipe, schedule: BatchSchedule, mesh: Mesh) -> None:
    """Refuses batches that do not divide over the mesh, with the arithmetic."""
    parts = int(np.prod([mesh.shape[axis] for axis in RULES["batch"]]))
    for stage in schedule.stages:
        size = recipe.train.microbatch or stage.rows
        if size % parts:
            name = (
                "train.microbatch" if recipe.train.microbatch else "train.batch" if stage.rows == schedule.rows else "optimizer.ramp_batch"
            )
            over = " x ".join(f"mesh.{axis} {mesh.shape[axis]}" for axis in RULES["batch"])
            raise UserError(
                f"{name} makes batches of {size} rows, which {over} = {parts} does not divide.\n"
                f"  Try {name} {size + parts - size % parts}, or a smaller mesh."
            )
