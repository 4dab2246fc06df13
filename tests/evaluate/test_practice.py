"""Text to practise tasks with: the share that was asked for, in the tasks' own prompts, right, and never a test item."""

import json
import re
from itertools import islice

import pytest

from tenfold.errors import UserError
from tenfold.evaluate.practice import known_by, practice, skill, write_practice
from tenfold.evaluate.prompts import examples
from tenfold.evaluate.task import read_task

TEXT = "the golden houses under wooden bridges stand near harbour lights and quiet streets before morning comes slowly "


@pytest.fixture
def tasks(tmp_path):
    """Sums below 100, 1,500 of the 10,000 of them test items, and words backwards, of which six are."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text(TEXT * 40)
    (tmp_path / "words.jsonl").write_text(json.dumps({"text": "golden houses wooden bridges harbour lights"}))
    (tmp_path / "sums.yaml").write_text("like: arithmetic_2da\nabout: sums\ntest: {made: two_digit_addition, items: 1500}\n")
    words = "{made: reversed_words, items: 6, words: {path: words.jsonl}}"
    (tmp_path / "back.yaml").write_text(f"like: cycle_letters\nabout: words backwards\ntest: {words}\n")
    return [str(tmp_path / name) for name in ("sums.yaml", "back.yaml")]


def test_the_share_is_what_was_asked_for_and_no_item_is_a_test_item(tasks, tmp_path):
    out = tmp_path / "out"
    found = write_practice(str(tmp_path / "texts"), tasks, 0.75, out)
    texts = [json.loads(line)["text"] for line in (out / "practice.jsonl").read_text().splitlines()]
    assert found["share"] == pytest.approx(0.75, abs=0.02) and found["practice"]["documents"] == len(texts)
    assert json.loads((out / "result.json").read_text()) == found
    said = "\n".join(texts)
    sums = re.findall(r"What is (\d+) plus (\d+)\?\nAnswer: (\d+)", said)
    assert len(sums) > 50 and all(int(a) + int(b) == int(c) for a, b, c in sums)
    items = [example.item for name in tasks for example in examples(read_task(name))]
    asked = {known_by(item) for item in items}
    assert not asked & {known_by({"context": f"What is {a} plus {b}?"}) for a, b, _ in sums}
    words = re.findall(r"^(\w+) = (\w+)$", said, re.MULTILINE)
    assert words and all(one == other[::-1] for one, other in words)
    assert {word for _, word in words} <= {"streets", "morning", "before", "slowly"}


def test_documents_are_of_one_task_and_of_one_to_sixteen_questions(tasks):
    found = list(islice(practice([read_task(tasks[0])]), 200))
    counts = {text.count("What is") for text in found}
    assert counts == set(range(1, 17)) and all(re.search(r"Answer: \d+$", text) for text in found)
    assert found == list(islice(practice([read_task(tasks[0])]), 200)) != list(islice(practice([read_task(tasks[0])], seed=2), 200))


def test_a_sum_is_known_whatever_its_order():
    def asked(text):
        return known_by({"context": f"\n\nQ: What is {text}?\n\nA:", "completion": " 1"})

    assert asked("3 plus 14") == asked("14 plus 3") != asked("14 minus 3") != asked("3 minus 14")
    assert asked("3 plus 14") != asked("3 times 14") and asked("(1 + 2) * 3") != asked("(2 + 1) * 3")
    assert known_by({"context": "\nneddloog =", "completion": " golden"}) == "golden"


def test_the_papers_own_files_can_be_practised_by_their_names():
    assert skill(read_task("arithmetic_2da_gpt3")) == skill(read_task("arithmetic_2da")) == "two_digit_addition"
    assert skill(read_task("copied_words")) == "copied_words"


@pytest.mark.parametrize(
    "names, share, message",
    [
        (["sums.yaml"], 1.0, "--share is 1, but must be above 0 and below 1"),
        ([], 0.5, "no task is named"),
        (["piqa"], 0.5, "piqa cannot be practised: its items are not made"),
        (["all.yaml"], 0.5, "all has hardly a question that is no test item"),
    ],
)
def test_what_cannot_be_practised_is_refused(tasks, tmp_path, names, share, message):
    (tmp_path / "all.yaml").write_text("like: arithmetic_1dc\nabout: all\ntest: {made: single_digit_three_ops, items: 6561}\n")
    chosen = [str(tmp_path / name) if name.endswith("yaml") else name for name in names]
    with pytest.raises(UserError, match=re.escape(message)):
        write_practice(str(tmp_path / "texts"), chosen, share, tmp_path / "out")
    assert not (tmp_path / "out" / "practice.jsonl").exists()
