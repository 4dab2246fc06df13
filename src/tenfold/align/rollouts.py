"""Completions to learn from: tokens, the log-probability of each choice, and the version of the weights that made them.

They are drawn by generate's batched cached decoding, from the same forward pass over the same weights that the update differentiates; the
greatest difference between the two log-probabilities of a token is `gap`. Rows are a prompt and its completion, padding after it: place t
is where token t + 1 is chosen, as in objectives/policy.py. What counts is said by `mask_BT`, never by a token's id.

Shapes: B rows, T places.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.align.policy_config import RolloutConfig
from tenfold.align.reader import Reader
from tenfold.errors import UserError
from tenfold.generate.complete import check_decodes
from tenfold.generate.decode import Requests, bucket, decode_scored, prepare_for_decode
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params
from tenfold.tokens.tokenizer import Tokenizer


@dataclass(frozen=True)
class Rollouts:
    """Rows on the host."""

    tokens_BT: np.ndarray
    """int32: what is read."""
    targets_BT: np.ndarray
    """int32: what was chosen at each place, the completion's end_of_text among it; elsewhere the prompt, and padding."""
    mask_BT: np.ndarray
    """f32: 1 where the chosen token is the completion's."""
    logp_BT: np.ndarray
    """f32: of the chosen token when it was drawn; 0 elsewhere."""
    ended_B: np.ndarray
    """bool: whether the completion ended by itself."""
    completions: list[str]
    version: int
    """Updates that the weights had seen."""

    @property
    def lengths_B(self) -> np.ndarray:
        """Tokens of each completion, its end among them."""
        return self.mask_BT.sum(-1).astype(np.int64)


def row_keys(seed: int, step: int, rows: int) -> jax.Array:
    """A key for each row of a step: a row's text depends on the seed, the step and its number, not on its neighbours."""
    key = jax.random.fold_in(jax.random.key(seed), step)
    return jax.vmap(lambda row: jax.random.fold_in(key, row))(jnp.arange(rows, dtype=jnp.uint32))


def places(config: ModelConfig, longest: int, max_tokens: int) -> int:
    """T of rows whose prompts have at most `longest` tokens: few sizes, so that few programs are compiled."""
    return min(-(-(longest + max_tokens - 1) // 8) * 8, config.context)


def check_prompts(config: ModelConfig, prompts: Sequence[Sequence[int]], max_tokens: int) -> int:
    """The longest prompt's tokens. Raises UserError where a prompt leaves no room for a completion, or has no token to start from."""
    longest = max(range(len(prompts)), key=lambda number: len(prompts[number]))
    need = len(prompts[longest]) + max_tokens
    if need > config.context:
        raise UserError(
            f"prompt {longest + 1} has {len(prompts[longest])} tokens and rollout.max_tokens is {max_tokens}: {need} positions, but "
            f"model.context is {config.context}.\n"
            f"  Leave the prompt out, or use rollout.max_tokens {config.context - len(prompts[longest])} or less."
        )
    return len(prompts[longest])


def roll_out(
    params: Params,
    config: ModelConfig,
    tokenizer: Tokenizer | Reader,
    prompts: Sequence[Sequence[int]],
    keys_B: jax.Array,
    rollout: RolloutConfig,
    version: int,
    longest: int,
) -> Rollouts:
    """A completion of each prompt, drawn at `rollout.temperature` from all of the tokenizer's tokens. `longest` bounds the prompts'
    tokens, for all batches alike. Raises UserError where the model does not decode, and where its numbers are no numbers."""
    check_decodes(config)
    weights, decoding = prepare_for_decode(params, config)
    end = tokenizer.end_of_text
    requests = Requests.of(keys_B, temperature=rollout.temperature, vocab=tokenizer.vocab, end_of_text=end)
    sizes = (
        bucket(longest, config.context),
        bucket(max(bucket(longest, config.context), longest + rollout.max_tokens), config.context, 64, 8),
    )
    parts = list(decode_scored(weights, decoding, prompts, requests, rollout.max_tokens, sizes))
    drawn_BC, logp_BC = (np.concatenate(each, 1) for each in zip(*parts, strict=True))
    if (drawn_BC >= tokenizer.vocab).any() or np.isnan(logp_BC).any():
        raise UserError(
            "the policy's logits are NaN: its training diverged.\n  Use an earlier checkpoint and a lower optimizer.learning_rate."
        )
    T = places(config, longest, rollout.max_tokens)
    rows_BT, mask_BT = np.zeros((len(prompts), T + 1), np.int32), np.zeros((len(prompts), T + 1), np.float32)
    all_logp_BT, ended_B, completions = np.zeros_like(mask_BT), np.zeros(len(prompts), bool), []
    for b, prompt in enumerate(prompts):
        ends = np.flatnonzero(drawn_BC[b] == end)
        count = int(ends[0]) + 1 if len(ends) else drawn_BC.shape[1]
        ended_B[b] = len(ends) > 0
        here = slice(len(prompt), len(prompt) + count)
        rows_BT[b, : len(prompt)], rows_BT[b, here] = prompt, drawn_BC[b, :count]
        mask_BT[b, here], all_logp_BT[b, here] = 1, logp_BC[b, :count]
        completions.append(tokenizer.decode(drawn_BC[b, : count - int(ended_B[b])].tolist()))
    return Rollouts(rows_BT[:, :-1], rows_BT[:, 1:], mask_BT[:, 1:], all_logp_BT[:, 1:], ended_B, completions, version)


def gap(drawn_BT: np.ndarray, scored_BT: np.ndarray, mask_BT: np.ndarray) -> float:
    """The greatest difference between a token's log-probability when it was drawn and that by which it is learned from."""
    return float(np.abs((drawn_BT - scored_BT) * mask_BT).max())
