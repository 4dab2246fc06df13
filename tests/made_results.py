"""Results of evaluations, made up: of choices, whose likelihoods the caller gives, and of written texts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tenfold.corpus.files import fingerprint
from tenfold.evaluate.requests import Likelihood
from tenfold.evaluate.results import Item, Result, prompts_fingerprint
from tenfold.evaluate.rules import RULES, pick, values
from tenfold.evaluate.scores import task_scores

TEXTS = (" a", " a long answer")


def choice(number: int, gold: int, logprobs: Sequence[float], **changes: Any) -> Item:
    """An item whose two choices have these log-probabilities; the second is longer."""
    item = Item(f"test/{number}", fingerprint(number), (), f"question {number}", TEXTS, gold, logprobs=tuple(logprobs), tokens=(1, 3))
    item = replace(item, **changes)
    by_rule = values(item.texts, [Likelihood(t, n, False) for t, n in zip(item.logprobs, item.tokens, strict=True)])
    picked = {str(rule): pick(each) for rule, each in by_rule.items()}
    return replace(item, picked=picked, score={rule: float(place == item.gold) for rule, place in picked.items()})


def written(number: int, text: str, right: str) -> Item:
    return Item(
        f"test/{number}",
        fingerprint(number),
        question=f"question {number}",
        answers=(right,),
        written=(text,),
        score={"exact": float(text == right)},
    )


def result(items: Sequence[Item], own: str = "sum", chance: float | None = 0.5, **changes: Any) -> Result:
    found = Result(
        task="made",
        shots=0,
        items=len(items),
        of=len(items),
        own=own,
        scores=task_scores(items, chance),
        chance=chance,
        cut=0,
        key="key",
        prompts=prompts_fingerprint(items),
        tokenizer="tokens",
        model={"path": "runs/first", "fingerprint": "f1"},
        settings={"limit": None, "seed": 0, "weights": "float32", "rules": ",".join(RULES)},
        example={"prompt": "question 0", "continuations": list(TEXTS)},
        versions={"tenfold": "0"},
        machine={"device": "cpu"},
        seconds=1.0,
        written="2020-01-01T00:00:00+00:00",
    )
    return replace(found, **changes)
