"""Candidate pairs out of buckets of signatures: the members of a bucket that stand beside each other and agree in enough hashes."""

import math
from typing import TYPE_CHECKING

import numpy as np

from tenfold.corpus.engine.frames import each_part
from tenfold.corpus.engine.normalise import part_of
from tenfold.corpus.engine.shuffle import BUCKET, Shuffle
from tenfold.corpus.engine.store import table_of
from tenfold.corpus.minhash import MinHash, pairs_of_buckets

if TYPE_CHECKING:
    import pyarrow as pa

MISSED = 1e-3  # chance that a pair at the threshold is held for unlike by its signatures
BYTES_AT_ONCE = 32_000_000


def candidates(signed: Shuffle, config: MinHash, ranges: int, pairs: Shuffle) -> Shuffle:
    """Fills `pairs` with (a, b), names of documents that may be alike, by the part of a. A pair may come from several buckets."""

    def work(table: "pa.Table") -> None:
        bucket = table[BUCKET][0].as_py()
        found = candidates_of(table, config)
        parts = np.array([part_of(name[13:], ranges) for name in found[:, 0]], np.int64)
        for part in np.unique(parts):
            rows = found[parts == part]
            pairs.write(int(part), bucket, table_of({"a": list(rows[:, 0]), "b": list(rows[:, 1])}))

    for buckets in signed.batches(BYTES_AT_ONCE):
        if not all(pairs.has(bucket) for bucket in buckets):
            frame = signed.read(buckets)
            assert frame is not None
            each_part(frame, work, by=BUCKET)
            for bucket in buckets:
                pairs.mark(bucket)
    return pairs


def candidates_of(table: "pa.Table", config: MinHash) -> np.ndarray:
    """Names[E, 2], the lesser first, of rows (name, key, band, signature, size) that hold whole buckets; sorted, each pair once."""
    names = np.array(table["name"].to_pylist(), object)
    keys, bands, sizes = (table[name].to_numpy() for name in ("key", "band", "size"))
    hashes = config.bands * config.rows
    signature_NH = table["signature"].combine_chunks().flatten().to_numpy().reshape(-1, hashes)
    turn_NH = (np.arange(hashes) + (bands[:, None] + 1) * config.rows) % hashes
    rest_NH = np.take_along_axis(signature_NH, turn_NH, 1)
    order = np.lexsort((names.astype(str), *rest_NH.T[::-1]))
    place = np.empty(len(order), np.uint64)
    place[order] = np.arange(len(order), dtype=np.uint64)
    pairs = order[pairs_of_buckets(keys, place, config.neighbours).astype(np.int64).reshape(-1, 2)]
    one, other = pairs[:, 0], pairs[:, 1]
    agree = (signature_NH[one] == signature_NH[other]).sum(1) >= least_agreeing(config)
    similar_in_size = np.minimum(sizes[one], sizes[other]) >= config.threshold * np.maximum(sizes[one], sizes[other])
    pairs = pairs[agree & similar_in_size]
    ends = np.sort(names[pairs].astype(str), axis=1) if len(pairs) else np.empty((0, 2), "U29")
    return np.unique(ends, axis=0)


def least_agreeing(config: MinHash) -> int:
    """How many hashes two signatures must share: as many as a pair at the threshold does but for a chance of MISSED."""
    hashes, p = config.bands * config.rows, config.threshold
    below = 0.0
    for count in range(hashes + 1):
        below += math.comb(hashes, count) * p**count * (1 - p) ** (hashes - count)
        if below > MISSED:
            return max(1, count)
    return hashes
