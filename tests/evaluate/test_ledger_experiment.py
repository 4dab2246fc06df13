"""An experiment's file: what it may say, what it becomes, what a result depends on; skills whose prompts are right."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tenfold.errors import UserError
from tenfold.evaluate.ledger.experiment import CHECKS, from_words, metrics_of, read_experiment, write_experiment
from tenfold.evaluate.ledger.record import add, experiments, starter
from tenfold.evaluate.ledger.skills import prompts, skill_names
from tenfold.evaluate.prompts import choose_shots, examples, program, requests
from tenfold.evaluate.sandbox import run_all

CHEESE = {
    "claim": "Knows what a fridge does",
    "failed": "said that cheese melts in it",
    "threshold": 0.75,
    "prompts": [
        {"prompt": "Will cheese melt in the fridge?", "choices": ["Yes", "No"], "expect": "No"},
        {"prompt": "Will ice melt in the oven?\n", "choices": ["Yes", "No"], "expect": "Yes"},
    ],
}


def made(name="cheese", **changes):
    return from_words(name, {key: value for key, value in (CHEESE | changes).items() if value is not None})


def asked(experiment, place=0, shots=0):
    task = experiment.asks
    pool = examples(task)
    return requests(task, pool[place], choose_shots(task, pool[place], pool, shots, experiment.seed))


def test_choices_follow_a_space_unless_the_prompt_ends_in_one():
    assert [each.text for each in asked(made()).scored] == [" Yes", " No"]
    assert [each.text for each in asked(made(), 1).scored] == ["Yes", "No"]
    assert [example.gold for example in examples(made().asks)] == [1, 0]


def test_what_a_file_says_is_read_as_it_was_written(tmp_path):
    """Of every way to judge; braces and quotes stay what they are, and the fingerprint is the same."""
    one = made(
        prompts=[{"prompt": 'Say {{x}}, "é" and {% y %}:', "expect": ["{{x}}", "x"]}],
        header='{"a": {{b}} é😀}\n',
        stop=["}", "\n"],
        check="contains",
    )
    for each in (one, made(), made(prompts=None, made="dates", shots=2, items=5), made(prompts=None, task="lambada", metric="perplexity")):
        read = read_experiment(write_experiment(each, tmp_path / "cheese.yaml"))
        assert read.fingerprint == each.fingerprint and (read.claim, read.failed, read.threshold) == (
            each.claim,
            each.failed,
            each.threshold,
        )
    assert asked(one).writing.context == '{"a": {{b}} é😀}\nSay {{x}}, "é" and {% y %}:'


def test_a_skill_with_choices_may_be_asked_without_them():
    free = made(prompts=None, made="capitals", check="contains", shots=1)
    assert asked(free, shots=1).writing and examples(free.asks)[0].answers == (made(prompts=None, made="capitals")._items[0]["expect"],)


@pytest.mark.parametrize("words", [{"claim": "Other words"}, {"failed": "for another reason"}, {"threshold": 0.9}])
def test_a_result_does_not_depend_on_words_and_threshold(words):
    assert made(**words).fingerprint == made().fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"shots": 1},
        {"header": "Answer.\n"},
        {"metric": "token"},
        {"prompts": CHEESE["prompts"][:1]},
        {"prompts": [CHEESE["prompts"][0], CHEESE["prompts"][1] | {"expect": "No"}]},
        {"prompts": None, "made": "capitals"},
    ],
)
def test_a_result_depends_on_all_that_is_asked(change):
    assert made(**change).fingerprint != made().fingerprint


def test_less_may_be_better():
    falling = made(prompts=None, task="lambada", metric="perplexity", threshold=30)
    assert falling.falls and falling.passes(29.0) and not falling.passes(31.0)
    assert not made().falls and made().passes(0.75) and not made().passes(0.7)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"claim": None}, "claim is missing"),
        ({"failed": " "}, "failed is missing: why it failed last time"),
        ({"treshold": 1}, "treshold is no key of an experiment; the nearest is threshold"),
        ({"threshold": "high"}, "threshold is 'high': give a number"),
        ({"threshold": 80}, "threshold is 80.0: give a share"),
        ({"threshold": 0}, "threshold is 0.0: give a share, above 0"),
        ({"shots": "2"}, "shots is '2': give a whole number"),
        ({"shots": 2}, "shots is 2, but there are 2 prompts"),
        ({"seed": -1}, "seed is -1"),
        ({"made": "dates"}, "exactly one of task, made and prompts; this one says made and prompts"),
        ({"prompts": None}, "exactly one of task, made and prompts; this one says none"),
        ({"prompts": None, "made": "dancing"}, "made is 'dancing', which nothing here makes: they are two_digit_addition"),
        ({"prompts": None, "made": "opposites", "items": 999}, "opposites has fewer than 999 different prompts"),
        ({"prompts": None, "made": "reversed_words", "items": 9999}, "reversed_words has [0-9]+ words"),
        ({"prompts": None, "task": "hellaswga"}, "there is no task 'hellaswga': did you mean hellaswag"),
        ({"prompts": None, "task": "hellaswag", "check": "exact"}, "check is 'exact', but the task's own file says"),
        ({"prompts": "Why?"}, "prompts is 'Why[?]': give a list"),
        ({"prompts": ["Why?"]}, r"prompts\[0\] is 'Why[?]'"),
        ({"prompts": [{"prompt": "Why?"}]}, r"prompts\[0\].expect is missing, which check exact needs"),
        ({"prompts": [{"prompt": "Why?", "expect": 5}]}, r"prompts\[0\].expect is 5: give a text"),
        ({"prompts": [{"prompt": "Why?", "expect": "a", "tests": "b"}], "check": "exact"}, r"prompts\[0\].tests has no use"),
        ({"prompts": [{"prompt": "Why?", "expect": "("}], "check": "regex"}, r"expect is '\(', no regular expression"),
        ({"prompts": [{"prompt": "a", "choices": ["b", "c"], "expect": "d"}]}, "give two or more texts, and one of them"),
        ({"items": 3}, "items is 3, but all of prompts are asked"),
        ({"check": "guess"}, "check is 'guess': give one of exact"),
        ({"metric": "exact"}, "metric is 'exact': this experiment has sum, token"),
        ({"prompts": [{"prompt": "def f(): ", "tests": "f()"}] * 3, "shots": 1}, "no answer can be shown where check is code"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_the_field(tmp_path, change, message):
    path = tmp_path / "cheese.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in (CHEESE | change).items() if value is not None}))
    with pytest.raises(UserError, match=message) as refused:
        read_experiment(path)
    assert str(refused.value).startswith(f"{path}: ")


def test_a_file_that_is_none_is_refused(tmp_path):
    path = tmp_path / "cheese.yaml"
    for text, message in (("- a\n", "holds list"), ("a: [", "could not be read"), ("a: b\n", "a is no key of an experiment")):
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            read_experiment(path)
    with pytest.raises(UserError, match="name is 'two words'"):
        made("two words")


def test_a_task_of_ones_own_is_found_from_the_ledger(tmp_path):
    """Its file stays where it is; the ledger's names it from where that lies."""
    (tmp_path / "own.yaml").write_text(
        "about: a\nsource: b\nkind: write\nmetric: exact\ntest: {given: [{q: 1, a: 2}]}\nquestion: '{{q}}'\nanswer: ' {{a}}'\n"
    )
    one = from_words("own", {"claim": "c", "failed": "f", "threshold": 1, "task": "own.yaml"}, tmp_path / "own-experiment.yaml")
    (path,) = add(tmp_path / "some" / "ledger", [one])
    assert yaml.safe_load(path.read_text())["task"] == "../../../own.yaml"
    (read,) = experiments(tmp_path / "some" / "ledger")
    assert read.fingerprint == one.fingerprint and examples(read.asks)[0].answers == ("2",)


