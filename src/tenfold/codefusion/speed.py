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
    alone = replace(how.alone, frames=1)
    asked = [(candidate, candidate.settings(replace(alone, batch=size))) for candidate in candidates for size in sizes]
    seconds: list[list[float]] = [[] for _ in asked]
    for turn in range(rounds + 1):
        for number, (candidate, own) in enumerate(asked):
            began = time.perf_counter()
            candidate.model.generate([texts[n % len(texts)] for n in range(own.batch)], own, cut=True)
            if turn:
                seconds[number].append(time.perf_counter() - began)
            progress(turn * len(asked) + number + 1, (rounds + 1) * len(asked))
    return [_row(candidate, own, taken) for (candidate, own), taken in zip(asked, seconds, strict=True)]


def _row(candidate: Candidate, how: Sampling, seconds: Sequence[float]) -> dict[str, Any]:
    median = statistics.median(seconds)
    return {
        "name": candidate.name,
        "kind": candidate.about["kind"],
        "steps": passes(candidate, how),
        "batch": how.batch,
        "seconds": median,
        "least": min(seconds),
        "most": max(seconds),
        "snippets_per_second": how.batch / median,
        "bytes": candidate.model.program_bytes(how),
    }


def passes(candidate: Candidate, how: Sampling) -> int | None:
    """Steps that a model takes; None of one that writes token by token, as many as there are."""
    return None if candidate.model.kind == "autoregressive" else how.count(candidate.model.all_steps)
