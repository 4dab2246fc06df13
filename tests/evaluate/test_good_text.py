"""Each measure moves with what it is said to measure, and not with what it is not."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.corpus.letters import placed_words
from tenfold.evaluate.good_text import by_distance, coherence, compressed, cut, distinct, measures, repeated, repeated_sentences

COMMON = [f"the{n}" for n in range(40)]


def text(seed: int, words: int = 200, vocabulary: list[str] | None = None) -> str:
    chosen = random.Random(seed)
    names = vocabulary or [f"w{n}" for n in range(1000)]
    return " ".join(chosen.choice(names) for _ in range(words))


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30), st.integers(1, 4))
def test_repeated_runs_are_those_counted_by_hand(words, n):
    runs = [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]
    expected = 1 - len(set(runs)) / len(runs) if runs else 0.0
    found = repeated(placed_words([" ".join(words), text(1)]), n)
    assert found[0] == pytest.approx(expected)
    assert found[1] == repeated(placed_words([text(1)]), n)[0], "texts do not mix"


@given(st.lists(st.sampled_from("abc"), min_size=4, max_size=60))
def test_every_repeated_run_has_a_distance(words):
    """The shares by distance add up to the share that is repeated."""
    found = placed_words([" ".join(words)])
    assert by_distance(found).sum() == pytest.approx(repeated(found, 4)[0])


def test_a_run_is_found_as_far_back_as_it_was():
    phrase = "one two three four"
    for back in (10, 40, 300, 3000):
        filler = " ".join(f"w{n}" for n in range(back - 4))
        found = by_distance(placed_words([f"{phrase} {filler} {phrase}"]))[0]
        bucket = int(np.flatnonzero(found)[0])
        assert np.count_nonzero(found) == 1 and bucket == min(8, max(0, int(np.log2(back)) - 3))


def test_sentences_said_again():
    assert repeated_sentences("It was so. Then it was not. IT WAS SO! And again, it was.\nit was so") == pytest.approx(2 / 5)
    assert repeated_sentences("Oh. Oh. Oh. Oh.") == 0.0 and repeated_sentences("") == 0.0


def test_what_loops_compresses():
    assert compressed("again and again " * 40) > 10 > 3 > compressed(text(1)) and compressed("") == 0.0


def test_texts_that_are_all_the_same_are_not_varied():
    assert distinct(placed_words([text(1)] * 5), 3) == pytest.approx(distinct(placed_words([text(1)]), 3) / 5)
    assert distinct(placed_words([""]), 3) == 0.0


def test_coherence_falls_where_a_text_wanders_off():
    """A text keeps to its topic's words; one that changes its topic in the middle has nothing left of it; common words do not count."""
    topics = [[f"topic{topic}word{n}" for n in range(30)] + COMMON for topic in range(24)]
    steady = [text(seed, 200, topics[seed]) for seed in range(12)]
    wandering = [f"{text(seed, 100, topics[seed])} {text(90 + seed, 100, topics[12 + seed])}" for seed in range(12)]
    unrelated = [text(seed, 200, COMMON) for seed in range(12)]
    kept, lost, none = (coherence(placed_words(texts)).mean(0) for texts in (steady, wandering, unrelated))
    assert kept.shape == (3,) and (kept > 0.18).all()
    assert lost[0] > 0.18 and np.abs(lost[1:]).max() < 0.05
    assert np.abs(none).max() < 0.1
    assert coherence(placed_words(["a b", "c d"])).shape == (2, 0) and coherence(placed_words(steady[:1])).shape == (1, 0)


def test_texts_are_cut_to_one_length():
    assert cut(["One two, three. Four", "one two", "a b c"], 3) == ["One two, three", "a b c"]
    assert cut([], 3) == []


def test_all_measures_of_loops_and_prose():
    loops, prose = measures(["so it goes. " * 60] * 6), measures([text(seed, 180) for seed in range(6)])
    assert loops["repeated"]["4"]["value"] > 0.9 > 0.1 > prose["repeated"]["4"]["value"]
    assert loops["repeated_sentences"]["value"] > 0.9 and loops["compressed"]["value"] > 3 * prose["compressed"]["value"]
    assert loops["distance"][0]["value"] > 0.9 and len(prose["coherence"]) == 2
    for each in prose["repeated"].values():
        assert each["low"] <= each["value"] <= each["high"]
