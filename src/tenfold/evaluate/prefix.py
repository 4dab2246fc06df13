"""How much a model makes of what stands before: what a part of a text costs it given all of the text so far, and given nothing.

A model whose text falls apart gains as little from its own beginning as from none. Bits are per byte of the part in UTF-8, so that models
with other tokenizers can be compared. Letters: N texts, K parts.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tenfold.corpus.letters import placed_words
from tenfold.evaluate.good_text import PART, estimate
from tenfold.evaluate.requests import Continuation, Likelihood

Score = Callable[[list[Continuation]], list[Likelihood]]


def by_position(score: Score, texts: Sequence[str], part: int = PART) -> dict[str, list[dict[str, Any]]]:
    """{"given", "alone", "gain"}: for each part of `part` words, the bits per byte after all of the text before it, those at the beginning
    of a document, and how many fewer the first are. Texts of one length; those of the first part are equal."""
    pieces = [_pieces(text, part) for text in texts]
    given = [Continuation(text[:begin], text[begin:end]) for text, parts in zip(texts, pieces, strict=True) for begin, end in parts]
    alone = [Continuation("", each.text.lstrip()) for each in given]
    answers = score(given + alone)
    sizes_NK = np.array([len(each.text.lstrip().encode()) for each in given]).reshape(len(texts), -1)
    bits = [np.array([-each.total / math.log(2) for each in half]) for half in (answers[: len(given)], answers[len(given) :])]
    given_NK, alone_NK = (half.reshape(sizes_NK.shape) / sizes_NK for half in bits)
    found = {"given": given_NK, "alone": alone_NK, "gain": alone_NK - given_NK}
    return {name: [estimate(column) for column in values_NK.T] for name, values_NK in found.items()}


def _pieces(text: str, part: int) -> list[tuple[int, int]]:
    """Where each part begins and ends: it ends with its last word, and begins where the one before ended."""
    ends = placed_words([text]).end[part - 1 :: part].tolist()
    return list(zip([0, *ends[:-1]], ends, strict=True))
