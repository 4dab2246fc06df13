"""A model, tasks and numbers of shots to result files: what is asked, what is scored, what is refused, and what is not done twice."""

import math
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest

from made_tasks import tiny_model, write_tasks
from tenfold.errors import UserError
from tenfold.evaluate.engine import Engine
from tenfold.evaluate.loaded import find_tasks
from tenfold.evaluate.prompts import choose_shots, examples, requests
from tenfold.evaluate.requests import Writing, Written
from tenfold.evaluate.results import read_items, read_result
from tenfold.evaluate.run import Watch, describe, evaluate
from tenfold.evaluate.settings import EvalSettings
from tenfold.evaluate.task import read_task
from tenfold.model.config import ModelConfig

RULES = {"sum", "token", "byte", "char", "answer", "empty"}


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tasks(tmp_path_factory.mktemp("tasks"))


@pytest.fixture(scope="module")
def engine(model):
    return Engine(model, row=256)


class Counting(Engine):
    """An engine that says how often it was asked, and can be interrupted."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.calls, self.ends_at = 0, 99

    def score(self, requests, progress=None):
        self.calls += 1
        if self.calls > self.ends_at:
            raise KeyboardInterrupt
        return super().score(requests, progress)


def run(model, folder, out, *names, engine=None, watch=None, **settings):
    tasks = [str(folder / f"{name}.yaml") for name in names]
    return evaluate(model, tasks, EvalSettings(**settings), out, "tiny", watch, engine)


def test_a_later_tenfold_knows_todays_models(model):
    """A field that is added to the configuration changes no model's fingerprint, unless a model sets it."""

    @dataclass(frozen=True)
    class Later(ModelConfig):
        later: bool = False

    def fingerprint(**more):
        fields = {name: getattr(model.config, name) for name in model.config.__dataclass_fields__}
        return describe(replace(model, config=Later(**fields | more)))["fingerprint"]

    assert fingerprint() == describe(model)["fingerprint"] != fingerprint(later=True) and fingerprint(context=64) != fingerprint()


def test_one_pass_gives_every_rule(model, folder, engine, tmp_path):
    """Each item's numbers are the engine's answers to its requests asked alone; each rule's score is the mean of its items."""
    result = run(model, folder, tmp_path, "choose", engine=engine, shots="2")[0]
    assert (result.task, result.shots, result.items, result.own, result.chance) == ("choose", 2, 6, "answer", 0.5)
    assert RULES <= result.scores.keys() and result.model["parameters"] == describe(model)["parameters"]
    items = read_items(tmp_path / "choose-2shot.json")
    task = read_task(folder / "choose.yaml")
    pool = examples(task, (), "shots")
    for item, example in zip(items, examples(task), strict=True):
        shots = choose_shots(task, example, pool, 2, 0)
        asked = requests(task, example, shots)
        alone = [[each.total for each in engine.score(part)] for part in (asked.scored, asked.bare, asked.empty)]
        for found, expected in zip((item.logprobs, item.answer, item.empty), alone, strict=True):
            assert found == pytest.approx(expected, abs=1e-4)
        assert item.shots == tuple(shot.id for shot in shots) and item.shots[0].startswith("train/")
        assert item.picked["answer"] == int(np.argmax(np.subtract(alone[0], alone[1])))
    for rule in RULES:
        assert result.scores[rule]["value"] == pytest.approx(np.mean([item.picked[rule] == item.gold for item in items]))
    assert result.scores["answer"]["centred"] == pytest.approx(2 * result.scores["answer"]["value"] - 1)
    assert "\n\nWhich is 0?" in result.example["prompt"] and result.example["continuations"] == [" alpha", " delta é"]


def test_one_answer_is_right_where_it_is_the_likeliest(model, folder, engine, tmp_path):
    result = run(model, folder, tmp_path, "word", engine=engine)[0]
    items = read_items(tmp_path / "word-0shot.json")
    assert result.own == "accuracy" and set(result.scores) == {"accuracy", "perplexity"}
    assert result.scores["perplexity"]["value"] == pytest.approx(math.exp(-np.mean([item.logprobs[0] for item in items])))
    assert result.scores["accuracy"]["value"] == np.mean([item.greedy[0] for item in items])


def test_whole_texts_are_measured_in_bits_per_byte(model, folder, engine, tmp_path):
    """A token a byte, so the tokens are the bytes; two words each."""
    result = run(model, folder, tmp_path, "text", engine=engine)[0]
    nats = -sum(each.total for each in engine.rolling([e.question for e in examples(read_task(folder / "text.yaml"))]))
    bytes = sum(len(e.question) for e in examples(read_task(folder / "text.yaml")))
    assert result.own == "bits_per_byte" and result.chance is None
    assert result.scores["bits_per_byte"]["value"] == pytest.approx(nats / math.log(2) / bytes)
    assert result.scores["word_perplexity"]["value"] == pytest.approx(math.exp(nats / 12))
    assert result.scores["token_perplexity"]["value"] == pytest.approx(math.exp(nats / bytes))


