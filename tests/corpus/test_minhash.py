"""Signatures estimate Jaccard similarity, bands find the pairs they promise, and the similarity that decides is exact."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.corpus.features import Sets
from tenfold.corpus.minhash import (
    FINEWEB,
    MinHash,
    band_keys,
    candidate_pairs,
    is_empty,
    jaccard,
    pairs_of_buckets,
    sets,
    signatures,
)
from tenfold.errors import UserError

number_sets = st.lists(st.sets(st.integers(0, 2**32 - 1).map(lambda n: n % 40), max_size=30), min_size=1, max_size=8)


def as_sets(found: list[set[int]]) -> Sets:
    values = [np.array(sorted(each), np.uint32) for each in found]
    return Sets(np.concatenate([np.zeros(0, np.uint32), *values]), np.cumsum([0, *map(len, values)]))


def similarity(a: set, b: set) -> float:
    return len(a & b) / max(1, len(a | b))


@given(number_sets, st.floats(0, 1))
def test_jaccard_is_exact(found, threshold):
    """Against Python's sets, for every pair both ways round; a threshold hides only pairs that are under it."""
    table = as_sets(found)
    one, other = (side.ravel() for side in np.indices((len(found), len(found))))
    exact = np.array([similarity(found[i], found[j]) for i, j in zip(one, other, strict=True)])
    assert (jaccard(table, one, table, other) == exact).all()
    least = jaccard(table, one, table, other, threshold)
    assert (least[exact >= threshold] == exact[exact >= threshold]).all()


def test_signatures_estimate_jaccard():
    """Over 2,048 hashes the share of equal places is the similarity, within four standard deviations."""
    rng = np.random.default_rng(0)
    pool = rng.integers(0, 2**32, 300, dtype=np.uint32).tolist()
    found = [set(pool[:200]), set(pool[100:]), set(pool[10:210]), set(pool[250:])]
    drawn = signatures(as_sets(found), MinHash(bands=2048))
    for i in range(4):
        for j in range(i):
            exact = similarity(found[i], found[j])
            assert abs((drawn[i] == drawn[j]).mean() - exact) <= 4 * (exact * (1 - exact) / 2048) ** 0.5


@given(number_sets)
def test_a_signature_depends_on_its_own_set_alone(found):
    alone = [signatures(as_sets([each]), FINEWEB)[0] for each in found]
    assert (signatures(as_sets(found), FINEWEB) == np.stack(alone)).all()


def copies(rng: np.random.Generator, documents: int) -> list[str]:
    """Texts of 120 words, each third one a copy of an earlier one with up to a quarter of its words changed."""
    texts: list[list[str]] = []
    for n in range(documents):
        text = [f"w{word}" for word in rng.integers(0, 3000, 120)]
        if n % 3 == 2:
            text = list(texts[rng.integers(n)])
            for place in rng.integers(0, 120, rng.integers(1, 30)):
                text[place] = f"changed{n}"
        texts.append(text)
    return [" ".join(text) for text in texts]


@pytest.mark.parametrize("config", [MinHash(threshold=0.7), MinHash(bands=32, rows=4, words=2, threshold=0.6)], ids=["paper", "shingles"])
def test_candidates_against_brute_force(config):
    """Of all pairs over the threshold, nearly all are found; and what is kept is over it."""
    texts = copies(np.random.default_rng(0), 300)
    found = sets(texts, config)
    one, other = np.triu_indices(300, 1)
    true = jaccard(found, one, found, other) >= config.threshold
    brute = set(zip(one[true].tolist(), other[true].tolist(), strict=True))
    pairs = candidate_pairs(signatures(found, config), np.arange(300), config).astype(np.int64)
    alike = jaccard(found, pairs[:, 0], found, pairs[:, 1], config.threshold) >= config.threshold
    kept = set(map(tuple, pairs[alike].tolist()))
    assert len(brute) > 20 and kept <= brute and len(kept) >= 0.97 * len(brute)


def test_documents_without_words_are_nobodys_duplicates():
    config = MinHash()
    drawn = signatures(sets(["", "a b", " ", "a b"], config), config)
    assert is_empty(drawn).tolist() == [True, False, True, False]
    assert candidate_pairs(drawn, np.arange(4), config).tolist() == [[1, 3]]


def test_a_vast_bucket_gives_few_pairs_and_a_small_one_all():
    ids = np.arange(1000)
    assert len(pairs_of_buckets(np.ones(10, np.uint64), ids[:10], 32)) == 45
    pairs = pairs_of_buckets(np.ones(1000, np.uint64), ids, 4)
    assert len(pairs) <= 5 * 1000 and {tuple(pair) for pair in pairs.tolist()} >= {(0, 999), (500, 501), (500, 504)}
    assert pairs_of_buckets(np.zeros(0, np.uint64), np.zeros(0, np.uint64)).shape == (0, 2)


def test_bands_differ_from_each_other():
    """The same row value in two bands is no match."""
    keys = band_keys(np.full((2, 6), 7, np.uint32), MinHash(bands=3, rows=2))
    assert len(np.unique(keys)) == 3 and (keys[0] == keys[1]).all()


def test_the_chance_of_being_found():
    assert MinHash(bands=14, rows=8).chance(0.75) == pytest.approx(1 - (1 - 0.75**8) ** 14)
    assert MinHash().chance(0.8) > 0.999999


@pytest.mark.parametrize("wrong", [{"bands": 0}, {"words": -1}, {"threshold": 0.0}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(UserError, match=f"minhash.{next(iter(wrong))}"):
        MinHash(**wrong)
