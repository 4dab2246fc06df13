"""Near-duplicates: MinHash signatures, bands, candidate pairs and their exact Jaccard similarity, whole batches at once.

Letters: N documents, H hashes, B bands, E pairs. Two documents of similarity J share a band of r rows with chance J^r, and become
candidates with chance 1 - (1 - J^r)^B. GPT-3's appendix A is Spark's MinHashLSH with 10 hashes: 10 bands of one row, on the term
features of the classifier. FineWeb's is 14 bands of 8 rows on runs of 5 words. Both only propose: `jaccard` decides.

Hashing: multiply-shift (Dietzfelbinger et al. 1997), h(x) = (a x + b mod 2^64) >> 32 with a odd: universal, one product a value.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tenfold.corpus.features import Hashing, Sets, features, mixed, shingles
from tenfold.errors import UserError

VERSION = 1
EMPTY = np.uint32(0xFFFFFFFF)
"""The signature of a document without a word; it has no bands and is nobody's duplicate."""


@dataclass(frozen=True)
class MinHash:
    """What makes two documents candidates, and how alike candidates must be."""

    bands: int = 10
    rows: int = 1
    words: int = 0
    """Words in a shingle; 0 takes the paper's hashed terms instead."""
    threshold: float = 0.8
    """The least Jaccard similarity of a duplicate. The paper does not give its own."""
    seed: int = 1
    neighbours: int = 32
    """Each document of a band's bucket is paired with the bucket's first and its next so many: all of a small one, a few of a vast one."""

    def __post_init__(self):
        for name in ("bands", "rows", "neighbours"):
            if getattr(self, name) < 1:
                raise UserError(f"minhash.{name} is {getattr(self, name)}.\n  Give 1 or more.")
        if self.words < 0:
            raise UserError(f"minhash.words is {self.words}.\n  Give the words of a shingle, such as 5, or 0 for the paper's terms.")
        if not 0 < self.threshold <= 1:
            raise UserError(f"minhash.threshold is {self.threshold}: a Jaccard similarity is over 0 and at most 1.\n  Try 0.8.")

    @property
    def stamp(self) -> str:
        """Names all that a signature depends on; signatures with different stamps must not be compared."""
        return f"minhash-{VERSION}/words={self.words}/hashes={self.bands * self.rows}/seed={self.seed}"

    def chance(self, similarity: float) -> float:
        """The chance that two documents of this similarity become candidates."""
        return 1 - (1 - similarity**self.rows) ** self.bands


FINEWEB = MinHash(bands=14, rows=8, words=5, threshold=0.75)


def sets(texts: list[str], config: MinHash) -> Sets:
    """The set of each text that similarity is measured on: its shingles, or the paper's hashed terms."""
    return shingles(texts, config.words) if config.words else features(texts, Hashing()).sets


def signatures(found: Sets, config: MinHash) -> np.ndarray:
    """uint32[N, H]: for each hash function the least value over the document's set; all EMPTY where the set is."""
    hashes = config.bands * config.rows
    multiply, add = _functions(hashes, config.seed)
    result = np.full((len(found.starts) - 1, hashes), EMPTY, np.uint32)
    spread = mixed(found.values + np.uint64(1))
    for begin, end in _blocks(found.starts):
        rows = begin + np.flatnonzero(np.diff(found.starts[begin : end + 1]))
        if not len(rows):
            continue
        offset = found.starts[rows[0]]
        values = spread[offset : found.starts[end]]
        hashed = np.empty_like(values)
        for number in range(hashes):
            np.multiply(values, multiply[number], out=hashed)
            hashed += add[number]
            result[rows, number] = np.minimum.reduceat(hashed, found.starts[rows] - offset) >> np.uint64(32)
    return result


