"""The board as a page: every state, every score with its interval, what a model said escaped; nothing from elsewhere."""

import json
import re

import pytest

from tenfold.errors import UserError
from tenfold.report.ledger import ledger_report, render, score_said


def result(model, score, passes, **more):
    about = {"error": 0.05, "low": score - 0.1, "high": score + 0.1, "chance": 0.0, "items": 20, "cut": 0, "examples": []}
    return about | {"model": model, "score": score, "passes": passes, "date": "2026-11-27T10:00:00+00:00"} | more


def row(name, state, results, **more):
    since = {"date": "2026-11-27T10:00:00+00:00", "model": "large", "parameters": 10**8} if state in ("works", "regressed") else None
    about = {"name": name, "claim": f"Claims {name}", "failed": "it <failed>", "asks": "3 prompts", "check": "exact", "shots": 2}
    about |= {"metric": "exact", "threshold": 0.5, "falls": False, "state": state, "since": since, "smallest": since, "regressions": []}
    return about | {"slope": None, "results": results} | more


@pytest.fixture
def board():
    models = [
        {
            "name": "small",
            "fingerprint": "s",
            "parameters": 10**6,
            "tokens": 5_000_000,
            "flops": 3e13,
            "first": "2026-11-26T00:00:00+00:00",
        },
        {"name": "large", "fingerprint": "l", "parameters": 10**8, "tokens": None, "flops": None, "first": "2026-11-27T00:00:00+00:00"},
    ]
    models = [model | {"measured": 3, "passes": 1, "new": 1} for model in models]
    lost = [{"model": "large", "score": 0.1, "from": "small", "had": 0.8}]
    said = [{"asked": "Say <script>:", "said": "<b>no</b>", "right": "yes", "worth": 0.0}]
    rows = [
        row("lost", "regressed", [result("s", 0.8, True), result("l", 0.1, False, examples=said)], regressions=lost, slope=-0.35),
        row("far", "not yet", [result("l", 0.1, False)]),
        row("near", "not yet", [result("l", 0.45, False, cut=7)]),
        row("won", "works", [result("s", 0.2, False), result("l", 0.9, True)], slope=0.35),
        row("new", "not run", []),
    ]
    return {"ledger": "ours", "written": "2026-11-27T12:00:00+00:00", "models": models, "experiments": rows, "earlier": 3}


def test_every_state_has_its_section_and_every_score_its_cell(board):
    page = render(board)
    for said in ("Regressed", "Not yet", "Works", "Not run", "since 27 November 2026, large", "large scores 10, small had 80"):
        assert said in page
    assert "5 experiments, asked of 2 models from 1M to 100M parameters." in page
    assert '<b class="c2">90</b> <small>± 5</small>' in page and "95% from 80 to 100, 20 items, 27 November 2026" in page
    assert "7 with a prompt longer than the model" in page and "3 results are of what an experiment" in page
    assert "3.0e+13" in page and "not known" in page and "+35" in page and "-35" in page


def test_the_nearest_to_its_threshold_is_first(board):
    page = render(board)
    assert page.index("Claims near") < page.index("Claims far")


def test_what_a_model_said_is_text(board):
    page = render(board)
    assert "&lt;b&gt;no&lt;/b&gt;" in page and "<b>no</b>" not in page and "it &lt;failed&gt;" in page
    assert not re.search(r"(src|href)=|https?://", page.replace("http://www.w3.org", ""))


def test_a_trend_is_drawn_where_sizes_differ(board):
    assert render(board).count('class="trend"><svg') == 2


def test_a_ledger_that_no_model_was_asked_has_a_page(board):
    empty = board | {"models": [], "experiments": [row("new", "not run", [])]}
    assert "1 experiments that no model has been asked yet" in render(empty)


def test_dates_are_drawn_where_there_are_several(board):
    assert "What had worked, by date" not in render(board)
    board["experiments"][0]["since"] = board["experiments"][0]["since"] | {"date": "2026-11-20T10:00:00+00:00"}
    assert "What had worked, by date" in render(board)


def test_scores_are_said_in_percent_where_they_are_shares():
    assert score_said(0.456, "exact") == "46" and score_said(0.5, "pass@1") == "50" and score_said(12.34, "perplexity") == "12.34"


def test_a_board_that_is_missing_or_damaged_is_refused(tmp_path, board):
    with pytest.raises(UserError, match="board.json cannot be read"):
        ledger_report(tmp_path)
    (tmp_path / "board.json").write_text(json.dumps({key: value for key, value in board.items() if key != "models"}))
    with pytest.raises(UserError, match="Say `tenfold ledger show` again"):
        ledger_report(tmp_path)
    (tmp_path / "board.json").write_text(json.dumps(board))
    assert ledger_report(tmp_path).read_text().startswith("<!doctype html>")
