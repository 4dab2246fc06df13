"""What answers are worth: each measure against numbers worked out by hand, and no more than chance for a model that knows no question."""

import math
from dataclasses import replace

import numpy as np
import pytest

from made_results import result
from tenfold.evaluate.grades import _partners, brier, edit_distance, grades, similarity
from tenfold.evaluate.results import Item


def among(number: int, logprobs, gold: int = 0, greedy=None) -> Item:
    greedy = greedy or (False,) * len(logprobs)
    return Item(str(number), "", choices=("x",) * len(logprobs), gold=gold, logprobs=tuple(logprobs), greedy=greedy, score={"sum": 0.0})


def wrote(number: int, text: str, right: str) -> Item:
    return Item(str(number), "", answers=(right,), written=(text,), score={"exact": float(text.strip() == right)})


def of(items, kind: str = "write", **changes):
    return replace(result(items, **changes), about={"kind": kind, "metric": "exact"}), items


def free(pairs, logprobs=None, beginning=False):
    """Grades of texts with their right answers."""
    items = [wrote(n, *pair) for n, pair in enumerate(pairs)]
    likely = [among(n, (logprobs or [(-1.0, -2.0)] * len(items))[n]) for n in range(len(items))]
    return grades(of(likely, chance=0.5), of(items, own="exact", chance=0.0), lambda text: list(text.encode()), beginning)


@pytest.mark.parametrize(
    "one, other, distance",
    [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "abc", 0), ("143", "142", 1), ("143", "43", 1), ("flaw", "lawn", 2)],
)
def test_edit_distances_are_the_known_ones(one, other, distance):
    assert edit_distance(one, other) == edit_distance(other, one) == distance


def test_similarity_is_a_share_of_the_longer_text():
    assert similarity("143", "142") == pytest.approx(2 / 3) and similarity("", "") == 1 and similarity("", "ab") == 0
    assert similarity("143 and", "143") == pytest.approx(3 / 7) and similarity("143 and", "143", beginning=True) == 1
    assert similarity([1, 2, 3, 4], [1, 3, 4]) == pytest.approx(3 / 4)


def test_brier_scores_are_the_known_ones():
    """Three choices with probabilities 1/2, 1/4, 1/4."""
    logprobs = [math.log(2), 0.0, 0.0]
    assert brier(logprobs, 0) == pytest.approx(0.25 + 2 / 16)
    assert brier(logprobs, 1) == pytest.approx(0.25 + 9 / 16 + 1 / 16)
    assert brier([-1000.0, -1000.0], 0) == pytest.approx(0.5) and brier([0.0, -1e5], 0) == 0 and brier([0.0, -1e5], 1) == 2


def test_the_right_answer_is_measured_beside_the_wrong_ones():
    found = free([("1", "1"), ("2", "3")], [(-1.0, -3.0, -5.0), (-4.0, -2.0, -2.0)])
    assert found["logprob"].value_N.tolist() == [-1, -4] and found["logprob"].chance == pytest.approx((-4 - 2) / 2)
    assert found["logprob"].centred_N.tolist() == [3, -2]
    first, second = [brier(values, 0) for values in ((-1, -3, -5), (-4, -2, -2))]
    by_chance = np.mean([[brier((-1, -3, -5), place) for place in (1, 2)], [brier((-4, -2, -2), place) for place in (1, 2)]])
    assert found["brier"].value_N.tolist() == pytest.approx([first, second])
    assert found["brier"].centred_N.mean() == pytest.approx((by_chance - (first + second) / 2) / 2)
    p_C = np.exp([-1, -3, -5]) / np.exp([-1, -3, -5]).sum()
    assert found["brier"].centred_N[0] == pytest.approx(p_C[0] - (p_C[1] + p_C[2]) / 2)


def test_writing_is_measured_in_letters_and_tokens_and_centred_by_the_answers_of_others():
    """Two items, so that each is the other's partner: "12" is worth 1/2 against "13", and so on."""
    found = free([("12", "12"), ("14", "13")])
    assert found["exact"].value_N.tolist() == [1, 0] and found["exact"].chance == 0
    assert found["letters"].value_N.tolist() == [1, 0.5] and found["letters"].chance == pytest.approx(0.5)
    assert found["letters"].centred_N.tolist() == pytest.approx([1, 0])
    assert found["tokens"].value_N.tolist() == pytest.approx([1, 2 / 3])  # a token a byte: the space before the answer is one


def test_tasks_marked_by_how_a_writing_begins_are_graded_so():
    items = [among(0, (-1.0, -2.0), greedy=(True, False)), among(1, (-1.0, -2.0))]
    texts = [wrote(0, "12 and more", "12"), wrote(1, "14 and more", "13")]
    found = grades(of(items, chance=0.5), of(texts, own="exact", chance=0.0), lambda text: list(text.encode()), beginning=True)
    assert found["exact"].value_N.tolist() == [1, 0] and found["letters"].value_N.tolist() == [1, 0.5]


def test_choices_have_no_writing_and_the_chance_of_their_number():
    items = [among(n, (-1.0, -2.0, -3.0, -4.0)) for n in range(4)]
    items = [replace(item, score={"sum": float(n < 2)}) for n, item in enumerate(items)]
    found = grades(of(items, "choice", own="sum", chance=0.25), None, lambda text: [])
    assert found.keys() == {"exact", "logprob", "brier"}
    assert found["exact"].centred_N.mean() == pytest.approx((0.5 - 0.25) / 0.75)


def test_what_knows_no_question_is_at_chance():
    """A writer who always says the same answer, and likelihoods that prefer short answers: far from even, yet 0 by every measure."""
    rng = np.random.default_rng(0)
    answers = [str(int(n)) for n in rng.choice([*range(5, 10), *range(20, 30), *range(120, 135)], 600)]
    prior = {answer: -5.0 * len(answer) for answer in set(answers)}
    likely = []
    for answer in answers:
        others = [other for other in rng.permutation(answers) if other != answer][:1]
        likely.append((prior[answer], *(prior[other] for other in others)))
    found = free([("7", answer) for answer in answers], likely)
    assert found["letters"].value_N.mean() > 0.02 and found["brier"].value_N.mean() > 0.6
    for name in ("exact", "letters", "tokens", "brier"):
        assert found[name].centred_N.mean() == pytest.approx(0, abs=0.1), name


@pytest.mark.parametrize("count", [2, 3, 10])
def test_every_item_has_as_many_partners(count):
    pairs = _partners(count)
    assert all(one != other for one, other in pairs) and len(set(pairs)) == len(pairs)
    assert len({[one for one, _ in pairs].count(n) for n in range(count)}) == 1
