"""Reward models and DPO end to end, on answers of which the longer is the better."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest

from tenfold.align.comparison import train_on_comparisons
from tenfold.align.comparison_config import ComparisonRecipe, Dpo, RewardModel
from tenfold.align.comparisons import as_pairs, comparison, ranked, read_comparisons, split
from tenfold.align.policy import train_policy
from tenfold.align.prompts import chosen
from tenfold.align.reward_model import load_reward_model
from tenfold.align.rewards import find_reward
from tenfold.errors import UserError
from tenfold.recipes.policy import found_lines
from tenfold.sharding.axes import make_mesh
from tenfold.train.recipe import LoraConfig
from tenfold.train.run import read_run
from tenfold.train.start import load_model
from tiny_policy import SUMS, tiny_policy, tokenizer, write_prompts, write_start


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A start, and rankings of 2 to 4 answers: 1 to 4 letters, the longest first."""
    folder = tmp_path_factory.mktemp("comparisons")
    write_start(folder / "start")
    random = np.random.default_rng(0)
    with (folder / "ranked.jsonl").open("w") as file:
        for a, b in SUMS:
            lengths = sorted(random.choice([1, 2, 3, 4], random.integers(2, 5), replace=False), reverse=True)
            answers = ["".join(random.choice(list("0123456789"), n)) for n in lengths]
            file.write(json.dumps({"prompt": f"{a}+{b}=", "answers": answers}) + "\n")
    (folder / "people.jsonl").write_text("".join(json.dumps({"prompt": f"{a}+1=", "completion": "12"}) + "\n" for a in range(9)))
    return folder


def recipe(folder, *, lora=None, **method) -> ComparisonRecipe:
    base = tiny_policy(folder / "start", folder / "ranked.jsonl", steps=40, log_every=20, checkpoint_every=20, evaluate_every=40).recipe
    data = replace(base.data, held_out=None)
    return ComparisonRecipe(
        replace(base, data=data, lora=lora or LoraConfig(), optimizer=replace(base.optimizer, learning_rate=3e-3)), **method
    )


@pytest.fixture(scope="module")
def reward_run(folder):
    return train_on_comparisons(recipe(folder, reward_model=RewardModel(str(folder / "people.jsonl"))), folder / "reward")


def test_a_reward_model_learns_the_order(reward_run):
    """Held-out pairs, from chance to nearly all; a mean over prompts that have 1 to 6 pairs."""
    metrics = [json.loads(line) for line in (reward_run.path / "metrics.jsonl").read_text().splitlines()]
    assert metrics[0]["step"] == 0
    assert reward_run.result["held_out_accuracy"] > 0.9 and reward_run.result["held_out_loss"] < metrics[0]["held_out_loss"]


def test_its_result_stands_beside_lengths(reward_run):
    """The longer answer is always the better one here: no model is above the rule that says so, and the printed lines show both."""
    result = reward_run.result
    assert result["held_out_accuracy_low"] <= result["held_out_accuracy"] <= result["held_out_accuracy_high"]
    assert (result["length_rule"], result["length_accuracy"], result["length_loss"] < 0.01) == ("longer", 1, True)
    assert result["above_length"] == pytest.approx(result["held_out_accuracy"] - 1) and result["above_length_high"] <= 0
    said = " ".join(found_lines(result))
    assert f"held-out accuracy {result['held_out_accuracy']:.3f} (95%: " in said and "the longer answer is the better one: 1.000" in said


def test_it_is_a_reward_that_is_read_at_a_texts_end_and_scores_demonstrations_0(reward_run, folder):
    """Whatever is scored beside a text, and however rows are padded."""
    model = find_reward(str(reward_run.path))
    people = [f"{a}+1=" for a in range(9)]
    assert np.mean(model(people, ["12"] * 9)) == pytest.approx(0, abs=1e-5)
    alone, long = model(["1+2="], ["3"]), model(["1+2=", "1+2="], ["3", "1234567"])
    assert alone[0] == pytest.approx(long[0], abs=1e-5) and long[1] > long[0]
    with pytest.raises(UserError, match="is no run of `tenfold align reward`"):
        load_reward_model(folder / "start")


