"""GRPO and PPO end to end on sums of digits: what a step computes, exact resume, and the mistakes of others that must not be ours."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest

from tenfold.align import policy as training
from tenfold.align.policy import train_policy
from tenfold.align.policy_config import FILE, Grpo, PolicyRecipe, Ppo, RolloutConfig
from tenfold.align.policy_round import Drawn, check_fresh, one_step, orders, rewards_of
from tenfold.align.policy_state import make_learner
from tenfold.align.rollouts import row_keys
from tenfold.errors import UserError
from tenfold.train.recipe import load_as
from tenfold.train.run import read_run
from tenfold.train.start import load_model
from tiny_policy import CONFIG, tiny_policy, write_prompts, write_start


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return write_start(tmp_path_factory.mktemp("start") / "run", steps=30)


@pytest.fixture(scope="module")
def prompts(start):
    return write_prompts(start.parent / "prompts.jsonl")


def lines(run) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


class Stop(Exception):
    """Ends a run in the middle."""


@pytest.fixture(scope="module", params=["grpo", pytest.param("ppo", marks=pytest.mark.slow)])
def trained(request, start, prompts):
    """A run of four steps, and its recipe."""
    ppo = Ppo(epochs=2, minibatches=2, kl_target=0.5, kl_horizon=100, unended=-1.0, whiten_rewards=True)
    recipe = tiny_policy(start, prompts, grpo=Grpo(kl=0.04, clip_high=0.28), ppo=ppo if request.param == "ppo" else None)
    return train_policy(recipe, start.parent / request.param), recipe


def test_it_is_a_run_like_any_other(trained):
    """Its newest weights are a model's, its files those of any run, and align.yaml is the whole recipe."""
    run, recipe = trained
    model, step = load_model(read_run(run.path), training.make_mesh(recipe.recipe.mesh, jax.devices()[:1]))
    assert step == 4 and model["embedding"].shape == (CONFIG.vocab, CONFIG.embed)
    assert run.result["finished"] and run.result["completions"] == 64
    assert load_as(PolicyRecipe, run.path / FILE).method == recipe.method
    assert {line["step"] for line in lines(run.path)} == {1, 2, 3, 4}
    sample = json.loads((run.path / "samples.jsonl").read_text().splitlines()[0])
    assert set(sample) == {"step", "prompt", "text", "reward"}


def test_drawing_and_learning_agree(trained):
    """The two-engine bugs: a token's log-probability when it was drawn and when it is learned from are within 1e-4 at every step."""
    assert all(line["logp_gap"] < 1e-4 for line in lines(trained[0].path))


def test_the_first_update_finds_nothing_moved(trained):
    """Before the first step the policy is the start: no KL. In GRPO's single update its ratios are 1."""
    run, recipe = trained
    first = lines(run.path)[0]
    assert abs(first["kl"]) < 1e-5
    assert all(abs(line["first_kl"]) < 1e-6 for line in lines(run.path))
    if recipe.grpo:
        assert first["clipped"] == 0
    else:
        assert first["last_kl"] > 1e-6, "the last of four updates has seen the policy move"


def test_a_single_update_sees_what_a_look_before_it_sees(start, prompts, monkeypatch):
    """GRPO without a KL spares itself the look: the same figures, samples and weights, but for rounding."""
    recipe = tiny_policy(start, prompts, grpo=Grpo())
    assert not recipe.looks and replace(recipe, grpo=Grpo(epochs=2)).looks and replace(recipe, grpo=Grpo(kl=0.1)).looks
    without = train_policy(recipe, start.parent / "unlooked")
    monkeypatch.setattr(PolicyRecipe, "looks", True)
    looked = train_policy(recipe, start.parent / "looked")
    for line, other in zip(lines(without.path), lines(looked.path), strict=True):
        assert line == pytest.approx(other, rel=1e-4, abs=1e-5)
    assert (without.path / "samples.jsonl").read_text() == (looked.path / "samples.jsonl").read_text()


def test_an_adaptive_kl_adapts(trained):
    run, recipe = trained
    if recipe.ppo:
        betas = [line["beta"] for line in lines(run.path)]
        assert betas[0] == pytest.approx(0.05) and betas[1] == pytest.approx(0.05 * (1 - 0.2 * 16 / 100))


def test_a_stopped_run_goes_on_to_the_same_numbers(trained, monkeypatch):
    """Ended in its third step by an error, and called again: the same metrics and samples, to the last bit, and the same weights."""
    run, recipe = trained
    again = run.path.with_name(run.path.name + "-again")
    count = 0

    def stopping(*arguments):
        nonlocal count
        count += 1
        if count == 3:
            raise Stop
        return one_step(*arguments)

    monkeypatch.setattr(training, "one_step", stopping)
    with pytest.raises(Stop):
        train_policy(recipe, again)
    train_policy(recipe, again)
    for name in ("metrics.jsonl", "samples.jsonl"):
        assert (again / name).read_text() == (run.path / name).read_text()
    one, other = (load_model(read_run(path), training.make_mesh(recipe.recipe.mesh, jax.devices()[:1]))[0] for path in (run.path, again))
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_a_run_does_not_go_on_by_another_method(trained):
    run, recipe = trained
    changed = replace(recipe, rollout=replace(recipe.rollout, temperature=0.5))
    with pytest.raises(UserError, match="was begun with another rollout.temperature"):
        train_policy(changed, run.path)


