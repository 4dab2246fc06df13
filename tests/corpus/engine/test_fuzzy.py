"""Near duplicates on the engine: clusters as `components` finds them, and candidates that brute force would name."""

import itertools
import random

import numpy as np
import pytest

from tenfold.corpus.components import components
from tenfold.corpus.engine.pairs import candidates_of, least_agreeing
from tenfold.corpus.minhash import MinHash, band_keys, jaccard, sets, signatures

daft = pytest.importorskip("daft")
pa = pytest.importorskip("pyarrow")


@pytest.mark.parametrize("seed", range(2))
def test_clusters_are_components(seed):
    """The joins on the engine find what the rounds on arrays find."""
    from tenfold.corpus.engine.clusters import clusters

    chosen = random.Random(seed)
    edges = [(chosen.randrange(60), chosen.randrange(60)) for _ in range(40)] + [(each, each + 1) for each in range(70, 90)]
    edges = [(min(edge), max(edge)) for edge in edges if edge[0] != edge[1]]
    frame = daft.from_pydict({"a": [f"{a:04}" for a, _ in edges], "b": [f"{b:04}" for _, b in edges]})
    found = clusters(frame).to_pydict()
    names, labels = components(np.array(edges, np.uint64))
    assert dict(zip(found["name"], found["label"], strict=True)) == {
        f"{name:04}": f"{label:04}" for name, label in zip(names.tolist(), labels.tolist(), strict=True)
    }


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
    rows = np.array(list(itertools.combinations(range(len(texts)), 2)))
    alike = {tuple(pair) for pair in rows[jaccard(found, rows[:, 0], found, rows[:, 1], config.threshold) >= config.threshold].tolist()}
    made = signatures(found, config)
    table = pa.table(
        {
            "name": np.repeat([f"{row:029}" for row in range(len(texts))], config.bands),
            "key": band_keys(made, config).ravel(),
            "band": np.tile(np.arange(config.bands), len(texts)),
            "signature": pa.array(list(np.repeat(made, config.bands, axis=0)), pa.list_(pa.uint32())),
            "size": np.repeat(np.diff(found.starts), config.bands),
        }
    )
    candidates = {tuple(map(int, pair)) for pair in candidates_of(table, config)}
    assert len(alike) > 100
    assert len(alike & candidates) >= 0.97 * len(alike)
    assert len(candidates) < len(rows) / 10


def test_signatures_must_agree_in_few_hashes_only():
    """Pairs at the threshold pass but for one in a thousand."""
    assert least_agreeing(MinHash(threshold=0.8)) == 4
    assert least_agreeing(MinHash(threshold=1.0)) == 10


def test_of_a_cluster_the_first_source_then_the_longest_then_the_least_id_stays():
    """Names sort as the rule says; the least name of a cluster is its keeper."""
    from tenfold.corpus.engine.fuzzy import name_of

    documents = [(rank, letters, id) for rank in (0, 1, 12) for letters in (5, 700, 1_000_000) for id in ("0" * 16, "f" * 16)]
    by_name = sorted(documents, key=lambda document: name_of(*document))
    assert by_name == sorted(documents, key=lambda document: (document[0], -document[1], document[2]))
