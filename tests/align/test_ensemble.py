"""Ensembles of reward models: each member is what it would be alone, and together they say less where they disagree."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tenfold.align.comparison import train_on_comparisons
from tenfold.align.comparison_config import ComparisonRecipe, RewardModel
from tenfold.align.comparison_step import Judge, learn
from tenfold.align.comparisons import Ranked
from tenfold.align.ensemble import first_members, judged_all, learn_all, own_share
from tenfold.align.headed import first_headed
from tenfold.align.policy_config import RewardConfig
from tenfold.align.reward_model import ModelReward, load_reward_model
from tenfold.align.rewards import find_reward
from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.params import init_params
from tenfold.train.frozen import own_weights
from tenfold.train.recipe import LoraConfig, Recipe
from tenfold.train.state import State
from tiny_policy import CONFIG as tiny_policy_config
from tiny_policy import SUMS, tiny_policy, tokenizer, write_start

CONFIG = ModelConfig(vocab=16, context=16, layers=1, embed=16, heads=2, dtype="float32")
OPTIMIZER = optax.adam(1e-2)
JUDGE = Judge(RewardModel(), CONFIG, own_weights, OPTIMIZER, 16, 0)
E, A, N, K, S = 3, 2, 2, 2, 8


@pytest.fixture(scope="module")
def members():
    """Three heads on one model, f32[E, ...]."""
    return first_members([init_params(jax.random.key(0), CONFIG)], CONFIG, 7, E)


def rows(count: int) -> Ranked:
    random = np.random.default_rng(0)
    tokens = np.int32(random.integers(1, 13, (count, N, K, S)))
    length, rank = np.int32(random.integers(3, S + 1, (count, N, K))), np.tile(np.int32([0, 1]), (count, N, 1))
    return Ranked(tokens, np.ones(tokens.shape, np.float32), length, rank, np.ones(rank.shape, bool), np.zeros((count, N), np.float32))


def test_a_member_is_the_model_that_it_would_be_alone(members):
    """Its head from the seed plus its number; its update, microbatches and clipping among it, from its own comparisons."""
    alone = first_headed(init_params(jax.random.key(0), CONFIG), CONFIG, jax.random.fold_in(jax.random.key(8), 1))
    jax.tree.map(lambda all_E, one: np.testing.assert_array_equal(all_E[1], one), members, alone)
    given = rows(E * A)
    state = State(jnp.int32(0), members, jax.vmap(OPTIMIZER.init)(members))
    together, figures = jax.jit(partial(learn_all, JUDGE, E))(state, None, None, given)
    one, found = jax.jit(partial(learn, JUDGE))(
        State(jnp.int32(0), alone, OPTIMIZER.init(alone)), None, None, jax.tree.map(lambda x: x[A : 2 * A], given)
    )
    assert int(together.step) == 1 and figures["loss"].shape == () and found["loss"] > 0
    jax.tree.map(lambda all_E, x: np.testing.assert_allclose(all_E[1], x, atol=1e-6), together.params, one.params)
    assert float(jnp.abs(together.params["score"]["weight"][0] - together.params["score"]["weight"][1]).max()) > 1e-3


def test_a_share_is_the_members_own_and_the_same_again():
    all_of_them, half, other = own_share(40, 1.0, 3), own_share(40, 0.5, 3), own_share(40, 0.5, 4)
    np.testing.assert_array_equal(all_of_them, np.arange(40))
    assert len(half) == len(set(half)) == 20 and set(half) <= set(range(40)) and set(half) != set(other)
    np.testing.assert_array_equal(half, own_share(40, 0.5, 3))
    assert len(own_share(3, 0.01, 0)) == 1


def test_what_members_say_is_pooled_as_asked(members):
    """And each comparison is judged by all of them."""
    sums, score_ENK = jax.jit(partial(judged_all, JUDGE, E))(members, None, None, jax.tree.map(lambda x: x[0], rows(1)))
    assert score_ENK.shape == (E, N, K) and sums.pairs == N
    texts = (["1+2=", "4+4="], ["3", "81"])
    model = ModelReward(members, None, own_weights, CONFIG, tokenizer(), E)
    each_EB = np.asarray(model.each(*texts))
    assert each_EB.shape == (E, 2) and each_EB.std(0).min() > 1e-3
    for pool, said in (
        ("mean", each_EB.mean(0)),
        ("worst", each_EB.min(0)),
        ("deviation", each_EB.mean(0) - 0.5 * each_EB.std(0)),
        ("variance", each_EB.mean(0) - 0.5 * each_EB.var(0)),
    ):
        asked = replace(model, pool=pool, penalty=0.5)
        asked._scores = model._scores
        np.testing.assert_allclose(asked(*texts), said, rtol=1e-5)
    assert model([], []) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ensemble": 0}, "reward_model.ensemble is 0, but must be at least 1"),
        ({"ensemble": 2, "share": 0.0}, "reward_model.share is 0.0, but must be above 0"),
        ({"share": 0.5}, "reward_model.share is 0.5, but there is one model"),
        ({"starts": ("a",)}, "starts are of an ensemble's members"),
        ({"ensemble": 2, "starts": ("a", "b", "c")}, "starts names 3 models for 2 members"),
    ],
)
def test_bad_settings_are_named(settings, said):
    with pytest.raises(UserError, match=said):
        RewardModel(**settings)


def test_bodies_and_adapters_are_not_for_each_other():
    with pytest.raises(UserError, match="adapters share one"):
        ComparisonRecipe(Recipe("r", start="s", lora=LoraConfig(rank=2)), reward_model=RewardModel(ensemble=2, starts=("a", "b")))


def test_the_penalty_is_checked():
    with pytest.raises(UserError, match="reward.penalty is -1.0, but must be 0 or more"):
        RewardConfig(penalty=-1.0)


@pytest.mark.slow
@pytest.mark.parametrize("lora", [LoraConfig(), LoraConfig(rank=2)], ids=["full", "lora"])
def test_an_ensemble_is_one_run_and_a_reward(tmp_path, lora):
    """Its second member is the run with seeds one higher, but for where its zero is; the worst score is the lowest of the members'."""
    write_start(tmp_path / "start")
    lines = [json.dumps({"prompt": f"{a}+{b}=", "answers": ["123"[: 1 + b % 3] + "4", "1"]}) for a, b in SUMS]
    (tmp_path / "ranked.jsonl").write_text("\n".join(lines))
    base = tiny_policy(tmp_path / "start", tmp_path / "ranked.jsonl", steps=4, batch=8, seed=3).recipe
    asked = ComparisonRecipe(replace(base, lora=lora), reward_model=RewardModel(ensemble=2))
    run = train_on_comparisons(asked, tmp_path / "both")
    assert run.result["held_out_disagreement"] > 0 and 0 <= run.result["held_out_member_accuracy"] <= 1
    higher = replace(asked.recipe, train=replace(base.train, seed=4), data=replace(base.data, seed=base.data.seed + 1))
    train_on_comparisons(replace(asked, recipe=higher, reward_model=RewardModel()), tmp_path / "one")
    both, one = load_reward_model(tmp_path / "both"), load_reward_model(tmp_path / "one")
    texts = [f"{a}+{a}=" for a in range(6)], ["1", "12", "123", "4", "55", "678"]
    apart = np.asarray(both.each(*texts))[1] - np.asarray(one(*texts))
    assert apart.std() < 1e-4
    worst = find_reward(str(tmp_path / "both"), pool="worst")
    np.testing.assert_allclose(worst(*texts), np.asarray(both.each(*texts)).min(0), rtol=1e-5)
    again = train_on_comparisons(asked, tmp_path / "both")
    assert again.result["held_out_loss"] == pytest.approx(run.result["held_out_loss"], abs=1e-6)


