"""The page of an evaluation: every score with its rule named, and nothing that items or models wrote is taken for HTML."""

import json
from dataclasses import replace

import pytest

from made_results import choice, result, written
from tenfold.errors import UserError
from tenfold.evaluate.results import write_result
from tenfold.report.evaluation import choice_row, evaluation_report, interval, read_results
from tenfold.report.gpt3_scores import SCORES, SIZES, beside

EVIL = "</pre><script>alert(1)</script>"
ITEMS = [choice(n, int(n > 2), (-1.0, -1.5 - n), question=EVIL, choices=(EVIL, " b")) for n in range(8)]


@pytest.fixture
def folder(tmp_path):
    """A task of choices that GPT-3 was measured on, and one that writes."""
    write_result(tmp_path, result(ITEMS, task="piqa", own="token", cut=3, of=100), ITEMS)
    texts = [written(n, EVIL if n else "yes", "yes") for n in range(3)]
    write_result(tmp_path, replace(result(texts, task="answers", own="exact", chance=0.0), example={"prompt": EVIL}), texts)
    (tmp_path / "unrelated.json").write_text("[]")
    return tmp_path


def test_the_page_has_every_score_and_no_script(folder):
    page = evaluation_report(folder).read_text()
    found = {each["task"]: each for each in read_results(folder)}
    for rule in ("sum", "token", "byte", "char"):
        assert f"{100 * found['piqa']['scores'][rule]['value']:.1f}" in page
    assert f"<b>{100 * found['piqa']['scores']['token']['value']:.1f}*</b>" in page
    assert interval(found["piqa"]["scores"]["token"], "token") in page and "8 of 100" in page
    assert "<b>33.3*</b>" in page and "&lt;script&gt;" in page and "<script" not in page
    assert "Beside GPT-3" in page and "64.6" in page and "zero-shot" in page


def test_two_results_of_a_task_are_told_apart(folder):
    """By what differs from the defaults: a trial with rounded weights is not taken for the whole run."""
    settings = {"limit": 8, "seed": 0, "weights": "bfloat16"}
    write_result(folder, replace(result(ITEMS, task="piqa", own="token"), settings=settings), ITEMS)
    whole, trial = (choice_row(each) for each in read_results(folder) if each["task"] == "piqa")
    assert (whole["trial"], trial["trial"]) == ("", "limit8-bfloat16")
    assert "piqa <small>limit8-bfloat16</small>" in evaluation_report(folder).read_text()


def test_questions_with_one_ending_are_shown_whole(tmp_path):
    """Partial scoring: both questions of the first prompt, and each choice with what follows it."""
    items = [
        choice(n, 0, (-1.0, -2.0), choices=("Ann helped Eve because Ann", "Ann helped Eve because Eve"), continuation=" was kind.")
        for n in range(2)
    ]
    asked = {"prompt": "A", "prompts": ["first question", "second question"], "continuations": [" was kind."] * 2}
    write_result(tmp_path, replace(result(items, task="winogrande"), example=asked), items)
    page = evaluation_report(tmp_path).read_text()
    assert "first question\n\nor\n\nsecond question" in page and page.count("<b>→</b> was kind.") == 1
    assert "-2.00  Ann helped Eve because Eve was kind." in page


def test_a_row_names_what_is_the_tasks_own(folder):
    row = choice_row(read_results(folder)[1])
    assert [mark for _, _, mark in row["rules"]] == ["", "*", "", "", "", ""] and row["rules"][4][0] == ""
    assert float(row["centred"]) == pytest.approx(200 * float(row["rules"][1][0]) / 100 - 100, abs=0.11)


def test_gpt3s_scores_are_eight_a_setting():
    """As in the paper's table: zero, one and few shots of eight sizes; some rows by heart."""
    for few, *settings in SCORES.values():
        assert few > 1 and [len(each.split()) for each in settings] == [len(SIZES)] * 3
    assert beside("lambada", 0)["scores"][-1] == "76.2" and beside("lambada", 15)["scores"][0] == "22.0"
    assert beside("hellaswag", 1)["setting"] == "one-shot" and beside("hellaswag", 9)["setting"] == "few-shot, 20"
    assert beside("gsm8k", 0) is None


def test_a_folder_without_results_and_a_damaged_one_are_refused(folder, tmp_path_factory):
    with pytest.raises(UserError, match="holds no results"):
        evaluation_report(tmp_path_factory.mktemp("empty"))
    (folder / "piqa-0shot.json").write_text("{")
    with pytest.raises(UserError, match="piqa-0shot.json is damaged"):
        evaluation_report(folder)


@pytest.mark.parametrize("change", [{"own": "best"}, {"model": None}, {"settings": 3}, {"scores": []}])
def test_a_result_that_lacks_what_the_page_shows_is_named(folder, change):
    path = folder / "piqa-0shot.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match="piqa-0shot.json is damaged: .* is missing"):
        evaluation_report(folder)


@pytest.mark.parametrize("line", ["{", "3", '{"id": "test/0"}', '{"score": null}'])
def test_damaged_items_are_named(folder, line):
    (folder / "piqa-0shot.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match="piqa-0shot.jsonl is damaged"):
        evaluation_report(folder)
