"""A task asked twice: what is written, and the right answer among others, of the same items after the same shots."""

import json
from dataclasses import replace

import pytest

from made_tasks import write_tasks
from tenfold.errors import UserError
from tenfold.evaluate.loaded import load
from tenfold.evaluate.probes import WRONG, probes
from tenfold.evaluate.prompts import requests
from tenfold.evaluate.settings import EvalSettings
from tenfold.evaluate.task import read_task


@pytest.fixture
def probed(tmp_path):
    """probed(name of a task of made_tasks, what to change of it) -> its probes, with 2 shots."""
    folder = write_tasks(tmp_path / "tasks")
    return lambda name, shots="0,2", **changes: probes(
        load(replace(read_task(folder / f"{name}.yaml"), **changes), EvalSettings(shots=shots))
    )


@pytest.mark.parametrize("name", ["word", "answer"])
def test_both_probes_ask_the_same_after_the_same_shots(probed, name):
    """Of a task marked by how the model goes on, and of one that is written."""
    found = probed(name)
    for one, other, shots in zip(found.among.test, found.written.test, found.among.shots, strict=True):
        scored, written = requests(found.among.task, one, shots), requests(found.written.task, other, shots)
        assert {each.context for each in scored.scored} == {written.writing.context}
        assert scored.scored[0].text.strip() == other.answers[0] and one.gold == 0
        assert written.writing.context.count("Which is") == 3
    assert found.among.shots == found.written.shots and found.among.counts == [0, 2]


def test_the_wrong_answers_are_those_of_other_items(probed):
    found = probed("word")
    right = [example.choices[0] for example in found.among.test]
    for example in found.among.test:
        assert len(set(example.choices)) == 1 + WRONG and set(example.choices) <= set(right)
    assert [example.choices for example in probed("word").among.test] == [example.choices for example in found.among.test]


def test_what_is_written_already_greedily_is_asked_as_it_is(probed):
    """So that results of `tenfold eval` count; with beams it is asked again, without."""
    assert probed("answer").written.task.name == "answer"
    beams = probed("answer", beams=4).written.task
    assert (beams.name, beams.beams) == ("answer-written", 1)
    assert probed("word").written.task.name == "word-written" and probed("word").among.task.name == "word-among"


def test_no_more_is_written_than_answers_need(probed):
    """epsilon has seven letters."""
    assert probed("word").written.task.max_tokens == 7 + 8 and probed("answer").written.task.max_tokens == 4


def test_choices_are_asked_once(probed):
    found = probed("choose")
    assert found.written is None and found.all == [found.among] and found.among.task.name == "choose"


@pytest.mark.parametrize("name", ["text", "program"])
def test_tasks_without_answers_that_can_be_near_are_refused(probed, name):
    with pytest.raises(UserError, match=f"{name} is of kind .*: it has no answers to be near to"):
        probed(name, "0")


def test_one_answer_to_all_items_tells_nothing(probed, tmp_path):
    probed("word")
    (tmp_path / "tasks" / "test.jsonl").write_text("".join(json.dumps({"n": n, "word": "alpha"}) + "\n" for n in range(4)))
    with pytest.raises(UserError, match="word: no other item has an answer that is wrong for item test/0 .' alpha'."):
        probed("word")
