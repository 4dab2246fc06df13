"""Differences of two results are explained by what was done otherwise, in steps that add up."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_results import choice, result, written
from tenfold.errors import UserError
from tenfold.evaluate.diff import diff, explain
from tenfold.evaluate.results import write_result

A = [choice(n, int(n > 2), (-1.0, -1.5 - n)) for n in range(8)]  # the sum takes the first always, the mean of tokens twice the second


def causes(found):
    return {cause.what: (cause.first, cause.second) for cause in found.causes}


def test_a_result_does_not_differ_from_itself():
    found = explain((result(A), A), (result(A), A))
    assert found.causes == () and found.flips == () and [step.change for step in found.steps] == [0.0]
    assert all(each.value == 0 for each in found.paired.values())


def test_another_scorer_explains_all_of_a_difference_when_nothing_else_changed():
    """The sore of GPT-J's HellaSwag: the same answers, 66.1 or 51.8."""
    found = explain((result(A), A), (result(A, own="token"), A))
    assert causes(found) == {"scorer": ("sum", "token")}
    assert [step.what for step in found.steps] == ["the first", "scored by token instead of sum"]
    assert found.steps[1].change == found.second.scores["token"]["value"] - found.first.scores["sum"]["value"] != 0
    assert found.flips == () and found.other_prompts == 0


@settings(max_examples=15)
@given(st.data())
def test_the_steps_add_up(data):
    """Whatever items each has, whatever they answered, and whatever rule each goes by."""
    nats = st.floats(-9, 0, allow_subnormal=False)

    def some():
        numbers = data.draw(st.sets(st.integers(0, 9), min_size=1))
        return [choice(n, n % 2, (data.draw(nats), data.draw(nats))) for n in sorted(numbers | {0})]

    rules = st.sampled_from(["sum", "token", "byte", "char"])
    first, second = some(), some()
    a, b = result(first, own=data.draw(rules)), result(second, own=data.draw(rules))
    found = explain((a, first), (b, second))
    start, end = a.scores[a.own]["value"], b.scores[b.own]["value"]
    assert found.steps[0].score == start and found.steps[-1].score == pytest.approx(end)
    assert start + math.fsum(step.change for step in found.steps) == pytest.approx(end, abs=1e-9)


def test_what_was_asked_otherwise_is_told_apart():
    """Of eight items one has another question, one other shots, one only another form; two are in the first alone, one in the second."""
    first = [replace(item, shots=("train/1",)) for item in A]
    second = [
        replace(first[0], question="other", prompt="p0"),
        replace(first[1], shots=("train/2",), prompt="p1"),
        replace(first[2], prompt="p2"),
        *first[3:6],
        choice(20, 0, (-1.0, -2.0)),
    ]
    b = result(second, shots=0, settings={"limit": 7, "seed": 0, "weights": "float32", "rules": "sum,token,byte,char"}, cut=2)
    found = explain((result(first), first), (b, second))
    told = causes(found)
    assert (
        told["items that only one has"] == ("2", "1") and told["limit"] == ("None", "7") and told["items with a cut prompt"] == ("0", "2")
    )
    for what in ("questions of 1 items", "examples shown before 1 items", "form of the prompt of 1 items, of the same question and shots"):
        assert what in told
    assert found.other_prompts == 3 and "choices of 1 items" not in told


def test_flips_come_with_their_margins_the_largest_change_first():
    second = [replace(item) for item in A]
    second[0] = choice(0, 0, (-9.0, -1.5))  # won -> lost, from +0.5 to -7.5
    second[3] = choice(3, 1, (-1.0, -0.9))  # lost -> won, from -3.5 to +0.1
    found = explain((result(A), A), (result(second, model={"path": "runs/second", "fingerprint": "f2"}), second))
    assert [(flip.id, flip.won) for flip in found.flips] == [("test/0", False), ("test/3", True)]
    assert (found.flips[0].first_margin, found.flips[0].second_margin) == (0.5, -7.5)
    assert (found.flips[1].first, found.flips[1].second, found.flips[1].gold) == ("a", "a long answer", "a long answer")
    assert causes(found) == {"model": ("runs/first (f1)", "runs/second (f2)")}
    assert (found.paired["sum"].better, found.paired["sum"].worse) == (1, 1)


def test_written_answers_flip_too():
    first = [written(n, "yes", "yes" if n else "no") for n in range(3)]
    second = [written(n, "no", "yes" if n else "no") for n in range(3)]
    found = explain((result(first, own="exact"), first), (result(second, own="exact"), second))
    assert [(flip.first, flip.second, flip.gold, flip.first_margin) for flip in found.flips] == [
        ("yes", "no", gold, None) for gold in ("no", "yes", "yes")
    ]
    assert found.steps[-1].change == pytest.approx(1 / 3 - 2 / 3)


def test_partial_scoring_has_margins_of_its_continuation():
    """Winograd: the choices are questions, whose length must not count."""
    first, second = ([choice(0, 0, nats, continuation=" is small", choices=("A trophy", "It"))] for nats in ((-1.0, -2.0), (-3.0, -2.0)))
    found = explain((result(first, own="byte"), first), (result(second, own="byte"), second))
    assert found.flips[0].first_margin == pytest.approx(1 / 8) and found.flips[0].second_margin == pytest.approx(-1 / 8)


def test_measured_text_is_told_in_one_step():
    """Bits per byte is no mean over items."""
    items = [replace(A[0], choices=(), score={"nats": 100.0, "bytes": 90.0, "words": 20.0, "tokens": 30.0}) for _ in range(2)]
    better = [replace(item, score=item.score | {"nats": 80.0}) for item in items]
    a, b = (result(each, own="bits_per_byte", chance=None) for each in (items, better))
    found = explain((a, items), (b, better))
    assert [step.score for step in found.steps] == pytest.approx([100 / 90 / np.log(2), 80 / 90 / np.log(2)])
    assert found.flips == () and found.paired["log-likelihood"].value == 20


def test_folders_are_compared_task_by_task(tmp_path):
    """By task and shots; where a folder has a trial with a limit as well, the one of most items is taken."""
    write_result(tmp_path / "a", result(A), A)
    write_result(tmp_path / "a", result(A[:2], settings={"limit": 2}), A[:2])
    write_result(tmp_path / "a", result(A, shots=5), A)
    write_result(tmp_path / "b", result(A, own="token"), A)
    found = diff(tmp_path / "a", tmp_path / "b")
    assert [(each.name, each.first.items) for each in found] == [("made, 0 shots", 8)]
    with pytest.raises(UserError, match="share no task"):
        write_result(tmp_path / "c", result(A, shots=1), A)
        diff(tmp_path / "b", tmp_path / "c")
    one = diff(tmp_path / "b" / "made-0shot.json", tmp_path / "c" / "made-1shot.json")
    assert causes(one[0])["shots"] == ("0", "1") and one[0].name == "made, 0 and 1 shots"


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(UserError, match="different tasks"):
        explain((result(A), A), (result(A, task="other"), A))
    with pytest.raises(UserError, match="no item in common"):
        explain((result(A[:1]), A[:1]), (result(A[1:]), A[1:]))
