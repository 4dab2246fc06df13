"""A score: repeats to the byte, goes on where it stopped, asks for nothing twice, and refuses what cannot be scored."""

import json
from pathlib import Path

import pytest

from made_fusion_score import TEST, TRAIN, rote, write_lines
from tenfold.codefusion.candidates import open_candidates, told_apart
from tenfold.codefusion.recipe import FusionRecipe, FusionTraining
from tenfold.codefusion.score import score
from tenfold.codefusion.score_settings import ScoreSettings
from tenfold.codefusion.settings import Sampling
from tenfold.errors import UserError
from tenfold.report.codefusion import score_page
from tenfold.train.recipe import save_recipe


@pytest.fixture
def scored(tmp_path, monkeypatch):
    """`scored(candidates, out, **settings)`: what a score of these finds, on five items of which one is in training."""
    write_lines(tmp_path / "test.jsonl", TEST)
    write_lines(tmp_path / "train.jsonl", TRAIN)
    monkeypatch.chdir(tmp_path)

    def run(candidates, out="out", sampling=None, **settings):
        monkeypatch.setattr("tenfold.codefusion.score.open_candidates", lambda runs: candidates)
        how = Sampling(steps=2, samples=3, batch=2, **(sampling or {}))
        said = {"data": "test.jsonl", "language": "python", "train": ("train.jsonl",), "speed_rounds": 0} | settings
        return score(["run"], ScoreSettings(sampling=how, **said), tmp_path / out, lambda *_: None)

    return run


