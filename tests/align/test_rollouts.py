"""Completions, and their log-probabilities against scoring without a cache."""

import jax
import numpy as np
import pytest

from tenfold.align.policy_config import RolloutConfig
from tenfold.align.rollouts import check_prompts, gap, places, roll_out, row_keys
from tenfold.errors import UserError
from tenfold.model.params import init_params
from tenfold.objectives.chosen import chosen_logprobs
from tiny_policy import CONFIG, tokenizer

PARAMS = jax.tree.map(lambda w: 8 * w, init_params(jax.random.key(0), CONFIG))
TOKENIZER = tokenizer()
PROMPTS = [TOKENIZER.encode(text) for text in ("1+2=", "3", "12+34=", "1+2=")]
ROLLOUT = RolloutConfig(max_tokens=6, temperature=0.7)


def drawn(prompts=PROMPTS, keys=None, params=PARAMS):
    keys = row_keys(0, 0, len(prompts)) if keys is None else keys
    return roll_out(params, CONFIG, TOKENIZER, prompts, keys, ROLLOUT, 3, max(map(len, PROMPTS)))


@pytest.fixture(scope="module")
def rollouts():
    return drawn()


def test_rows_are_prompt_and_completion(rollouts):
    """What is masked in is what was written, its end among it, and what comes after is padding."""
    for b, prompt in enumerate(PROMPTS):
        length = int(rollouts.lengths_B[b])
        row = [int(rollouts.tokens_BT[b, 0]), *rollouts.targets_BT[b].tolist()]
        assert row[: len(prompt)] == prompt
        written = row[len(prompt) : len(prompt) + length]
        assert rollouts.mask_BT[b].tolist() == [0] * (len(prompt) - 1) + [1] * length + [0] * (
            places(CONFIG, 6, 6) - len(prompt) + 1 - length
        )
        ended = TOKENIZER.end_of_text in written
        assert ended == rollouts.ended_B[b] and (written.index(0) == length - 1 if ended else length == 6)
        assert rollouts.completions[b] == TOKENIZER.decode(written[: length - ended])
        assert not any(row[len(prompt) + length :])
    assert rollouts.version == 3 and 0 < rollouts.ended_B.sum() < 4, "some end and some do not, or this shows little"


def test_log_probabilities_are_those_of_scoring(rollouts):
    """At the temperature, of the tokenizer's tokens only (the model has rows for more): drawn from the cache, and scored without one."""
    assert TOKENIZER.vocab < CONFIG.vocab
    scored = chosen_logprobs(PARAMS, CONFIG, rollouts.tokens_BT, rollouts.targets_BT, rollouts.mask_BT, 0.7, TOKENIZER.vocab).logp_BT
    assert gap(rollouts.logp_BT, np.asarray(scored), rollouts.mask_BT) < 2e-5
    hotter = chosen_logprobs(PARAMS, CONFIG, rollouts.tokens_BT, rollouts.targets_BT, rollouts.mask_BT, 1.0, TOKENIZER.vocab).logp_BT
    more = chosen_logprobs(PARAMS, CONFIG, rollouts.tokens_BT, rollouts.targets_BT, rollouts.mask_BT, 0.7, 0).logp_BT
    assert all(gap(rollouts.logp_BT, np.asarray(other), rollouts.mask_BT) > 0.01 for other in (hotter, more)), (
        "and of no other distribution"
    )


def test_a_row_does_not_know_its_neighbours(rollouts):
    alone = drawn(PROMPTS[2:3], row_keys(0, 0, 4)[2:3])
    assert alone.completions[0] == rollouts.completions[2]
    np.testing.assert_allclose(alone.logp_BT[0], rollouts.logp_BT[2], atol=2e-5)


def test_a_model_that_is_no_number_is_refused():
    with pytest.raises(UserError, match="the policy's logits are NaN"):
        drawn(params=jax.tree.map(lambda w: w * np.nan, PARAMS))


def test_prompts_need_room():
    assert check_prompts(CONFIG, PROMPTS, 10) == 6
    with pytest.raises(UserError, match="prompt 3 has 6 tokens and rollout.max_tokens is 11: 17 positions, but model.context is 16"):
        check_prompts(CONFIG, PROMPTS, 11)
