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

    def first(self, hashes: np.ndarray, n: int) -> np.ndarray:
        """int64[P]: the word at which each gram of `n` words first begins; -1 where it does not."""
        if n not in self._sorted:
            own = grams(self.words, n)[0]
            order = np.argsort(own, kind="stable")
            self._sorted[n] = own[order], order
        own, order = self._sorted[n]
        at = np.minimum(np.searchsorted(own, hashes), max(0, len(own) - 1))
        return np.where(own[at] == hashes, order[at], -1) if len(own) else np.full(len(hashes), -1)


def longest_from(own: PlacedWords, text: int, document: Looked, n: int) -> Run | None:
    """The longest of the runs that a text of a batch shares with a document, grown from the first place of each of its runs of `n`."""
    words = own.hashes[own.starts[text] : own.starts[text + 1]]
    hashes, _ = grams(PlacedWords(words, words, words, np.array([0, len(words)])), n)
    places = document.first(hashes, n)
    best, last = None, Run(0, 0, 0)
    for one in np.flatnonzero(places >= 0).tolist():
        seed = Run(one, int(places[one]), n)
        if seed.other - seed.one != last.other - last.one or one >= last.one + last.words:
            last = _grown(words, document.words.hashes, seed)
            best = last if best is None or last.words > best.words else best
    return best


def _grown(one: np.ndarray, other: np.ndarray, run: Run) -> Run:
    """The run with every further word on either side that is the same; `one` and `other` are the words of the two texts, uint64."""
    before = min(run.one, run.other)
    left = _same(one[run.one - before : run.one][::-1], other[run.other - before : run.other][::-1])
    end, other_end = run.one + run.words, run.other + run.words
    after = min(len(one) - end, len(other) - other_end)
    right = _same(one[end : end + after], other[other_end : other_end + after])
    return Run(run.one - left, run.other - left, left + run.words + right)


def _same(one: np.ndarray, other: np.ndarray) -> int:
    """How many words at the beginning of both are the same."""
    different = np.flatnonzero(one != other)
    return int(different[0]) if len(different) else len(one)


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
