"""The class for lm-evaluation-harness answers as our own engine does, and the harness's scores are ours. Needs tenfold[eval]."""

import json
from dataclasses import replace

import pytest

pytest.importorskip("lm_eval", reason="needs lm-evaluation-harness: pip install 'tenfold[eval]'")

from lm_eval.api.instance import Instance
from lm_eval.api.registry import get_model

from made_tasks import tiny_model, write_tasks
from tenfold import api
from tenfold.errors import UserError
from tenfold.evaluate.engine import Engine
from tenfold.evaluate.lm_eval import TenfoldLM, writing
from tenfold.evaluate.requests import Continuation, Writing
from tenfold.evaluate.run import evaluate
from tenfold.evaluate.settings import EvalSettings

PAIRS = [("Which is 0?", " alpha"), ("Which is 0?", " beta é"), ("", " alpha"), ("ends in spaces  ", "alpha"), ("Which is 0?", " alpha")]


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture
def lm(model, monkeypatch):
    monkeypatch.setattr(api, "load", lambda path, adapter=None: model)
    return get_model("tenfold").create_from_arg_string("path=tiny", {"batch_size": 1, "device": None})


def instances(kind, rows):
    return [Instance(kind, {}, arguments, number) for number, arguments in enumerate(rows)]


def test_the_harness_knows_it_and_its_own(lm):
    """By name; registered before the harness made its list, it must not keep that from being made."""
    assert type(lm) is TenfoldLM and get_model("dummy").__name__ == "DummyLM"


def test_its_answers_are_the_engines(lm, model):
    """In order, also where one is asked twice; to 1e-6, by an engine that reads every request in a row of its own."""
    alone = Engine(model, share=False)
    found = lm.loglikelihood(instances("loglikelihood", PAIRS), disable_tqdm=True)
    expected = alone.score([Continuation(*pair) for pair in PAIRS])
    assert [total for total, _ in found] == pytest.approx([each.total for each in expected], rel=1e-6)
    assert [greedy for _, greedy in found] == [each.greedy for each in expected]
    texts = ["a text", "another, longer " * 20]
    rolled = lm.loglikelihood_rolling(instances("loglikelihood_rolling", [(text,) for text in texts]), disable_tqdm=True)
    assert rolled == pytest.approx([each.total for each in alone.rolling(texts)], rel=1e-6)


def test_it_writes_until_a_stop_string(lm, model):
    """What `model.generate` writes, whose fifth letter then stops it."""
    text = model.generate("Which is", max_tokens=12, temperature=0.0)
    asked = [("Which is", {"until": [], "max_gen_toks": 12}), ("Which is", {"until": [text[4]], "max_gen_toks": 12, "do_sample": False})]
    assert lm.generate_until(instances("generate_until", asked), disable_tqdm=True) == [text, text[: text.index(text[4])]]


def test_settings_of_generation():
    asked = writing("a", {"until": "\n", "do_sample": False, "temperature": 0.7, "max_tokens": 5, "top_p": 1.0})
    assert asked == Writing("a", stop=("\n",), max_tokens=5)
    assert writing("a", {"temperature": 0.7}) == Writing("a", max_tokens=256, temperature=0.7)
    with pytest.raises(UserError, match="generate with top_p 0.9"):
        writing("a", {"top_p": 0.9})


def test_the_harness_finds_our_scores(lm, model, tmp_path):
    """A task of choices written for both, item by item to 1e-6: acc is our sum, acc_norm our char, and the errors are the same."""
    from lm_eval import simple_evaluate

    tasks = write_tasks(tmp_path / "tasks", items=10)
    config = {
        "task": "theirs",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tasks / "test.jsonl")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "Which is {{n}}?",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{label}}",
        "metric_list": [{"metric": name} for name in ("acc", "acc_norm")],
    }
    theirs = simple_evaluate(lm, tasks=[config], log_samples=True, bootstrap_iters=100)
    ours = evaluate(model, [str(tasks / "choose.yaml")], EvalSettings(rules="sum"), tmp_path / "out")[0]
    found = theirs["results"]["theirs"]
    for name, rule in (("acc", "sum"), ("acc_norm", "char")):
        assert found[f"{name},none"] == pytest.approx(ours.scores[rule]["value"], abs=1e-12)
        assert found[f"{name}_stderr,none"] == pytest.approx(ours.scores[rule]["error"], abs=1e-12)
    lines = [json.loads(line) for line in (tmp_path / "out" / "choose-0shot.jsonl").read_text().splitlines()]
    samples = sorted(theirs["samples"]["theirs"], key=lambda sample: sample["doc_id"])
    for line, sample in zip(lines, samples, strict=True):
        assert [float(answer[0][0]) for answer in sample["resps"]] == pytest.approx(line["logprobs"], abs=1e-6)


def test_a_model_without_a_tokenizer_is_refused(model, monkeypatch):
    monkeypatch.setattr(api, "load", lambda path, adapter=None: replace(model, tokenizer=None))
    with pytest.raises(UserError, match="no tokenizer"):
        TenfoldLM("tiny")
