"""Rungs trained side by side: the same bytes as one after the other, and nothing lost when one fails or all are stopped."""

import json
import os
import signal
import threading
from functools import partial

import pytest

from tenfold.errors import UserError
from tenfold.scaling.at_once import check_at_once, trained_at_once
from tenfold.scaling.ladder import climb, open_ladder, rung_path
from tenfold.scaling.rungs import rungs
from tiny_ladder import tiny_ladder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(len(getattr(os, "sched_getaffinity", lambda _: [0])(0)) < 2, reason="needs two cores"),
]


def begun(data, out):
    opened = open_ladder(tiny_ladder(data), out)
    return opened, rungs(opened.ladder, opened.shared, opened.parts)


@pytest.mark.optimised
def test_side_by_side_is_one_after_the_other_to_the_last_bit(data, whole, tmp_path):
    opened, asked = begun(data, tmp_path / "out")
    seen = []
    assert climb(opened, asked, partial(trained_at_once, count=2, look=lambda running: seen.append(len(running))))
    assert max(seen) == 2
    assert (opened.out / "ladder.json").read_bytes() == (whole / "ladder.json").read_bytes()
    for rung in asked:
        mine, theirs = (place / "rungs" / rung.name / "metrics.jsonl" for place in (opened.out, whole))
        assert mine.read_bytes() == theirs.read_bytes()


def test_a_stopped_ladder_goes_on(data, whole, tmp_path):
    opened, asked = begun(data, tmp_path / "out")
    timer = threading.Timer(6, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    try:
        stopped = not climb(opened, asked, partial(trained_at_once, count=2))
    finally:
        timer.cancel()
        timer.join()
    states = [entry["state"] for entry in json.loads((opened.out / "ladder.json").read_text())["rungs"]]
    assert stopped == ("to do" in states)
    assert climb(opened, asked, partial(trained_at_once, count=2))
    assert (opened.out / "ladder.json").read_bytes() == (whole / "ladder.json").read_bytes()


def test_a_failure_says_whose_it_is(data, tmp_path):
    opened, asked = begun(data, tmp_path / "out")
    place = rung_path(opened.out, asked[1].name)
    place.parent.mkdir(parents=True)
    place.write_text("in the way")
    with pytest.raises(UserError, match=f"{asked[1].name} failed, in a process of its own"):
        climb(opened, asked, partial(trained_at_once, count=2))


@pytest.mark.parametrize("count, says", [(0, "must be at least 1"), (4097, "may use [0-9]+ cores")])
def test_what_a_machine_cannot_do_is_refused(count, says):
    with pytest.raises(UserError, match=says):
        check_at_once(count)
