"""Runs programs that a model wrote, each in a process that can do almost nothing (jail.py), and says whether they ran to their end.

A program gets processor time, waiting time, memory and file space with limits, an empty folder, no network, no other process, and an
environment of four variables. It may read files, and what it reads it can tell nobody but us. Linux 5.13 or newer on x86-64 or ARM; where
Landlock or seccomp is missing, nothing is run. Where `unshare` may make namespaces, the process gets its own network, process table and
file system in memory beside.
"""

import contextlib
import functools
import json
import math
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tenfold.errors import UserError

NAMESPACES = ("unshare", "--user", "--map-root-user", "--net", "--ipc", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child")
JAIL = Path(__file__).with_name("jail.py")
LONGEST = 1 << 16  # bytes that a program's report may have


@dataclass(frozen=True)
class Limits:
    """Of one program. A busy machine must not fail what an idle one passes: the clock's limit is far above the processor's."""

    seconds: float = 10.0
    """Of the processor; rounded up to a whole one."""
    memory_mb: int = 1024
    """Of addresses, Python's own among them."""
    file_mb: int = 16
    """Of one file; and, where there are namespaces, of all its files."""

    def __post_init__(self):
        for name in ("seconds", "memory_mb", "file_mb"):
            if getattr(self, name) <= 0:
                raise UserError(f"the sandbox's {name} is {getattr(self, name)}: give more than 0")
        if self.memory_mb < 64:
            raise UserError(f"the sandbox's memory_mb is {self.memory_mb}, and Python alone takes 20 to 40: give 64 or more")

    @property
    def clock(self) -> float:
        """Seconds after which it is killed, whether it computes or waits."""
        return 4 * self.seconds + 5


@dataclass(frozen=True)
class Ran:
    """What became of a program."""

    passed: bool
    """It ran to its last line."""
    why: str
    """"passed", "too slow", "ended early", or the error that it raised."""
    seconds: float
    """By the clock."""


def run(program: str, limits: Limits = Limits(), *, allow: bool) -> Ran:
    """Runs one program to its end or its limits. Nothing of it is left behind: no process, no file.

    Raises UserError unless `allow`, and where this system cannot contain it.
    """
    if not allow:
        raise UserError(
            "this task runs programs that the model writes\n  They run in a sandbox (docs/tasks.md). If you agree, say --run-code."
        )
    if sys.platform != "linux":
        raise UserError(f"programs of a model are run on Linux alone, and this is {sys.platform}: its kernel can contain them")
    word = secrets.token_hex(16)
    own_files = limits.file_mb if _namespaces() else 0
    inside = {
        "seconds": math.ceil(limits.seconds),
        "memory": limits.memory_mb << 20,
        "file": limits.file_mb << 20,
        "own_files": own_files,
        "clock": math.ceil(limits.clock) + 1,
    }
    folder = tempfile.mkdtemp(prefix="tenfold-")
    started = time.monotonic()
    try:
        report = _report_of(program, folder, word, inside, started + limits.clock)
    finally:
        with contextlib.suppress(RecursionError):  # of folders a thousand deep
            shutil.rmtree(folder, ignore_errors=True)
    return _judged(report, word, time.monotonic() - started, limits)


def run_all(programs: Sequence[str], limits: Limits = Limits(), *, allow: bool, progress: Callable[[Ran], None] | None = None) -> list[Ran]:
    """Runs several at a time, as many as there are processors; results in the programs' order. `progress` is told of each."""

    def one(program: str) -> Ran:
        ran = run(program, limits, allow=allow)
        if progress:
            progress(ran)
        return ran

    with ThreadPoolExecutor(os.cpu_count()) as several:
        return list(several.map(one, programs))


def _report_of(program: str, folder: str, word: str, inside: dict[str, int], deadline: float) -> bytes | None:
    """Starts the jail, waits for its report and ends it."""
    python = [sys.executable, "-S", "-s", "-B", "-P", str(JAIL)]
    reads, writes = os.pipe()
    try:
        with tempfile.TemporaryFile() as source:
            source.write(program.encode(errors="replace"))
            source.seek(0)
            try:
                process = subprocess.Popen(
                    [*(NAMESPACES if inside["own_files"] else ()), *python, str(writes), word, json.dumps(inside)],
                    stdin=source,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[writes],
                    cwd=folder,
                    env={"PATH": "/usr/bin:/bin", "HOME": folder, "TMPDIR": folder, "PYTHONHASHSEED": "0"},
                    start_new_session=True,
                )
            finally:
                os.close(writes)
        try:
            return _report(reads, deadline)
        finally:
            _end(process)
    finally:
        os.close(reads)


def _report(pipe: int, deadline: float) -> bytes | None:
    """What the jail wrote until it closed the pipe; None where time ran out, or where it wrote more than any report is long."""
    found = b""
    waiting = select.poll()  # select() takes no number above 1,023, which this process may have
    waiting.register(pipe, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        if not waiting.poll(1000 * left):
            return None
        part = os.read(pipe, LONGEST)
        if not part:
            return found
        found += part
        if len(found) > LONGEST:
            return None
    return None


def _end(process: subprocess.Popen) -> None:
    """Kills the session's processes; a process namespace dies with its first one."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _judged(report: bytes | None, word: str, seconds: float, limits: Limits) -> Ran:
    if report is None:
        return Ran(False, "too slow", seconds)
    state, _, said = report.decode(errors="replace").partition(" ")
    if state != "shut":
        why = said or "its process ended before it was shut"
        raise UserError(
            f"this system cannot contain a program that a model wrote: {why}\n  It takes Linux 5.13 or newer, with Landlock and seccomp."
        )
    if said == word:
        return Ran(True, "passed", seconds)
    if not said:  # the kernel ended it: at its limit of time, or for a fault
        return Ran(False, "too slow" if seconds >= limits.seconds else "ended early", seconds)
    return Ran(False, said, seconds)


@functools.cache
def _namespaces() -> bool:
    """Whether `unshare` may make them here."""
    if not shutil.which(NAMESPACES[0], path="/usr/bin:/bin"):
        return False
    mounting = ["mount", "-t", "tmpfs", "tenfold", tempfile.gettempdir()]  # which nobody outside the namespace sees
    tried = subprocess.run([*NAMESPACES, *mounting], stdin=subprocess.DEVNULL, capture_output=True, env={"PATH": "/usr/bin:/bin:/sbin"})
    return tried.returncode == 0
