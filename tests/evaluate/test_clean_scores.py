"""Scores of the parts of a task are those of its items, and their difference is that of table C.1."""

from pathlib import Path

import numpy as np
import pytest

from made_results import choice, result
from tenfold.errors import UserError
from tenfold.evaluate.clean_scores import scores, split
from tenfold.evaluate.results import write_result
from tenfold.report.contamination import table_rows

RIGHT, WRONG = (-1.0, -2.0), (-2.0, -1.0)


def some(values: str) -> list:
    return [choice(number, 0, RIGHT if value == "1" else WRONG) for number, value in enumerate(values)]


def test_the_parts_make_up_the_whole():
    values, dirty = np.array([1.0, 1, 0, 1, 0, 0, 1, 0]), np.array([True, True, False, True, False, False, False, False])
    found = split(values, dirty)
    assert [found[name]["items"] for name in ("all", "dirty", "clean")] == [8, 3, 5]
    assert [found[name]["value"] for name in ("all", "dirty", "clean")] == [0.5, 1.0, 0.2]
    assert found["relative"]["value"] == pytest.approx(0.2 / 0.5 - 1)
    assert found["relative"]["low"] <= found["relative"]["value"] <= found["relative"]["high"]
    for name in ("all", "clean"):
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]


def test_the_papers_lines_come_out():
    """LAMBADA and PIQA of table C.1, from items that are right as often as it says."""
    for all_, dirty_share, dirty_count, clean_share, clean_count, relative in (
        (0.864, 0.869, 2209, 0.860, 2944, 0),
        (0.823, 0.899, 526, 0.793, 1312, -4),
    ):
        flags = np.repeat([True, False], [dirty_count, clean_count])
        right = [round(dirty_share * dirty_count), round(clean_share * clean_count)]
        values = np.concatenate([np.arange(dirty_count) < right[0], np.arange(clean_count) < right[1]]).astype(float)
        found = split(values, flags)
        assert found["all"]["value"] == pytest.approx(all_, abs=0.0006) and round(100 * found["relative"]["value"]) == relative


def test_a_part_without_items_has_no_score():
    found = split(np.array([1.0, 0.0]), np.array([False, False]))
    assert found["dirty"] is None and found["relative"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert split(np.array([1.0]), np.array([True]))["relative"] is None and split(np.array([0.0]), np.array([False]))["relative"] is None


def test_results_are_split_by_their_items(tmp_path):
    items = some("1100110010")
    write_result(tmp_path / "run" / "eval", result(items), items)
    flags = {f"test/{number}": number < 2 for number in range(10)}
    (row,) = scores([tmp_path / "run"], {"made": flags, "other": {}})
    assert (row["task"], row["shots"], row["metric"], row["model"]) == ("made", 0, "sum", str(tmp_path / "run"))
    assert row["dirty"]["value"] == 1.0 and row["clean"]["value"] == 3 / 8 and row["all"]["value"] == 0.5
    (shown,) = table_rows({"task": "made", "n": 9, "items": 10, "dirty": 2, "clean": 8, "clean_share": 0.8}, [row])
    assert shown["clean"]["score"] == "37.5" and shown["relative"] == "-25.0%" and shown["clean_share"] == "80.0%"
    with pytest.raises(UserError, match="an item 'test/9' that the task 'made' has not"):
        scores([tmp_path / "run"], {"made": {id: True for id in list(flags)[:9]}})
    with pytest.raises(UserError, match="holds no result of other"):
        scores([tmp_path / "run"], {"other": {}})
    with pytest.raises(UserError, match="holds no results of an evaluation"):
        scores([Path(tmp_path / "nothing")], {"made": flags})
