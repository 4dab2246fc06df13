"""Pairs are read in their own form and in the released ones, and what a training set holds leaves a test set."""

import json

import pytest

from tenfold.codefusion.data import Example, deduplicated, read_examples
from tenfold.errors import UserError


def lines(path, *items):
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


def test_own_lines(tmp_path):
    path = lines(tmp_path / "own.jsonl", {"text": "list files", "code": "ls\n"}, {"text": "count\u2028 them", "code": "ls | wc -l"})
    loaded = read_examples(path)
    assert loaded.examples == (Example("list files", "ls", "1"), Example("count\u2028 them", "ls | wc -l", "2"))
    assert loaded.without_text == 0


def test_code_alone_where_it_is_asked_for(tmp_path):
    released = {"ID": 8, "NL Utterance": None, "Code": "x"}
    path = lines(tmp_path / "a.jsonl", {"code": "ls", "language": "bash"}, {"text": "count", "code": "wc"}, released)
    loaded = read_examples(path, alone=True)
    assert loaded.examples == (Example(None, "ls", "1", language="bash"), Example("count", "wc", "2"), Example(None, "x", "8"))
    assert loaded.without_text == 0
    lines(path, {"text": "a", "code": " "})
    with pytest.raises(UserError, match="line 1: code is ' '"):
        read_examples(path, alone=True)
    lines(path)
    with pytest.raises(UserError, match=r"holds no code\."):
        read_examples(path, alone=True)


def test_released_lines_and_files(tmp_path):
    items = [
        {"ID": 7, "NL Utterance": "color 5 ", "Code": "Equals(5)", "Data": [["Index", "Value"], [0, "5"]], "Labels": [0, 1]},
        {"ID": 8, "NL Utterance": None, "Code": "x"},
    ]
    expected = Example("color 5", "Equals(5)", "7", (("Index", "Value"), (0, "5")), (0, 1))
    for path, part in [(lines(tmp_path / "a.jsonl", *items), ""), (tmp_path / "b.json", "test")]:
        if part:
            path.write_text(json.dumps({"train": [], part: items}))
        loaded = read_examples(path, part)
        assert loaded.examples == (expected,) and loaded.without_text == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"text": "a", "code": "b"}\n{"text": "a"', r"own.jsonl, line 2 is not JSON"),
        ('{"text": "a", "code": "b", "Data": [1]}', r"line 1: Data is \[1\] and Labels"),
        ('{"text": "a"}', r"line 1: code is None"),
        ('\n{"text": " ", "code": "b"}', r"line 2: text is ' '"),
        ("[1]", r"line 1 is \[1\]\.\n  Give an object"),
        ('{"text": "a", "code": "b", "language": 3}', "line 1: language is 3"),
        ("", "holds no pair"),
    ],
)
def test_what_is_wrong_in_lines(text, words, tmp_path):
    (tmp_path / "own.jsonl").write_text(text)
    with pytest.raises(UserError, match=words):
        read_examples(tmp_path / "own.jsonl")


def test_what_is_wrong_in_files(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_examples(tmp_path / "none.jsonl")
    path = tmp_path / "a.json"
    for whole, words in [({"train": []}, "has parts train, and part is 'test'"), (5, "holds a int"), ({"test": [3]}, "item 0 is 3")]:
        path.write_text(json.dumps(whole))
        with pytest.raises(UserError, match=words):
            read_examples(path, "test")


def test_test_items_that_training_holds_leave():
    train = [Example("list files", "ls -l"), Example("count", "wc")]
    pair, code, text, mixed, new = (
        Example("list  files", "ls  -l"),
        Example("show", "wc"),
        Example("count", "wc -l"),
        Example("count", "ls -l"),
        Example("move", "mv"),
    )
    split = deduplicated(train, [pair, code, text, mixed, new])
    assert split.new == (new,) and len(split.all) == 5
    assert (split.same_pair, split.same_code, split.same_text) == (1, 3, 3)
    same = deduplicated(train, [Example("show", "WC"), Example("see", "cat")], str.lower)
    assert (same.same_code, len(same.new)) == (1, 1)
