"""Candidate pairs out of signatures: who shares a band with whom, and of those who agrees in enough hashes.

Letters: N rows, H hashes, E pairs. Most documents share no band with any other: bands are first compared alone (`shared`), and only
the signatures of those that do meet (`gathered`). In a bucket members stand in the order of the rest of their signatures, as in an
LSH forest (Bawa et al. 2005): near duplicates are beside each other however large the bucket is.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tenfold.corpus.engine.ids import part_of
from tenfold.corpus.engine.spill import Columns, Spill, from_bytes
from tenfold.corpus.minhash import MinHash, different, neighbours

MISSED = 1e-3  # chance that a pair at the threshold is held for unlike by its signatures
ROWS_AT_ONCE = 100_000
PAIRS_AT_ONCE = 200_000


class Rows(NamedTuple):
    """Documents, one row for each band that they share with another."""

    key: np.ndarray
    """uint64[N], the same for those that share a band."""
    band: np.ndarray
    """uint64[N]"""
    id: np.ndarray
    """uint64[N]"""
    order: np.ndarray
    """uint64[N]: with the id after it, what documents are ranked by; see `fuzzy.order_of`."""
    size: np.ndarray
    """uint64[N], shingles of the document."""
    signature: np.ndarray
    """uint32[N, H]"""


def shared(bucket: int, keys: Spill, wanted: Spill, ranges: int) -> int:
    """Of a bucket of `keys` (key, band, id), those keys that several documents have, to the parts of these."""
    key, band, id = keys.arrays(bucket, ("key", "band", "id"))
    order = np.argsort(key, kind="stable")
    again = key[order][1:] == key[order][:-1]
    rows = order[np.append(again, False) | np.append(False, again)]
    return wanted.write(bucket, [(part_of(id[rows], ranges), {"key": key[rows], "band": band[rows], "id": id[rows]})])


def gathered(part: int, wanted: Spill, signatures: Spill, rows: Spill, buckets: int) -> int:
    """The signature of a part's documents for each band that was asked for, by the band's key."""
    key, band, id = wanted.arrays(part, ("key", "band", "id"))
    (known,) = signatures.pieces(part) if len(id) else (None,)

    def pieces() -> Iterator[tuple[np.ndarray, Columns]]:
        assert known is not None
        places = np.searchsorted(known["id"].to_numpy(), id)
        for begin in range(0, len(id), ROWS_AT_ONCE):
            here = slice(begin, begin + ROWS_AT_ONCE)
            found = {name: known[name].take(places[here]) for name in ("order", "size", "signature")}
            yield (key[here] % np.uint64(buckets)).astype(np.int64), {"key": key[here], "band": band[here], "id": id[here], **found}

    return rows.write(part, pieces() if len(id) else [])


def candidates(bucket: int, rows: Spill, config: MinHash, ranges: int, pairs: Spill) -> int:
    """The pairs (a, b) of a bucket that may be alike, by the part of a. A pair may come from several buckets."""
    found = candidates_of(_read(bucket, rows, config), config)
    return pairs.write(bucket, [(part_of(found[:, 0], ranges), {"a": found[:, 0], "b": found[:, 1]})])


def _read(bucket: int, rows: Spill, config: MinHash) -> Rows:
    tables = list(rows.pieces(bucket))
    names = ("key", "band", "id", "order", "size")
    key, band, id, order, size = (np.concatenate([np.zeros(0, np.uint64), *(table[name].to_numpy() for table in tables)]) for name in names)
    signatures = [from_bytes(table["signature"], np.uint32)[0] for table in tables]
    flat = np.concatenate([np.zeros(0, np.uint32), *signatures])
    return Rows(key, band, id, order, size, flat.reshape(-1, config.bands * config.rows))


def candidates_of(rows: Rows, config: MinHash) -> np.ndarray:
    """Ids uint64[E, 2], the one that is ranked first before the other, of rows that hold whole buckets; sorted, each pair once."""
    steps = neighbours(rows.key, _places(rows, config), config.neighbours)
    kept = [_likely(rows, step[begin : begin + PAIRS_AT_ONCE], config) for step in steps for begin in range(0, len(step), PAIRS_AT_ONCE)]
    one, other = np.concatenate([np.zeros((0, 2), np.int64), *kept]).T
    later = (rows.order[one] > rows.order[other]) | ((rows.order[one] == rows.order[other]) & (rows.id[one] > rows.id[other]))
    first, second = np.where(later, other, one), np.where(later, one, other)
    return different(np.stack([rows.id[first], rows.id[second]], 1))


def _places(rows: Rows, config: MinHash) -> np.ndarray:
    """uint64[N]: by what a bucket is sorted, the rest of the signatures where it is large; of a small one all pairs are taken anyway."""
    _, bucket, counts = np.unique(rows.key, return_inverse=True, return_counts=True)
    large = np.flatnonzero(counts[bucket] > config.neighbours + 1)
    hashes = config.bands * config.rows
    turn_NH = (np.arange(hashes) + (rows.band[large, None].astype(np.int64) + 1) * config.rows) % hashes
    rest_NH = np.take_along_axis(rows.signature[large], turn_NH, 1)
    place = np.arange(len(rows.key), dtype=np.uint64)
    place[large[np.lexsort((rows.id[large], rows.order[large], *rest_NH.T[::-1]))]] = np.arange(len(large), dtype=np.uint64)
    return place


def _likely(rows: Rows, pairs: np.ndarray, config: MinHash) -> np.ndarray:
    """Those of some pairs of rows that may reach the threshold, by how many hashes agree and by how many shingles there are."""
    one, other = pairs.T
    agree = (rows.signature[one] == rows.signature[other]).sum(1) >= least_agreeing(config)
    small, large = np.minimum(rows.size[one], rows.size[other]), np.maximum(rows.size[one], rows.size[other])
    return pairs[agree & (small >= config.threshold * large)]


def least_agreeing(config: MinHash) -> int:
    """How many hashes two signatures must share: as many as a pair at the threshold does but for a chance of MISSED."""
    hashes, p = config.bands * config.rows, config.threshold
    below = 0.0
    for count in range(hashes + 1):
        below += math.comb(hashes, count) * p**count * (1 - p) ** (hashes - count)
        if below > MISSED:
            return max(1, count)
    return hashes
