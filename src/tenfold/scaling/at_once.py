"""Several rungs of a ladder at once on a machine's CPU: each a process of its own, on its share of the cores.

Small models leave most of a step's time to what one core does alone, so two of them side by side take little longer than one.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import jax

from tenfold.errors import UserError
from tenfold.scaling.ladder import Opened, open_ladder, read_ladder, train_rung
from tenfold.scaling.rungs import Rung, rungs
from tenfold.train.signals import stop_on_signals
from tenfold.train.train import Quiet

LOOKED = 0.5  # seconds between two looks at what runs
SAID = 2000  # letters of a failed process that are shown


def check_at_once(count: int) -> None:
    """Refuses a number of models at once that this machine cannot train so."""
    if count < 1:
        raise UserError(f"--at-once is {count}, but must be at least 1.")
    if count > 1 and jax.default_backend() != "cpu":
        raise UserError(
            f"--at-once is {count}, but models are trained side by side on CPUs only, and this is a {jax.default_backend()}.\n"
            "  Leave it out: each model is trained on all devices that --recipe.mesh takes."
        )
    if count > 1 and count > len(_cores()):
        raise UserError(f"--at-once is {count}, but this process may use {len(_cores())} cores.\n  Use at most that.")


@dataclass(frozen=True)
class Running:
    """A rung in training."""

    rung: Rung
    process: subprocess.Popen
    said: IO[str]
    complaint: IO[str]
    cores: list[int]


def trained_at_once(
    opened: Opened, waiting: list[Rung], count: int, look: Callable[[list[Rung]], None] = lambda running: None
) -> Iterator[tuple[Rung, dict[str, Any] | None]]:
    """(rung, what `train_rung` says of it) of each, as they end; None of those that were stopped. The costliest begin.

    `look` hears every half second which are in training. A signal stops them all, each with a checkpoint. Raises UserError where one
    fails.
    """
    cores = _cores()
    free = [cores[i::count] for i in range(count)]
    running: list[Running] = []
    waiting = sorted(waiting, key=lambda rung: rung.flops)
    with stop_on_signals() as stop:
        try:
            while running or (waiting and not stop.asked):
                while free and waiting and not stop.asked:
                    running.append(_start(opened.out, waiting.pop(), free.pop()))
                time.sleep(LOOKED)
                look([each.rung for each in running])
                if stop.asked:
                    for each in running:
                        each.process.terminate()
                ended = [each for each in running if each.process.poll() is not None]
                running = [each for each in running if each not in ended]
                free += [each.cores for each in ended]
                for each in ended:
                    yield each.rung, _outcome(each, stop.asked)
        finally:
            for each in running:  # where a failure or a second signal ends this
                each.process.terminate()
                each.process.wait()
    if waiting:
        yield waiting[-1], None


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def _start(out: Path, rung: Rung, cores: list[int]) -> Running:
    words = [sys.executable, "-m", "tenfold.scaling.at_once", str(out), rung.name, ",".join(map(str, cores))]
    said, complaint = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")  # a pipe that nobody reads fills up
    return Running(rung, subprocess.Popen(words, stdout=said, stderr=complaint), said, complaint, cores)


def _outcome(ended: Running, stopped: bool) -> dict[str, Any] | None:
    said, complaint = (_read(file) for file in (ended.said, ended.complaint))
    if ended.process.returncode < 0 and stopped:  # before it listened to signals
        return None
    if ended.process.returncode:
        raise UserError(f"{ended.rung.name} failed, in a process of its own:\n{complaint[-SAID:].strip()}")
    return json.loads(said.splitlines()[-1])


def _read(file: IO[str]) -> str:
    with file:
        file.seek(0)
        return file.read()


def main(out: str, name: str, cores: str) -> None:
    """Trains one rung of a ladder's folder, and prints what `train_rung` says of it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, map(int, cores.split(",")))  # before JAX counts them
    opened = open_ladder(read_ladder(Path(out)), Path(out))
    rung = next(rung for rung in rungs(opened.ladder, opened.shared, opened.parts) if rung.name == name)
    print(json.dumps(train_rung(opened, rung, lambda path: nullcontext(Quiet()))))


if __name__ == "__main__":
    main(*sys.argv[1:])
