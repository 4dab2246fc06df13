"""GRPO learns what it is rewarded for: sums of two digits, from a start that has seen few of them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tenfold.align.policy import train_policy
from tenfold.align.policy_config import Grpo
from tiny_policy import tiny_policy, write_prompts, write_start


@pytest.mark.slow
def test_grpo_raises_success(tmp_path):
    """A start that is right about one time in five; after 900 steps of 64 completions it is right far more often, and still near it."""
    start, prompts = write_start(tmp_path / "start", steps=150), write_prompts(tmp_path / "prompts.jsonl")
    recipe = tiny_policy(start, prompts, grpo=Grpo(kl=0.04), completions=8, steps=900, batch=64, checkpoint_every=900, evaluate_every=900)
    recipe = replace(recipe, recipe=replace(recipe.recipe, data=replace(recipe.recipe.data, held_out=str(prompts))))
    run = train_policy(recipe, tmp_path / "run")
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "reward" in line]
    early, late = (np.mean([line["reward"] for line in some]) for some in (steps[:30], steps[-30:]))
    assert early < 0.35 and late > early + 0.3
    assert all(line["logp_gap"] < 1e-4 for line in steps) and steps[-1]["kl"] < 5
