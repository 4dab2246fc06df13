"""The index says which evaluation text was seen in training, in any order of the parts, after saving and loading."""

import numpy as np
import pytest

from tenfold.corpus.contamination import build, counted, counts, dirty, load, save
from tenfold.errors import UserError


def sentence(*start: str, words: int = 13, name: str = "w") -> str:
    return " ".join([*start, *(f"{name}{n}" for n in range(words - len(start)))])


def test_a_sets_n_is_its_short_examples_length():
    """The 5th percentile, from 8 to 13 words (appendix C)."""
    index = build({"short": ["one two"] * 100, "nine": [sentence(words=9)] * 5, "long": [sentence(words=50)] * 3, "none": []})
    assert index.lengths == {"short": 8, "nine": 9, "long": 13, "none": 13}
    mixed = build({"mixed": [sentence(words=5)] * 4 + [sentence(words=10)] * 90 + [sentence(words=40)] * 6})
    assert mixed.lengths == {"mixed": 10}


def test_counts_are_of_documents_and_add_up():
    index = build({"set": [sentence("a"), sentence("b")]})
    texts = [f"x {sentence('a')} y {sentence('A,')} z", sentence("b"), sentence("a"), "nothing", ""]
    whole = counts(index, texts)
    parts = [counts(index, [text]) for text in reversed(texts)]
    assert (whole[13] == sum(part[13] for part in parts)).all() and sorted(whole[13].tolist()) == [1, 2]


def test_dirty_examples_are_those_seen(tmp_path):
    """A set's own n decides, and counts of training text, not of the evaluation itself."""
    examples = {
        "nine": [sentence("a", words=9), sentence("b", words=9)],
        "long": [sentence("c", words=30), sentence("d", words=30, name="v")],
    }
    index = build(examples)
    assert not any(dirty(index, name, texts).any() for name, texts in examples.items())
    seen = counted(index, counts(index, ["the " + sentence("b", words=9) + " end", sentence("d", words=13, name="v")]))
    save(seen, tmp_path / "index.npz")
    for each in (seen, load(tmp_path / "index.npz")):
        assert dirty(each, "nine", examples["nine"]).tolist() == [False, True]
        assert dirty(each, "long", examples["long"]).tolist() == [False, True]
    with pytest.raises(UserError, match="no set 'other'; it has long, nine"):
        dirty(index, "other", [])


def test_texts_without_the_words_match_nothing():
    index = build({"set": [sentence(words=20)]})
    assert all(not each.any() for each in counts(index, ["", " . ", "w0 w1 w2", "other words " * 50]).values())
    assert counts(build({}), [sentence()])[13].shape == (0,)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "index.npz"
    with pytest.raises(UserError, match="no contamination index at"):
        load(path)
    save(build({"set": [sentence()]}), path)
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="or is damaged"):
            load(path)
    with path.open("wb") as file:
        np.savez(file, weights=np.zeros(3))
    with pytest.raises(UserError, match="no contamination index, or"):
        load(path)