def test_a_ledger_keeps_what_is_there(tmp_path):
    """The same again is no second one; something else under the name is refused; the starter leaves a changed one alone."""
    path = add(tmp_path, [made()])[0]
    assert add(tmp_path, [made()]) == []
    before = path.read_text()
    with pytest.raises(UserError, match="is there already, and says something else"):
        add(tmp_path, [made("new"), made(claim="Other")])
    assert path.read_text() == before and [each.name for each in experiments(tmp_path)] == ["cheese"]
    assert add(tmp_path, [made(claim="Other")], keep=True) == [] and path.read_text() == before
    assert "board.html" in (tmp_path / ".gitignore").read_text()
    with pytest.raises(UserError, match="has no experiment 'chess'.\n  It has cheese"):
        experiments(tmp_path, ["chess"])
    with pytest.raises(UserError, match="holds no experiments.\n  `tenfold ledger add --starter`"):
        experiments(tmp_path / "nowhere")


@pytest.mark.parametrize("skill", skill_names())
def test_a_skill_makes_different_prompts_the_same_for_a_seed(skill):
    found = prompts(skill, 20, seed=3)
    assert found == prompts(skill, 20, seed=3) != prompts(skill, 20, seed=4)
    assert len({row["prompt"] for row in found}) == 20
    assert all(row["expect"] in row.get("choices", [row["expect"]]) for row in found)


