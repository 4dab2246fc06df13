"""Answers that people, or a judge, have ranked: JSON lines, and the rows of tokens that models learn from.

A line is {"prompt", "answers": [best, ..., worst]}, the same with "ranks" (lower is better, equal ones are ties) in any order of answers,
or a pair {"prompt", "chosen", "rejected"}, perhaps with a "margin" by which the one should score above the other.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tenfold.align.prompts import Example, read_prompts
from tenfold.corpus.documents import HELD_OUT, is_held_out
from tenfold.corpus.files import fingerprint
from tenfold.errors import UserError
from tenfold.generate.complete import TextTokenizer


@dataclass(frozen=True)
class Comparison:
    """A prompt and its answers."""

    prompt: str
    answers: tuple[str, ...]
    ranks: tuple[int, ...]
    margin: float = 0.0

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """(better, worse) by their places."""
        both = [(i, j) if self.ranks[i] < self.ranks[j] else (j, i) for i, j in combinations(range(len(self.answers)), 2)]
        return [(i, j) for i, j in both if self.ranks[i] != self.ranks[j]]


class Ranked(NamedTuple):
    """Comparisons as rows: N prompts, K answers of each, T + 1 tokens. Arrays of NumPy, and of JAX within a step."""

    tokens_NKS: Any
    mask_NKS: Any
    """f32: 1 at the answer's tokens, its end among them."""
    length_NK: Any
    """Of prompt and answer; 1 where there is no answer."""
    rank_NK: Any
    real_NK: Any
    margin_N: Any


def read_comparisons(paths: Sequence[str | Path]) -> list[Comparison]:
    """All lines of all files. Raises UserError naming the prompt of one that compares nothing."""
    return [comparison(line) for line in read_prompts(paths)]


def comparison(line: Example) -> Comparison:
    """One line. Raises UserError for answers that are no texts, ranks of another number, and lines that compare nothing."""
    where, answers, ranks = f"the line of the prompt {line['prompt'][:60]!r}", line.get("answers"), [0, 1]
    if "chosen" in line or "rejected" in line:
        answers = [line.get("chosen"), line.get("rejected")]
    else:
        if not isinstance(answers, list):
            raise UserError(f"{where} has neither `answers`, a list, nor `chosen` and `rejected`.\n  Give one of them.")
        ranks = line.get("ranks", list(range(len(answers))))
    if not all(isinstance(answer, str) and answer for answer in answers):
        shown = next(answer for answer in answers if not isinstance(answer, str) or not answer)
        raise UserError(f"{where} has the answer {shown!r}.\n  Every answer is a text that is not empty.")
    if not isinstance(ranks, list) or len(ranks) != len(answers) or not all(type(rank) is int for rank in ranks):
        raise UserError(f"{where} has {len(answers)} answers and the ranks {json.dumps(ranks)}.\n  Give a whole number for each answer.")
    margin = line.get("margin", 0.0)
    if isinstance(margin, bool) or not isinstance(margin, (int, float)):
        raise UserError(f"{where} has the margin {margin!r}, which is no number.")
    found = Comparison(line["prompt"], tuple(answers), tuple(ranks), float(margin))
    if not found.pairs:
        raise UserError(f"{where} compares nothing: it has {len(answers)} answers, ranked {json.dumps(ranks)}.\n  Give two that differ.")
    return found


def split(found: list[Any], held_out: str | None, read: Callable[..., list[Any]] = read_comparisons) -> tuple[list[Any], list[Any]]:
    """(train, held out): a file's, or a twentieth by the hash of the prompt, so that no prompt is in both."""
    measured = read([held_out]) if held_out else [each for each in found if is_held_out(fingerprint(each.prompt), HELD_OUT)]
    asked = {each.prompt for each in measured}
    train = [each for each in found if each.prompt not in asked]
    if not train:
        raise UserError(f"all {len(found)} comparisons are held out.\n  Name more with --data, or others with --data.held-out.")
    return train, measured


def encoded(text: str, answer: str, tokenizer: TextTokenizer, room: int) -> tuple[list[int], int]:
    """(the tokens of a prompt and an answer with its end, the prompt's tokens). Raises UserError where they are more than `room`."""
    prompt = tokenizer.encode(text) or [tokenizer.end_of_text]
    ids = [*prompt, *tokenizer.encode(answer), tokenizer.end_of_text]
    if len(ids) > room:
        raise UserError(
            f"the prompt {text[:60]!r} and its answer {answer[:60]!r} have {len(ids)} tokens, but model.context is {room}.\n"
            "  Leave them out."
        )
    return ids, len(prompt)


def ranked(comparisons: Sequence[Comparison], tokenizer: TextTokenizer, room: int, answers: int, width: int) -> Ranked:
    """Rows of `width` tokens, and `answers` of them for each prompt, filled up where there are fewer."""
    N = len(comparisons)
    tokens, mask = np.zeros((N, answers, width), np.int32), np.zeros((N, answers, width), np.float32)
    length, rank, real = np.ones((N, answers), np.int32), np.zeros((N, answers), np.int32), np.zeros((N, answers), bool)
    for n, each in enumerate(comparisons):
        for k, answer in enumerate(each.answers):
            ids, start = encoded(each.prompt, answer, tokenizer, room)
            tokens[n, k, : len(ids)], mask[n, k, start : len(ids)] = ids, 1
            length[n, k], rank[n, k], real[n, k] = len(ids), each.ranks[k], True
    return Ranked(tokens, mask, length, rank, real, np.array([each.margin for each in comparisons], np.float32))


def as_pairs(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Every pair as a comparison of its own, the better answer first."""
    return [
        Comparison(each.prompt, (each.answers[better], each.answers[worse]), (0, 1), each.margin)
        for each in comparisons
        for better, worse in each.pairs
    ]
