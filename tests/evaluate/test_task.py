"""A task's file says what it means or is refused with the field, the value and the mend."""

from dataclasses import fields
from pathlib import Path

import pytest

from tenfold.errors import UserError
from tenfold.evaluate.sources import Source
from tenfold.evaluate.task import Form, Shots, Task, read_task, task_names

NAMED = """lambada hellaswag piqa arc_easy arc_challenge openbookqa winograd winogrande storycloze triviaqa nq_open webqs boolq copa cb rte
race_high race_middle squad squad2 coqa drop sat_analogies gsm8k humaneval mbpp mmlu wikitext2 pile
arithmetic_1dc arithmetic_2da arithmetic_2ds arithmetic_2dm arithmetic_3da arithmetic_3ds arithmetic_4da arithmetic_4ds arithmetic_5da
arithmetic_5ds cycle_letters anagrams1 anagrams2 random_insertion reversed_words""".split()
K = {"lambada": 15, "hellaswag": 20, "storycloze": 70, "nq_open": 64, "triviaqa": 64, "webqs": 64, "winograd": 7, "winogrande": 50}
K |= {
    "piqa": 50,
    "arc_challenge": 50,
    "arc_easy": 50,
    "openbookqa": 100,
    "boolq": 32,
    "copa": 32,
    "cb": 32,
    "rte": 32,
    "arithmetic_5ds": 50,
}
K |= {"race_high": 10, "squad2": 16, "coqa": 5, "drop": 20, "sat_analogies": 20, "anagrams2": 100}
WHOLE = """
about: colours
source: made for the tests
kind: choice
test: {path: items.jsonl}
question: "{{thing}} is"
choices: [" red", " blue"]
gold: right
"""


def written(folder, text=WHOLE, name="colours.yaml"):
    path = folder / name
    path.write_text(text)
    return path


def test_every_task_that_comes_with_tenfold_can_be_read():
    assert set(NAMED) <= set(task_names())
    for name in task_names():
        task = read_task(name)
        assert task.name == name and task.about and task.source
        assert task.kind != "choice" or task.metric == "greedy" or task.chance or name.startswith("cb")


def test_shots_are_as_many_as_gpt3_shows():
    assert {name: read_task(name).shots for name in K} == K


def test_a_file_of_ones_own(tmp_path):
    task = read_task(written(tmp_path))
    assert task.name == "colours" and task.choices == (" red", " blue") and task.shots_from == Shots() and task.few_shot == Form()


def test_a_task_like_another_says_only_what_differs(tmp_path):
    written(tmp_path)
    task = read_task(written(tmp_path, "like: colours\nshots: 3\n", "three.yaml"))
    assert (task.name, task.shots, task.question) == ("three", 3, "{{thing}} is")
    assert read_task(written(tmp_path, "like: piqa\nscoring: sum\n", "mine.yaml")).scoring == "sum"


