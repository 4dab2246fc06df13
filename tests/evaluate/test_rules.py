"""What each rule divides by, and that they can disagree."""

import numpy as np
import pytest

from tenfold.evaluate.requests import Likelihood
from tenfold.evaluate.rules import RULES, WHAT, margin, pick, values

TEXTS = (" no", " certainly é", " yes")


def likelihoods(*totals, tokens=(1, 4, 1)):
    return [Likelihood(total, count, False) for total, count in zip(totals, tokens, strict=True)]


def test_each_rule_by_hand():
    """Of three answers, the second of 11 characters in 12 bytes; the space before an answer counts for nothing."""
    found = values(TEXTS, likelihoods(-3, -6, -4), likelihoods(-1, -9, -4), likelihoods(-2, -2, -2))
    assert list(found) == list(RULES) == list(WHAT)
    assert found["sum"].tolist() == [-3, -6, -4]
    assert found["token"].tolist() == [-3, -1.5, -4]
    assert found["byte"] == pytest.approx([-3 / 2, -6 / 12, -4 / 3])
    assert found["char"] == pytest.approx([-3 / 2, -6 / 11, -4 / 3])
    assert found["answer"].tolist() == [-2, 3, 0]
    assert found["empty"].tolist() == [-1, -4, -2]
    assert {rule: pick(each) for rule, each in found.items()} == dict(sum=0, token=1, byte=1, char=1, answer=1, empty=0)


def test_a_rule_whose_likelihoods_were_not_asked_for_is_left_out():
    assert set(values(TEXTS, likelihoods(-3, -6, -4))) == set(RULES) - {"answer", "empty"}


def test_an_empty_answer_divides_by_one():
    assert values(("", " a"), likelihoods(0, -1, tokens=(0, 1)))["token"].tolist() == [0, -1]


def test_of_equals_the_first_is_picked():
    assert pick(np.array([-1.0, -0.5, -0.5])) == 1


def test_a_margin_is_positive_where_the_model_is_right():
    assert margin(np.array([-3.0, -1.0, -2.5]), 1) == 1.5
    assert margin(np.array([-3.0, -1.0, -2.5]), 2) == -1.5
    assert margin(np.array([-3.0]), 0) == np.inf
