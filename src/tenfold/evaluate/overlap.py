"""Words that two texts share in a row, at their full length and in their surroundings."""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from tenfold.corpus.letters import PlacedWords, grams, placed_words

AROUND = 100
"""Letters shown on either side."""
SHOWN = 2000
"""Letters shown of the shared words."""


class Run(NamedTuple):
    """The same words in two texts."""

    one: int
    """The first word's number in the one."""
    other: int
    """And in the other."""
    words: int


class Looked:
    """A document in which many texts' runs of words are looked for."""

    def __init__(self, text: str):
        self.text = text
        self._sorted: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    @cached_property
    def words(self) -> PlacedWords:
        return placed_words([self.text])

    def places(self, hashes: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
        """(int64[P] which of the grams of `n` words, int64[P] a word at which it begins), for every place of each."""
        if n not in self._sorted:
            own = grams(self.words, n)[0]
            order = np.argsort(own, kind="stable")
            self._sorted[n] = own[order], order
        own, order = self._sorted[n]
        low, high = (np.searchsorted(own, hashes, side) for side in ("left", "right"))
        count = high - low
        which = np.repeat(np.arange(len(hashes)), count)
        rank = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
        return which, order[low[which] + rank]


def longest_from(own: PlacedWords, text: int, document: Looked, n: int) -> Run | None:
    """The longest of the runs of at least `n` words that a text of a batch shares with a document, the first of several as long.

    Such a run is shared runs of `n`, each a word further in both than the one before.
    """
    words = own.hashes[own.starts[text] : own.starts[text + 1]]
    hashes, _ = grams(PlacedWords(words, words, words, np.array([0, len(words)])), n)
    one, other = document.places(hashes, n)
    if not len(one):
        return None
    order = np.lexsort((one, other - one))
    one, apart = one[order], (other - one)[order]
    starts = np.flatnonzero((np.diff(apart, prepend=apart[0]) != 0) | (np.diff(one, prepend=-2) != 1))
    sizes = np.diff(np.append(starts, len(one)))
    best = np.lexsort((one[starts], -sizes))[0]
    begin = int(one[starts[best]])
    return Run(begin, begin + int(apart[starts[best]]), int(sizes[best]) + n - 1)


def longest(one: PlacedWords, other: PlacedWords) -> Run | None:
    """The longest run of words that two single texts share, the first of several as long; None where they share no word.

    If a run of n words is in both, so is one of n - 1: the length is found by halving.
    """
    low, high = 0, min(len(one.hashes), len(other.hashes))
    best: Run | None = None
    while low < high:
        n = (low + high + 1) // 2
        run = _shared(one, other, n)
        if run:
            best, low = run, n
        else:
            high = n - 1
    return best


def in_context(text: str, words: PlacedWords, first: int, count: int, around: int = AROUND) -> tuple[str, str, str]:
    """(before, the words, after) of a single text: so many letters on either side, and of very many words their beginning."""
    begin, end = int(words.begin[first]), int(words.end[first + count - 1])
    inside = text[begin:end]
    return text[max(0, begin - around) : begin], inside if len(inside) <= SHOWN else inside[:SHOWN] + "…", text[end : end + around]


def _shared(one: PlacedWords, other: PlacedWords, n: int) -> Run | None:
    """A run of `n` words that both have: where it first stands in either."""
    hashes, others = grams(one, n)[0], grams(other, n)[0]
    same = np.flatnonzero(np.isin(hashes, others))
    return Run(int(same[0]), int(np.flatnonzero(others == hashes[same[0]])[0]), n) if len(same) else None
