"""Runs as they are found: whole, in progress, killed mid-write, damaged."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import UserError
from tenfold.report.read import WHY_ABSENT, read_run


def test_a_whole_run(make_run):
    run = read_run(make_run(steps=40))
    assert run.name == "demo" and run.absent == {} and run.cut == ()
    assert [row["step"] for row in run.metrics] == list(range(1, 41))
    assert {"loss", "held_out_loss"} <= run.metrics[-1].keys()
    assert run.recipe and run.recipe["model"]["layers"] == 4
    assert len(run.samples) == 30


@pytest.mark.parametrize("file", WHY_ABSENT)
def test_a_missing_file_is_named_with_a_word_why(make_run, file):
    run = read_run(make_run(steps=20, without=(file,)))
    assert list(run.absent) == [file] and run.absent[file]


def test_any_cut_of_the_last_line_is_tolerated(make_run):
    """A run killed while it writes leaves any part of a line, even half of a letter."""
    path = make_run(steps=3) / "samples.jsonl"
    whole = json.dumps({"step": 9, "prompt": "é", "text": "née"}, ensure_ascii=False).encode()
    before = path.read_bytes()
    for length in range(1, len(whole)):
        path.write_bytes(before + whole[:length])
        run = read_run(path.parent)
        assert run.cut == ("samples.jsonl",) and len(run.samples) == 9
    path.write_bytes(before + whole)
    assert read_run(path.parent).samples[-1]["text"] == "née"


@pytest.mark.parametrize("line", ['{"step": 2, "lo', "[1, 2]", "\x00\x00", '{"step": "two"}', "[" * 100_000])
def test_a_damaged_middle_line_is_named(make_run, line):
    path = make_run(steps=5) / "metrics.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "", line, *lines[2:]]) + "\n")
    with pytest.raises(UserError, match=r"metrics\.jsonl line 3 "):
        read_run(path.parent)


def test_a_step_logged_again_after_a_resume_counts_once(make_run):
    path = make_run(steps=5) / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 4, "loss": 7.5}\n')
    run = read_run(path.parent)
    assert [row["step"] for row in run.metrics] == [1, 2, 3, 4, 5]
    assert run.metrics[3]["loss"] == 7.5 and "lr" in run.metrics[3]


@pytest.mark.parametrize(
    "file, text", [("result.json", "{"), ("result.json", "[]"), ("documents.json", "x"), ("recipe.yaml", "a: [1"), ("recipe.yaml", "12")]
)
def test_a_damaged_file_is_named(make_run, file, text):
    run = make_run(steps=5)
    (run / file).write_text(text)
    with pytest.raises(UserError, match=file):
        read_run(run)


def test_what_is_not_a_run_is_refused(tmp_path, make_run):
    with pytest.raises(UserError, match="does not exist"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(UserError, match="is not a run"):
        read_run(tmp_path)
    with pytest.raises(UserError, match="is a file"):
        read_run(make_run(steps=3) / "metrics.jsonl")


def test_undecodable_text_is_named(make_run):
    run = make_run(steps=3)
    (run / "recipe.yaml").write_bytes(b"name: \xff")
    with pytest.raises(UserError, match=r"recipe\.yaml is not UTF-8"):
        read_run(run)


@given(rows=st.lists(st.dictionaries(st.sampled_from(["step", "loss", "lr"]), st.integers(0, 50)), max_size=20))
def test_steps_come_in_order_and_once(tmp_path_factory, rows):
    run = tmp_path_factory.mktemp("run")
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    steps = [row.get("step", 0) for row in read_run(run).metrics]
    assert steps == sorted({row.get("step", 0) for row in rows})