def test_written_answers_are_marked(model, folder, tmp_path):
    """What is written after each prompt is compared with its own item's answers."""

    class Writes(Engine):
        def write(self, requests, progress=None):
            asked.extend(requests)
            return [Written((f" {name}",), cut=2) for name in ("alpha", "beta", "gamma", "delta", "epsilon", "wrong")]

    asked: list[Writing] = []
    result = run(model, folder, tmp_path, "answer", engine=Writes(model), shots="1")[0]
    assert [each.context.split("\n\n")[-1] for each in asked] == [f"Which is {n}?" for n in range(6)]
    assert {(each.max_tokens, each.stop) for each in asked} == {(4, ("\n",))}
    assert (result.own, result.cut, result.scores["exact"]["value"]) == ("exact", 6, pytest.approx(5 / 6))
    items = read_items(tmp_path / "answer-1shot.json")
    assert [(item.written[0], item.answers[0], item.score["exact"]) for item in items][-2:] == [
        (" epsilon", "epsilon", 1),
        (" wrong", "zeta", 0),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="programs are contained by Linux alone")
def test_programs_are_run_if_allowed(model, folder, tmp_path):
    """Two samples each: of the first item both are right, of the second one, of the others none."""

    class Writes(Engine):
        def write(self, requests, progress=None):
            return [Written(texts) for texts in (("0", "0"), ("1", "fault("), ("1", "7"), ("", ""), ("5", "5"), ("9", "9"))]

    with pytest.raises(UserError, match="program runs programs that the model writes"):
        run(model, folder, tmp_path, "program", engine=Writes(model))
    result = run(model, folder, tmp_path, "program", engine=Writes(model), run_code=True)[0]
    items = read_items(tmp_path / "program-0shot.json")
    assert [item.score["pass@1"] for item in items] == [1, 0.5, 0, 0, 0, 0] and result.scores["pass@1"]["value"] == 0.25
    assert items[0].ran == ("passed", "passed") and "SyntaxError" in items[1].ran[1] and result.own == "pass@1"


def test_an_interrupted_evaluation_goes_on_and_ends_the_same(model, folder, tmp_path):
    """Killed at the third of four results, the same call measures only those two; the files are those of one that ran through."""
    counting = Counting(model, row=256)
    counting.ends_at = 2
    with pytest.raises(KeyboardInterrupt):
        run(model, folder, tmp_path / "a", "choose", "word", engine=counting, shots="0,1")
    assert sorted(path.name for path in (tmp_path / "a").glob("*.json")) == ["choose-0shot.json", "choose-1shot.json"]
    counting.calls, counting.ends_at = 0, 99
    seen = []

    class Seen(Watch):
        def result(self, result, path, fresh):
            seen.append((path.name, fresh))

    run(model, folder, tmp_path / "a", "choose", "word", engine=counting, shots="0,1", watch=Seen())
    assert counting.calls == 2
    assert seen == [(f"{task}-{k}shot.json", task == "word") for task in ("choose", "word") for k in (0, 1)]
    run(model, folder, tmp_path / "b", "choose", "word", engine=counting, shots="0,1")
    for path in (tmp_path / "b").glob("*.jsonl"):
        assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes()


@pytest.mark.parametrize("change", ["model", "item", "seed", "nothing"])
def test_a_result_is_measured_again_when_what_it_depends_on_changed(model, folder, tmp_path, change):
    counting = Counting(model, row=256)
    copy = write_tasks(tmp_path / "tasks")
    run(model, copy, tmp_path / "out", "choose", engine=counting, shots="1")
    if change == "item":
        (copy / "test.jsonl").write_text((copy / "test.jsonl").read_text().replace('"label": 0', '"label": 1'))
    other = tiny_model(seed=1) if change == "model" else model
    run(other, copy, tmp_path / "out", "choose", engine=counting, shots="1", seed=int(change == "seed"))
    assert counting.calls == (1 if change == "nothing" else 2)
    assert ((tmp_path / "out" / "choose-1shot-seed1.json").exists()) == (change == "seed")


def test_a_limit_leaves_fewer_and_says_so(model, folder, engine, tmp_path):
    result = run(model, folder, tmp_path, "choose", engine=engine, limit=4)[0]
    assert (result.items, result.of, result.name) == (4, 6, "choose-0shot-limit4")
    assert read_result(tmp_path / "choose-0shot-limit4.json") == result


def test_rules_that_cost_can_be_left_out_but_never_the_tasks_own(model, folder, engine, tmp_path):
    result = run(model, folder, tmp_path, "choose", engine=engine, rules="sum")[0]
    assert RULES & result.scores.keys() == RULES - {"empty"}


def test_k_is_the_tasks_own_number(model, folder, engine, tmp_path):
    assert [each.shots for each in run(model, folder, tmp_path, "choose", engine=engine, shots="0,K,1,2")] == [0, 2, 1]


