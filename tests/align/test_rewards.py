"""Rewards: what they return is checked, and what is bad is named with its example."""

import math
import time

import pytest

from tenfold.align.policy_config import RewardConfig
from tenfold.align.reward_pool import Pool, weighted
from tenfold.align.rewards import Code, Named, Weighted, exact, find_reward, number, score
from tenfold.errors import UserError

PROMPTS, TEXTS = ["1+1=", "2+2=", "3+3="], ["2", "it is 4.", "7"]
EXAMPLES = [{"prompt": p, "answer": a} for p, a in zip(PROMPTS, ("2", "#### 4", "6"), strict=True)]


def length(prompts, completions):
    return [len(text) for text in completions]


def picky(prompts, completions):
    if "7" in completions:
        raise RuntimeError("no sevens")
    return [1.0] * len(completions)


def test_any_function_of_prompts_and_completions_is_a_reward():
    """With or without the examples, which are the prompts' whole lines."""
    assert score("length", length, PROMPTS, TEXTS, EXAMPLES) == [1, 8, 1]
    assert score("answers", lambda p, c, examples: [len(e["answer"]) for e in examples], PROMPTS, TEXTS, EXAMPLES) == [1, 6, 1]


def test_verifiers():
    """A number as GSM8K reads it, and the very text."""
    assert number(PROMPTS, TEXTS, EXAMPLES) == [1, 1, 0]
    assert exact(PROMPTS, [" 2\n", "4", "6"], EXAMPLES) == [1, 0, 1]
    with pytest.raises(UserError, match="the prompt 'x' has no `answer`"):
        number(["x"], ["1"], [{"prompt": "x"}])


@pytest.mark.parametrize(
    "returned, said",
    [
        ([1.0, math.nan, 0.0], "returned nan for the prompt '2\\+2=' and the completion 'it is 4.'"),
        ([1.0, 0.0, math.inf], "returned inf for the prompt '3\\+3='"),
        ([1.0, 0.0], "returned 2 scores for 3 completions, the first of which is of the prompt '1\\+1='"),
        (None, "returned 'None', which is no sequence of numbers"),
        ([1.0, "good", 2.0], ".*which is no sequence of numbers"),
    ],
)
def test_what_is_bad_is_named(returned, said):
    with pytest.raises(UserError, match=f"the reward mine {said}"):
        score("mine", lambda p, c: returned, PROMPTS, TEXTS, EXAMPLES)


def test_a_reward_that_raises_is_named_with_the_example_that_it_raises_for():
    with pytest.raises(UserError, match="the reward picky raised RuntimeError for the prompt '3\\+3=' and the completion '7': no sevens"):
        score("picky", picky, PROMPTS, TEXTS, EXAMPLES)


def test_rewards_are_weighted_and_added():
    both = Weighted({"exact": exact, "length": length}, {"length": -0.5})
    assert both.each(PROMPTS, TEXTS, EXAMPLES) == {"exact": [1, 0, 0], "length": [-0.5, -4, -0.5]}
    assert both(PROMPTS, TEXTS, EXAMPLES) == [0.5, -4, -0.5]


def test_programs_run_in_the_sandbox_if_one_agrees():
    with pytest.raises(UserError, match="say --reward.run-code"):
        find_reward("code")
    examples = [{"prompt": "", "test": "assert double(2) == 4"}] * 2
    assert Code(True)([""] * 2, ["def double(x): return 2 * x", "def double(x): return x"], examples) == [1, 0]


def test_functions_are_found_by_name(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def worth(prompts, completions):\n    return [len(c) for c in completions]\n")
    assert Named(f"{file}:worth")(PROMPTS, TEXTS, EXAMPLES) == [1, 8, 1]
    for spec in (f"{file}:other", f"{tmp_path}/none.py:worth", "no.such.module:f"):
        with pytest.raises(UserError, match="there is no reward"):
            find_reward(spec)
    with pytest.raises(UserError, match="'nonsense' is none of number, exact, code"):
        find_reward("nonsense")


def test_slow_rewards_run_in_processes_that_are_ended(tmp_path):
    """One that takes too long is named or gets the score for late ones; the others are scored, and the next call finds live workers."""
    file = tmp_path / "mine.py"
    file.write_text(
        "import os, time\n\n\ndef slow(prompts, completions, examples):\n"
        "    if completions[0] == '7':\n        time.sleep(60)\n    if completions[0] == 'die':\n        os._exit(3)\n"
        "    if completions[0] == 'bad':\n        raise ValueError('badly')\n"
        "    return [float(examples[0]['answer'] == completions[0])]\n"
    )
    with Pool("slow", Named(f"{file}:slow"), 2, 1.5, late=-9.0) as pool:
        pool(PROMPTS[:2], ["2", "4"], EXAMPLES[:2])  # starts them
        began = time.monotonic()
        assert pool(PROMPTS, ["2", "4", "7"], EXAMPLES) == [1, 0, -9]
        assert pool.late == 1 and time.monotonic() - began < 30
        pool.late_score = None
        for text, said in (("7", "took more than 1.5 s for the prompt '3"), ("die", "its process ended"), ("bad", "ValueError: badly")):
            with pytest.raises(UserError, match=f"the reward slow .*{said}"):
                pool(PROMPTS[2:], [text], EXAMPLES[2:])
        assert pool(PROMPTS[:1], ["2"], EXAMPLES[:1]) == [1]


def test_a_recipe_without_a_reward_is_refused():
    from contextlib import ExitStack

    with pytest.raises(UserError, match="reward.names is empty"), ExitStack() as stack:
        weighted(RewardConfig(), {}, stack)
    with pytest.raises(UserError, match="reward.weights has 2 numbers for the 1 of reward.names"):
        RewardConfig(("exact",), (1.0, 2.0))
