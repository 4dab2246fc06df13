"""What a run writes as it goes: jsonl files that survive a kill, and other places that want the same numbers.

`metrics.jsonl` holds only what repeats to the last bit; `timing.jsonl` holds what does not. Continuing a run cuts both back to the
step it continues from.
"""

import json
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any

from tenfold.corpus.files import one_process
from tenfold.errors import UserError

FILES = ("metrics.jsonl", "timing.jsonl", "samples.jsonl")


def held(run: Path, here: bool = True) -> AbstractContextManager[None]:
    """Keeps a run for one process as long as it trains there: of the same command said twice, the second has a UserError. `here`: False in
    all but the first of many processes that train it together."""
    refused = f"{run} is being trained by another process.\n  Wait for its end, or stop it; or give another place with --out (or --name)."
    return one_process(run, refused) if here else nullcontext()


class Records:
    """Appends lines to a run's files, and passes numbers on to TensorBoard and Weights & Biases where asked."""

    def __init__(self, run: Path, tensorboard: bool = False, wandb_project: str | None = None, config: dict | None = None):
        self._files: dict[str, IO[str]] = {name: (run / name).open("a") for name in FILES}
        self._tensorboard: Any = None
        self._wandb: Any = None
        if tensorboard:
            from tensorboardX import SummaryWriter

            self._tensorboard = SummaryWriter(str(run / "tensorboard"))
        if wandb_project:
            self._wandb = _wandb().init(project=wandb_project, name=run.name, dir=str(run), config=config, id=run.name, resume="allow")

    def write(self, file: str, step: int, **values) -> None:
        """A line; numbers also go to the other places, named `file/value` there."""
        self._files[file].write(json.dumps({"step": step, **values}) + "\n")
        self._files[file].flush()
        numbers = {f"{file.removesuffix('.jsonl')}/{k}": v for k, v in values.items() if isinstance(v, (int, float)) and v is not None}
        if self._tensorboard:
            for name, value in numbers.items():
                self._tensorboard.add_scalar(name, value, step)
        if self._wandb and numbers:
            self._wandb.log(numbers, step=step)

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        if self._tensorboard:
            self._tensorboard.close()
        if self._wandb:
            self._wandb.finish()


def cut_back(run: Path, step: int) -> None:
    """Drops every line of a later step than `step`, and a last line that a kill left unfinished."""
    for name in FILES:
        path = run / name
        if path.exists():
            kept = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n") and json.loads(line)["step"] <= step]
            temporary = path.with_name(name + ".tmp")
            temporary.write_text("".join(kept))
            temporary.rename(path)


def seconds_so_far(run: Path) -> float:
    """The run's seconds at its last timing line."""
    path = run / "timing.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return json.loads(lines[-1])["seconds"] if lines else 0.0


class Stopwatch:
    """Seconds of a run, in all sittings, for those who write them in timing.jsonl as they go."""

    def __init__(self, run: Path):
        self.spent = seconds_so_far(run)
        self._began = time.perf_counter()

    def seconds(self) -> float:
        """So far."""
        return round(self.spent + time.perf_counter() - self._began, 3)


def write_json(path: Path, value) -> None:
    """Writes a whole file or none."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=2) + "\n")
    temporary.rename(path)


def _wandb():
    try:
        import wandb
    except ImportError:
        raise UserError(
            "train.wandb names a project, but the package wandb is not installed.\n  Run: pip install 'tenfold[wandb]'"
        ) from None
    return wandb
