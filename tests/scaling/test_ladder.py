"""A ladder that is climbed: the same however often it stops, and honest about what went wrong."""

import json
from dataclasses import replace
from functools import partial

import pytest

from tenfold.errors import UserError
from tenfold.scaling import ladder
from tenfold.scaling.ladder import ASIDE, DONE, climb, ladder_points, one_by_one, open_ladder, read_ladder, train_rung
from tenfold.scaling.points import chosen
from tenfold.scaling.rungs import rungs
from tenfold.scaling.timing import TIMING, time_rungs
from tenfold.train.run import read_run
from tiny_ladder import Killed, climbed, tiny_ladder


def entries(out) -> list[dict]:
    return json.loads((out / "ladder.json").read_text())["rungs"]


def test_each_rung_is_an_ordinary_run_of_shared_data(whole):
    for entry in entries(whole):
        run = read_run(whole / "rungs" / entry["name"])
        assert run.result["finished"] and run.result["parameters"] == entry["parameters"]
        assert entry["state"] == "done" and entry["loss"] < entry["start_loss"]
        assert not (run.path / "data" / "train").exists()
    assert [point.loss for point in ladder_points(whole)] == [entry["loss"] for entry in entries(whole)]


@pytest.mark.slow
def test_a_killed_ladder_continues_to_the_same_bytes(data, whole, tmp_path):
    ladder, out = tiny_ladder(data), tmp_path / "killed"
    names = [entry["name"] for entry in entries(whole)]
    with pytest.raises(KeyboardInterrupt):
        climbed(ladder, out, Killed(names=(names[1],)))
    assert [entry["state"] for entry in entries(out)] == ["done", "to do", "to do"]
    again = Killed()
    assert climbed(ladder, out, again)
    assert again.began == names[1:]
    assert (out / "ladder.json").read_bytes() == (whole / "ladder.json").read_bytes()
    for name in names:
        mine, theirs = (place / "rungs" / name / "metrics.jsonl" for place in (out, whole))
        assert mine.read_bytes() == theirs.read_bytes()


def test_a_finished_ladder_trains_nothing_and_may_grow(data, whole):
    again = Killed()
    assert climbed(tiny_ladder(data), whole, again)
    assert again.began == []
    assert read_ladder(whole) == tiny_ladder(data)
    open_ladder(tiny_ladder(data, sizes=(1, 2, 3, 4)), whole)
    with pytest.raises(UserError, match="is a ladder with sizes 3, which is not asked for"):
        open_ladder(tiny_ladder(data, sizes=(1, 2, 4)), whole)


def test_a_point_is_the_mean_of_its_seeds(data, tmp_path):
    """A ladder grows by seeds, not below those it has, and the laws read the mean loss; a seed that was set aside does not count."""
    assert climbed(tiny_ladder(data), tmp_path)
    again = Killed()
    assert climbed(replace(tiny_ladder(data), seeds=2), tmp_path, again)
    assert len(again.began) == 3 and all(name.endswith("-seed1") for name in again.began)
    losses = {entry["name"]: entry["loss"] for entry in entries(tmp_path)}
    points = ladder_points(tmp_path)
    assert len(points) == 3
    for point in points:
        one, other = losses[point.name], losses[f"{point.name}-seed1"]
        assert one != other and point.loss == pytest.approx((one + other) / 2)
    with pytest.raises(UserError, match="is a ladder of 2 seeds, and 1 asked for"):
        open_ladder(tiny_ladder(data), tmp_path)

    found = json.loads((tmp_path / "ladder.json").read_text())
    worst = next(entry for entry in found["rungs"] if entry["name"] == points[0].name)
    worst |= {"state": ASIDE, "loss": None, "reason": "diverged"}
    (tmp_path / "ladder.json").write_text(json.dumps(found))
    left = ladder_points(tmp_path)[0]
    assert (left.name, left.loss, left.fault) == (f"{points[0].name}-seed1", losses[f"{points[0].name}-seed1"], "")


def test_another_recipe_is_refused_by_name(data, whole):
    with pytest.raises(UserError, match=r"ladder of another recipe:\n    recipe\.optimizer\.learning_rate: 0\.003 there, 0\.1 asked for"):
        open_ladder(tiny_ladder(data, learning_rate=0.1), whole)
    with pytest.raises(UserError, match="dial: gpt3 there, nanochat asked for"):
        open_ladder(replace(tiny_ladder(data), dial="nanochat"), whole)


def test_a_folder_of_something_else_is_refused(data, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="holds no ladder.yaml"):
        open_ladder(tiny_ladder(data), tmp_path)
    with pytest.raises(UserError, match="is no ladder"):
        read_ladder(tmp_path)


def test_what_diverges_is_set_aside_with_its_reason(data, tmp_path):
    """A rate of 7 without clipping: the loss ends above where it began, or is no number any more."""
    opened = open_ladder(tiny_ladder(data, learning_rate=5.0, clip=0.0, warmup_tokens=0), tmp_path / "out")
    found = train_rung(opened, rungs(opened.ladder, opened.shared)[0], Killed())
    assert found and found["state"] == ASIDE and found["reason"].startswith("diverged: ")


def test_the_ladder_goes_on_without_what_diverged_and_does_not_train_it_again(data, tmp_path, monkeypatch):
    opened, trained = open_ladder(tiny_ladder(data), tmp_path / "out"), []

    def train_rung(opened, rung, watching):
        trained.append(rung.name)
        aside = len(trained) == 2
        return {
            "state": ASIDE if aside else DONE,
            "loss": None if aside else 6.0 - len(trained),
            "reason": "diverged: here" if aside else "",
        }

    monkeypatch.setattr(ladder, "train_rung", train_rung)
    made = rungs(opened.ladder, opened.shared)
    each = partial(one_by_one, watching=Killed())
    assert climb(opened, made, each) and climb(opened, made, each)
    assert trained == [rung.name for rung in made]
    assert [entry["state"] for entry in entries(opened.out)] == [DONE, ASIDE, DONE]
    with pytest.raises(UserError, match=rf"there are 2 to fit, as these were set aside:\n    {made[1].name}: diverged: here"):
        chosen(ladder_points(opened.out), embeddings=True)


def test_a_rung_is_timed_once(data, tmp_path):
    ladder = tiny_ladder(data)
    opened = open_ladder(ladder, tmp_path / "out")
    made = rungs(ladder, opened.shared, opened.parts)[:1]
    first = time_rungs(opened, made, set())
    before = (tmp_path / "out" / TIMING).read_bytes()
    assert first[0].seconds > 0 and time_rungs(opened, made, {made[0].name}) == [replace(first[0], done=True)]
    assert (tmp_path / "out" / TIMING).read_bytes() == before
    open_ladder(tiny_ladder(data, learning_rate=0.1), tmp_path / "out")
