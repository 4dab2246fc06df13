"""The words that contamination is measured in: white space cuts, case and punctuation do not count, and each word knows its place.

Letters: N texts, C characters of all of them, W words. Source: Brown et al. 2020, appendix C, "lowercased, whitespace delimited
words with no punctuation". Punctuation is what Unicode calls punctuation or symbol; a word of nothing else is none.
"""

import sys
import unicodedata
from functools import cache
from typing import NamedTuple

import numpy as np

from tenfold.corpus.features import mixed

TABLE = 0x20000
"""Characters from here on (rare ideographs, private ones) have no case and are neither space nor punctuation."""
SPACE, DROPPED = 0, 1
FIRST = 2
BASE = 0xD1342543DE82EF95  # of the number whose digits are a run's words


class PlacedWords(NamedTuple):
    """The words of a batch, and where they stand in their texts."""

    hashes: np.ndarray
    """uint64[W]"""
    begin: np.ndarray
    """int64[W], the place of the word's first character in its own text, punctuation aside"""
    end: np.ndarray
    """int64[W], the place after its last"""
    starts: np.ndarray
    """int64[N + 1], the words of text n are from `starts[n]` on"""


@cache
def _classes() -> np.ndarray:
    """uint32[TABLE]: what a character counts as: SPACE, DROPPED, or FIRST and its lower case's number."""
    table = np.empty(TABLE, np.uint32)
    for number in range(TABLE):
        character = chr(number)
        if character.isspace():
            table[number] = SPACE
        elif unicodedata.category(character)[0] in "PS":
            table[number] = DROPPED
        else:
            table[number] = FIRST + ord(character.lower()[0])
    return table


def placed_words(texts: list[str]) -> PlacedWords:
    """The words of each text. A word's hash is of its lower-case characters; equal words have equal hashes in any text."""
    joined = " ".join(texts) + " "
    order = "utf-32-le" if sys.byteorder == "little" else "utf-32-be"
    characters = np.frombuffer(joined.encode(order, "surrogatepass"), np.uint32)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    offsets = np.cumsum(np.concatenate([[0], lengths + 1]))
    known = np.minimum(characters, np.uint32(TABLE - 1))
    kinds = np.where(characters < TABLE, _classes()[known], characters + np.uint32(FIRST))
    places = np.flatnonzero(kinds >= FIRST)
    gaps = np.cumsum(kinds == SPACE)[places]
    first = np.flatnonzero(np.diff(gaps, prepend=-1))
    hashes = _hashes(kinds[places], first)
    begin, end = places[first], places[np.append(first[1:], len(places))[: len(first)] - 1] + 1
    starts = np.searchsorted(begin, offsets)
    text = np.repeat(np.arange(len(texts)), np.diff(starts))
    return PlacedWords(hashes, begin - offsets[text], end - offsets[text], starts)


def _hashes(kinds: np.ndarray, first: np.ndarray) -> np.ndarray:
    """uint64[W]: each word's characters as the digits of a number of odd base, mixed; words begin at `first`."""
    if not len(first):
        return np.zeros(0, np.uint64)
    lengths = np.diff(np.append(first, len(kinds)))
    place = np.arange(len(kinds)) - np.repeat(first, lengths)
    powers = np.full(int(lengths.max()), 0x9E3779B97F4A7C15, np.uint64)
    powers[0] = 1
    np.multiply.accumulate(powers, out=powers)
    digits = mixed(kinds.astype(np.uint64)) * powers[place]
    return mixed(np.add.reduceat(digits, first) + lengths.astype(np.uint64))


def grams(found: PlacedWords, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(uint64[G] hashes of the runs of `n` words inside one text, int64[G] the word each begins with), in order."""
    words = len(found.hashes)
    if words < n:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    text = np.repeat(np.arange(len(found.starts) - 1), np.diff(found.starts))
    first = np.flatnonzero(text[: words - n + 1] == text[n - 1 :])
    return mixed(_runs(found.hashes, n)[first]), first


def _runs(hashes: np.ndarray, n: int) -> np.ndarray:
    """uint64[W - n + 1]: the words of each run as the digits of a number. A run is two of half its length: a long one costs few steps."""
    if n == 1:
        return hashes
    half = _runs(hashes, n // 2)
    left = len(hashes) - n + 1
    run = half[:left] * np.uint64(pow(BASE, n // 2, 2**64)) + half[n // 2 :][:left]
    return run * np.uint64(BASE) + hashes[n - 1 :] if n % 2 else run