def test_completions_of_older_weights_are_refused(trained):
    """Rollouts on stale weights, with no error, were a bug of others."""
    from types import SimpleNamespace

    with pytest.raises(ValueError, match="completions of the weights of step 3, but the weights are of step 4"):
        check_fresh(SimpleNamespace(version=3), SimpleNamespace(step=4))


def test_every_row_is_learned_from_once_an_epoch():
    found = list(orders(12, 2, 3, (0, 5)))
    assert [len(order) for order in found] == [4] * 6
    for epoch in (found[:3], found[3:]):
        assert sorted(np.concatenate(epoch)) == list(range(12))
    assert not np.array_equal(found[0], found[3])


@pytest.mark.slow
def test_a_failing_reward_ends_the_run_and_leaves_it_whole(start, prompts):
    """It is named with its example; nothing half-written stays, and the run goes on when the reward is mended."""
    calls = []

    def flaky(texts, completions):
        calls.append(1)
        return [float("nan") if len(calls) == 3 and i == 5 else 0.0 for i in range(len(completions))]

    recipe = tiny_policy(start, prompts, steps=4)
    recipe = replace(recipe, reward=replace(recipe.reward, names=()))
    path = start.parent / "flaky"
    with pytest.raises(UserError, match="the reward flaky returned nan for the prompt"):
        train_policy(recipe, path, {"flaky": flaky})
    assert [line["step"] for line in lines(path)] == [1, 2]
    run = train_policy(recipe, path, {"flaky": lambda p, c: [0.0] * len(c)})
    assert run.result["finished"] and [line["step"] for line in lines(path)] == [1, 2, 3, 4]


def test_equal_rewards_teach_nothing(start, prompts):
    """A group of equals has no advantage: no gradient and no NaN, and without decay the weights stay to the last bit."""
    recipe = replace(tiny_policy(start, prompts, steps=1), reward=replace(tiny_policy(start, prompts).reward, names=()))
    run = train_policy(recipe, start.parent / "equals", {"same": lambda p, c: [0.1] * len(c)})
    mesh = training.make_mesh(recipe.recipe.mesh, jax.devices()[:1])
    jax.tree.map(np.testing.assert_array_equal, load_model(read_run(start), mesh)[0], load_model(read_run(run.path), mesh)[0])
    assert lines(run.path)[0]["grad_norm"] == 0


def test_rows_of_a_step_have_keys_of_their_own():
    keys = [np.asarray(jax.random.key_data(row_keys(0, step, 3))) for step in (0, 1)]
    assert len({tuple(key) for key in np.concatenate(keys).tolist()}) == 6


@pytest.mark.parametrize(
    "settings, said",
    [
        (dict(top_p=0.9), "rollout.top_p is 0.9: .* biased"),
        (dict(top_k=50), "rollout.top_k is 50: .* biased"),
        (dict(temperature=0.0), "rollout.temperature is 0.0, but must be above 0"),
        (dict(completions=0), "rollout.completions is 0"),
    ],
)
def test_sampling_that_would_bias_the_ratio_is_refused(settings, said):
    with pytest.raises(UserError, match=said):
        RolloutConfig(**settings)


def test_experts_drop_no_token(start, prompts):
    """Decoding drops none; if learning did, the two log-probabilities of a token would differ."""
    policy = tiny_policy(start, prompts)
    model = replace(CONFIG, experts=2, expert_capacity=1.0)
    assert make_learner(replace(policy, recipe=replace(policy.recipe, model=model)), 14).config.expert_capacity == 0


def test_recipes_that_cannot_work_are_refused(start, prompts, tmp_path):
    for change, said in (
        (dict(completions=1), "rollout.completions is 1, but GRPO compares"),
        (dict(completions=3), "train.batch is 16 completions, which rollout.completions 3"),
        (dict(grpo=Grpo(minibatches=3)), "train.batch is 16: 3 grpo.minibatches"),
    ):
        with pytest.raises(UserError, match=said):
            tiny_policy(start, prompts, **change)
    with pytest.raises(UserError, match="train.frozen names embedding, but PPO's critic"):
        tiny_policy(start, prompts, ppo=Ppo(), frozen=("embedding",))
    with pytest.raises(UserError, match="ppo.ptx is 1.0 and ppo.ptx_data empty"):
        Ppo(ptx=1.0)
    bad = tmp_path / "bad.jsonl"
    for text, said in (
        ("", "hold no prompts"),
        ('{"prompt": "1+1="}\n{"prompt": 3}\n', "line 2, is .*whose `prompt` is a text"),
        ("x\n", "line 1, is not"),
    ):
        bad.write_text(text)
        with pytest.raises(UserError, match=said):
            train_policy(tiny_policy(start, bad), tmp_path / "run")
    bad.write_text('{"prompt": "1+1="}\n{"prompt": "1+1+1+1+1+1+1="}\n')
    with pytest.raises(UserError, match="prompt 2 has 14 tokens and rollout.max_tokens is 4: 18 positions, but model.context is 16"):
        train_policy(tiny_policy(start, bad), tmp_path / "run")
    assert not (tmp_path / "run" / "recipe.yaml").exists()


def test_each_reward_that_is_added_up_is_told_apart():
    """Under NAME_REWARD, times its weight; a reward alone is its own mean."""
    several = Drawn([], None, {"exact": [1.0, 0.0], "short": [-0.5, -1.5]})
    assert rewards_of(several, "held_out_reward") == {
        "held_out_reward": -0.5,
        "held_out_reward_exact": 0.5,
        "held_out_reward_short": -1.0,
    }
    assert rewards_of(Drawn([], None, {"exact": [1.0, 0.0]}), "reward") == {"reward": 0.5}
