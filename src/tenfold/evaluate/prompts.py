"""From a task's items to what is asked of a model: examples, their shots, and the requests.

The tokens of an answer begin where its text begins, with its leading space; the engine sees to the border (requests.py).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from tenfold.errors import UserError
from tenfold.evaluate.example import Example
from tenfold.evaluate.requests import Continuation, Writing
from tenfold.evaluate.sources import Item, Items, Source, items, rows, with_fields
from tenfold.evaluate.task import Form, Task
from tenfold.evaluate.templates import render, value


@dataclass(frozen=True)
class Asked:
    """What one example asks. Of the four forms, only those of the task's kind are filled."""

    scored: tuple[Continuation, ...] = ()
    """A continuation for each choice, in their order."""
    bare: tuple[Continuation, ...] = ()
    """The same after "Answer:" alone. Empty under partial scoring, where the continuation is the same for all choices."""
    empty: tuple[Continuation, ...] = ()
    """The same at the beginning of a document."""
    writing: Writing | None = None
    rolling: str | None = None
    """Of perplexity: the text to be scored whole."""
    counted: str = ""
    """Of perplexity: the text whose bytes and words the score is divided by."""


def examples(task: Task, data: Sequence[Path] = (), split: str = "test") -> Sequence[Example]:
    """The task's items ("test"), or those that shots are drawn from ("shots"). Raises UserError for items that do not fit the task.

    Of shots from files of their own, each is made ready when it is asked for: of forty thousand, a few are shown.
    """
    if split not in ("test", "shots"):
        raise UserError(f"split is {split!r}: say test or shots")
    beside = task.file.parent if task.file else None
    if split == "shots" and task.shots_from.fixed:
        return [_numbered(task, dict(item), f"fixed/{number}") for number, item in enumerate(task.shots_from.fixed)]
    if split == "shots" and task.shots_from.sources:
        return Pool(task, *rows(task.shots_from.sources, data, beside))
    name = task.test[0].split or "test"
    found = [_numbered(task, row, f"{name}/{number}", task.id) for number, row in enumerate(items(task.test, data, beside))]
    _check_ids(task, found)
    return found


class Pool(Sequence[Example]):
    """Examples of the training split, made when they are asked for."""

    def __init__(self, task: Task, source: Source, found: Items):
        self.task, self.source, self.rows = task, source, found
        self.name = task.shots_from.sources[0].split or "train"
        self.made: dict[int, Example] = {}

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> Example: ...
    @overload
    def __getitem__(self, place: slice) -> list[Example]: ...
    def __getitem__(self, place: int | slice) -> Example | list[Example]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        if place not in self.made:
            item = with_fields(self.source, self.rows[place], place)
            self.made[place] = _numbered(self.task, item, f"{self.name}/{place}")
        return self.made[place]


def example(task: Task, item: Item, id: str) -> Example:
    """One item made ready. Raises UserError for a template that does not fit it, or a gold index that no choice has."""
    contexts = _texts(task.contexts, item, "contexts")
    answer = render(task.answer, item) if task.answer else ""
    choices = (answer,) * len(contexts) if contexts else _texts(task.choices, item, "choices")
    if task.metric == "greedy":
        choices = (answer,)
    if task.metric == "accuracy" and task.kind == "choice" and len(choices) < 2:
        raise UserError(f"there are {len(choices)} choices, but must be two or more: leave the item out")
    gold = _gold(task, item, len(choices)) if len(choices) > 1 else 0
    answers = _answers(task, item, answer) if task.kind == "write" else ()
    question = contexts[gold] if contexts else render(task.question, item)
    for text in (question, *contexts, *choices, *answers):
        _check_encodes(text)
    return Example(id, question, choices, gold, answers, contexts, item)


def choose_shots(task: Task, example: Example, pool: Sequence[Example], k: int, seed: int = 0) -> list[Example]:
    """K examples to stand before this one: the same for the same (seed, example.id), and never the item itself.

    Raises UserError where the pool has fewer than K that may be used.
    """
    if task.shots_from.fixed or task.shots_from.first or task.shots_from.same:
        pool = [shot for shot in pool if _may_show(task, shot, example)]
        if len(pool) >= k and (task.shots_from.fixed or task.shots_from.first):
            return list(pool[:k])
    dice = random.Random(f"{seed}/{task.name}/{example.id}")
    tried: set[int] = set()
    shots: list[Example] = []
    while len(shots) < k:
        if len(tried) == len(pool):
            raise UserError(f"{task.name} has {len(shots)} examples to show before item {example.id}, and {k} are asked for: ask for fewer")
        place = dice.randrange(len(pool))
        if place not in tried:
            tried.add(place)
            if _may_show(task, pool[place], example):
                shots.append(pool[place])
    return shots


