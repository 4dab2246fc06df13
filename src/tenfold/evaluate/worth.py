"""What texts that the model wrote are worth: against the answers of their items, or by running them."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from tenfold.errors import UserError
from tenfold.evaluate.example import Example
from tenfold.evaluate.metrics import pass_at, worth
from tenfold.evaluate.prompts import program
from tenfold.evaluate.requests import Written
from tenfold.evaluate.results import Item
from tenfold.evaluate.sandbox import run_all
from tenfold.evaluate.task import Task

COUNTS = (1, 10, 100)  # k of pass@k, of which those are reported that the number of samples allows


def may_run(task: Task, allowed: bool) -> None:
    """Refuses a task of programming unless it was said that what the model writes may be run."""
    if task.kind == "code" and not allowed:
        raise UserError(
            f"{task.name} runs programs that the model writes, on this machine.\n"
            "  They run in a sandbox (docs/tasks.md). If you agree, say --run-code."
        )


def written_items(
    task: Task,
    abouts: Sequence[dict[str, Any]],
    examples: Sequence[Example],
    found: Sequence[Written],
    progress: Callable[[int, int], None],
) -> list[Item]:
    """The items of a task that the model answered in writing; `progress(done, total)` hears programs that were run."""
    if task.kind == "code":
        scores, why = _run(task, examples, found, progress)
    else:
        scores = [worth(task.metric, each.texts[0], example.answers) for example, each in zip(examples, found, strict=True)]
        why = [()] * len(found)
    rows = zip(abouts, found, scores, why, strict=True)
    return [Item(**about, written=each.texts, score=score, ran=ran, cut=each.cut) for about, each, score, ran in rows]


def _run(
    task: Task, examples: Sequence[Example], found: Sequence[Written], progress: Callable[[int, int], None]
) -> tuple[list[dict[str, float]], list[tuple[str, ...]]]:
    """pass@k of each item, and what became of each of its programs."""
    programs = [program(task, example, text) for example, each in zip(examples, found, strict=True) for text in each.texts]
    done = itertools.count(1)
    ran = iter(run_all(programs, allow=True, progress=lambda _: progress(next(done), len(programs))))
    scores, why = [], []
    for each in found:
        own = [next(ran) for _ in each.texts]
        right = sum(one.passed for one in own)
        scores.append({f"pass@{k}": pass_at(k, len(own), right) for k in COUNTS if k <= len(own)})
        why.append(tuple(one.why for one in own))
    return scores, why