def test_cut_prompts_are_counted(folder, tmp_path):
    """A context of 24 tokens has no room for two shots."""
    short = tiny_model(context=24)
    assert run(short, folder, tmp_path, "choose", shots="0,2")[0].cut == 0
    assert run(short, folder, tmp_path, "choose", shots="2")[0].cut == 6


@pytest.mark.parametrize(
    "names, settings, message",
    [
        (["choose"], {"shots": "7"}, "is asked with 7 shots, but has 6 examples"),
        (["untrained"], {"shots": "1"}, "nowhere.jsonl"),
        (["choose"], {"shots": "1,x"}, "--shots is '1,x'"),
        (["choose"], {"limit": 0}, "--limit is 0"),
        (["choose"], {"seed": -1}, "--seed is -1"),
        (["choose"], {"rules": "sum,acc_norm"}, "--rules names 'acc_norm'"),
        (["choose"], {"weights": "int4"}, "--weights is 'int4'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_measured(model, folder, tmp_path, names, settings, message):
    counting = Counting(model, row=256)
    with pytest.raises(UserError, match=message):
        run(model, folder, tmp_path, "text", "word", *names, engine=counting, **settings)
    assert counting.calls == 0 and not list(tmp_path.iterdir())


def test_models_that_cannot_be_asked_are_refused(model, folder, tmp_path):
    with pytest.raises(UserError, match="no tokenizer"):
        run(replace(model, tokenizer=None), folder, tmp_path, "choose")
    with pytest.raises(UserError, match="causal is False"):
        run(replace(model, config=replace(model.config, causal=False)), folder, tmp_path, "choose")


def test_names_may_hold_stars_and_commas():
    found = find_tasks(["piqa*,lambada", "piqa"])
    assert found[-1] == "lambada" and {"piqa", "piqa_gpt3"} <= {*found} and found.count("piqa") == 1
    with pytest.raises(UserError, match="no task is called like 'nothing"):
        find_tasks(["nothing*"])


@pytest.mark.parametrize(
    "name, change",
    [
        ("choose", ("gold: label", "gold: label\nanswer_context: 'A:'")),
        ("text", ("question:", "counted: '{{word}}'\nquestion:")),
        ("choose", ("gold: label", "gold: 1 - label")),
    ],
)
def test_a_result_is_measured_again_when_its_task_changed(model, folder, engine, tmp_path, name, change):
    """Also in what no prompt shows: what the rule "answer" divides by, the text whose bytes count, the right answer."""
    copy = write_tasks(tmp_path / "tasks")
    before = run(model, copy, tmp_path / "out", name, engine=engine)[0]
    path, items = copy / f"{name}.yaml", tmp_path / "out" / f"{name}-0shot.jsonl"
    said = items.read_bytes()
    path.write_text(path.read_text().replace(*change))
    after = run(model, copy, tmp_path / "out", name, engine=engine)[0]
    assert before.key != after.key and said != items.read_bytes()


def test_items_of_another_run_are_not_taken_for_this_ones(model, folder, engine, tmp_path):
    """A process was killed after it wrote the items and before it wrote the scores, over a result of another model."""
    out = tmp_path / "out"
    first = run(model, folder, out, "choose", engine=engine)[0]
    whole, scores = read_items(out / "choose-0shot.json"), (out / "choose-0shot.json").read_bytes()
    run(tiny_model(seed=1), folder, out, "choose")
    (out / "choose-0shot.json").write_bytes(scores)
    assert run(model, folder, out, "choose", engine=engine)[0].scores == first.scores
    assert [item.picked for item in read_items(out / "choose-0shot.json")] == [item.picked for item in whole]


def test_what_would_fail_at_its_turn_is_refused_at_the_start(model, folder, tmp_path):
    """Two tasks of one name, a folder that cannot be written, texts that the model has no room for, shots that are all but the item."""
    counting, copy = Counting(model, row=256), write_tasks(tmp_path / "tasks")
    tasks = [str(folder / "choose.yaml"), str(copy / "choose.yaml")]
    with pytest.raises(UserError, match="are both called choose"):
        evaluate(model, tasks, EvalSettings(), tmp_path / "out", engine=counting)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to .*file"):
        run(model, copy, tmp_path / "file", "choose", engine=counting)
    (copy / "answer.yaml").write_text((copy / "answer.yaml").read_text().replace("max_tokens: 4", "max_tokens: 192"))
    with pytest.raises(UserError, match="answer writes up to 192 tokens (.|\n)* at most 191"):
        run(model, copy, tmp_path / "out", "choose", "answer", engine=counting)
    (copy / "word.yaml").write_text((copy / "word.yaml").read_text().replace("shots_from: {path: train.jsonl, split: train}\n", ""))
    with pytest.raises(UserError, match="word has 5 examples to show before item test/0, and 6 are asked for"):
        run(model, copy, tmp_path / "out", "choose", "word", engine=counting, shots="6")
    assert counting.calls == 0 and not (tmp_path / "out").exists()
