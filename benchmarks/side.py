"""A process that works when asked, a line at a time: what a benchmark interleaves."""

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