@pytest.mark.slow
def test_members_have_pairs_and_bodies_of_their_own(tmp_path, monkeypatch):
    """Each is the run that begins as its body and reads its share alone; a body of another shape is refused."""
    write_start(tmp_path / "one")
    write_start(tmp_path / "two", seed=1)
    lines = [json.dumps({"prompt": f"{a}+{b}=", "answers": ["123"[: 1 + b % 3] + "4", "1"]}) for a, b in SUMS]
    (tmp_path / "ranked.jsonl").write_text("\n".join(lines))
    (tmp_path / "held_out.jsonl").write_text(json.dumps({"prompt": "1+1+1=", "answers": ["3", "1"]}))
    base = tiny_policy(tmp_path / "one", tmp_path / "ranked.jsonl", steps=4, batch=8, seed=3).recipe
    data = replace(base.data, held_out=str(tmp_path / "held_out.jsonl"))
    both = RewardModel(ensemble=2, share=0.5, starts=(str(tmp_path / "one"), str(tmp_path / "two")))
    asked = ComparisonRecipe(replace(base, data=data), reward_model=both)
    train_on_comparisons(asked, tmp_path / "both")
    own = own_share(len(lines), 0.5, data.seed + 1)
    (tmp_path / "own.jsonl").write_text("\n".join(lines[i] for i in own))
    alone = replace(
        base,
        start=str(tmp_path / "two"),
        train=replace(base.train, seed=4),
        data=replace(data, paths=(str(tmp_path / "own.jsonl"),), seed=data.seed + 1),
    )
    train_on_comparisons(ComparisonRecipe(alone, reward_model=RewardModel()), tmp_path / "alone")
    texts = [f"{a}+{a}=" for a in range(6)], ["1", "12", "123", "4", "55", "678"]
    apart = np.asarray(load_reward_model(tmp_path / "both").each(*texts))[1] - np.asarray(load_reward_model(tmp_path / "alone")(*texts))
    assert apart.std() < 1e-4
    monkeypatch.setattr("tiny_policy.CONFIG", replace(tiny_policy_config, embed=64))
    write_start(tmp_path / "wide")
    wrong = replace(asked, reward_model=replace(both, starts=(str(tmp_path / "wide"),)))
    with pytest.raises(UserError, match="wide, whose shape is not that of start"):
        train_on_comparisons(wrong, tmp_path / "refused")
