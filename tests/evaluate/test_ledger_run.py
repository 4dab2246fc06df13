"""A model against a ledger: what is measured, what is not measured twice, what is left out, and that a stopped run goes on."""

import json
from dataclasses import replace

import pytest

from made_tasks import tiny_model
from tenfold.errors import UserError
from tenfold.evaluate.engine import Engine
from tenfold.evaluate.ledger.experiment import from_words
from tenfold.evaluate.ledger.record import add, experiments, place_of, read_record, records
from tenfold.evaluate.ledger.run import LedgerWatch, run, who_is
from tenfold.evaluate.requests import Likelihood, Written

WORDS = {"claim": "c", "failed": "it could not", "threshold": 0.5}
FIRST = {
    "a-exact": {"prompts": [{"prompt": f"{n}:", "expect": str(n)} for n in range(4)]},
    "b-choice": {"prompts": [{"prompt": f"{n}:", "choices": ["yes", "no"], "expect": "yes"} for n in range(4)], "shots": 1},
    "c-likeliest": {"made": "number_series", "items": 5, "check": "likeliest"},
    "d-contains": {"prompts": [{"prompt": "The word:", "expect": ["four", "five"]}], "check": "contains"},
}


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture
def ledger(tmp_path):
    add(tmp_path, [from_words(name, WORDS | what) for name, what in FIRST.items()])
    return tmp_path


class Knows:
    """Answers without a model: likes a continuation that begins as `likes`, writes the number that the prompt ends with."""

    def __init__(self, likes=" yes", ends_at=99):
        self.likes, self.asked, self.ends_at = likes, 0, ends_at

    def score(self, requests, progress=None):
        self._count()
        return [Likelihood(-float(not each.text.startswith(self.likes)), 1, each.text.startswith(self.likes)) for each in requests]

    def write(self, requests, progress=None):
        self._count()
        return [Written((f" {each.context.split()[-1].strip(':')}, four",)) for each in requests]

    def _count(self):
        self.asked += 1
        if self.asked > self.ends_at:
            raise KeyboardInterrupt


class Heard(LedgerWatch):
    def __init__(self):
        self.fresh, self.out = {}, {}

    def measured(self, experiment, record, fresh):
        self.fresh[experiment.name] = fresh

    def left_out(self, experiment, why):
        self.out[experiment.name] = why


def go(model, ledger, engine, **more):
    heard = Heard()
    return run(model, who_is(model, "tiny"), ledger, experiments(ledger), watch=heard, engine=engine, **more), heard


def test_each_experiment_gets_its_score_and_a_file(model, ledger):
    went, heard = go(model, ledger, Knows())
    scores = {record.experiment: (record.metric, record.score, record.items) for record in went.records}
    assert scores == {
        "a-exact": ("exact", 0.0, 4),
        "b-choice": ("sum", 1.0, 4),
        "c-likeliest": ("accuracy", 0.0, 5),
        "d-contains": ("exact", 1.0, 1),
    }
    assert all(heard.fresh.values()) and not went.left_out
    assert [record.experiment[0] for record in went.records] == list("bcad")  # what is read before what is written
    by_name = {record.experiment: record for record in went.records}
    for experiment in experiments(ledger):
        record = by_name[experiment.name]
        path = place_of(ledger, experiment, who_is(model, "tiny").fingerprint)
        assert read_record(path) == record and path.name == f"{experiment.fingerprint}-{record.model.fingerprint}.json"
        assert records(ledger, experiment) == ([record], 0)
    assert by_name["b-choice"].chance == 0.5 and by_name["d-contains"].error is None
    assert by_name["a-exact"].examples[0] == {"asked": "0:", "worth": 0.0, "right": "0", "said": " 0, four"}
    assert by_name["b-choice"].examples[0] == {"asked": "0:", "worth": 1.0, "right": "yes", "said": "yes"}


def test_nothing_is_measured_twice_but_what_asks_something_else(model, ledger):
    go(model, ledger, Knows())
    assert go(model, ledger, engine := Knows())[1].fresh == dict.fromkeys(FIRST, False) and engine.asked == 0
    path = ledger / "experiments" / "a-exact.yaml"
    path.write_text(path.read_text().replace("threshold: 0.5", "threshold: 0.9  # now we know better"))
    assert not any(go(model, ledger, Knows())[1].fresh.values())
    path.write_text(path.read_text() + "header: 'Say the number.'\n")
    _, heard = go(model, ledger, Knows())
    assert [name for name, fresh in heard.fresh.items() if fresh] == ["a-exact"]
    found, earlier = records(ledger, experiments(ledger)[0])
    assert len(found) == earlier == 1


def test_another_model_is_measured_and_the_same_under_another_name_is_not(model, ledger):
    go(model, ledger, Knows())
    other = tiny_model(seed=1)
    assert all(go(other, ledger, Knows())[1].fresh.values())
    assert who_is(model, "tiny").fingerprint == who_is(tiny_model(), "renamed", tokens=5).fingerprint != who_is(other, "tiny").fingerprint
    longer = replace(model, config=replace(model.config, context=64))
    assert who_is(longer, "tiny").fingerprint != who_is(model, "tiny").fingerprint


