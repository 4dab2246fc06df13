"""Path lengths against products of whole matrices of who sees whom, and their picture in the report."""

import re

import numpy as np
import pytest

from tenfold.report.page import report
from tenfold.report.reach import path_lengths

WORDS = ["dense", "banded:3", "dilated:6x1,29x4", "geometric:4,3"]


def sees(word: str, T: int, heads: int) -> np.ndarray:
    """bool[T, T]: whether a query (first) sees a key, pair by pair."""
    branches = {"dilated:6x1,29x4": [(6, 1), (29, 4)], "geometric:4,3": [(4, 1), (12, 3), (29, 9)]}.get(word, [])
    seen = np.zeros((T, T), bool)
    for t in range(T):
        for s in range(t + 1):
            shared = [t // w == s // w and t % w % r == s % w % r and t % w % r in {h % r for h in range(heads)} for w, r in branches]
            seen[t, s] = any(shared) or word == "dense" or (word == "banded:3" and t - s < 3)
    return seen


@pytest.mark.parametrize(
    "pattern", [["banded:3"], ["dilated:6x1,29x4"], ["geometric:4,3", "banded:3"], ["dense", "banded:3"]], ids=" ".join
)
def test_path_lengths_are_those_of_products_of_matrices(pattern):
    T, heads, layers = 29, 2, 4
    found = path_lengths(pattern, T, heads, layers, np.arange(T))
    reached, lengths = np.eye(T, dtype=bool), np.where(np.eye(T), 0, layers + 1)
    for n in range(1, layers + 1):
        after = reached @ sees(pattern[(layers - n) % len(pattern)], T, heads) | reached
        lengths[after & ~reached] = n
        reached = after
    np.testing.assert_array_equal(found, lengths)


def with_attention(run, words: str, context: int):
    text = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(text.replace("[dense, banded]", words).replace("context: 256", f"context: {context}"))
    return run


def test_the_report_shows_who_sees_whom(make_run):
    """A row longer than any picture, so that cells stand for many positions; the last position's path lengths are said in words."""
    run = with_attention(make_run(steps=20), "['geometric:256,4']", 2**17)
    page = report([run]).read_text()
    assert "Reach of attention" in page and "The first 65,536 of 131,072 positions." in page
    said = re.search(r"The last position is reached by ([^.]*(?:\.\d)?[^.]*)\.", page)
    assert said is not None and "others within" in said[1]
    assert 'class="cells s1 c0"' in page


def test_dense_runs_have_no_such_section(make_run):
    assert "Reach of attention" not in report([with_attention(make_run(steps=20), "[dense]", 256)]).read_text()
