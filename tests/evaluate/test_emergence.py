"""A ladder is asked a task, coarsely and finely: known answers give known scores, and nothing is asked twice."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from made_tasks import tiny_model, write_tasks
from tenfold import api
from tenfold.errors import UserError
from tenfold.evaluate.emergence import emergence, find_models, find_probes
from tenfold.evaluate.requests import Likelihood, Written
from tenfold.evaluate.run import Watch
from tenfold.evaluate.settings import EvalSettings
from tenfold.recipes.emergence_road import emerge

SKILL = {"a": 0.0, "b": 0.0, "c": 0.0, "d": 0.25, "e": 0.5, "f": 0.75}  # of each model, small to large
FLOPS = {name: 1e12 * 10**place for place, name in enumerate(SKILL)}


def write_ladder(folder: Path, names=SKILL, broken: str = "") -> Path:
    """ladder.json of models that were never trained."""
    entries = [
        {
            "name": name,
            "state": "set aside" if name == broken else "done",
            "loss": None if name == broken else 3.0,
            "reason": "diverged: its loss is nan" if name == broken else "",
            **{"tokens": 1e6, "flops": FLOPS[name], "parameters": 1e5, "non_embedding": 1e4},
            **{"bits_per_byte": 1.0, "batch": 512, "learning_rate": 1e-3},
        }
        for name in names
    ]
    folder.mkdir(exist_ok=True)
    (folder / "ladder.json").write_text(json.dumps({"tokenizer": "t", "data": "d", "rungs": [*entries, {"name": "g", "state": "to do"}]}))
    return folder


def write_sums(folder: Path, items: int = 60) -> str:
    file = folder / "sums.yaml"
    file.write_text(f"like: arithmetic_2da\nabout: sums\ntest: {{made: two_digit_addition, items: {items}}}\n")
    return str(file)


class Adds:
    """Answers a share of sums rightly; of the others, the first letters."""

    def __init__(self, skill: float):
        self.skill = skill

    def _says(self, context: str) -> tuple[str, bool]:
        a, b = map(int, re.findall(r"What is (\d+) plus (\d+)\?", context)[-1])
        right = (7 * a + 13 * b) % 100 < 100 * self.skill
        return (str(a + b) if right else f"{str(a + b)[:-1]}x"), right

    def score(self, requests, progress=None):
        found = []
        for each in requests:
            said, right = self._says(each.context) if "What is" in each.context else ("", False)
            own = each.text.strip() == said
            found.append(Likelihood(-0.1 if own else -5.0, len(each.text), own))
        return found

    def write(self, requests, progress=None):
        return [Written((" " + self._says(each.context)[0],)) for each in requests]


@pytest.fixture
def asked(tmp_path):
    """asked(answering) -> what is found of six made-up models on sums, without shots and with two."""
    points, aside = find_models([write_ladder(tmp_path / "ladder")])
    settings = EvalSettings(shots="0,2")
    probes = find_probes([write_sums(tmp_path)], settings)
    model = tiny_model()

    def ask(answering):
        def load(path: Path):
            return replace(model, params={**model.params, "name": np.full(1, ord(path.name))})

        return emergence(points, probes, settings, load, lambda point: Watch(), aside, answering)

    return ask


def test_known_answers_have_known_scores(asked, tmp_path):
    skills = iter(SKILL.values())
    found = asked(lambda model: Adds(next(skills)))
    task = found["tasks"][0]
    none, two = task["shots"]
    assert [model["flops"] for model in found["models"]] == list(FLOPS.values()) and (none["shots"], two["shots"]) == (0, 2)
    measures = none["measures"]
    exact = measures["exact"]["value"]
    assert exact[:3] == [0, 0, 0] and exact[3:] == pytest.approx([0.25, 0.5, 0.75], abs=0.15)
    letters = measures["letters"]["value"]
    assert letters[0] == pytest.approx(letters[1]) and 0.4 < letters[0] < 0.7 < letters[5] < 1, "all but the last letter is right"
    assert measures["logprob"]["value"][0] == -5 and measures["logprob"]["centred"][0] == 0
    assert measures["brier"]["value"][0] == pytest.approx(0.75) and measures["brier"]["centred"][0] == pytest.approx(0)
    assert measures["exact"]["chance"][0] == 0 and 0 < measures["letters"]["chance"][0] < letters[0]
    assert none["verdict"] == "appears", none["why"]
    assert none["tested"] == [0, 1, 2, 3, 4, 5]
    assert measures["exact"]["bend"]["low"] <= 14.5 and [row["slope"] for row in task["examples"]][:3] == [0, 0, 0]
    names = {path.name for path in (tmp_path / "ladder" / "rungs" / "f" / "eval").glob("*.json")}
    assert names == {f"sums-{probe}-{k}shot.json" for probe in ("among", "written") for k in (0, 2)}
    json.dumps(found, allow_nan=False)


def test_what_was_asked_is_not_asked_again(asked):
    skills = iter(SKILL.values())
    found = asked(lambda model: Adds(next(skills)))
    assert asked(lambda model: object()) == found


def test_models_are_ordered_by_compute_and_those_set_aside_say_why(tmp_path):
    ladder = write_ladder(tmp_path / "ladder", ("c", "a", "b"), broken="b")
    points, aside = find_models([ladder])
    assert [point.name for point in points] == ["a", "c"] and [(point.name, point.fault) for point in aside] == [
        ("b", "diverged: its loss is nan")
    ]
    other = write_ladder(tmp_path / "other", ("a",))
    points, _ = find_models([ladder, other])
    assert [Path(point.name).parts[-3:] for point in points if point.name != "c"] == [("ladder", "rungs", "a"), ("other", "rungs", "a")]


def test_what_cannot_be_asked_is_refused(tmp_path):
    ladder = write_ladder(tmp_path / "ladder", ("a",))
    with pytest.raises(UserError, match="rungs/a is named twice"):
        find_models([ladder, ladder])
    with pytest.raises(UserError, match="there is no trained model to ask:\n    a: diverged"):
        find_models([write_ladder(tmp_path / "broken", ("a",), broken="a")])
    (tmp_path / "points.csv").write_text("name,tokens,loss,parameters\na,1,2,3\n")
    with pytest.raises(UserError, match="points.csv is a table"):
        find_models([tmp_path / "points.csv"])


def test_the_command_writes_its_files_and_says_the_verdict(tmp_path, monkeypatch):
    """Two models and a task of choices, on a real engine: scores, and no verdict of two."""
    monkeypatch.setattr(api, "load", lambda path: tiny_model(seed=ord(Path(path).name)))
    ladder, tasks = write_ladder(tmp_path / "ladder", ("a", "b", "c"), broken="b"), write_tasks(tmp_path / "tasks")
    console = Console(file=io.StringIO(), width=100)
    assert emerge([ladder], [str(tasks / "choose.yaml")], EvalSettings(rules="sum"), console=console) == 0
    said = console.file.getvalue()
    assert "cannot tell: there are 2 models of different compute" in said and "b is set aside: diverged: its loss is nan." in said
    out = ladder / "emergence"
    assert {path.name for path in out.iterdir()} == {"emergence.json", "result.json", "report.html"}
    assert json.loads((out / "result.json").read_text())["verdicts"][0]["verdict"] == "unknown"
    measures = json.loads((out / "emergence.json").read_text())["tasks"][0]["shots"][0]["measures"]
    assert measures.keys() == {"exact", "logprob", "brier"} and measures["exact"]["chance"] == [0.5, 0.5]
