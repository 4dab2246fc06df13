"""Answers of which each is good or bad by itself: JSON lines, and the rows of tokens that KTO learns from.

A line is {"prompt", "completion", "label": true or false}, or one of those that compare answers (comparisons.py), whose pairs come apart:
the better answer of each is good, the worse one bad.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tenfold.align.comparisons import as_pairs, comparison, encoded
from tenfold.align.prompts import Example, read_prompts
from tenfold.errors import UserError
from tenfold.generate.complete import TextTokenizer


@dataclass(frozen=True)
class Labelled:
    """A prompt, an answer, and whether it is a good one."""

    prompt: str
    answer: str
    good: bool


class LabelledRows(NamedTuple):
    """N examples as K = 2 rows each, of S tokens: the answer to the prompt, and to the same prompt the answer that another one got."""

    tokens_NKS: Any
    mask_NKS: Any
    """f32: 1 at the answer's tokens, its end among them."""
    real_NK: Any
    good_N: Any


def read_labelled(paths: Sequence[str | Path]) -> list[Labelled]:
    """All lines of all files. Raises UserError naming the prompt of one that says nothing of an answer."""
    return [example for line in read_prompts(paths) for example in labelled(line)]


def labelled(line: Example) -> list[Labelled]:
    """One line's examples. Raises UserError for a completion that is no text, and for a label that is neither true nor false."""
    if "label" not in line and "completion" not in line:
        pairs = as_pairs([comparison(line)])
        return [Labelled(each.prompt, answer, good) for each in pairs for answer, good in zip(each.answers, (True, False), strict=True)]
    where, answer, label = f"the line of the prompt {line['prompt'][:60]!r}", line.get("completion"), line.get("label")
    if not isinstance(answer, str) or not answer:
        raise UserError(f"{where} has the completion {answer!r}.\n  Every completion is a text that is not empty.")
    if not isinstance(label, bool):
        raise UserError(f"{where} has the label {label!r}.\n  Say true where the completion is a good one, and false where it is not.")
    return [Labelled(line["prompt"], answer, label)]


def labelled_rows(examples: Sequence[Labelled], tokenizer: TextTokenizer, room: int, width: int) -> LabelledRows:
    """Rows of `width` tokens. The other answer is that of the next example, counted round, with another prompt; there is none where all
    have the same. It is cut at `room` tokens."""
    N = len(examples)
    tokens, mask, real = np.zeros((N, 2, width), np.int32), np.zeros((N, 2, width), np.float32), np.ones((N, 2), bool)
    rows = [encoded(each.prompt, each.answer, tokenizer, room) for each in examples]
    for n, (ids, start) in enumerate(rows):
        tokens[n, 0, : len(ids)], mask[n, 0, start : len(ids)] = ids, 1
        others = (m % N for m in range(n + 1, n + N))
        other = next((m for m in others if examples[m].prompt != examples[n].prompt), None)
        answer = rows[other][0][rows[other][1] :] if other is not None else []
        mixed = [*ids[:start], *answer][:room]
        tokens[n, 1, : len(mixed)], mask[n, 1, start : len(mixed)], real[n, 1] = mixed, 1, len(mixed) > start
    return LabelledRows(tokens, mask, real, np.array([each.good for each in examples]))
