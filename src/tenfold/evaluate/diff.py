"""Why two results of one task differ: what was done otherwise, how much of the difference each of that explains, and which items flipped.

The difference is told in steps that add up to it exactly: from all items of the first to those that both have; from the first's rule to
the second's, on the same answers; from the first's answers to the second's, by the second's rule; and on to all items of the second.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.errors import UserError
from tenfold.evaluate import statistics
from tenfold.evaluate.requests import Likelihood
from tenfold.evaluate.results import Item, Result, find_results, read_items, read_result
from tenfold.evaluate.rules import RULES, margin, values


@dataclass(frozen=True)
class Cause:
    """Something that was not the same."""

    what: str
    first: str
    second: str


@dataclass(frozen=True)
class Flip:
    """An item that one of the two got right and the other did not."""

    id: str
    question: str
    won: bool
    """The second is the one that got it right."""
    first: str
    """What the first answered, and the second."""
    second: str
    gold: str
    first_margin: float | None
    """How far the right choice was above the best other, by the second's rule, in nats or nats a unit; None of what was written."""
    second_margin: float | None
    same_prompt: bool


@dataclass(frozen=True)
class Step:
    """A part of the difference."""

    what: str
    score: float
    """Reached after it."""
    change: float


@dataclass(frozen=True)
class Diff:
    """Two results of one task, explained."""

    name: str
    first: Result
    second: Result
    causes: tuple[Cause, ...]
    steps: tuple[Step, ...]
    """From the first's score to the second's."""
    paired: dict[str, statistics.Difference]
    """By rule or metric, on the items that both have; where a text's probability was measured, by the log-likelihood, in nats."""
    flips: tuple[Flip, ...]
    """By the second's rule; those whose margin changed most come first."""
    other_prompts: int
    """Of the items that both have, how many were asked otherwise."""


def diff(first: Path, second: Path, seed: int = 0) -> list[Diff]:
    """Explains every task and number of shots that two folders of results (or runs) share; two files are compared as they are.

    Raises UserError where they share none, or a file is missing or damaged.
    """
    if first.is_file() and second.is_file():
        return [explain(_read(first), _read(second), seed)]
    ours, theirs = (_by_task(find_results(place)) for place in (first, second))
    shared = [key for key in ours if key in theirs]
    if not shared:
        raise UserError(
            f"{first} and {second} share no task with the same number of shots.\n"
            f"  There: {_names(ours)}; and {_names(theirs)}. Name two .json files to compare them as they are."
        )
    return [explain(_read(ours[key]), _read(theirs[key]), seed) for key in shared]


def explain(first: tuple[Result, list[Item]], second: tuple[Result, list[Item]], seed: int = 0) -> Diff:
    """Two results with their items. Raises UserError where they are of different tasks, or have no item in common."""
    (a, items_a), (b, items_b) = first, second
    if a.task != b.task:
        raise UserError(f"{a.name} and {b.name} are of different tasks: their scores do not compare.\n  Name two results of one task.")
    by_id = {item.id: item for item in items_b}
    pairs = [(item, by_id[item.id]) for item in items_a if item.id in by_id]
    if not pairs:
        raise UserError(f"{a.name} and {b.name} have no item in common: were they read from different data?")
    names = [name for name in a.scores if all(name in x.score and name in y.score for x, y in pairs)]
    both = {name: statistics.paired([x.score[name] for x, _ in pairs], [y.score[name] for _, y in pairs], seed) for name in names}
    if all("nats" in each.score for pair in pairs for each in pair):
        both["log-likelihood"] = statistics.paired([-x.score["nats"] for x, _ in pairs], [-y.score["nats"] for _, y in pairs], seed)
    rule = b.own if b.own in names else next(iter(names), "")
    flips = [_flip(x, y, rule) for x, y in pairs if rule and (x.score[rule] >= 0.5) != (y.score[rule] >= 0.5)]
    flips.sort(key=lambda flip: -abs((flip.second_margin or 0) - (flip.first_margin or 0)))
    other = sum(x.prompt != y.prompt for x, y in pairs)
    name = f"{a.task}, {a.shots} shots" if a.shots == b.shots else f"{a.task}, {a.shots} and {b.shots} shots"
    return Diff(name, a, b, tuple(_causes(a, b, pairs, items_a, items_b)), tuple(_steps(a, b, pairs)), both, tuple(flips), other)


