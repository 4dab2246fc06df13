"""Documents as numbers: word hashes, the hashed term counts of GPT-3's appendix A, and sets of word shingles. Whole batches at once.

Letters: N documents, W words of all of them, K stored counts. A row-compressed table keeps the values of document n between
`starts[n]` and `starts[n + 1]`.

Source: Brown et al. 2020, appendix A, which used Spark's Tokenizer (lower case, cut at white space) and HashingTF (MurmurHash3 x86
32-bit with seed 42, its low bits the bucket). One pass gives what the classifier and MinHash both read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tenfold.errors import UserError

SPARK_SEED = 42
WORD_BYTES = 256
"""A word counts by its first 256 bytes: a megabyte without a space must not take a quarter of a million steps."""

WHITE_SPACE = np.zeros(256, bool)
WHITE_SPACE[list(b" \t\n\x0b\x0c\r")] = True


class Words(NamedTuple):
    """The words of a batch."""

    hashes: np.ndarray
    """uint32[W], MurmurHash3 of each word's UTF-8."""
    starts: np.ndarray
    """int64[N + 1]"""


class Sets(NamedTuple):
    """A set of numbers for each document, such as its shingles."""

    values: np.ndarray
    """uint32[K], sorted and different within a document."""
    starts: np.ndarray
    """int64[N + 1]"""


class Features(NamedTuple):
    """Counts of hashed terms: a row-compressed table of N rows and `buckets` columns."""

    buckets: np.ndarray
    """uint32[K], sorted and different within a document."""
    counts: np.ndarray
    """float64[K]"""
    starts: np.ndarray
    """int64[N + 1]"""

    @property
    def sets(self) -> Sets:
        """The terms without their counts: what the paper's MinHash runs on."""
        return Sets(self.buckets, self.starts)


@dataclass(frozen=True)
class Hashing:
    """How words become buckets."""

    buckets: int = 2**18
    seed: int = SPARK_SEED

    def __post_init__(self):
        if self.buckets < 2 or self.buckets & (self.buckets - 1) or self.buckets > 2**32:
            raise UserError(f"hashing.buckets is {self.buckets}, which is no power of two up to 2^32.\n  Give one, such as 262144.")


def words(texts: list[str], seed: int = SPARK_SEED) -> Words:
    """The hashed words of each text: in lower case, cut at ASCII white space, as Spark's Tokenizer does it (but no empty word)."""
    parts = list(_words(texts, seed))
    return Words(np.concatenate([np.zeros(0, np.uint32), *(part.hashes for part in parts)]), _joined(parts))


def _words(texts: list[str], seed: int) -> Iterator[Words]:
    """The words of a few documents at a time, about 256 kB: what fits a processor's cache is hashed three times as fast."""
    encoded: list[bytes] = []
    held = 0
    for place, text in enumerate(texts, 1):
        encoded.append(text.lower().encode("utf-8", "surrogatepass"))
        held += len(encoded[-1])
        if held >= 2**18 or place == len(texts):
            yield _hashed(encoded, seed)
            encoded, held = [], 0


def _hashed(encoded: list[bytes], seed: int) -> Words:
    data = np.frombuffer(b" ".join(encoded) + b" ", np.uint8)
    word = ~WHITE_SPACE[data]
    edges = np.flatnonzero(np.diff(word, prepend=False))  # a join ends in a space, so each start has its end
    begin, end = edges[0::2], edges[1::2]
    ends_of_texts = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)) + 1)
    starts = np.concatenate([[0], np.searchsorted(begin, ends_of_texts)]).astype(np.int64)
    return Words(murmur3(data, begin, np.minimum(end - begin, WORD_BYTES), seed), starts)


def _joined(parts: Sequence[Words | Sets | Features]) -> np.ndarray:
    """int64[N + 1]: where each document begins once the parts' values stand one after another."""
    return np.cumsum(np.concatenate([[0], *(np.diff(part.starts) for part in parts)]), dtype=np.int64)