@pytest.mark.slow
def test_a_policy_is_trained_against_it(reward_run, folder):
    prompts = write_prompts(folder / "prompts.jsonl")
    policy = tiny_policy(folder / "start", prompts, steps=1)
    run = train_policy(replace(policy, reward=replace(policy.reward, names=(str(reward_run.path),))), folder / "against")
    assert run.result["finished"]


@pytest.mark.slow
@pytest.mark.parametrize("lora", [None, LoraConfig(rank=2)], ids=["full", "lora"])
def test_dpo_learns_the_order_and_goes_on_exactly(folder, lora, monkeypatch):
    """From log 2, as the policy is its reference. Stopped and continued: the same metrics and weights."""
    asked, path = recipe(folder, dpo=Dpo(), lora=lora), folder / f"dpo{bool(lora)}"
    run = train_on_comparisons(asked, path)
    metrics = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert metrics[0]["held_out_loss"] == pytest.approx(np.log(2), abs=1e-5) and metrics[1]["loss"] == pytest.approx(np.log(2), abs=1e-5)
    assert run.result["held_out_loss"] < np.log(2) and run.result["held_out_accuracy"] > 0.6

    def stopping(count, wanted, step, seed):
        if step == 25:
            raise RuntimeError("stop")
        return chosen(count, wanted, step, seed)

    monkeypatch.setattr("tenfold.align.comparison.chosen", stopping)
    with pytest.raises(RuntimeError):
        train_on_comparisons(asked, path / "again")
    monkeypatch.undo()
    train_on_comparisons(asked, path / "again")
    assert (path / "again" / "metrics.jsonl").read_text() == (path / "metrics.jsonl").read_text()
    one, other = (load_model(read_run(p), make_mesh(asked.recipe.mesh, jax.devices()[:1]))[0] for p in (path, path / "again"))
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_rows_hold_prompt_answer_and_end_and_only_the_answer_counts():
    token = tokenizer()
    rows = ranked([comparison({"prompt": "1+2=", "answers": ["3", "45"]})], token, 16, 3, 8)
    assert rows.tokens_NKS[0, 1].tolist() == [*token.encode("1+2=45"), token.end_of_text, 0]
    assert rows.mask_NKS[0].tolist() == [[0, 0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1, 0], [0] * 8]
    assert rows.length_NK.tolist() == [[6, 7, 1]] and rows.real_NK.tolist() == [[True, True, False]]


def test_pairs_of_a_ranking():
    """Every pair but ties, the better first."""
    each = comparison({"prompt": "p", "answers": ["a", "b", "c"], "ranks": [2, 1, 2]})
    assert [pair.answers for pair in as_pairs([each])] == [("b", "a"), ("b", "c")]
    assert comparison({"prompt": "p", "chosen": "a", "rejected": "b", "margin": 2}).margin == 2


@pytest.mark.parametrize(
    "line, said",
    [
        (dict(), "has neither `answers`"),
        (dict(answers=["a"]), "compares nothing: it has 1 answers"),
        (dict(answers=["a", "b"], ranks=[1, 1]), "compares nothing"),
        (dict(answers=["a", "b"], ranks=[1]), "has 2 answers and the ranks \\[1\\]"),
        (dict(answers=["a", ""]), "has the answer ''"),
        (dict(chosen="a"), "has the answer None"),
        (dict(chosen="a", rejected="b", margin="x"), "has the margin 'x'"),
    ],
)
def test_lines_that_are_none_are_named(line, said):
    with pytest.raises(UserError, match=f"the line of the prompt 'why' {said}"):
        comparison({"prompt": "why"} | line)


def test_no_prompt_is_trained_on_and_measured(folder):
    found = read_comparisons([folder / "ranked.jsonl"])
    train, held_out = split([*found, *found], None)
    assert held_out and not {each.prompt for each in train} & {each.prompt for each in held_out}
