"""A process that works when asked, a line at a time: what a benchmark interleaves."""

import os
import subprocess
import sys
import time
from collections.abc import Callable


class Side:
    """One of the programs compared. It says `ready ...`, then answers each line it is sent with one of its own."""

    def __init__(self, command: list[str]):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self._line().removeprefix("ready").strip()

    def work(self, job: str | int = "") -> tuple[float, list[int]]:
        """The seconds that a job took, and the tokens it gave."""
        assert self.process.stdin is not None
        print(job, file=self.process.stdin, flush=True)
        seconds, *tokens = self._line().split()
        return float(seconds), [int(t) for t in tokens]

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line:
            sys.exit(f"{' '.join(map(str, self.process.args))} ended with {self.process.wait()}")  # type: ignore[arg-type]
        return line


def answer_lines(work: Callable[[str], list[int]], version: str = "") -> None:
    """The other end, in the process itself: a job in, the seconds and the tokens out."""
    print(f"ready {version}", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        tokens = work(line.strip())
        print(time.perf_counter() - start, *tokens, flush=True)


class Steps:
    """The other end, where a trainer runs by itself and only says when a step is done: it stands still between lines, and ends with them.

    It answers with the seconds, and with the milliseconds of processors, which other programs on the machine move less. What is printed
    otherwise goes to standard error.
    """

    def __init__(self, version: str = ""):
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        print("ready", version, file=self._out, flush=True)
        self._wait()

    def done(self) -> None:
        """Answers the line that asked for the step, and waits for the next."""
        spent = round(1000 * (time.process_time() - self._spent))
        print(time.perf_counter() - self._start, spent, file=self._out, flush=True)
        self._wait()

    def _wait(self) -> None:
        if not sys.stdin.readline():
            sys.exit()
        self._start, self._spent = time.perf_counter(), time.process_time()
