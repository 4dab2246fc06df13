"""The prediction: written once from small models alone, and what it was made from can be checked."""

import json
import os

import pytest

from tenfold.errors import UserError
from tenfold.recipes.ladder_road import page
from tenfold.scaling import prediction
from tenfold.scaling.ladder import DONE, open_ladder, write_ladder
from tenfold.scaling.prediction import PREDICTION, predict, read_prediction, target_of, verify
from tenfold.scaling.rungs import by_ratio, rungs
from tiny_ladder import entry, law, tiny_ladder

SIZES, TARGET = (2, 3, 4, 6, 8), 14


@pytest.fixture
def opened(data, tmp_path):
    """A ladder whose losses are made up, and follow a law."""
    found = open_ladder(tiny_ladder(data, sizes=SIZES), tmp_path / "ladder")
    write_ladder(found, [entry(rung, law(rung.flops)) for rung in rungs(found.ladder, found.shared)])
    return found


def change(opened, **changed) -> None:
    """Other figures in the last rung of ladder.json."""
    file = opened.out / "ladder.json"
    values = json.loads(file.read_text())
    values["rungs"][-1] |= changed
    file.write_text(json.dumps(values))


def test_it_finds_the_law_and_predicts_by_it(opened):
    found = predict(opened, TARGET)
    target = by_ratio(opened.ladder, TARGET, 0.2, opened.shared)
    assert found["law"] == "power-offset"
    assert found["loss"] == pytest.approx(law(target.flops), rel=0.005)
    assert found["interval"][0] <= found["loss"] <= found["interval"][1]
    assert found["bits_per_byte"] == pytest.approx(found["loss"] / 2)
    assert target_of(found) == target
    assert {"constants", "intervals", "equation"} <= found["fit"].keys() and found["date"] and found["data_hash"] == opened.data.fingerprint
    assert len(found["points"]) == 5 and read_prediction(opened.out) == found


def test_only_smaller_models_are_read(opened):
    before = predict(opened, TARGET)
    (opened.out / PREDICTION).unlink()
    values = json.loads((opened.out / "ladder.json").read_text())
    write_ladder(opened, [*values["rungs"], entry(by_ratio(opened.ladder, 20, 0.2, opened.shared), 0.001)])
    assert {**predict(opened, TARGET), "date": "", "digest": ""} == {**before, "date": "", "digest": ""}


def test_it_is_never_changed(opened):
    predict(opened, TARGET)
    file = opened.out / PREDICTION
    before = file.read_bytes()
    with pytest.raises(UserError, match="is there already, and a prediction is not changed"):
        predict(opened, TARGET + 1)
    with pytest.raises(UserError, match="is there already"):
        prediction._write_once(file, {"loss": 1.0})
    assert file.read_bytes() == before and not os.stat(file).st_mode & 0o222
    assert [each.name for each in opened.out.iterdir() if each.name.endswith(".partial")] == []
    file.chmod(0o644)
    file.write_text(before.decode().replace('"level": 0.95', '"level": 0.5'))
    with pytest.raises(UserError, match="has been changed since it was written"):
        read_prediction(opened.out)


def test_a_target_that_was_trained_or_is_small_is_no_prediction(opened):
    with pytest.raises(UserError, match="must be above the ladder's largest size, 8"):
        predict(opened, 8)
    (opened.out / "rungs" / "size14-0.2x").mkdir(parents=True)
    with pytest.raises(UserError, match="size 14 has been trained, so nothing said of it now is a prediction"):
        predict(opened, TARGET)


@pytest.mark.parametrize(
    "losses, said",
    [
        ((5.0, 4.0, None, None, None), "needs at least 3 points"),
        ((3.0, 3.1, 3.2, 3.3, 3.4), "needs at least 3 points"),
        ((3.0, 3.0, 3.0, 3.0, 3.0), "needs at least 3 points"),
    ],
)
def test_points_that_give_no_law_are_refused_and_the_page_says_why(opened, losses, said):
    made = rungs(opened.ladder, opened.shared)
    write_ladder(opened, [entry(r, loss, "" if loss else "diverged: here") for r, loss in zip(made, losses, strict=True)])
    with pytest.raises(UserError, match=said):
        predict(opened, TARGET)
    assert not (opened.out / PREDICTION).exists()
    shown = page(opened.out).read_text()
    assert "<h2>Laws</h2>" in shown and said in shown and ("diverged: here" in shown) == (None in losses)


def test_verify_trains_the_target_as_it_was_predicted_and_reports_the_error(opened, monkeypatch):
    said = predict(opened, TARGET)
    trained = []

    def train_rung(opened, rung, watching):
        trained.append(rung)
        return {"state": DONE, "loss": said["loss"] / 1.01, "bits_per_byte": 1.0, "start_loss": 6.0, "reason": ""}

    monkeypatch.setattr(prediction, "train_rung", train_rung)
    found = verify(opened, lambda path: None)
    assert trained == [target_of(said)]
    assert found["error"] == pytest.approx(0.01) and found["changes"] == []
    assert found["inside"] == (said["interval"][0] <= said["loss"] / 1.01 <= said["interval"][1])
    assert verify(opened, lambda path: None) == found and len(trained) == 1
    assert "+1.00%" in page(opened.out).read_text()


def test_verify_says_when_the_points_have_changed(opened, monkeypatch):
    said = predict(opened, TARGET)
    done = {"state": DONE, "loss": said["loss"], "bits_per_byte": 1.0, "start_loss": 6.0, "reason": ""}
    monkeypatch.setattr(prediction, "train_rung", lambda *_: done)
    change(opened, loss=2.5)
    assert verify(opened, lambda path: None)["changes"] == ["The points that the prediction came from have changed since."]
    change(opened, name="another")
    assert "which the ladder has no more" in verify(opened, lambda path: None)["changes"][0]


def test_a_target_that_is_stopped_or_diverges(opened, monkeypatch):
    predict(opened, TARGET)
    monkeypatch.setattr(prediction, "train_rung", lambda *_: None)
    assert verify(opened, lambda path: None) is None
    lost = {"state": "set aside", "loss": None, "bits_per_byte": None, "start_loss": 6.0, "reason": "diverged: so"}
    monkeypatch.setattr(prediction, "train_rung", lambda *_: lost)
    found = verify(opened, lambda path: None)
    assert found["error"] is None and not found["inside"]
    assert "diverged: so" in page(opened.out).read_text()


def test_without_a_prediction_there_is_nothing_to_verify(opened):
    with pytest.raises(UserError, match="predict before the large run"):
        verify(opened, lambda path: None)