def murmur3(data: np.ndarray, begin: np.ndarray, lengths: np.ndarray, seed: int) -> np.ndarray:
    """uint32[W]: MurmurHash3 x86 32-bit of the bytes `data[begin:begin + length]` of each word, all words a block of four at a time."""
    padded = np.concatenate([data, np.zeros(4, np.uint8)])
    blocks = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(padded, 4)).view("<u4")[:, 0]
    order = np.argsort(np.uint16(WORD_BYTES) - lengths.astype(np.uint16), kind="stable")  # words with bytes left are then a head
    sorted_begin, sorted_lengths = begin[order], lengths[order]
    whole = sorted_lengths // 4
    state = np.full(len(begin), seed, np.uint32)
    live = len(begin)
    for block in range(int(whole.max(initial=0))):
        live = int(np.searchsorted(-whole[:live], -block, "left"))
        state[:live] = _rotated(state[:live] ^ _scrambled(blocks[sorted_begin[:live] + 4 * block]), 13) * np.uint32(5) + np.uint32(
            0xE6546B64
        )
    tail = sorted_lengths % 4
    rest = blocks[sorted_begin + 4 * whole] & ((np.uint32(1) << (8 * tail).astype(np.uint32)) - np.uint32(1))
    state ^= np.where(tail > 0, _scrambled(rest), np.uint32(0))
    hashes = np.empty_like(state)
    hashes[order] = _finished(state ^ sorted_lengths.astype(np.uint32))
    return hashes


def _rotated(x: np.ndarray, bits: int) -> np.ndarray:
    return (x << np.uint32(bits)) | (x >> np.uint32(32 - bits))


def _scrambled(block: np.ndarray) -> np.ndarray:
    return _rotated(block * np.uint32(0xCC9E2D51), 15) * np.uint32(0x1B873593)


def _finished(h: np.ndarray) -> np.ndarray:
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))


def features(texts: list[str], hashing: Hashing | None = None) -> Features:
    """How often each hashed term stands in each text (appendix A)."""
    hashing = hashing or Hashing()
    parts = [Features(*_counted(found.hashes & np.uint32(hashing.buckets - 1), found.starts)) for found in _words(texts, hashing.seed)]
    buckets = np.concatenate([np.zeros(0, np.uint32), *(part.buckets for part in parts)])
    return Features(buckets, np.concatenate([np.zeros(0), *(part.counts for part in parts)]), _joined(parts))


def shingles(texts: list[str], size: int = 5, seed: int = SPARK_SEED) -> Sets:
    """The different runs of `size` words in each text, each as 32 bits; a text of fewer words is one run of all it has.

    Raises UserError where `size` is under 1.
    """
    if size < 1:
        raise UserError(f"The shingle size is {size}: a shingle is a run of words.\n  Give 1 or more, such as 5.")
    parts = []
    for found in _words(texts, seed):
        values, _, starts = _counted(*runs(found, size))
        parts.append(Sets(values, starts))
    return Sets(np.concatenate([np.zeros(0, np.uint32), *(part.values for part in parts)]), _joined(parts))


def runs(found: Words, size: int) -> tuple[np.ndarray, np.ndarray]:
    """uint32 hashes of each document's runs of `size` words, in order, and int64[N + 1] where each document's begin."""
    counts = np.diff(found.starts)
    here = np.where(counts >= size, counts - size + 1, np.minimum(counts, 1))
    starts = np.concatenate([[0], np.cumsum(here)]).astype(np.int64)
    first = np.arange(starts[-1]) + np.repeat(found.starts[:-1] - starts[:-1], here)
    padded = np.concatenate([found.hashes.astype(np.uint64), np.zeros(size, np.uint64)])
    run = _polynomial(padded, size)[first]
    for document in np.flatnonzero((counts > 0) & (counts < size)):
        begin, end = found.starts[document], found.starts[document + 1]
        run[starts[document]] = _polynomial(np.append(padded[begin:end], np.uint64(0)), int(end - begin))[0]
    return (mixed(run) >> np.uint64(32)).astype(np.uint32), starts


def _polynomial(padded: np.ndarray, size: int) -> np.ndarray:
    """uint64[W]: the word hashes from each of the W places on as the digits of one number; `padded` holds `size` or more beyond."""
    places = len(padded) - size
    run = np.ones(places, np.uint64)
    for place in range(size):
        run *= np.uint64(0x9E3779B97F4A7C15)
        run += padded[place : place + places]
    return run


def _counted(values: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(the different values of each document, sorted; how often each stands there; where each document's begin)."""
    documents = len(starts) - 1
    keys = (np.repeat(np.arange(documents, dtype=np.uint64), np.diff(starts)) << np.uint64(32)) | values
    keys.sort()
    new = np.concatenate([[True], keys[1:] != keys[:-1]]) if len(keys) else np.zeros(0, bool)
    first = np.flatnonzero(new)
    counts = np.diff(np.append(first, len(keys))).astype(np.float64)
    keys = keys[first]
    found = np.searchsorted(keys, np.arange(documents + 1, dtype=np.uint64) << np.uint64(32))
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32), counts, found.astype(np.int64)


def mixed(x: np.ndarray) -> np.ndarray:
    """uint64 -> uint64, one to one, every bit of the result depending on every bit of `x` (the end of SplitMix64)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
