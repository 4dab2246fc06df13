"""The baseline: the codes of the nearest training texts."""

import numpy as np
import pytest

from tenfold.codefusion.data import Example
from tenfold.codefusion.retrieval import Retrieval

TRAIN = [
    Example("sort the list", "x.sort()"),
    Example("sort the list in place", "x.sort()"),
    Example("reverse the list", "x.reverse()"),
    Example(None, "left_out()"),
    Example("open a file", "open(p)"),
]


def test_the_nearest_text_comes_first_and_codes_are_different():
    found = Retrieval(TRAIN).answers(["Sort the list"], 5)[0]
    assert [each.code for each in found] == ["x.sort()", "x.reverse()", "open(p)"]
    assert found[0].cosine == pytest.approx(1) and found[2].cosine == 0
    assert [each.text for each in found] == ["sort the list", "reverse the list", "open a file"]


def test_weights_are_tf_idf_of_unit_length():
    """By hand: of "list file", against "open a file": only `file` is shared."""
    texts = [example.text for example in TRAIN if example.text]
    idf = {word: np.log((1 + 4) / (1 + sum(word in text.split() for text in texts))) + 1 for word in "list file open a".split()}
    asked, known = np.array([idf["list"], idf["file"]]), np.array([idf["open"], idf["a"], idf["file"]])
    expected = idf["file"] ** 2 / np.linalg.norm(asked) / np.linalg.norm(known)
    found = {each.code: each.cosine for each in Retrieval(TRAIN).answers(["list file"], 3)[0]}
    assert found["open(p)"] == pytest.approx(expected)


def test_of_texts_as_near_the_earlier_comes_first_and_unknown_words_are_nothing():
    same = [Example("a b", "one"), Example("b a", "two"), Example("a b", "three")]
    assert [each.code for each in Retrieval(same).answers(["a b zebra"], 2)[0]] == ["one", "two"]
    assert [each.code for each in Retrieval(same).answers(["zebra"], 1)[0]] == ["one"]


def test_many_questions_are_answered_as_one_is(monkeypatch):
    monkeypatch.setattr("tenfold.codefusion.retrieval.AT_ONCE", 2)
    questions = ["open", "sort", "reverse", "list", "file"]
    together = Retrieval(TRAIN).answers(questions, 2)
    assert together == [Retrieval(TRAIN).answers([question], 2)[0] for question in questions]
