"""Batches on the device: a pure function of (seed, step), whatever the devices.

Every process reads only the rows that its own devices hold.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from tenfold.errors import UserError
from tenfold.model.sequence import check_sequence
from tenfold.sharding.axes import RULES, spec
from tenfold.tokens.loader import Batch
from tenfold.train.batch_schedule import BatchSchedule
from tenfold.train.noise import Noise, Plain, Rows
from tenfold.train.recipe import Recipe
from tenfold.train.step import DeviceBatch


class RowSource(Protocol):
    """The rows of a run in their order, which has no end; `tokens.loader.Loader` is one."""

    def rows(self, start: int, count: int, process_slice: slice = slice(None)) -> Batch: ...
    def provenance(self, number: int) -> list[tuple[dict, int, int]]: ...


class Batches:
    """The batches of a run. `batches(step)` is that of the step numbered `step` from 0."""

    def __init__(self, recipe: Recipe, schedule: BatchSchedule, loader: RowSource, mesh: Mesh, noise: Noise | None = None):
        self.schedule, self.loader, self._mesh = schedule, loader, mesh
        self._microbatch, self._noise = recipe.train.microbatch, noise or Plain(recipe.data.mask_documents)
        check_batch(recipe, schedule, mesh)

    def __call__(self, step: int) -> DeviceBatch:
        first, rows = self.schedule.rows_before(step), self.schedule.batch_rows(step)
        size = self._microbatch or rows

        @cache
        def read(number: int, start: int, stop: int) -> Rows:
            row = first + number * size + start
            return self._noise(self.loader.rows(row, stop - start), range(row, row + stop - start))

        return place(read, rows // size, size, self._mesh)

    def on_host(self, step: int) -> Batch:
        """All rows of a step's batch as they come from the loader."""
        return self.loader.rows(self.schedule.rows_before(step), self.schedule.batch_rows(step))


def place(read: Callable[[int, int, int], Rows], microbatches: int, size: int, mesh: Mesh) -> DeviceBatch:
    """A DeviceBatch of `read(microbatch, start, stop)`'s rows; each process calls it for the rows of its own devices only."""
    where = NamedSharding(mesh, spec((None, "batch", "positions")))

    def part(index) -> list[Rows]:
        numbers, rows = (s.indices(n) for s, n in zip(index, (microbatches, size), strict=False))
        return [read(n, rows[0], rows[1]) for n in range(numbers[0], numbers[1])]

    def field_of(field: int, index) -> np.ndarray:
        return np.stack([np.asarray(rows[field])[:, index[2]] for rows in part(index)])

    def placed(field: int, width: int) -> jax.Array:
        shape = (microbatches, size, width)
        return jax.make_array_from_callback(shape, where, lambda index: field_of(field, index))

    ours = next(iter(where.addressable_devices_indices_map((microbatches, size, mesh.shape["sequence"])).values()))
    arrays: list[Any] = [None if array is None else placed(field, array.shape[1]) for field, array in enumerate(part(ours)[0])]
    return DeviceBatch(*arrays)


def place_rows(rows: Rows, mesh: Mesh) -> DeviceBatch:
    """Whole host rows as one microbatch."""

    def read(_, start, stop):
        return jax.tree.map(lambda array: array[start:stop], rows)

    return place(read, 1, len(rows.tokens_BT), mesh)


def place_batch(batch: Batch, mesh: Mesh, mask: bool) -> DeviceBatch:
    """A whole host batch for next-token prediction as one microbatch."""
    return place_rows(Plain(mask)(batch), mesh)


def check_batch(recipe: Recipe, schedule: BatchSchedule, mesh: Mesh) -> None:
    """Refuses batches, and rows, that do not divide over the mesh, with the arithmetic."""
    check_sequence(recipe.model, recipe.model.context, mesh.shape["sequence"])
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
