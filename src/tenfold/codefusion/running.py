"""Python snippets compared by what they do, each in a process of its own that can do almost nothing (evaluate/sandbox.py, observed.py)."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tenfold.evaluate.sandbox import Limits, Ran, run_all

PROGRAM = Path(__file__).with_name("observed.py")
LIMITS = Limits(seconds=20.0, memory_mb=512, file_mb=1)

Progress = Callable[[Ran], None]


def can_be_run(codes: Sequence[str], progress: Progress | None = None) -> list[bool]:
    """Of each right snippet, whether it can be run so that something is seen. Raises UserError where this system cannot contain them."""
    return _ran([(code, None) for code in codes], progress)


def do_the_same(pairs: Sequence[tuple[str, str]], progress: Progress | None = None) -> list[bool]:
    """Of each right snippet and a candidate, whether the candidate does what the right one does."""
    return _ran(pairs, progress)


def _ran(calls: Sequence[tuple[str, str | None]], progress: Progress | None) -> list[bool]:
    program = PROGRAM.read_text("utf-8")
    programs = [f"{program}\n\nmain({gold!r}, {candidate!r})\n" for gold, candidate in calls]
    return [ran.passed for ran in run_all(programs, LIMITS, allow=True, progress=progress)]
