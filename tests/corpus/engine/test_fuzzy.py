"""Near duplicates on the engine: clusters as `components` finds them, and candidates that brute force would name."""

import itertools
import random

import numpy as np
import pytest

from tenfold.corpus.components import both_ways, components
from tenfold.corpus.engine.clusters import clusters
from tenfold.corpus.engine.frames import Engine
from tenfold.corpus.engine.fuzzy import order_of
from tenfold.corpus.engine.ids import numbers_of, part_of, written
from tenfold.corpus.engine.pairs import Rows, candidates_of, least_agreeing
from tenfold.corpus.engine.spill import Spill, as_bytes, from_bytes
from tenfold.corpus.minhash import MinHash, band_keys, jaccard, sets, signatures

pytest.importorskip("daft")
pytest.importorskip("pyarrow")


@pytest.mark.parametrize("seed", range(2))
def test_clusters_are_components(seed, tmp_path):
    """What the files of five parts give is what the rounds on arrays give; nothing but the answer is left behind."""
    chosen = random.Random(seed)
    names = [chosen.randrange(2**64) for _ in range(100)]
    edges = [(chosen.randrange(60), chosen.randrange(60)) for _ in range(40)] + [(each, each + 1) for each in range(70, 90)]
    edges = np.array([(names[a], names[b]) for a, b in edges if a != b], np.uint64)
    ends, parts = both_ways(edges), 5
    given = Spill(tmp_path, "edges")
    for part in range(parts):
        here = ends if part == 3 else ends[:0]  # all of one part's giving
        given.write(part, [(part_of(here[:, 0], parts), {"a": here[:, 0], "b": here[:, 1]})])
    engine = Engine().start()
    found = clusters(engine, given, tmp_path, list(range(parts)), parts)
    labels = {int(a): int(b) for part in range(parts) for a, b in found.pairs(part)}
    expected = dict(zip(*(each.tolist() for each in components(edges)), strict=True))
    assert labels == {name: label for name, label in expected.items() if name != label}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scratch-edges", found.directory.name]


def test_ids_and_their_parts():
    """Ids are written back as they were, and lie in the part that exact arithmetic names, at the ends of ranges too."""
    numbers = [0, 1, 2**63, 2**64 - 1, *(bound + step for part in range(1, 7) for bound in [-(-(part << 64) // 7)] for step in (-1, 0))]
    ids = [f"{number:016x}" for number in numbers]
    assert written(numbers_of(ids)) == ids and numbers_of(ids).tolist() == numbers
    assert part_of(numbers_of(ids), 7).tolist() == [number * 7 >> 64 for number in numbers]


def test_what_a_spill_is_given_comes_back_by_bucket(tmp_path):
    """Pieces of several tasks, with sets of numbers; what no task gave is empty, and a damaged file is not read."""
    spill = Spill(tmp_path, "x")
    values, starts = np.arange(10, dtype=np.uint32), np.array([0, 3, 3, 10])
    piece = (np.array([4, 2, 4]), {"a": np.array([7, 8, 9], np.uint64), "set": as_bytes(values, starts)})
    assert spill.missing([0, 1]) == [0, 1]
    spill.write(1, [piece, piece], 5)
    spill.write(0, [])
    assert spill.missing([0, 1]) == [] and spill.counted(1) == 5
    (table,) = spill.pieces(4)
    assert table["a"].to_pylist() == [7, 9, 7, 9]
    sets_of_bucket = from_bytes(table["set"], np.uint32)
    assert sets_of_bucket[0].tolist() == [*range(10)] * 2 and sets_of_bucket[1].tolist() == [0, 3, 10, 13, 20]
    assert spill.arrays(3, ("a",))[0].shape == (0,)
    path = spill.directory / "00001.parquet"
    data = bytearray(path.read_bytes())
    data[path.read_bytes().index((8).to_bytes(8, "little"))] ^= 1
    path.write_bytes(data)
    with pytest.raises(OSError, match="(?i)crc|checksum"):
        list(spill.pieces(2))


def test_candidates_hold_every_near_duplicate():
    """Of 600 documents, half of them altered copies, 97% of all pairs over the threshold are candidates: in buckets of any size."""
    chosen = random.Random(1)
    vocabulary = [f"w{number}" for number in range(300)]
    texts = [" ".join(chosen.choices(vocabulary, k=120)) for _ in range(300)]
    for text in texts[:300]:
        words = text.split()
        for place in chosen.sample(range(len(words)), 4):
            words[place] = chosen.choice(vocabulary)
        texts.append(" ".join(words))
    config = MinHash(neighbours=8)
    found = sets(texts, config)
    every = np.array(list(itertools.combinations(range(len(texts)), 2)))
    alike = {tuple(pair) for pair in every[jaccard(found, every[:, 0], found, every[:, 1], config.threshold) >= config.threshold].tolist()}
    made = signatures(found, config)
    rows = Rows(
        band_keys(made, config).ravel(),
        np.tile(np.arange(config.bands, dtype=np.uint64), len(texts)),
        np.repeat(np.arange(len(texts), dtype=np.uint64), config.bands),
        np.zeros(len(texts) * config.bands, np.uint64),
        np.repeat(np.diff(found.starts).astype(np.uint64), config.bands),
        np.repeat(made, config.bands, axis=0),
    )
    candidates = set(map(tuple, candidates_of(rows, config).tolist()))
    assert len(alike) > 100
    assert len(alike & candidates) >= 0.97 * len(alike)
    assert len(candidates) < len(every) / 10


def test_signatures_must_agree_in_few_hashes_only():
    """Pairs at the threshold pass but for one in a thousand."""
    assert least_agreeing(MinHash(threshold=0.8)) == 4
    assert least_agreeing(MinHash(threshold=1.0)) == 10


def test_of_a_cluster_the_first_source_then_the_longest_then_the_least_id_stays():
    """Orders sort as the rule says; the least of a cluster is its keeper."""
    documents = [(rank, letters, id) for rank in (0, 1, 12) for letters in (5, 700, 1_000_000) for id in ("0" * 16, "f" * 16)]
    by_order = sorted(documents, key=lambda document: (order_of(*document[:2]), document[2]))
    assert by_order == sorted(documents, key=lambda document: (document[0], -document[1], document[2]))
