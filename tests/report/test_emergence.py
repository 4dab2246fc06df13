"""The page of emergence: what is drawn is what was found, and every reason is there."""

import json

import numpy as np
import pytest

from made_emergence import X, hinge, line, made
from tenfold.errors import UserError
from tenfold.report import emergence
from tenfold.report.emergence import emergence_report, render


@pytest.fixture(scope="module")
def found():
    """Two tasks with four numbers of shots, as the page gets them: through JSON."""
    return json.loads(json.dumps(made({"sums": (hinge, hinge), "back": (hinge, line)}, (0, 1, 4, 16)), allow_nan=False))


def named(figure, name):
    return next(series for series in figure.series if series.name == name)


def test_scores_are_drawn_where_they_were_found(found):
    row = found["tasks"][0]["shots"][0]
    figure = emergence.shares(row, found["models"])
    exact = named(figure, "exact match")
    assert exact.x == pytest.approx(X) and exact.y.tolist() == row["measures"]["exact"]["centred"]
    low, high, bent = [series for series in figure.series if series.kind == "raw" and series.colour == exact.colour]
    assert (low.y <= exact.y).all() and (exact.y <= high.y).all()
    at = row["measures"]["exact"]["bend"]["at"]
    corner = bent.y[np.searchsorted(bent.x, at)]
    assert corner == pytest.approx(0.02, abs=0.03) and bent.y[-1] == pytest.approx(exact.y[row["tested"][-1]], abs=0.06)


def test_examples_are_drawn_a_line_a_model(found):
    """As GPT-3's figure 1.2; the axis says how many examples there were."""
    task = found["tasks"][0]
    figure = emergence.in_context(task, found["models"])
    assert [series.name for series in figure.series] == [model["name"] for model in found["models"]]
    assert figure.series[-1].y.tolist() == [row["measures"]["exact"]["value"][-1] for row in task["shots"]]
    assert figure.x_ticks == ((0, "0"), (1, "1"), (np.log2(5), "4"), (np.log2(17), "16"))
    assert emergence.in_context({**task, "shots": task["shots"][:1]}, found["models"]) is None


def test_likelihoods_are_drawn_beside_those_of_wrong_answers(found):
    row = found["tasks"][1]["shots"][0]
    figure = emergence.logprobs(row, found["models"])
    assert named(figure, "the right answer").y.tolist() == row["measures"]["logprob"]["value"]
    assert named(figure, "wrong answers").y.tolist() == row["measures"]["logprob"]["chance"]


def test_the_page_says_every_verdict_its_reason_and_what_was_set_aside(found):
    page = render(found, "mine")
    assert "<b>appears</b>" in page and "<b>smooth: only measured coarsely</b>" in page and "exact match bends upward at 10^13" in page
    assert "broken&lt;b&gt; is set aside: diverged: its loss is nan." in page
    assert "1 example: " in page and "16 examples: " in page and page.count("Accuracy by number of examples") == 2 * 2
    assert "8 models, 3,162x apart in training compute, on 2 tasks." in page and "400 of 2,000 items" in page


def test_few_models_give_a_page_without_tests():
    page = render(made({"sums": (hinge, hinge)}, x=X[:3]), "mine")
    assert "cannot tell" in page and "p of no break" not in page


def test_a_folder_without_results_is_refused(found, tmp_path):
    with pytest.raises(UserError, match="holds no emergence.json"):
        emergence_report(tmp_path)
    (tmp_path / "emergence.json").write_text(json.dumps({**found, "models": None}))
    with pytest.raises(UserError, match="emergence.json is damaged"):
        emergence_report(tmp_path)
    assert not (tmp_path / "report.html").exists()
    (tmp_path / "emergence.json").write_text(json.dumps(found))
    assert emergence_report(tmp_path).read_text().startswith("<!doctype html>")
