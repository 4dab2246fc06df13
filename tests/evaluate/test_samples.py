"""Columns are measured alike: cut to one length, the model's own first, beside people's text and any other."""

import json
import random
from pathlib import Path

import pytest

from tenfold.corpus.normalise import normalise
from tenfold.errors import UserError
from tenfold.evaluate.engine import Engine
from tenfold.evaluate.good_text import cut
from tenfold.evaluate.prefix import by_position
from tenfold.evaluate.requests import Likelihood, Writing, Written
from tenfold.evaluate.samples import SamplesSettings, _columns, read_texts, run


def prose(seed: int, words: int = 150) -> str:
    chosen = random.Random(seed)
    return " ".join(f"word{chosen.randrange(900)}" for _ in range(words))


class Parrot:
    """Says the same few words again and again. A text costs it a bit a byte, and half of that after other text."""

    context = 300

    def write(self, requests):
        (asked,) = requests
        assert asked.max_tokens == 299, "not more than the model can"
        return [Written(tuple("so it goes, " * (40 + number) for number in range(asked.samples)))]

    def score(self, requests):
        bits = [len(each.text.encode()) * (0.5 if each.context else 1.0) for each in requests]
        return [Likelihood(-0.6931471805599453 * each, 1, False) for each in bits]


@pytest.fixture
def human(tmp_path) -> Path:
    folder = tmp_path / "people"
    folder.mkdir()
    for seed in range(6):
        (folder / f"{seed}.txt").write_text(prose(seed))
    return folder


def test_a_model_that_loops_is_told_from_people(human, tmp_path):
    (tmp_path / "gpt3.jsonl").write_text("\n".join(json.dumps(prose(seed, 130)) for seed in range(8)))
    settings = SamplesSettings(human=human, gpt3=tmp_path / "gpt3.jsonl", samples=5, scored=2)
    page = run(Parrot(), tmp_path / "out", settings, "parrot")
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    columns = {column["name"]: column for column in result["columns"]}
    assert list(columns) == ["parrot", "people", "GPT-3 175B"] and result["words"] == 100
    assert columns["parrot"]["repeated"]["4"]["value"] > 0.9 > columns["people"]["repeated"]["4"]["value"]
    assert [(each["texts"], each["of"]) for each in columns.values()] == [(5, 5), (5, 6), (5, 8)]
    samples = [json.loads(line)["text"] for line in (tmp_path / "out" / "samples.jsonl").read_text().splitlines()]
    assert samples == list(Parrot().write([SamplesWriting(5)])[0].texts), "whole, to be given as texts again"
    text = page.read_text()
    assert "so it goes" in text and "repeated 4-word runs" in text and "What the text before is worth" in text
    again = run(None, tmp_path / "again", SamplesSettings(texts=tmp_path / "out" / "samples.jsonl", human=human, samples=5, words=100))
    repeated = json.loads((again.parent / "result.json").read_text())["columns"][0]
    assert repeated["repeated"] == columns["parrot"]["repeated"] and "model" not in repeated


def test_texts_named_as_the_model_do_not_take_its_place(human, tmp_path):
    (tmp_path / "parrot.jsonl").write_text("\n".join(json.dumps(prose(seed)) for seed in range(3)))
    columns = _columns(Parrot(), tmp_path, SamplesSettings(texts=tmp_path / "parrot.jsonl", human=human, samples=2), "parrot", None)
    assert list(columns) == ["parrot", "parrot (texts)", "people"]
    assert columns["parrot"][0].startswith("so it goes") and len(columns["parrot (texts)"]) == 3


def test_texts_shorter_than_a_part_are_measured_without_likelihoods(human, tmp_path):
    page = run(Parrot(), tmp_path / "out", SamplesSettings(human=human, samples=3, words=30), "parrot")
    columns = json.loads((tmp_path / "out" / "result.json").read_text())["columns"]
    assert page.exists() and [(each["texts"], "model" in each) for each in columns] == [(3, False), (3, False)]


class SamplesWriting:
    max_tokens = 299

    def __init__(self, samples: int):
        self.samples = samples


def test_what_the_text_before_is_worth():
    """Each part costs half a bit a byte after its text and one bit alone; the first has no text before it."""
    found = by_position(Parrot().score, [prose(1, 150)], part=50)
    values = {name: [each["value"] for each in parts] for name, parts in found.items()}
    assert values["alone"] == pytest.approx([1, 1, 1]) and len(values["given"]) == 3
    assert values["given"][0] == pytest.approx(1) and values["given"][1] == pytest.approx(0.5, abs=0.01)
    assert values["gain"][1:] == pytest.approx([0.5, 0.5], abs=0.01)


def test_texts_are_read_from_strings_and_objects(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text('"one<|endoftext|>\\n\\nand then<|endoftext|>"\n{"text": "two", "more": 1}\n\n')
    assert read_texts(path) == ["one", "and then", "two"]
    for line in ("{}", "[1]", "oops", '{"text": 3}'):
        path.write_text('"one"\n' + line)
        with pytest.raises(UserError, match="texts.jsonl:2 is no text"):
            read_texts(path)
    with pytest.raises(UserError, match="cannot read"):
        read_texts(tmp_path / "none.jsonl")


def test_what_cannot_be_measured_is_refused(human, tmp_path):
    with pytest.raises(UserError, match="nothing to measure"):
        run(None, tmp_path / "out", SamplesSettings())
    with pytest.raises(UserError, match="'people' has 0 texts of 400 words"):
        run(None, tmp_path / "out", SamplesSettings(human=human, words=400))
    for name, value in (("samples", 1), ("max_tokens", 0), ("words", 10), ("workers", 0), ("scored", -1)):
        with pytest.raises(UserError, match=f"{name} is {value}"):
            SamplesSettings(**{name: value})


@pytest.mark.slow
def test_a_real_model_writes_and_reads(tiny_model, human, tmp_path):
    """Through the engine: the texts it writes, and what texts cost it. A model of random weights gains next to nothing by a beginning."""
    settings = SamplesSettings(human=human, samples=4, max_tokens=60, scored=2, words=60)
    engine = Engine(tiny_model(context=512))
    wanted = engine.write([Writing("", max_tokens=60, temperature=1.0, samples=4)])[0].texts
    columns = _columns(engine, tmp_path, settings, "tiny", None)
    assert columns["tiny"] == normalise(list(wanted)) and len(set(wanted)) == 4
    found = by_position(engine.score, cut(columns["people"], 60)[:2], part=20)
    assert len(found["gain"]) == 3 and found["gain"][0]["value"] == pytest.approx(0, abs=1e-4)
    assert all(abs(each["value"]) < 1 < given["value"] for each, given in zip(found["gain"], found["given"], strict=True))
