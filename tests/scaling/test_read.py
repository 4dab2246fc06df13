"""Points from run directories and from tables; what is broken is named."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.flops import train_flops_per_token
from tenfold.model.params import model_params, parameter_count
from tenfold.scaling.fit import fit
from tenfold.scaling.read import embedding_parameters, read_curves, read_points, read_table
from tenfold.train.recipe import OptimizerConfig, Recipe, TrainConfig, save_recipe

MODEL = ModelConfig(layers=2, embed=32, heads=2, context=16, vocab=300)


def write_run(path: Path, held=(4.0, 3.5, 3.2), finished: bool = True, bits: bool = True, **changes) -> Path:
    """A run directory as `train` leaves it: 30 steps of 64 tokens, with held-out losses every 10 steps."""
    path.mkdir(parents=True)
    recipe = Recipe(path.name, model=MODEL, optimizer=OptimizerConfig(learning_rate=1e-3), train=TrainConfig(steps=30, batch=4))
    save_recipe(replace(recipe, **changes), path / "recipe.yaml")
    rows = []
    for i, loss in enumerate(held, start=1):
        rows += [{"step": 10 * i, "tokens": 640 * i, "loss": loss + 0.1}]
        rows += [{"step": 10 * i, "held_out_loss": loss} | ({"held_out_bits_per_byte": loss / 2} if bits else {})]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (path / "data.json").write_text('{"fingerprint": "0123456789abcdef"}')
    if finished is not None:
        result = {"command": "train", "finished": finished, "steps": 30, "tokens": 1920, "parameters": parameter_count(MODEL)}
        (path / "result.json").write_text(json.dumps(result))
    return path


def test_a_runs_point_is_what_its_files_say(tmp_path):
    point = read_points([write_run(tmp_path / "small")])[0]
    assert (point.name, point.tokens, point.loss, point.bits_per_byte) == ("small", 1920, 3.2, 1.6)
    assert (point.batch, point.learning_rate, point.data, point.tokenizer) == (64, 1e-3, "0123456789abcdef", None)
    assert point.parameters == parameter_count(MODEL) and point.parameters - point.non_embedding == (300 + 16) * 32
    assert point.flops == train_flops_per_token(MODEL) * 1920
    assert point.fault == ""


@pytest.mark.parametrize(
    "change", [{}, {"tied": False}, {"positions": "rotary"}, {"token_types": 2}], ids=["learned", "untied", "rotary", "token types"]
)
def test_embeddings_are_the_tables_of_the_model(change):
    config = replace(MODEL, **change)
    tree = model_params(config)
    tables = sum(tree[name].size for name in ("embedding", "position", "token_type", "head") if name in tree)
    assert embedding_parameters(config) == tables


@pytest.mark.parametrize(
    "values, fault",
    [
        ({"finished": False}, "did not finish its 30 steps"),
        ({"finished": None}, "did not finish its 30 steps"),
        ({"held": ()}, "no held-out loss was measured"),
        ({"held": (4.0, 3.0, float("nan"))}, "diverged: its held-out loss is nan"),
        ({"held": (4.0, 3.0, 3.4)}, "rose to 3.4 from 3"),
        ({"start": "other"}, "goes on from other"),
    ],
)
def test_what_a_run_lacks_is_its_points_fault(values, fault, tmp_path):
    assert fault in read_points([write_run(tmp_path / "run", **values)])[0].fault


def test_a_directory_of_runs_gives_a_point_each(tmp_path):
    for name in ("b", "a"):
        write_run(tmp_path / "ladder" / name)
    assert [p.name for p in read_points([tmp_path / "ladder"])] == ["a", "b"]


def test_a_curve_is_the_held_out_loss_by_tokens(tmp_path):
    curve = read_curves([write_run(tmp_path / "run")])[0]
    assert curve.tokens_M.tolist() == [640, 1280, 1920] and curve.loss_M.tolist() == [4.0, 3.5, 3.2]
    assert len(read_curves([write_run(tmp_path / "none", held=())])[0].tokens_M) == 0


def test_tables_of_both_kinds_give_the_same_points(tmp_path):
    rows = [{"name": f"r{i}", "parameters": 1e6 * 4**i, "tokens": 2e7 * 4**i, "loss": 4 - i / 3, "colour": "red"} for i in range(4)]
    (tmp_path / "t.json").write_text(json.dumps({"points": rows}))
    (tmp_path / "t.csv").write_text("\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]))
    (tmp_path / "list.json").write_text(json.dumps(rows))
    points = read_points([tmp_path / "t.json"])
    assert points[1].flops == 6 * 4e6 * 8e7 and points[1].non_embedding is None
    assert [replace(p, path="") for p in points] == [replace(p, path="") for p in read_points([tmp_path / "t.csv"])]
    assert [replace(p, path="") for p in points] == [replace(p, path="") for p in read_points([tmp_path / "list.json"])]


def test_a_fits_record_reads_back_as_its_points(tmp_path):
    rows = [{"name": f"r{i}", "parameters": 1e6 * 4**i, "tokens": 2e7 * 4**i, "loss": 4 - i / 3} for i in range(4)]
    (tmp_path / "t.json").write_text(json.dumps(rows))
    found = fit("power", read_points([tmp_path / "t.json"]), bootstrap=0)
    (tmp_path / "fit.json").write_text(json.dumps(found.record()))
    assert read_points([tmp_path / "fit.json"]) == found.points


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("t.csv", "name,tokens,loss\na,1e9,3", "row 1 lacks a size"),
        ("t.csv", "parameters,loss\n1e6,3", "row 1 lacks tokens"),
        ("t.csv", "parameters,tokens,loss\n1e6,1e9,3\n1e6,lots,3", "row 2: tokens is 'lots'"),
        ("t.csv", "parameters,tokens,loss\n", "holds no points"),
        ("t.json", "{", "cannot be read as JSON"),
        ("t.json", '{"points": 3}', "it is no list of objects"),
    ],
)
def test_a_broken_table_is_refused_by_row(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        read_table(tmp_path / name)


def test_a_row_without_a_loss_is_set_aside_and_not_an_error(tmp_path):
    (tmp_path / "t.csv").write_text("parameters,tokens,loss\n1e6,1e9,\n")
    assert read_table(tmp_path / "t.csv")[0].fault == "no loss was measured"


def test_what_is_neither_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    for path, message in (
        (tmp_path / "notes.txt", "neither a run"),
        (tmp_path / "gone", "does not exist"),
        (tmp_path, "no run and holds none"),
    ):
        with pytest.raises(UserError, match=message):
            read_points([path])
