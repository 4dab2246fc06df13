"""How fast models write, and in how much memory: each on the same texts, in turn, so that a slow minute slows them all."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tenfold.codefusion.candidates import Candidate
from tenfold.codefusion.settings import Sampling


def speeds(
    candidates: Sequence[Candidate], how: Sampling, texts: Sequence[str], rounds: int, progress: Callable[[int, int], None]
) -> list[dict[str, Any]]:
    """For each model and for batches of `how.batch` and of one: seconds of a batch, the median of `rounds` after one to compile, from text
    to code without ranking; and the bytes of its program as compiled, weights among them, which XLA counts high (docs/longnet.md)."""
    sizes = sorted({how.batch, 1}, reverse=True)
    asked = [(candidate, size) for candidate in candidates for size in sizes]
    seconds: dict[int, list[float]] = {number: [] for number in range(len(asked))}
    for turn in range(rounds + 1):
        for number, (candidate, size) in enumerate(asked):
            own = replace(candidate.settings(how), samples=1, rank_by=0, frames=1, batch=size)
            began = time.perf_counter()
            candidate.model.generate([texts[n % len(texts)] for n in range(size)], own, cut=True)
            if turn:
                seconds[number].append(time.perf_counter() - began)
            progress(turn * len(asked) + number + 1, (rounds + 1) * len(asked))
    found = []
    for number, (candidate, size) in enumerate(asked):
        own = replace(candidate.settings(how), samples=1, rank_by=0, frames=1, batch=size)
        median = statistics.median(seconds[number])
        found.append(
            {
                "name": candidate.name,
                "kind": candidate.about["kind"],
                "steps": passes(candidate, own),
                "batch": size,
                "seconds": median,
                "least": min(seconds[number]),
                "most": max(seconds[number]),
                "snippets_per_second": size / median,
                "bytes": candidate.model.program_bytes(own),
            }
        )
    return found


def passes(candidate: Candidate, how: Sampling) -> int | None:
    """Steps that a model takes; None of one that writes token by token, as many as there are."""
    return None if candidate.about["kind"] == "autoregressive" else how.count(candidate.whole)