@pytest.mark.parametrize(
    "skill, right",
    [
        ("copy_words", lambda p: re.search("Text: (.*)", p)[1]),
        ("reverse_list", lambda p: ", ".join(reversed(re.search("List: (.*)", p)[1].split(", ")))),
        ("induction", lambda p: p.split()[p.split().index(p.split()[-1]) + 1]),
        ("recall_far", lambda p: re.match(r"The password of the \w+ is (\w+)\.", p)[1]),
        ("count_words", lambda p: str(p.splitlines()[0].count(",") + 1)),
        ("count_letters", lambda p: str(re.search(r"word (\w+)", p)[1].count(re.search(r"letter (\w)", p)[1]))),
        ("sort_numbers", lambda p: " ".join(sorted(re.findall(r"\d+", p)))),
        ("larger_number", lambda p: max(re.findall(r"\d+", p), key=int)),
        ("python_value", lambda p: repr(eval(p.removeprefix(">>> ")))),
        ("json_record", lambda p: json.dumps(dict(zip(("name", "age", "city"), _record(p), strict=True)))),
        ("closing", None),
    ],
)
def test_what_a_skill_expects_is_right(skill, right):
    if skill == "closing":
        for row in prompts("brackets", 20):
            opened, closed = row["prompt"].split()[1:-1], row["expect"].split()
            assert [a + b for a, b in zip(opened, reversed(closed), strict=True) if a + b not in ("()", "[]", "{}", "<>")] == []
        return
    for row in prompts(skill, 20):
        assert row["expect"] == right(row["prompt"])


def _record(prompt):
    name, age, city = prompt.splitlines()[0].split(", ")
    return name, int(age), city


def test_a_repeated_document_goes_on_as_it_did():
    for row in prompts("repeated_document", 10):
        first, second = row["prompt"].split("\n\n")
        assert (first + "\n").startswith(f"{second} {row['expect']}".rsplit(" ", 1)[0]) and len(second) > 40


def test_the_starter_is_whole():
    """At least 20 experiments of different things, each with a reason and a threshold above chance, that ask 20 to 50 items."""
    found = starter()
    assert len(found) >= 20 and {each.judged for each in found} >= set(CHECKS) - {"contains", "regex"}
    for each in found:
        items = examples(each.asks)
        chance = max(1 / len(items[0].choices), 0) if len(items[0].choices) > 1 else 0
        assert 20 <= len(items) <= 50 and each.threshold > chance + 0.2 and each.metric in ("", *metrics_of(each.asks))
        assert len(each.failed) > 20, f"{each.name} says no reason"
    assert any("cheese" in example.question for each in found for example in examples(each.asks))


def test_the_starters_answers_are_not_all_the_same():
    """One answer for everything, or always the first choice, stays below every threshold."""
    for each in starter():
        items = examples(each.asks)
        golds = [item.choices[item.gold] if len(item.choices) > 1 else item.answers[:1] or item.choices for item in items]
        if each.judged != "code" and each.name != "physics-ways":
            assert max(golds.count(gold) for gold in golds) / len(golds) < each.threshold


SOLUTIONS = {
    "add": "    return a + b",
    "largest": "    return max(numbers)",
    "is_prime": "    return n > 1 and all(n % k for k in range(2, n))",
    "unique": "    return list(dict.fromkeys(items))",
}


@pytest.mark.slow
def test_code_passes_where_it_is_right_and_fails_where_it_is_not():
    (functions,) = (each for each in starter() if each.name == "small-functions")
    task = functions.asks
    named = {re.match(r"def (\w+)", example.question)[1]: example for example in examples(task)}
    programs = [program(task, named[name], body) for name, body in SOLUTIONS.items()]
    wrong = [program(task, example, "    return None") for example in named.values()]
    assert all(ran.passed for ran in run_all(programs, allow=True)) and not any(ran.passed for ran in run_all(wrong, allow=True))


def test_the_starter_is_in_the_package():
    from importlib import resources

    assert Path(str(resources.files("tenfold.evaluate.ledger"))).joinpath("starter", "physics-yes-no.yaml").is_file()