@pytest.mark.parametrize(
    "change, says",
    [
        (("question:", "qestion:"), "qestion is no key of a task's file; the nearest is question"),
        (("kind: choice", "kind: choise"), "kind is 'choise': give one of choice, write, perplexity, code"),
        (("gold: right", "shots: many"), "shots is 'many': give a whole number"),
        (("gold: right", "shots: -1"), "shots is -1: give 0 or more"),
        (("gold: right", "shots: true"), "shots is True"),
        (("gold: right", "gold: 'right ('"), "no Jinja expression"),
        (("{{thing}}", "{{thing"), "no Jinja template"),
        (("about: colours", "about: ''"), "about is missing"),
        (("path: items.jsonl", "pth: items.jsonl"), "test.pth is no key of a task's file; the nearest is test.path"),
        (("path: items.jsonl", "path: a, wheel: b/c"), "exactly one of path, wheel, hub, made and given; this one says path and wheel"),
        (("path: items.jsonl", "wheel: b"), "wheel is 'b': say DISTRIBUTION/path"),
        (("path: items.jsonl", "hub: b/c"), "say hub: OWNER/NAME and file"),
        (("gold: right", "scoring: best"), "scoring is 'best': give one of sum, token"),
        (("gold: right", "metric: f1"), "metric of a task of kind choice is 'f1': give one of accuracy, greedy"),
        (("gold: right", "metric: greedy"), "metric is greedy"),
        (("gold: right", "program: x"), "program has no use in a task of kind choice"),
        (("gold: right", "chance: 2"), "chance is 2"),
        (("gold: right", "stop: x"), "stop is 'x': give a list"),
        (("gold: right", "header: 3"), "header is 3: give a text"),
        (("gold: right", "beams: 4\nsamples: 2"), "beams is 4"),
        (("gold: right", "shots_from: train"), "shots_from is 'train'"),
        (("gold: right", "shots_from: {fixed: [{thing: sky}]}\nshots: 2"), "shots is 2 but shots_from.fixed holds 1"),
        (("gold: right", "contexts: ['a']"), "contexts takes the place of choices"),
        (("test: {path: items.jsonl}", "test: []"), "test is missing"),
        (("path: items.jsonl", "path: 3"), "a source's path is 3: give a text"),
        (("path: items.jsonl", "path: [a]"), "a source's path is ['a']: give a text"),
        (("path: items.jsonl", "path: a, one_per: 3"), "a source's one_per is 3"),
        (("path: items.jsonl", "path: a, cut: 3"), "a source's cut is 3"),
        (("path: items.jsonl", "path: a, where: {1: 2}"), "where names the field 1"),
        (("path: items.jsonl", "made: word, items: x"), "a source's items is 'x': give a whole number"),
        (("gold: right", "few_shot: {answer: 3}"), "few_shot.answer is 3: give a text"),
        (("gold: right", "shots_from: {same: 3}"), "shots_from.same is 3: give a text"),
        (("gold: right", "shots_from: {first: 'no'}"), "shots_from.first is 'no': give true or false"),
        (("gold: right", "name: ../elsewhere"), "name is '../elsewhere': give a word without slashes"),
        (("gold: right", "temperature: .nan"), "temperature is nan: give 0 or more"),
        (("gold: right", "length_penalty: .inf"), "length_penalty is inf: give 0 or more"),
        (("{{thing}}", "{{" + "(" * 1000 + "1" + ")" * 1000 + "}}"), "no Jinja template"),
        (("{{thing}}", "{% for a in 'b' %}" * 30 + "{% endfor %}" * 30), "no Jinja template"),
        (("gold: right", "few_shot: {anwser: x}"), "few_shot.anwser is no key of a task's file; the nearest is few_shot.answer"),
    ],
)
def test_what_is_wrong_is_said_with_the_file_and_the_field(tmp_path, change, says):
    path = written(tmp_path, WHOLE.replace(*change))
    with pytest.raises(UserError) as error:
        read_task(path)
    assert str(path) in str(error.value) and says in str(error.value)


def test_files_that_are_no_tasks(tmp_path):
    with pytest.raises(UserError, match="did you mean hellaswag"):
        read_task("helaswag")
    with pytest.raises(UserError, match="could not be read"):
        read_task(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="could not be read"):
        read_task(written(tmp_path, "a: [", "broken.yaml"))
    with pytest.raises(UserError, match="holds list"):
        read_task(written(tmp_path, "- a", "list.yaml"))
    with pytest.raises(UserError, match="is like itself"):
        read_task(written(tmp_path, "like: loop", "loop.yaml"))
    with pytest.raises(UserError, match="says like: '../colours'"):
        read_task(written(tmp_path, "like: ../colours", "outside.yaml"))
    with pytest.raises(UserError, match="could not be read"):
        read_task(written(tmp_path, "[" * 5000, "deep.yaml"))
    with pytest.raises(UserError, match="there is no such task"):
        read_task(written(tmp_path, "like: nothing_at_all", "lost.yaml"))


def test_the_page_names_every_task_and_every_key():
    page = (Path(__file__).parents[2] / "docs/tasks.md").read_text()
    families = [name for name in task_names() if not name.startswith("arithmetic_") and not name.endswith("_gpt3")]
    assert [name for name in families if f"`{name}`" not in page] == []
    assert [part.name for part in fields(Task) if part.name not in ("name", "file") and f"`{part.name}`" not in page] == []
    assert [part.name for part in fields(Source) if part.name != "split" and part.name not in page] == []


def test_what_may_be_said_of_a_metric_is_what_there_is():
    """Names stand in task.py too, so that a list of tasks needs no scipy."""
    from tenfold.evaluate import metrics
    from tenfold.evaluate.task import METRICS

    assert METRICS["write"] == tuple(metrics.METRICS)