def _functions(hashes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """uint64[H] multipliers, odd, and uint64[H] to add."""
    numbers = mixed(mixed(np.uint64(seed) + np.zeros(2 * hashes, np.uint64)) + np.arange(1, 2 * hashes + 1, dtype=np.uint64))
    return numbers[:hashes] | np.uint64(1), numbers[hashes:]


def _blocks(starts: np.ndarray, most: int = 2**15):
    """Runs of whole documents of about `most` values, so that a block stays in the processor's cache for all hashes."""
    documents = len(starts) - 1
    begin = 0
    while begin < documents:
        end = max(begin + 1, int(np.searchsorted(starts, starts[begin] + most, "right")) - 1)
        yield begin, end
        begin = end


def band_keys(signatures_NH: np.ndarray, config: MinHash) -> np.ndarray:
    """uint64[N, B]: a number for each band that two documents share where the band's rows are the same.

    Keys of different bands differ too, so all bands may go into one table. Documents without a word must be left out before:
    `is_empty` tells them.
    """
    rows_NBR = signatures_NH.reshape(len(signatures_NH), config.bands, config.rows).astype(np.uint64)
    key_NB = np.broadcast_to(mixed(np.arange(1, config.bands + 1, dtype=np.uint64)), rows_NBR.shape[:2])
    for row in range(config.rows):
        key_NB = mixed(key_NB * np.uint64(0x9E3779B97F4A7C15) + rows_NBR[:, :, row])
    return key_NB


def is_empty(signatures_NH: np.ndarray) -> np.ndarray:
    """bool[N]: whether the document had no word."""
    return (signatures_NH == EMPTY).all(axis=1)


def pairs_of_buckets(keys: np.ndarray, ids: np.ndarray, most: int = 32) -> np.ndarray:
    """uint64[E, 2]: the candidate pairs (smaller, larger id), each once, sorted, of rows (band key uint64[K], document id uint64[K]).

    In each bucket, its members in order of id, every member is paired with the first and with the next `most`. A bucket of m
    gives at most m (most + 1) pairs and not m^2; one of up to most + 1 gives all. The rows may be any part of the table
    that holds whole buckets.
    """
    pairs = ids[np.concatenate(list(neighbours(keys, ids, most)))]
    return different(pairs[pairs[:, 0] != pairs[:, 1]])


def neighbours(keys: np.ndarray, ids: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """The pairs of `pairs_of_buckets` as rows int64[E, 2] of the table, the smaller id's first, those of one distance at a time."""
    order = np.lexsort((ids, keys))
    keys = keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=keys[:1] ^ np.uint64(1))) if len(keys) else np.zeros(0, np.int64)
    head = np.repeat(first, np.diff(np.append(first, len(keys))))
    rest = np.flatnonzero(head != np.arange(len(head)))
    yield np.stack([order[head[rest]], order[rest]], 1)
    for step in range(1, most + 1):
        near = np.flatnonzero(head[step:] == head[:-step]) if step < len(keys) else rest[:0]
        if not len(near):
            return
        yield np.stack([order[near], order[near + step]], 1)


def different(pairs: np.ndarray) -> np.ndarray:
    """uint64[E, 2]: each pair once, sorted."""
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    return pairs[np.append(True, (pairs[1:] != pairs[:-1]).any(1))] if len(pairs) else pairs


def candidate_pairs(signatures_NH: np.ndarray, ids: np.ndarray, config: MinHash) -> np.ndarray:
    """uint64[E, 2]: the pairs of ids uint64[N] that share a band; see `pairs_of_buckets`."""
    kept = ~is_empty(signatures_NH)
    keys_NB = band_keys(signatures_NH[kept], config)
    return pairs_of_buckets(keys_NB.ravel(), np.repeat(ids[kept].astype(np.uint64), config.bands), config.neighbours)


def jaccard(one: Sets, rows_one: np.ndarray, other: Sets, rows_other: np.ndarray, threshold: float = 0.0) -> np.ndarray:
    """float64[E]: the exact similarity of the sets `rows_one` of `one` and `rows_other` of `other`; two empty sets have none, 0.

    A pair whose sizes alone keep it under `threshold` is not looked at and gets 0. Exact for the 32-bit values; that two different
    shingles of a pair are taken for one has chance 2^-32 for each two. Quickest where equal `rows_one` are many.
    """
    result = np.zeros(len(rows_one))
    size_one, size_other = np.diff(one.starts)[rows_one], np.diff(other.starts)[rows_other]
    possible = np.minimum(size_one, size_other) >= np.maximum(threshold * np.maximum(size_one, size_other), 1)
    order = np.flatnonzero(possible)
    order = order[np.argsort(rows_one[order], kind="stable")]
    heads = np.flatnonzero(np.diff(rows_one[order], prepend=-1, append=-1))
    for begin, end in pairwise(heads):
        pairs = order[begin:end]
        row = rows_one[pairs[0]]
        shared = _shared(one.values[one.starts[row] : one.starts[row + 1]], other, rows_other[pairs])
        result[pairs] = shared / (size_one[pairs] + size_other[pairs] - shared)
    return result


def _shared(values: np.ndarray, other: Sets, rows: np.ndarray) -> np.ndarray:
    """int64[E]: how many of `values`, sorted, each of the given rows holds; the rows are not empty."""
    sizes = np.diff(other.starts)[rows]
    asked = np.concatenate([other.values[other.starts[row] : other.starts[row + 1]] for row in rows])
    there = values[np.minimum(np.searchsorted(values, asked), len(values) - 1)] == asked
    return np.add.reduceat(there, np.cumsum(sizes) - sizes, dtype=np.int64)
