"""Precision and recall of the near-duplicate stage against brute-force Jaccard, on 2,000 files of Python's own libraries.

    python benchmarks/corpus_duplicates.py LIBRARY [LIBRARY ...]

Each LIBRARY is the folder of a standard library, such as lib/python3.12: several versions of one library are near-duplicates of each
other by construction. Exact duplicates are left out, and the 2,000 are those of the least ids. A pair is right where its exact
similarity reaches the threshold; pairs of one cluster are compared too, for a cluster is what the stage drops all but one of.
"""

import sys
import time
from itertools import combinations

import numpy as np

from tenfold.corpus.components import components
from tenfold.corpus.documents import Document, read_documents
from tenfold.corpus.minhash import FINEWEB, MinHash, candidate_pairs, jaccard, sets, signatures

DOCUMENTS = 2_000
CONFIGS = {
    "GPT-3, 10 x 1, terms": MinHash(),
    "10 x 1, 5 words": MinHash(words=5),
    "20 x 5, 5 words": MinHash(bands=20, rows=5, words=5),
    "FineWeb, 14 x 8, 5 words": FINEWEB,
}


def in_clusters(pairs: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """All pairs of documents that one cluster holds."""
    names, labels = components(np.array(sorted(pairs), np.uint64).reshape(-1, 2))
    members: dict[int, list[int]] = {}
    for name, label in zip(names.tolist(), labels.tolist(), strict=True):
        members.setdefault(label, []).append(name)
    return {pair for group in members.values() for pair in combinations(group, 2)}


def shares(found: set, true: set) -> str:
    return f"precision {len(found & true) / max(1, len(found)):.4f}, recall {len(found & true) / max(1, len(true)):.4f}"


def main(libraries: list[str]) -> None:
    texts: dict[str, str] = {}
    for library in libraries:
        texts |= {each.id: each.text for each in read_documents(library) if isinstance(each, Document) and each.source.endswith(".py")}
    chosen = [texts[id] for id in sorted(texts)[:DOCUMENTS]]
    size = sum(len(text.encode()) for text in chosen) / 1e6
    print(f"{len(texts)} different files of {len(libraries)} libraries; {len(chosen)} of them, {size:.1f} MB")
    one, other = np.triu_indices(len(chosen), 1)
    for name, config in CONFIGS.items():
        began = time.process_time()
        found = sets(chosen, config)
        pairs = candidate_pairs(signatures(found, config), np.arange(len(chosen)), config).astype(np.int64)
        alike = jaccard(found, pairs[:, 0], found, pairs[:, 1], config.threshold) >= config.threshold
        seconds = time.process_time() - began
        exact = jaccard(found, one, found, other, config.threshold) >= config.threshold
        true = set(zip(one[exact].tolist(), other[exact].tolist(), strict=True))
        kept = set(map(tuple, pairs[alike].tolist()))
        print(f"{name}, Jaccard {config.threshold}: {len(true)} pairs, {len(pairs)} candidates, {size / seconds:.0f} MB/s on one core")
        print(f"    pairs     {shares(kept, true)}\n    clusters  {shares(in_clusters(kept), in_clusters(true))}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
