"""Works since, not yet, regressed: what each means, on results made up."""

import json
from dataclasses import replace

import pytest

from tenfold.errors import UserError
from tenfold.evaluate.ledger.board import board, judge, slope, write_board
from tenfold.evaluate.ledger.experiment import from_words
from tenfold.evaluate.ledger.record import Record, Who, add, place_of, write_record

EXPERIMENT = from_words(
    "words", {"claim": "Says it", "failed": "it did not", "threshold": 0.5, "prompts": [{"prompt": "a", "expect": "b"}]}
)
SIZES = {"small": 1_000_000, "middle": 10_000_000, "large": 100_000_000, "newer": 95_000_000, "shrunk": 60_000_000}


def record(model, score, day=1, error=0.05, experiment=EXPERIMENT):
    who = Who(model, f"hash-{model}", SIZES[model])
    date = f"2026-11-{day:02}T10:00:00+00:00"
    fields = (experiment.name, experiment.fingerprint, who, "exact", score, error, score - 0.1, score + 0.1, 0.0, 20, 0, "p")
    return Record(*fields, date, 1.0, "0.1.0")


def judged(*found, experiment=EXPERIMENT):
    first = {}
    for each in found:
        first[each.model.fingerprint] = min(each.date, first.get(each.model.fingerprint, each.date))
    return judge(experiment, found, first)


@pytest.mark.parametrize(
    "found, state",
    [
        ([], "not run"),
        ([("small", 0.1), ("large", 0.4)], "not yet"),
        ([("small", 0.1), ("large", 0.5)], "works"),
        ([("small", 0.9), ("large", 0.1)], "regressed"),
        ([("large", 0.9, 1), ("small", 0.1, 2)], "works"),  # a smaller one that fails is no regression, though newer
        ([("large", 0.9, 1), ("newer", 0.1, 2)], "regressed"),  # about as large, and newer
        ([("large", 0.9, 2), ("newer", 0.1, 1)], "works"),  # about as large, and older
        ([("large", 0.9, 1), ("shrunk", 0.1, 2)], "works"),  # newer, but much smaller
        ([("small", 0.9, 2), ("large", 0.1, 1)], "regressed"),  # larger, though measured earlier
        ([("small", 0.55), ("large", 0.45)], "works"),  # chance makes such a difference
        ([("small", 0.9), ("middle", 0.1), ("large", 0.8)], "works"),  # the largest has it again
        ([("small", 0.9), ("middle", 0.8), ("large", 0.1)], "regressed"),
    ],
)
def test_states(found, state):
    assert judged(*(record(*each) for each in found))["state"] == state


def test_a_regression_says_what_was_lost_and_to_whom():
    row = judged(record("small", 0.6), record("middle", 0.9, 2), record("large", 0.1, 3))
    assert row["regressions"] == [{"model": "large", "score": 0.1, "from": "middle", "had": 0.9}]


def test_it_works_since_the_first_that_passed_by_date():
    row = judged(record("large", 0.9, 3), record("small", 0.8, 9), record("middle", 0.1, 1))
    assert row["since"]["model"] == "large" and row["since"]["date"].startswith("2026-11-03")
    assert row["smallest"]["model"] == "small"


def test_of_a_perplexity_less_is_better():
    experiment = from_words("p", {"claim": "c", "failed": "f", "threshold": 30, "task": "lambada", "metric": "perplexity"})
    made = [record("small", 25.0, 1, 1.0, experiment), record("large", 60.0, 2, 1.0, experiment)]
    assert judged(*made, experiment=experiment)["state"] == "regressed"
    assert judged(*made[::-1][:1], experiment=experiment)["state"] == "not yet"


def test_a_trend_is_what_ten_times_the_parameters_add():
    found = [record("small", 0.1), record("middle", 0.3), record("large", 0.5)]
    assert slope(found) == pytest.approx(0.2)
    assert slope(found[:1]) is None and slope([found[0], replace(found[0], score=0.9)]) is None


def test_one_item_has_no_error_and_may_regress():
    assert judged(record("small", 1.0, error=None), record("large", 0.0, error=None))["state"] == "regressed"


@pytest.fixture
def ledger(tmp_path):
    other = from_words("other", {"claim": "Says more", "failed": "it did not", "threshold": 0.9, "made": "dates", "items": 20})
    add(tmp_path, [EXPERIMENT, other])
    for each in (record("small", 0.1, 1), record("large", 0.8, 2)):
        write_record(place_of(tmp_path, EXPERIMENT, each.model.fingerprint), each)
    write_record(place_of(tmp_path, other, "hash-large"), record("large", 0.1, 2, experiment=other))
    return tmp_path


def test_the_board_counts_what_a_model_passes(ledger):
    found = write_board(ledger)
    assert [(model["name"], model["passes"], model["new"], model["measured"]) for model in found["models"]] == [
        ("small", 0, 0, 1),
        ("large", 1, 1, 2),
    ]
    assert [(row["name"], row["state"]) for row in found["experiments"]] == [("other", "not yet"), ("words", "works")]
    assert json.loads((ledger / "board.json").read_text()) == found


def test_a_threshold_is_judged_anew_without_a_model(ledger):
    path = ledger / "experiments" / "words.yaml"
    path.write_text(path.read_text().replace("threshold: 0.5", "threshold: 0.85"))
    assert {row["name"]: row["state"] for row in board(ledger)["experiments"]} == {"other": "not yet", "words": "not yet"}


def test_results_of_what_the_file_said_before_do_not_count(ledger):
    path = ledger / "experiments" / "words.yaml"
    path.write_text(path.read_text() + "header: now\n")
    found = board(ledger)
    assert found["earlier"] == 2 and {row["name"]: row["state"] for row in found["experiments"]} == {"other": "not yet", "words": "not run"}


def test_two_ledgers_that_git_merged_are_one(ledger, tmp_path_factory):
    """Results of two people lie in files of their own, so a merge is both folders' files."""
    theirs = tmp_path_factory.mktemp("theirs")
    add(theirs, [EXPERIMENT])
    write_record(place_of(theirs, EXPERIMENT, "hash-middle"), record("middle", 0.3, 3))
    ours = {path.relative_to(ledger) for path in ledger.rglob("*.json")}
    for path in theirs.rglob("*.json"):
        assert path.relative_to(theirs) not in ours
        (ledger / path.relative_to(theirs)).write_bytes(path.read_bytes())
    assert [model["name"] for model in board(ledger)["models"]] == ["small", "middle", "large"]


def test_a_damaged_result_is_named(ledger):
    path = place_of(ledger, EXPERIMENT, "hash-small")
    path.write_text("{")
    with pytest.raises(UserError, match="hash-small.json is damaged"):
        board(ledger)
