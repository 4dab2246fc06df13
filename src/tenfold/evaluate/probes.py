"""A task asked so that its answers can be graded finely: what is written, and how likely the right answer is beside others.

Whether an answer is right to the letter says little of a model that is often nearly right. So a task with free answers is asked twice, with
the same items and the same shots: the model writes by itself, which can be compared with the answer letter by letter, and the right answer
is scored among three of other items, which a model that knows only what answers look like cannot tell apart. Tasks of choices need nothing
more. Each probe is a result of its own, TASK-written and TASK-among, beside the task's.
"""

import random
from dataclasses import dataclass, replace

from tenfold.errors import UserError
from tenfold.evaluate.example import Example
from tenfold.evaluate.loaded import Loaded
from tenfold.evaluate.task import Task
from tenfold.evaluate.templates import render

WRONG = 3  # answers of other items beside the right one
DRAWN = 64  # items among which they are looked for
MORE = 8  # tokens that may be written beyond a token for each byte of the longest answer


@dataclass(frozen=True)
class Probes:
    """A task, and how it is asked."""

    task: Task
    among: Loaded
    """Choices: the task's own, or the right answer and those of other items."""
    written: Loaded | None
    """Of free answers: what the model writes. None for tasks of choices."""

    @property
    def all(self) -> list[Loaded]:
        """Both, to be measured."""
        return [self.among, *([self.written] if self.written else [])]


def check_near(task: Task) -> None:
    """Refuses tasks of programs and of whole texts, which have no answer that another is near to."""
    if task.kind not in ("choice", "write"):
        raise UserError(
            f"{task.name} is of kind {task.kind}: it has no answers to be near to, only right or wrong ones, or none.\n"
            "  Emergence is of tasks of kind choice or write; `tenfold eval tasks` says which is which."
        )


def probes(loaded: Loaded, seed: int = 0) -> Probes:
    """How a task's items are asked. Raises UserError where `check_near` does, and where an item's answer is that of all others."""
    task = loaded.task
    check_near(task)
    if task.metric == "accuracy":
        return Probes(task, loaded, None)
    return Probes(task, _among(loaded, seed), _written(loaded))


def right_answer(task: Task, example: Example) -> str:
    """As it follows the question, with its leading space."""
    if example.choices:
        return example.choices[example.gold]
    return render(task.answer, example.item) if task.answer else f" {example.answers[0]}"


def _among(loaded: Loaded, seed: int) -> Loaded:
    task = loaded.task
    right = [right_answer(task, example) for example in loaded.test]
    asked = replace(
        task,
        name=f"{task.name}-among",
        about=f"{task.about}: the right answer among {WRONG} of other items",
        kind="choice",
        metric="accuracy",
        scoring="sum",
        choices=("{{right}}", *("{{wrong}}",) * WRONG),
        chance=None,
    )
    test = [_beside(task, *each, right, seed) for each in zip(loaded.test, right, strict=True)]
    return replace(loaded, task=asked, test=test)


def _beside(task: Task, example: Example, own: str, right: list[str], seed: int) -> Example:
    """Its right answer, then those of other items drawn at random, the same for the same (seed, example.id): a common answer is as often
    the wrong one as the right one, so that to know what is common is no use."""
    dice = random.Random(f"{seed}/among/{example.id}")
    allowed = {own, *(f" {answer}" for answer in example.answers)}
    drawn = [right[place] for place in dice.sample(range(len(right)), min(len(right), DRAWN))]
    wrong = list(dict.fromkeys(answer for answer in drawn if answer not in allowed))[:WRONG]
    if not wrong:
        raise UserError(
            f"{task.name}: no other item has an answer that is wrong for item {example.id} ({own!r}), so nothing tells that it is known.\n"
            "  Use a larger --limit, or leave the task out."
        )
    return replace(example, choices=(own, *wrong), gold=0)


def _written(loaded: Loaded) -> Loaded:
    task = loaded.task
    if task.kind == "write" and task.beams == task.samples == 1 and not task.temperature:
        return loaded
    name, about = f"{task.name}-written", f"{task.about}: as the model writes it"
    if task.kind == "write":
        return replace(loaded, task=replace(task, name=name, about=about, beams=1, samples=1, temperature=0.0))
    answers = [example.choices[0].strip() for example in loaded.test]
    most = min(task.max_tokens, max(len(answer.encode()) for answer in answers) + MORE)
    test = [replace(example, choices=(), answers=(answer,)) for example, answer in zip(loaded.test, answers, strict=True)]
    return replace(loaded, task=replace(task, name=name, about=about, kind="write", metric="exact", max_tokens=most), test=test)