def files(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*.json*") if path.name != "result.json"}


def test_figures_by_hand(scored):
    """Samples of item i are codes i, i + 2 and i + 4 of five: the first is right on the first four items, the last item by none."""
    found, _ = scored([rote()])
    ours, baseline = found["columns"]
    assert found["data"]["items"] == 5 and found["data"]["new"] == 4 and found["tops"] == [1, 3]
    everything, new = ours["splits"]["all"], ours["splits"]["new"]
    assert everything["scores"]["ast"]["1"]["value"] == 4 / 5 and new["scores"]["ast"]["3"]["value"] == 3 / 4
    assert everything["valid"]["all"]["value"] == pytest.approx(1 - 3 / 15) and everything["diversity"]["different"]["value"] == 1
    assert (
        baseline["splits"]["all"]["scores"]["exact"]["1"]["value"] == 1 / 5
        and baseline["splits"]["new"]["scores"]["ast"]["3"]["value"] == 0
    )
    less = next(row for row in found["paired"] if (row["split"], row["what"]) == ("all", "ast@1"))
    assert (less["first"], less["second"], less["worse"], less["better"]) == ("rote", "retrieval", 3, 0)
    assert less["value"] == pytest.approx(-3 / 5)


def test_lines_hold_each_item_and_its_answers(scored, tmp_path):
    scored([rote()])
    rows = [json.loads(line) for line in (tmp_path / "out" / "rote.jsonl").read_text().splitlines()]
    assert [row["gold"] for row in rows] == [code for _, code in TEST] and [row["new"] for row in rows] == [False] + [True] * 4
    assert rows[0]["codes"] == ["x.sort()", "f = open(path)", "x.sort("] and rows[0]["scores"]["valid"] == [1, 1, 0]
    assert rows[0]["bounds"] == [0, 2, 4]


def test_the_same_command_writes_the_same_bytes_and_asks_nothing_again(scored, tmp_path):
    first, again = rote(), rote()
    scored([first], curve=(1, 4))
    before = files(tmp_path / "out")
    scored([again], curve=(1, 4))
    assert files(tmp_path / "out") == before and len(first.model.asked) == 15 and again.model.asked == []
    scored([rote()], out="elsewhere", curve=(1, 4))
    assert files(tmp_path / "elsewhere") == before


def test_what_was_stopped_goes_on(scored, tmp_path):
    """Two of five items were finished, and a line was half written: three are asked, and the bytes are as if nothing had happened."""
    with pytest.raises(KeyboardInterrupt):
        scored([rote(stops=3)])
    (kept,) = (tmp_path / "out" / "samples").iterdir()
    kept.write_text(kept.read_text() + '{"place": 2, "cod')
    later = rote()
    scored([later])
    assert later.model.asked == [2, 3, 4]
    scored([rote()], out="elsewhere")
    assert files(tmp_path / "out") == files(tmp_path / "elsewhere")


def test_more_items_cost_only_what_is_new_and_other_settings_cost_all(scored):
    for asked, settings in ((2, {"limit": 2}), (3, {}), (5, {"sampling": {"seed": 1}})):
        candidate = rote()
        scored([candidate], **settings)
        assert len(candidate.model.asked) == asked


def test_kinds_take_the_settings_they_have(scored):
    """Steps are nothing to a model that writes token by token, and at most the tokens of a masked one; curves are of those with steps."""
    models = [rote(kind, kind) for kind in ("codefusion", "masked", "autoregressive")]
    found, _ = scored(models, sampling={"eta": 0.0, "temperature": 0.5}, curve=(1, 18, 40), curve_limit=3)
    settings = {column["name"]: column["settings"] for column in found["columns"] if "settings" in column}
    assert [settings[kind]["steps"] for kind in settings] == [2, 2, None]
    assert [settings[kind]["eta"] for kind in settings] == [0.0, 1.0, 1.0]
    assert [settings[kind]["temperature"] for kind in settings] == [1.0, 0.5, 0.5]
    assert {curve["name"]: [point["steps"] for point in curve["points"]] for curve in found["curves"]} == {
        "codefusion": [1, 18],
        "masked": [1],
    }
    few, many = found["curves"][0]["points"]
    assert found["curves"][0]["items"] == 3 and many["less"]["ast"]["1"]["value"] == 0
    assert few["less"]["ast"]["3"]["value"] == pytest.approx(few["scores"]["ast"]["3"]["value"] - many["scores"]["ast"]["3"]["value"])


def test_looks_on_the_way_come_nearer_to_the_end(scored):
    found, _ = scored([rote()], sampling={"frames": 2}, frame_items=4)
    (looks,) = found["frames"]
    assert looks["items"] == 4 and looks["steps"] == [10, 0]
    assert looks["edits"][0]["value"] == pytest.approx(0.5, abs=0.05) and looks["edits"][1]["value"] == 0
    assert looks["examples"][0]["looks"][-1] in [row[1] for row in TEST]


def test_speed_is_of_a_batch_and_of_one(scored):
    _, result = scored([rote(), rote("other", "autoregressive")], speed_rounds=2)
    assert [(row["name"], row["batch"], row["steps"]) for row in result["speed"]] == [
        ("rote", 2, 2),
        ("rote", 1, 2),
        ("other", 2, None),
        ("other", 1, None),
    ]
    for row in result["speed"]:
        assert 0 < row["least"] <= row["seconds"] <= row["most"] and row["bytes"] == 2**20 * row["batch"]
        assert row["snippets_per_second"] == pytest.approx(row["batch"] / row["seconds"])


def test_the_page_shows_it_all_and_escapes_it(scored, tmp_path):
    write_lines(tmp_path / "test.jsonl", [("<script>alert(1)</script>", "x.sort()"), *TEST])
    scored([rote(), rote("b/rote", "masked")], curve=(1, 2), sampling={"frames": 2}, speed_rounds=1)
    page = score_page(tmp_path / "out").read_text()
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page
    for said in (
        "All items",
        "both not in training",
        "Few steps or many",
        "less its score at 2 steps",
        "Out of noise",
        "Speed",
        "b/rote less rote",
        "@keyframes",
    ):
        assert said in page


def test_a_page_of_no_score_is_refused(tmp_path):
    with pytest.raises(UserError, match="scores.json is missing"):
        score_page(tmp_path)
    (tmp_path / "scores.json").write_text("{}")
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(UserError, match="damaged scores: KeyError"):
        score_page(tmp_path)


def test_a_damaged_file_of_samples_is_named(scored, tmp_path):
    scored([rote()])
    (kept,) = (tmp_path / "out" / "samples").iterdir()
    kept.write_text("nonsense\n" + kept.read_text())
    with pytest.raises(UserError, match=r"samples/rote-.*jsonl:1 is damaged"):
        scored([rote()])


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"language": "excel"}, "language is 'excel'.\n  Give bash, python, or cf"),
        ({"data": ""}, "no test pairs are named"),
        ({"train": ()}, "no training pairs are named, so nobody knows which test items are new"),
        ({"data": "nowhere.jsonl"}, "nowhere.jsonl cannot be read"),
        ({"language": "cf"}, r"only 0 of 5 codes can be read as cf.\n  Say --language python, which reads 5 of them."),
        ({"sampling": {"frames": 3}}, "frames is 3, which does not divide steps 2"),
        ({"embeddings": "nowhere"}, "nowhere"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_anything_is_asked(scored, tmp_path, settings, message):
    candidate = rote()
    with pytest.raises(UserError, match=message):
        scored([candidate], **settings)
    assert candidate.model.asked == [] and not (tmp_path / "out").exists()


def test_more_steps_than_a_model_has_are_refused():
    with pytest.raises(UserError, match="steps is 50, but the model has 20"):
        rote().settings(Sampling(steps=50))


def test_a_line_of_another_language_is_named(scored, tmp_path):
    (tmp_path / "test.jsonl").write_text('{"text": "list", "code": "ls", "language": "bash"}\n')
    with pytest.raises(UserError, match="test.jsonl, 1: language is 'bash', but 'python' is to be scored"):
        scored([rote()])


def test_training_without_texts_gives_no_baseline(scored, tmp_path):
    (tmp_path / "train.jsonl").write_text('{"code": "x.sort()"}\n')
    with pytest.raises(UserError, match="no line has a text to be near to.\n  Name pairs, or say --no-retrieval"):
        scored([rote()])
    found, _ = scored([rote()], retrieval=False)
    assert found["data"]["new"] == 4 and [column["name"] for column in found["columns"]] == ["rote"]


def test_nothing_to_score_is_refused(scored):
    with pytest.raises(UserError, match="no run is named, and no baseline is asked for"):
        scored([], retrieval=False)


@pytest.mark.parametrize(
    "wrong, message",
    [({"limit": 0}, "limit is 0"), ({"curve": (4, 0)}, "curve names 0 steps"), ({"speed_rounds": -1}, "speed_rounds is -1")],
)
def test_settings_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(UserError, match=message):
        ScoreSettings(**wrong)


def test_a_run_without_pairs_and_a_run_named_twice_are_refused(tmp_path):
    for name, tasks in (("first", ("code", "denoising")), ("second", ("pairs",))):
        (tmp_path / name).mkdir()
        save_recipe(FusionRecipe(name, train=FusionTraining(tasks=tasks)), tmp_path / name / "recipe.yaml")
    with pytest.raises(UserError, match=r"first was trained on code alone \(train.tasks code denoising\).*\n  Train it on pairs first"):
        open_candidates([str(tmp_path / "first")])
    with pytest.raises(UserError, match="second is named twice"):
        open_candidates([str(tmp_path / "second")] * 2)


def test_runs_are_told_apart_by_their_folders_and_from_the_baseline():
    assert told_apart([Path("/a/one/run"), Path("/a/two/run")]) == ["one/run", "two/run"]
    assert told_apart([Path("/a/together")]) == ["a/together"]
    assert told_apart([Path("/a/retrieval")]) == ["a/retrieval"] and told_apart([Path("/a/b")]) == ["b"]