def requests(task: Task, example: Example, shots: Sequence[Example] = ()) -> Asked:
    """What the example asks after these shots. Deterministic: a function of the task's file, the item and the shots alone."""
    form = task.few_shot if shots else Form()
    before = _before(task, example, shots, form)
    if task.kind == "perplexity":
        return Asked(rolling=example.question, counted=render(task.counted, example.item) if task.counted else example.question)
    if example.contexts:
        return Asked(tuple(Continuation(before + context, text) for context, text in zip(example.contexts, example.choices, strict=True)))
    context = before + (render(form.question, example.item) if form.question is not None else example.question)
    if task.kind == "choice":
        return Asked(
            tuple(Continuation(context, text) for text in example.choices),
            tuple(Continuation(task.answer_context, text) for text in example.choices),
            tuple(Continuation("", text) for text in example.choices),
        )
    return Asked(
        writing=Writing(
            context, task.stop, task.max_tokens, task.beams, task.length_penalty, task.temperature, task.samples, _seed(task, example)
        )
    )


def program(task: Task, example: Example, written: str) -> str:
    """Of a task of kind code: the program that says by how it ends whether what was written is right."""
    return render(task.program, example.item | {"written": written})


def _before(task: Task, example: Example, shots: Sequence[Example], form: Form) -> str:
    header = render(form.header if form.header is not None else task.header, example.item)
    separator = form.separator if form.separator is not None else task.separator
    return header + "".join(_shown(task, shot, form) + separator for shot in shots)


def _shown(task: Task, shot: Example, form: Form) -> str:
    question = render(form.question, shot.item) if form.question is not None else shot.question
    if form.answer is not None or task.answer:
        return question + render(form.answer if form.answer is not None else task.answer, shot.item)
    return question + (shot.choices[shot.gold] if shot.choices else f" {shot.answers[0]}")


def _may_show(task: Task, shot: Example, example: Example) -> bool:
    same, apart = task.shots_from.same, task.shots_from.apart
    is_itself = shot.id == example.id or (shot.question, shot.choices, shot.answers) == (example.question, example.choices, example.answers)
    return (
        not is_itself
        and (not same or shot.item.get(same) == example.item.get(same))
        and (not apart or shot.item.get(apart) != example.item.get(apart))
    )


def _texts(wanted: tuple[str, ...] | str, item: Item, name: str) -> tuple[str, ...]:
    if isinstance(wanted, tuple):
        return tuple(render(template, item) for template in wanted)
    found = value(wanted, item)
    if not isinstance(found, list | tuple) or not all(isinstance(text, str) for text in found):
        raise UserError(f"{name} is {found!r} for an item: {wanted!r} must give a list of texts")
    return tuple(found)


def _gold(task: Task, item: Item, choices: int) -> int:
    found = value(task.gold, item)
    try:
        index = int(found)
        if isinstance(found, float) and index != found:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"gold is {found!r} for an item: {task.gold!r} must give the index of a choice") from None
    if not 0 <= index < choices:
        raise UserError(f"gold is {index} for an item with {choices} choices: give 0 to {choices - 1}")
    return index


def _check_encodes(text: str) -> None:
    """JSON can hold halves of characters ("\\ud800"), which no tokenizer reads."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        part = text[max(0, error.start - 20) : error.end + 20]
        raise UserError(f"a text of an item has no form in UTF-8: {part!r} holds half of a surrogate pair: mend it in the data") from None


def _answers(task: Task, item: Item, answer: str) -> tuple[str, ...]:
    if not task.answers:
        return (answer.strip(),)
    found = _texts(task.answers, item, "answers")
    if not found:
        raise UserError(f"answers is empty for an item: {task.answers!r} must give at least one text")
    return found


def _numbered(task: Task, item: Item, place: str, id: str = "") -> Example:
    try:
        return example(task, item, render(id, item) if id else place)
    except UserError as error:
        raise UserError(f"{task.name}, item {place}: {error}") from error


def _check_ids(task: Task, found: list[Example]) -> None:
    seen = set()
    for one in found:
        if one.id in seen:
            raise UserError(f"{task.name}: two items have the id {one.id!r}; ids tell items apart: leave `id` out, or make it whole")
        seen.add(one.id)


def _seed(task: Task, example: Example) -> int:
    """Of sampling: another for every item, the same in every run."""
    return random.Random(f"{task.name}/{example.id}").getrandbits(31)


def limited(found: Sequence[Example], count: int | None, seed: int = 0) -> list[Example]:
    """`count` of the examples, drawn at random and in their order; all of them where count is None or more than there are."""
    if count is None or count >= len(found):
        return list(found)
    return [found[place] for place in sorted(random.Random(seed).sample(range(len(found)), count))]
