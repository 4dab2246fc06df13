"""Checkpoints: Orbax, asynchronous, atomic, the newest good one wins.

A checkpoint holds the State in two items, so that a reader that only wants the model does not read the optimiser's moments.
Restoring does not care how many devices wrote it: arrays come back in the shardings asked for.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import jax
import orbax.checkpoint as ocp

from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params
from tenfold.train.recipe import LoraConfig
from tenfold.train.state import NO_LORA, State, abstract_params

log = logging.getLogger(__name__)
Found = TypeVar("Found")


def quiet_orbax() -> None:
    """Leaves out what Orbax tells of its inner workings."""
    logging.getLogger("absl").setLevel(logging.ERROR)


class Checkpoints:
    """The checkpoints of one run directory. Use as a context manager: leaving it waits for what is still being written.

    `keep`: of so many, for the one process that writes. None: they are only read, beside a training that may be writing one.
    """

    def __init__(self, folder: Path, keep: int | None = None):
        quiet_orbax()
        self._writes = writes = keep is not None
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, create=writes, read_only=not writes, cleanup_tmp_directories=writes, enable_async_checkpointing=writes
        )
        self.folder = folder.resolve()
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._manager.close()

    def steps(self) -> list[int]:
        """Steps of the whole checkpoints, oldest first."""
        return sorted(self._manager.all_steps())

    def save(self, state: State) -> None:
        """Starts writing; the arrays are copied first, so the state may be donated at once."""
        if not self._writes:
            raise ValueError(f"{self.folder} was not opened to be written (keep), so step {int(state.step)} is not saved.")
        items = ocp.args.Composite(
            model=ocp.args.StandardSave(state.params, save_args=_save_args(state.params)),
            optimizer=ocp.args.StandardSave({"step": state.step, "opt_state": state.opt_state}),
        )
        self._manager.save(int(state.step), args=items, force=True)

    def restore_newest(self, like: State) -> State | None:
        """The newest checkpoint that can be read, in the shardings of `like`; None where there is none at all.

        Newer ones, which cannot be read, are removed: training comes to their steps again and writes them anew.
        """
        found = self._newest(lambda step: self._restore(step, like))
        if found is not None:
            for step in self.steps():
                if step > int(found.step):
                    self._manager.delete(step)
        return found

    def restore_params(self, like: Params) -> tuple[Params, int]:
        """The weights alone of the newest checkpoint that can be read, and its step."""
        return self.newest(lambda step: (self.params_of(step, like), step))

    def params_of(self, step: int, like: Params) -> Params:
        """The weights alone of the checkpoint of that step, which is there."""
        return self._manager.restore(step, args=ocp.args.Composite(model=ocp.args.StandardRestore(like))).model

    def newest(self, restore: Callable[[int], Found]) -> Found:
        """`restore(step)` of the newest checkpoint with which it succeeds. Raises UserError where there is none."""
        found = self._newest(restore)
        if found is None:
            raise UserError(f"{self.folder} holds no checkpoint.\n  Train the run first, or name a run that has one.")
        return found

    def _restore(self, step: int, like: State) -> State:
        wanted = ocp.args.Composite(
            model=ocp.args.StandardRestore(like.params),
            optimizer=ocp.args.StandardRestore({"step": like.step, "opt_state": like.opt_state}),
        )
        items = self._manager.restore(step, args=wanted)
        return State(items.optimizer["step"], items.model, items.optimizer["opt_state"])

    def _newest(self, restore: Callable[[int], Found]) -> Found | None:
        steps = self.steps()
        for step in reversed(steps):
            try:
                return restore(step)
            except Exception as error:  # Orbax, tensorstore and zarr each raise their own for a damaged file
                log.warning(
                    "checkpoint %s cannot be read (%s); trying the one before it", self.folder / str(step), str(error).splitlines()[0]
                )
        if steps:
            raise UserError(f"{self.folder}: none of the checkpoints {steps} can be read, so there is nothing to continue from.")
        return None


def _save_args(params: Params) -> Params:
    """Each layer of a stack as a chunk of its own, so that one can be read without the others."""

    def args(path, _) -> ocp.SaveArgs:
        stacked = any(getattr(key, "key", None) == "blocks" for key in path)
        return ocp.SaveArgs(shard_axes=(0,) if stacked else ())

    return jax.tree_util.tree_map_with_path(args, params)


def load_params(run: Path, config: ModelConfig, mesh, lora: LoraConfig = NO_LORA) -> tuple[Params, int]:
    """A run's newest weights (with `lora`: adapters) on `mesh`, f32, and the step they are of."""
    with Checkpoints(run / "checkpoints") as checkpoints:
        return checkpoints.restore_params(abstract_params(config, mesh, lora))
