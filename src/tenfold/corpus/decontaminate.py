"""Evaluation text out of training text, by the rule of GPT-3's appendix C.

Where a training document shares 13 words in a row with an evaluation text, the match and 200 characters on either side are cut out,
which splits the document. Pieces under 200 characters are dropped, and so is a document cut into more than 10 pieces. A run of 13
words that is in more than 10 training documents says nothing (licences, quotations) and is ignored.

Two passes over the collection: `contamination.counts`, added up over its parts, then `cut`. Pieces are counted before the short ones
are dropped.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tenfold.corpus.contamination import CUT, Index
from tenfold.corpus.letters import grams, placed_words
from tenfold.errors import UserError


@dataclass(frozen=True)
class Decontaminate:
    """Every number of the rule."""

    window: int = 200
    """Characters cut on either side of a match."""
    shortest: int = 200
    """The least characters of a piece that stays."""
    pieces: int = 10
    """A document cut into more is dropped whole."""
    documents: int = 10
    """A gram in more training documents than this is ignored."""

    def __post_init__(self):
        for name in ("window", "shortest", "pieces", "documents"):
            if getattr(self, name) < 0:
                raise UserError(f"decontaminate.{name} is {getattr(self, name)}.\n  Give 0 or more.")


class Cut(NamedTuple):
    """What is left of one document."""

    pieces: list[str]
    """In order; the text itself where nothing matched, none where nothing stays."""
    reason: str
    """"" where nothing matched; else "cut", "cut into too many pieces" or "nothing left"."""
    removed: list[tuple[int, int]]
    """The stretches cut out, as characters of the text."""


def cut(index: Index, texts: list[str], rule: Decontaminate | None = None) -> list[Cut]:
    """What stays of each text. `index` holds the counts of the whole collection (`contamination.counted`)."""
    rule = rule or Decontaminate()
    matches = _matches(index, texts, rule)
    return [_cut(text, matches[row], rule) if row in matches else Cut([text], "", []) for row, text in enumerate(texts)]


def _matches(index: Index, texts: list[str], rule: Decontaminate) -> dict[int, list[tuple[int, int]]]:
    """For the texts that have any: where each match begins and ends, in order."""
    words, table = placed_words(texts), index.tables[CUT]
    hashes, first = grams(words, CUT)
    asked, rows = table.find(hashes)
    first = first[asked[table.documents[rows] <= rule.documents]]
    found: dict[int, list[tuple[int, int]]] = {}
    text = np.searchsorted(words.starts, first, "right") - 1
    for row, begin, end in zip(text.tolist(), words.begin[first].tolist(), words.end[first + CUT - 1].tolist(), strict=True):
        found.setdefault(row, []).append((begin, end))
    return found


def _cut(text: str, matches: list[tuple[int, int]], rule: Decontaminate) -> Cut:
    removed: list[tuple[int, int]] = []
    for begin, end in ((max(0, begin - rule.window), min(len(text), end + rule.window)) for begin, end in matches):
        if removed and begin <= removed[-1][1]:
            removed[-1] = (removed[-1][0], end)
        else:
            removed.append((begin, end))
    borders = [0, *(border for stretch in removed for border in stretch), len(text)]
    pieces = [text[begin:end] for begin, end in zip(borders[0::2], borders[1::2], strict=True) if begin < end]
    if len(pieces) > rule.pieces:
        return Cut([], "cut into too many pieces", removed)
    kept = [piece for piece in pieces if len(piece) >= rule.shortest]
    return Cut(kept, "cut" if kept else "nothing left", removed)
