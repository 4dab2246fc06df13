"""Term counts and shingles: as counted by hand, the same in any batch, hashed as scikit-learn hashes them."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.corpus.features import Hashing, features, shingles, words
from tenfold.errors import UserError

# sklearn.utils.murmurhash3_32(word.encode(), seed=42, positive=True), scikit-learn 1.9.1
MURMUR = {
    "a": 3001393763,
    "the": 2522183313,
    "word": 4013710815,
    "words": 1784566072,
    "café": 1312538061,
    "naïveté!": 3239303668,
    "x" * 256: 2784976356,
}

letters = st.text(st.sampled_from("ab \n\u00e9\u4e2d."), max_size=40)


def documents(found) -> list[np.ndarray]:
    return np.split(found[0], found.starts[1:-1])


def test_words_are_hashed_as_scikit_learn_hashes_them():
    assert words([" ".join(MURMUR)]).hashes.tolist() == list(MURMUR.values())


@given(st.lists(letters, min_size=1, max_size=6))
def test_features_count_words(texts):
    """Against a Counter over the words of Python's own split (ASCII white space only here)."""
    found = features(texts)
    for text, buckets, counts in zip(texts, documents(found), np.split(found.counts, found.starts[1:-1]), strict=True):
        hashes = words([text]).hashes
        assert len(hashes) == len(text.lower().split())
        assert dict(zip(buckets.tolist(), counts.tolist(), strict=True)) == Counter((hashes % 2**18).tolist())


@given(st.lists(letters, min_size=1, max_size=6), st.integers(1, 4))
def test_shingles_are_the_different_runs_of_words(texts, size):
    """As many as there are different runs; the same set wherever the document stands; equal runs equal numbers."""
    found = documents(shingles(texts, size))
    for text, values in zip(texts, found, strict=True):
        split = text.split()
        runs = {tuple(split[n : n + size]) for n in range(max(1, len(split) - size + 1))} if split else set()
        assert len(values) == len(runs) and (np.diff(values.astype(np.int64)) > 0).all()
        assert (values == shingles([text], size).values).all()


def test_batches_of_any_size_give_the_same():
    """The work is cut into portions inside; documents at their borders are like any other."""
    texts = [f"{'word ' * (n % 700)} number {n} {n % 7}" for n in range(900)]
    whole, one_by_one = features(texts), [features([text]) for text in texts]
    assert (whole.buckets == np.concatenate([each.buckets for each in one_by_one])).all()
    assert (whole.counts == np.concatenate([each.counts for each in one_by_one])).all()
    assert (np.diff(whole.starts) == [len(each.buckets) for each in one_by_one]).all()


def test_nothing_gives_nothing():
    assert features([]).starts.tolist() == [0] and features(["", " "]).starts.tolist() == [0, 0, 0]
    assert shingles([""]).values.size == 0 and shingles([]).starts.tolist() == [0]


def test_a_word_without_end_is_one_word():
    assert len(words(["x" * 3_000_000]).hashes) == 1
    assert words(["x" * 300]).hashes == words(["x" * 256]).hashes != words(["x" * 255]).hashes


def test_case_does_not_matter_and_half_characters_do_no_harm():
    assert words(["Ünder ABC"]).hashes.tolist() == words(["ünder abc"]).hashes.tolist()
    assert len(words(["half \ud800 pair"]).hashes) == 3


def test_wrong_sizes_are_refused():
    with pytest.raises(UserError, match="power of two"):
        Hashing(buckets=1000)
    with pytest.raises(UserError, match="shingle size is 0"):
        shingles(["a"], 0)
