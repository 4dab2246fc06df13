"""What a candidate is worth by each language's metrics, and how unlike samples are."""

import numpy as np
import pytest

from tenfold.codefusion.data import Example
from tenfold.codefusion.metrics import METRICS, OWN, Table, different_grams, diversity, embedding_match, same_tree, worth

ROWS = (("Index", "Value"), (0, "3"), (1, "6"), (2, "9"))


def table() -> Table:
    """Letters as tokens: a and b are alike, c is across."""
    rows = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    return Table(lambda code: ["abc".index(letter) for letter in code], rows)


@pytest.mark.parametrize("language", list(METRICS))
def test_the_right_code_is_worth_all_of_it_by_every_metric(language):
    code = {"bash": "find . -name '*.c' | wc -l", "python": "x.sort()", "cf": "GreaterThan(5)"}[language]
    found = worth(language, Example("text", code, data=ROWS), code)
    assert set(found) == {*METRICS[language], "valid"} and set(found.values()) == {1.0}
    assert OWN[language] == METRICS[language][0]


@pytest.mark.parametrize(
    "language, gold, candidate, expected",
    [
        ("bash", "find . -name '*.c'", "find /tmp -name '*.py'", {"template": 1, "exact": 0, "valid": 1}),
        ("bash", "find . -name '*.c'", "find . -type f", {"template": 0, "exact": 0, "valid": 1}),
        ("bash", "ls", "ls '", {"template": 0, "exact": 0, "valid": 0}),
        ("python", "print('hello')", 'print( "hello" )', {"ast": 1, "exact": 0, "valid": 1}),
        ("python", "x.sort()", "x.sort(", {"ast": 0, "exact": 0, "valid": 0}),
        ("cf", "GreaterThan(5)", "NOT(LessThanEqual(5))", {"execution": 1, "made": 1, "exact": 0, "valid": 1}),
        ("cf", "GreaterThan(5)", "GreaterThan(4)", {"execution": 1, "made": 0, "exact": 0, "valid": 1}),
        ("cf", "GreaterThan(5)", "GreatThan(5)", {"execution": 0, "made": 0, "exact": 0, "valid": 0}),
    ],
)
def test_worth(language, gold, candidate, expected):
    """GreaterThan(4) picks the same of 3, 6 and 9, but not of made columns."""
    assert worth(language, Example("text", gold, data=ROWS), candidate) == expected


def test_a_rule_without_data_is_run_on_made_columns():
    assert worth("cf", Example("text", "GreaterThan(5)"), "GreaterThan(4)")["execution"] == 0
    assert worth("cf", Example("text", "GreaterThan(5)"), "NOT(LessThanEqual(5))")["execution"] == 1


def test_right_code_that_cannot_be_read_is_compared_by_its_words():
    assert same_tree("print 'a'", "print  'a'") and not same_tree("print 'a'", "print('a')")
    assert worth("cf", Example("text", "GreatThan(5)"), "GreatThan(5)") == {"execution": 1, "made": 1, "exact": 1, "valid": 0}


def test_embedding_match_is_the_f1_of_nearest_cosines():
    """Of "ab" for "ac": precision (1 + 0.8) / 2, recall (1 + 0.6) / 2; the order of tokens does not count."""
    precision, recall = 0.9, 0.8
    assert embedding_match(table(), "ac", "ab") == pytest.approx(2 * precision * recall / (precision + recall))
    assert embedding_match(table(), "ac", "ca") == pytest.approx(1)
    assert embedding_match(table(), "a", "c") == 0
    assert embedding_match(table(), "", "") == 1 and embedding_match(table(), "a", "") == 0
    assert worth("python", Example("text", "a"), "b", table())["embedding"] == pytest.approx(0.8)


def test_diversity():
    """Same samples have none of it but their own repeats; samples without a letter in common have all of it."""
    same, unlike = diversity(["ls -l"] * 3, None), diversity(["abc", "xyz"], None)
    assert same["different"] == pytest.approx(1 / 3) and same["edits"] == 0 and same["3-grams"] == pytest.approx(1 / 3)
    assert set(unlike.values()) == {1.0} and diversity(["ls"]) == {}
    assert diversity(["a", "c", "a"], table())["likeness"] == pytest.approx(1 / 3)  # of three pairs one is alike


def test_runs_of_tokens_are_counted_over_all_samples():
    """`a b` and `a c`: three different tokens of four, two different pairs of two; a shorter snippet is one run."""
    assert different_grams(["a b", "a c"], 1) == 3 / 4 and different_grams(["a b", "a c"], 2) == 1
    assert different_grams(["a b", "a b"], 4) == 1 / 2 and different_grams(["", ""], 2) == 1 / 2
