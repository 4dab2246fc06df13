"""Files of results: what goes in comes out, whole or not at all, and only a result of the same question counts as there."""

import json

import pytest

from made_results import choice, result, written
from tenfold.errors import UserError
from tenfold.evaluate.results import already, find_results, own_scores, read_items, read_result, result_name, write_result
from tenfold.evaluate.settings import EvalSettings

ITEMS = [
    choice(0, 0, (-1.0, -2.0), cut=3),
    choice(1, 1, (-1.0, -2.0), answer=(-0.5, -0.25), empty=(-3.0, -4.0)),
    written(2, "a b", "c\ud800"),
]


def test_what_is_written_is_read_again(tmp_path):
    """Every field, also of text that UTF-8 has no form for."""
    made = result(ITEMS[:2])
    path = write_result(tmp_path, made, ITEMS)
    assert path == tmp_path / "made-0shot.json"
    assert read_result(path) == made and read_items(path) == ITEMS
    assert sorted(each.name for each in tmp_path.iterdir()) == ["made-0shot.json", "made-0shot.jsonl"]


def test_files_are_plain(tmp_path):
    """JSON that any program reads: no NaN where one item has no standard error."""
    path = write_result(tmp_path, result(ITEMS[:1]), ITEMS[:1])
    found = json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert found["scores"]["sum"]["error"] is None
    line = json.loads(path.with_suffix(".jsonl").read_text())
    assert line["gold"] == 0 and line["score"]["sum"] == 1.0 and "written" not in line


def test_what_differs_from_the_defaults_is_in_the_name():
    assert result_name("piqa", 5, {"limit": None, "seed": 0, "weights": "float32"}) == "piqa-5shot"
    assert result_name("piqa", 5, {"limit": 10, "seed": 3, "weights": "as trained"}) == "piqa-5shot-limit10-seed3-as_trained"
    assert result_name("piqa", 0, EvalSettings().written()) == "piqa-0shot"
    assert result_name("piqa", 0, EvalSettings(rules="sum").written()) == "piqa-0shot-without-answer-empty"


def test_a_result_counts_as_there_only_whole_and_of_the_same_key(tmp_path):
    path = write_result(tmp_path, result(ITEMS[:2]), ITEMS[:2])
    assert already(tmp_path, "made-0shot", "key") == read_result(path)
    assert already(tmp_path, "made-0shot", "another") is None and already(tmp_path, "made-1shot", "key") is None
    path.with_suffix(".jsonl").rename(tmp_path / "away")
    assert already(tmp_path, "made-0shot", "key") is None
    (tmp_path / "away").rename(path.with_suffix(".jsonl"))
    path.write_text(path.read_text()[:50])
    assert already(tmp_path, "made-0shot", "key") is None


def test_results_are_found_in_a_folder_a_run_and_alone(tmp_path):
    path = write_result(tmp_path / "run" / "eval", result(ITEMS[:2]), ITEMS[:2])
    (path.parent / "other.json").write_text("{}")  # without items: not one of ours
    for place in (tmp_path / "run", path.parent, path):
        assert find_results(place) == {"made-0shot": path}


def test_each_items_own_score():
    assert own_scores(result(ITEMS[:2]), ITEMS[:2]) == {"test/0": 1.0, "test/1": 0.0}


@pytest.mark.parametrize(
    "text, message",
    [("{", "is damaged"), ("[]", "is no result"), ('{"task": "a"}', "is no result"), (None, "is not there")],
)
def test_what_is_no_result_is_refused(tmp_path, text, message):
    path = tmp_path / "a.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_result(path)


def test_a_damaged_line_is_named(tmp_path):
    path = write_result(tmp_path, result(ITEMS[:2]), ITEMS[:2])
    lines = path.with_suffix(".jsonl").read_text().splitlines()
    path.with_suffix(".jsonl").write_text(f"{lines[0]}\n{lines[1][:-9]}\n")
    with pytest.raises(UserError, match="made-0shot.jsonl:2 is damaged"):
        read_items(path)
    path.with_suffix(".jsonl").unlink()
    with pytest.raises(UserError, match="made-0shot.jsonl is missing"):
        read_items(path)


def test_another_format_is_refused(tmp_path):
    path = write_result(tmp_path, result(ITEMS[:2], format=99), ITEMS[:2])
    with pytest.raises(UserError, match="format 99"):
        read_result(path)


def test_a_place_without_results_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no results"):
        find_results(tmp_path)


def test_items_of_another_run_or_damaged_ones_do_not_count_as_there(tmp_path):
    """What is left where a process dies between the two files, or two processes write them at once: the items of one, the scores of the
    other."""
    path = write_result(tmp_path, result(ITEMS[:2]), ITEMS[:2])
    lines = path.with_suffix(".jsonl")
    whole = lines.read_bytes()
    for other in (b"", whole[:-30], whole.splitlines(keepends=True)[0], whole.replace(b"-1.0", b"-1.5"), whole + whole, b"\xff\xfe"):
        lines.write_bytes(other)
        assert already(tmp_path, "made-0shot", "key") is None
        with pytest.raises(UserError, match="made-0shot.jsonl.* is damaged"):
            read_items(path)
    lines.write_bytes(whole)
    assert already(tmp_path, "made-0shot", "key") == read_result(path) and read_items(path) == ITEMS[:2]


@pytest.mark.parametrize(
    "change, missing",
    [
        ({"scores": []}, "scores"),
        ({"settings": None}, "settings"),
        ({"model": 3}, "model"),
        ({"own": "best"}, "scores.best"),
        ("items", "items"),
    ],
)
def test_a_damaged_result_is_refused_with_the_field_and_measured_again(tmp_path, change, missing):
    path = write_result(tmp_path, result(ITEMS[:2]), ITEMS[:2])
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, **change} if isinstance(change, dict) else {k: v for k, v in found.items() if k != change}))
    with pytest.raises(UserError, match=f"made-0shot.json is damaged: {missing} is missing"):
        read_result(path)
    assert already(tmp_path, "made-0shot", "key") is None