def test_a_stopped_run_goes_on(model, ledger):
    """What was measured before the stop is there, whole; the rest is measured then, to the same scores."""
    with pytest.raises(KeyboardInterrupt):
        go(model, ledger, Knows(ends_at=2))
    assert len(list((ledger / "results").rglob("*.json"))) == 2 and not list((ledger / "results").rglob("*.partial"))
    went, heard = go(model, ledger, Knows())
    assert sorted(heard.fresh.values()) == [False, False, True, True] and len(went.records) == 4


@pytest.mark.slow
def test_what_cannot_be_run_is_left_out_and_the_others_go_on(model, ledger):
    """Data that are not there, a text longer than the model; programs, unless they are allowed."""
    more = {
        "aa-far": {"task": "../own.yaml"},
        "ab-long": {"prompts": [{"prompt": "a:", "expect": "b"}], "max_tokens": 500},
        "ac-code": {"prompts": [{"prompt": "n = ", "tests": "assert n == 1"}]},
    }
    own = "about: a\nsource: b\nkind: write\nmetric: exact\ntest: {path: nowhere.jsonl}\nquestion: '{{q}}'\nanswer: ' a'\n"
    (ledger / "own.yaml").write_text(own)
    for name, what in more.items():
        (ledger / "experiments" / f"{name}.yaml").write_text(json.dumps(WORDS | what))
    engine = Engine(model)
    engine.score = Knows().score
    went, heard = go(model, ledger, engine)
    assert set(heard.out) == set(went.left_out) == {"aa-far", "ab-long"} and went.code == ["ac-code"]
    assert "nowhere.jsonl is not there" in heard.out["aa-far"] and "max_tokens is 500, but the model knows 192" in heard.out["ab-long"]
    assert {record.experiment for record in went.records} == set(FIRST)


def test_a_result_stands_where_the_data_are_gone_and_not_where_they_changed(model, tmp_path):
    own = "about: a\nsource: b\nkind: write\nmetric: exact\ntest: {path: rows.jsonl}\nquestion: '{{q}}:'\nanswer: ' {{q}}'\n"
    (tmp_path / "own.yaml").write_text(own)
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"q": 1}\n{"q": 2}\n')
    add(tmp_path, [from_words("own", WORDS | {"task": str(tmp_path / "own.yaml")})])
    assert go(model, tmp_path, Knows())[1].fresh == {"own": True}
    rows.write_text('{"q": 1}\n{"q": 3}\n')
    assert go(model, tmp_path, Knows())[1].fresh == {"own": True}
    rows.unlink()
    assert go(model, tmp_path, Knows())[1].fresh == {"own": False}


def test_the_engine_answers_every_check(model, tmp_path):
    """A real, tiny model: scores are shares, prompts that its context has no room for are counted."""
    checks = {
        "write": {"prompts": [{"prompt": "a" * 300, "expect": "b"}], "max_tokens": 4, "check": "regex"},
        "choose": {"made": "opposites", "items": 4, "shots": 1},
        "find": {"made": "two_digit_addition", "items": 4, "check": "likeliest", "metric": "perplexity", "threshold": 20},
    }
    add(tmp_path, [from_words(name, WORDS | what) for name, what in checks.items()])
    went, _ = go(model, tmp_path, Engine(model, row=256))
    found = {record.experiment: record for record in went.records}
    assert not went.left_out and found["write"].cut == 1 and found["choose"].cut == 0
    assert 0 <= found["choose"].score <= 1 and found["find"].metric == "perplexity" and found["find"].score > 1


def test_a_model_without_a_tokenizer_is_refused(model, ledger):
    with pytest.raises(UserError, match="this model has no tokenizer"):
        run(replace(model, tokenizer=None), who_is(model, "tiny"), ledger, experiments(ledger), engine=Knows())


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda text: "<<<<<<< HEAD\n" + text, "is damaged"),
        (lambda text: text.replace('"format": 1', '"format": 7'), "is of format 7, and we read 1"),
        (lambda text: text.replace('"score"', '"sore"'), "is damaged: score is missing"),
        (lambda text: text.replace('"parameters"', '"p"'), "is damaged"),
        (lambda text: text.replace('"score": 0.0', '"score": "0.0"'), "are no numbers"),
        (lambda text: "[]", "is damaged"),
    ],
)
def test_a_damaged_result_is_refused_with_the_mend(model, ledger, damage, message):
    go(model, ledger, Knows())
    path = next((ledger / "results" / "a-exact").glob("*.json"))
    path.write_text(damage(path.read_text()))
    with pytest.raises(UserError, match=message) as refused:
        read_record(path)
    assert str(path) in str(refused.value) and "Remove it, and say the same `tenfold ledger run` again." in str(refused.value)
