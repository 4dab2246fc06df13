"""From answers to what each item is worth, and from items to a task's scores."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

from tenfold.corpus.files import fingerprint
from tenfold.evaluate import statistics
from tenfold.evaluate.example import Example
from tenfold.evaluate.prompts import Asked
from tenfold.evaluate.requests import Continuation, Likelihood
from tenfold.evaluate.results import Item
from tenfold.evaluate.rules import Rule, pick, values
from tenfold.evaluate.task import Task

GREEDY, PERPLEXITY, BITS = "accuracy", "perplexity", "bits_per_byte"
MEASURES = ("nats", "bytes", "words", "tokens")  # of an item's score: not worth anything themselves


def own_name(task: Task) -> str:
    """What a task's published scores go by: a rule, a metric, or bits per byte."""
    if task.kind == "choice":
        return GREEDY if task.metric == "greedy" else task.scoring
    return {"perplexity": BITS, "code": "pass@1"}.get(task.kind, "f1" if task.metric.startswith("f1") else "exact")


def chance_of(task: Task, examples: Sequence[Example]) -> float | None:
    """The score of guessing: the task's own, else the mean of one over the number of choices; None where a score is no share."""
    if task.kind == "perplexity":
        return None
    if task.chance is not None:
        return task.chance
    return sum(1 / len(e.choices) for e in examples) / len(examples) if task.kind == "choice" and task.metric != "greedy" else 0.0


def asked_item(example: Example, shots: Sequence[Example], asked: Asked) -> dict[str, Any]:
    """The fields of an Item that are known before the model answers."""
    scored = [[each.context, each.text] for each in asked.scored]
    writing = asked.writing and astuple(asked.writing)
    return {
        "id": example.id,
        "prompt": fingerprint(scored, writing, asked.rolling),
        "shots": tuple(shot.id for shot in shots),
        "question": "" if asked.rolling is not None else example.question,
        "choices": example.contexts or example.choices,
        "continuation": example.choices[0] if example.contexts else "",
        "gold": example.gold,
        "answers": example.answers,
    }


def chosen(about: dict[str, Any], asked: Asked, found: Mapping[Continuation, Likelihood], rules: Sequence[Rule]) -> Item:
    """An item of a task of choices, or of one answer that the model must find likeliest."""
    parts = (asked.scored, asked.bare if "answer" in rules else (), asked.empty if "empty" in rules else ())
    scored, bare, empty = ([found[each] for each in part] for part in parts)
    likelihoods: dict[str, Any] = {
        "logprobs": tuple(each.total for each in scored),
        "tokens": tuple(each.tokens for each in scored),
        "greedy": tuple(each.greedy for each in scored),
        "answer": tuple(each.total for each in bare),
        "empty": tuple(each.total for each in empty),
        "cut": max(each.cut for each in [*scored, *bare, *empty]),
    }
    if len(scored) == 1:
        return Item(**about, **likelihoods, score={GREEDY: float(scored[0].greedy), "nats": -scored[0].total})
    by_rule = values([each.text for each in asked.scored], scored, bare, empty)
    picked = {str(rule): pick(by_rule[rule]) for rule in rules if rule in by_rule}
    score = {rule: float(choice == about["gold"]) for rule, choice in picked.items()}
    return Item(**about, **likelihoods, picked=picked, score=score)


def measured(about: dict[str, Any], asked: Asked, found: Likelihood) -> Item:
    """An item whose whole text was measured."""
    words = len(re.split(r"\s+", asked.counted))  # as lm-eval counts them
    score = {"nats": -found.total, "bytes": len(asked.counted.encode()), "words": words, "tokens": found.tokens}
    return Item(**about, logprobs=(found.total,), tokens=(found.tokens,), score={name: float(value) for name, value in score.items()})


def task_scores(items: Sequence[Item], chance: float | None, seed: int = 0) -> dict[str, dict[str, float | None]]:
    """By rule or metric: value, error, low, high, and centred where chance is known. Raises UserError where there are no items."""
    names = [name for name in (items[0].score if items else {}) if name not in MEASURES]
    named = {name: statistics.mean([item.score[name] for item in items], seed) for name in names}
    if items and "nats" in items[0].score:
        named |= _measures({name: [item.score[name] for item in items] for name in MEASURES if name in items[0].score}, seed)
    if items and len(items[0].choices) > 1:
        bits = [-item.logprobs[item.gold] / math.log(2) for item in items]
        named["gold_" + BITS] = statistics.ratio(bits, [len(_gold_text(item).encode()) for item in items], seed)
    shares = {*names, GREEDY}
    return {name: _row(found, chance if name in shares else None) for name, found in named.items()}


def _measures(sums: dict[str, list[float]], seed: int) -> dict[str, statistics.Estimate]:
    """Of an answer, its perplexity, as LAMBADA's; of whole texts, that a token and a word, and bits per byte."""
    nats = sums["nats"]
    if "bytes" not in sums:
        return {PERPLEXITY: statistics.ratio(nats, [1.0] * len(nats), seed, scale=_exp)}
    return {
        BITS: statistics.ratio([each / math.log(2) for each in nats], sums["bytes"], seed),
        "word_perplexity": statistics.ratio(nats, sums["words"], seed, scale=_exp),
        "token_perplexity": statistics.ratio(nats, sums["tokens"], seed, scale=_exp),
    }


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))  # a model that knows nothing may be past what a float holds


def _gold_text(item: Item) -> str:
    return item.texts[item.gold].lstrip() or " "


def _row(found: statistics.Estimate, chance: float | None) -> dict[str, float | None]:
    error = None if math.isnan(found.error) else found.error  # of one item; JSON has no NaN
    row = {"value": found.value, "error": error, "low": found.low, "high": found.high}
    return row | ({} if chance is None else {"centred": statistics.centred(found.value, chance)})