def _causes(a: Result, b: Result, pairs: list[tuple[Item, Item]], items_a: list[Item], items_b: list[Item]) -> list[Cause]:
    """What was done otherwise, what matters most first."""
    found: list[tuple[str, Any, Any]] = [("scorer", a.own, b.own), ("model", _model(a), _model(b))]
    found += [("tokenizer", a.tokenizer, b.tokenizer), ("shots", a.shots, b.shots)]
    found += [(name, a.settings.get(name), b.settings.get(name)) for name in sorted({*a.settings, *b.settings})]
    only = (sum(1 for _ in items_a) - len(pairs), len(items_b) - len(pairs))
    found += [("items that only one has", *only)] if any(only) else []
    for what, field in (("questions", "question"), ("choices", "choices"), ("right answers", "gold"), ("accepted answers", "answers")):
        other = sum(getattr(x, field) != getattr(y, field) for x, y in pairs)
        found += [(f"{what} of {other:,} items", "", "other")] if other else []
    if a.shots == b.shots and (other := sum(x.shots != y.shots for x, y in pairs)):
        found.append((f"examples shown before {other:,} items", "", "other"))
    form = sum(x.prompt != y.prompt and (x.question, x.choices, x.shots) == (y.question, y.choices, y.shots) for x, y in pairs)
    found += [(f"form of the prompt of {form:,} items, of the same question and shots", "", "other")] if form else []
    found += [("items with a cut prompt", a.cut, b.cut)]
    found += [(f"version of {name}", a.versions.get(name), b.versions.get(name)) for name in sorted({*a.versions, *b.versions})]
    found += [(name, a.machine.get(name), b.machine.get(name)) for name in ("device",)]
    return [Cause(what, str(x), str(y)) for what, x, y in found if x != y]


def _steps(a: Result, b: Result, pairs: list[tuple[Item, Item]]) -> list[Step]:
    """From a's score to b's. Where their items have no score each (bits per byte), there is one step."""
    start, end = a.scores[a.own]["value"], b.scores[b.own]["value"]
    if not all(name in each.score for x, y in pairs for name, each in ((a.own, x), (b.own, y))):
        return [Step(f"{a.own} of the first", start, 0.0), Step(f"{b.own} of the second", end, end - start)]
    common = float(np.mean([x.score[a.own] for x, _ in pairs]))
    ruled = float(np.mean([x.score[b.own] for x, _ in pairs])) if all(b.own in x.score for x, _ in pairs) else common
    answered = float(np.mean([y.score[b.own] for _, y in pairs]))
    told = [
        ("the first", start),
        (f"its {len(pairs):,} items that the second has as well", common),
        (f"scored by {b.own} instead of {a.own}", ruled),
        ("the second's answers to the same items", answered),
        ("all items of the second", end),
    ]
    steps = [Step(told[0][0], start, 0.0)]
    for (what, score), (_, before) in zip(told[1:], told, strict=False):
        if abs(score - before) > 1e-12:
            steps.append(Step(what, score, score - before))
    return steps


def _flip(x: Item, y: Item, rule: str) -> Flip:
    gold = x.choices[x.gold].strip() if x.choices else " / ".join(x.answers)
    answers, margins = (_answer(x, rule), _answer(y, rule)), (_margin(x, rule), _margin(y, rule))
    return Flip(x.id, x.question, y.score[rule] > x.score[rule], *answers, gold, *margins, x.prompt == y.prompt)


def _answer(item: Item, rule: str) -> str:
    if rule in item.picked:
        return item.choices[item.picked[rule]].strip()
    if item.written:
        return item.written[0]
    return "its own likeliest word is " + ("this one" if all(item.greedy) else "another")


def _margin(item: Item, rule: str) -> float | None:
    if rule not in RULES or len(item.choices) < 2:
        return None
    scored, bare, empty = (_likelihoods(totals, item) for totals in (item.logprobs, item.answer, item.empty))
    return margin(values(item.texts, scored, bare, empty)[rule], item.gold)


def _likelihoods(totals: Sequence[float], item: Item) -> list[Likelihood]:
    return [Likelihood(total, tokens, False) for total, tokens in zip(totals, item.tokens, strict=bool(totals))]


def _model(result: Result) -> str:
    return f"{result.model.get('path', '?')} ({result.model.get('fingerprint', '?')})"


def _by_task(found: dict[str, Path]) -> dict[tuple[str, int], Path]:
    """Of several results of one task and number of shots, the one of most items."""
    best: dict[tuple[str, int], tuple[int, Path]] = {}
    for path in found.values():
        result = read_result(path)
        key = (result.task, result.shots)
        if key not in best or result.items > best[key][0]:
            best[key] = (result.items, path)
    return {key: path for key, (_, path) in best.items()}


def _read(path: Path) -> tuple[Result, list[Item]]:
    return read_result(path), read_items(path)


def _names(found: dict[tuple[str, int], Any]) -> str:
    return ", ".join(f"{task} ({shots} shots)" for task, shots in found)
