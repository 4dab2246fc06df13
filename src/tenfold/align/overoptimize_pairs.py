"""Completions of the start and what the gold reward says of them: the pool that everything is measured on, and pairs to learn from.

Each is a file, whole or absent, and is made once. Shapes: P measured prompts, N completions of each.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.align.overoptimize_work import DRAWN, PAIRS, POOL, Work
from tenfold.align.prompts import Example
from tenfold.corpus.files import write_atomically
from tenfold.errors import UserError
from tenfold.train.records import write_json

ROUNDS = 8
"""Times that pairs are drawn, before too many of them are found to compare nothing."""


def pool(work: Work) -> dict[str, Any]:
    """{"completions": [P][N], "gold": [P][N]} of the start on the measured prompts."""
    file, N = work.out / "pool.json", work.recipe.best_of.pool
    if not file.exists():
        work.watch.stage(f"{N} completions of each of {len(work.measured)} prompts, by the start")
        asked = [example for example in work.measured for _ in range(N)]
        texts = work.texts(work.params, asked, POOL)
        gold_PN = work.worth(asked, texts).reshape(-1, N)
        rows = [texts[first : first + N] for first in range(0, len(texts), N)]
        write_json(file, {"completions": rows, "gold": gold_PN.tolist()})
    return json.loads(file.read_text("utf-8"))


def pairs_file(work: Work, count: int) -> Path:
    """Where the first `count` pairs are."""
    return work.out / DRAWN / f"{count}.jsonl"


def held_out_file(work: Work) -> Path:
    """Where the pairs are that no proxy learns from."""
    return work.out / DRAWN / "held_out.jsonl"


def draw_pairs(work: Work) -> None:
    """Writes the pairs of every count, of which the fewer are the first of the more, some of them the wrong way round; and held-out ones,
    on the measured prompts, none of them so."""
    asked = work.recipe.comparisons
    files = [pairs_file(work, count) for count in asked.counts]
    if all(file.exists() for file in (*files, held_out_file(work))):
        return
    work.watch.stage(f"{max(asked.counts):,} pairs to learn from, {asked.held_out:,} to measure on, by the gold reward")
    learned = _noisy(_pairs(work, work.learned, max(asked.counts), PAIRS), asked.noise, work.recipe.seed)
    held_out = _pairs(work, work.measured, asked.held_out, PAIRS + ROUNDS)
    for count, file in zip(asked.counts, files, strict=True):
        write_atomically(file, _lines(learned[:count]))
    write_atomically(held_out_file(work), _lines(held_out))


def _pairs(work: Work, examples: Sequence[Example], count: int, step: int) -> list[dict[str, str]]:
    """`count` pairs of unlike worth, of all prompts in turn. Raises UserError where they are too rare."""
    found: list[dict[str, str]] = []
    for turn in range(ROUNDS):
        wanted = max(count - len(found), count // 4, 16)  # more than are missing, or the last few would be waited for
        asked = [examples[(len(found) + number) % len(examples)] for number in range(wanted) for _ in range(2)]
        texts = work.texts(work.params, asked, step + turn)
        gold = work.worth(asked, texts)
        for place in range(0, len(asked), 2):
            (one, other), (a, b) = texts[place : place + 2], gold[place : place + 2]
            if a != b and one and other:
                better, worse = (one, other) if a > b else (other, one)
                found.append({"prompt": asked[place]["prompt"], "chosen": better, "rejected": worse})
        if len(found) >= count:
            return found[:count]
    raise UserError(
        f"of the pairs of completions that the start wrote, only {len(found)} of {count} can be compared: the gold reward gives most pairs "
        "the same score, or they are empty.\n  Ask for fewer with --comparisons.counts, or name a gold reward that tells more apart."
    )


def _noisy(pairs: list[dict[str, str]], noise: float, seed: int) -> list[dict[str, str]]:
    """Each of them the wrong way round with that probability."""
    wrong = np.random.default_rng((seed, PAIRS)).random(len(pairs)) < noise
    return [{**p, "chosen": p["rejected"], "rejected": p["chosen"]} if w else p for p, w in zip(pairs, wrong, strict=True)]


def _lines(pairs: list[dict[str, str]]) -> str:
    return "".join(json.dumps(pair) + "\n" for pair in pairs)
