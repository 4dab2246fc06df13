"""What the official scripts say of the same texts."""

import math
import re
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import UserError
from tenfold.evaluate.metrics import METRICS, last_number, normal, pass_at, worth

words = st.text("abt he-.,$123 ", min_size=1, max_size=20)


@given(words)
def test_the_answer_itself_is_worth_everything(text):
    """By every metric, and whatever else counts as right; DROP and numbers only of texts that have any."""
    for metric in METRICS:
        answers = [text, "something else"]
        if (metric == "number" and last_number(text) is None) or (metric == "f1_drop" and not text.strip()):
            continue
        if metric == "f1_coqa":
            answers = [text, text]
        if metric == "regex":
            answers = [re.escape(text.strip()), "something else"]
        assert set(worth(metric, text, answers).values()) == {1.0}


@given(words, st.lists(words, min_size=1, max_size=4))
def test_worth_is_a_share_and_more_answers_never_lower_it(written, answers):
    for metric in METRICS:
        if metric == "regex":
            answers = [re.escape(answer) for answer in answers]
        found = worth(metric, written, answers)
        assert all(0 <= share <= 1 for share in found.values())
        if metric != "f1_coqa":
            more = worth(metric, written, [*answers, "another answer"])
            assert all(more[name] >= share for name, share in found.items())


def test_squads_script():
    assert normal("The  Cat's, a hat!") == "cats hat"
    assert worth("normalised", "the Eiffel Tower.", ["Eiffel tower"]) == {"exact": 1.0}
    assert worth("f1", "in the big tower", ["Eiffel tower", "a tower"]) == {"f1": 2 * 1 / (3 + 1), "exact": 0.0}
    assert worth("f1", "the", ["a"]) == {"f1": 1.0, "exact": 1.0}
    assert worth("f1", "x", ["the"]) == {"f1": 0.0, "exact": 0.0}
    assert worth("exact", " Paris\n", ["paris"]) == {"exact": 0.0} and worth("exact", " paris\n", ["paris"]) == {"exact": 1.0}


def test_coqas_script_leaves_each_answer_out_in_turn():
    """Right beside one of three answers: that one is left out once, so two of the three rounds count."""
    assert worth("f1_coqa", "white", ["white", "grey", "black"])["exact"] == pytest.approx(2 / 3)
    assert worth("f1_coqa", "white", ["white"]) == {"f1": 1.0, "exact": 1.0}


def test_drops_script():
    """Figures of the official evaluator on the same inputs."""
    assert worth("f1_drop", "12 yards", ["12"]) == {"f1": 0.67, "exact": 0.0}
    assert worth("f1_drop", "13 yards", ["12 yards"]) == {"f1": 0.0, "exact": 0.0}  # a number that differs, though a word agrees
    assert worth("f1_drop", "12.0", ["12"]) == {"f1": 1.0, "exact": 1.0}
    assert worth("f1_drop", "Tom, Ann", ["Ann\nTom"]) == {"f1": 1.0, "exact": 1.0}
    assert worth("f1_drop", "Tom", ["Ann\nTom"]) == {"f1": 0.5, "exact": 0.0}
    assert worth("f1_drop", "Tom, Ann, Bob", ["Ann\nTom"]) == {"f1": 0.67, "exact": 0.0}
    assert worth("f1_drop", "anything", [" "]) == {"f1": 0.0, "exact": 0.0}


@pytest.mark.parametrize(
    "text, number",
    [
        ("She has 3 + 4 = 7 eggs.\n#### 7", 7),
        ("#### 1,234\nQuestion: 99", 1234),
        ("so it costs $1,000.50.", 1000.5),
        ("it fell to -5 degrees", -5),
        ("#### none, 12 of them", 12),
        ("The answer is 18.", 18),
        ("no idea", None),
    ],
)
def test_the_number_at_the_end(text, number):
    assert last_number(text) == number
    assert worth("number", text, [str(number if number is not None else 1)]) == {"exact": float(number is not None)}


@pytest.mark.parametrize(
    "metric, text, answer, worth_it",
    [
        ("contains", "It is Paris, I think.", "paris", 1.0),
        ("contains", "Nothing of the kind", "no", 0.0),
        ("contains", "it costs $5.", "$5.", 1.0),
        ("regex", " 12 apples", r"^\d+ apples?$", 1.0),
        ("regex", "many apples", r"^\d+ apples?$", 0.0),
    ],
)
def test_an_answer_within_what_is_written(metric, text, answer, worth_it):
    assert worth(metric, text, ["something else", answer]) == {"exact": worth_it}


@pytest.mark.parametrize("samples", range(1, 7))
def test_pass_at_k_is_the_share_of_draws_with_a_right_one(samples):
    for right in range(samples + 1):
        for k in range(1, samples + 1):
            draws = list(combinations([place < right for place in range(samples)], k))
            assert pass_at(k, samples, right) == pytest.approx(sum(map(any, draws)) / len(draws))
    assert math.isclose(pass_at(100, 200, 1), 0.5)


def test_what_has_no_worth_is_refused():
    with pytest.raises(UserError, match="metric is 'bleu'"):
        worth("bleu", "a", ["a"])
    with pytest.raises(UserError, match="no answers"):
        worth("exact", "a", [])
    with pytest.raises(UserError, match="is no regular expression"):
        worth("regex", "a", ["("])
    with pytest.raises(UserError, match="pass@10 of 5 samples"):
        pass_at(10, 5, 1)
