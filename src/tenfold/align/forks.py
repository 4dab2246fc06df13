"""Answers to one prompt in one row, which reads the prompt once: what DPO learns from, where the model's attention can do it.

    prompt  answer 1  answer 2 ...      each answer sees the prompt and itself, and stands where it would without the others

Shapes: N prompts, K answers of each, T tokens of a row, L tokens of an answer with its end.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.align.comparisons import Comparison, encoded
from tenfold.generate.complete import TextTokenizer
from tenfold.model.attention.blocked import SHARED
from tenfold.model.attention.kinds import takes_forks
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params
from tenfold.model.transformer import forward
from tenfold.objectives.chosen import of_states


class Forks(NamedTuple):
    """Comparisons as rows. Arrays of NumPy, and of JAX within a step."""

    tokens_NT: Any
    segments_NT: Any
    """SHARED for the prompt, each answer's number from 1, 0 for padding."""
    places_NT: Any
    """Where each token stands behind its prompt."""
    before_NKL: Any
    """The place in the row before each token of an answer."""
    targets_NKL: Any
    mask_NKL: Any
    """f32: 1 at the answer's tokens, its end among them."""
    rank_NK: Any
    real_NK: Any


def fork_length(comparisons: Sequence[Comparison], tokenizer: TextTokenizer, room: int) -> int:
    """Tokens of the longest row: of an answer its end is a target alone."""

    def length(each: Comparison) -> int:
        rows = [encoded(each.prompt, answer, tokenizer, room) for answer in each.answers]
        return rows[0][1] + sum(len(ids) - start - 1 for ids, start in rows)

    return max(map(length, comparisons))


def forked(comparisons: Sequence[Comparison], tokenizer: TextTokenizer, room: int, answers: int, width: int, most: int) -> Forks:
    """Rows of `width` tokens, each with `answers` answers of at most `most` tokens, filled up where there are fewer."""
    N = len(comparisons)
    tokens, segments, places = (np.zeros((N, width), np.int32) for _ in range(3))
    before, targets = (np.zeros((N, answers, most), np.int32) for _ in range(2))
    mask, rank, real = np.zeros(before.shape, np.float32), np.zeros((N, answers), np.int32), np.zeros((N, answers), bool)
    for n, each in enumerate(comparisons):
        at = 0
        for k, text in enumerate(each.answers):
            ids, start = encoded(each.prompt, text, tokenizer, room)
            if not k:
                at, tokens[n, :start], segments[n, :start], places[n, :start] = start, ids[:start], SHARED, range(start)
            here, length = slice(at, at + len(ids) - start - 1), len(ids) - start
            tokens[n, here], segments[n, here], places[n, here] = ids[start:-1], k + 1, range(start, len(ids) - 1)
            before[n, k, :length], targets[n, k, :length], mask[n, k, :length] = [start - 1, *range(here.start, here.stop)], ids[start:], 1
            rank[n, k], real[n, k], at = each.ranks[k], True, here.stop
    return Forks(tokens, segments, places, before, targets, mask, rank, real)


def fork_logprobs(params: Params, config: ModelConfig, rows: Forks, vocab: int) -> jax.Array:
    """f32[N, K]: log-probabilities of the answers. Ids from `vocab` on (0: none) are no tokens."""
    if not takes_forks(config):
        raise ValueError("answers share their prompt where attention is dense and causal, on whole rows, without ALiBi or learned biases")
    x_NTD = forward(params, config, rows.tokens_NT, rows.segments_NT, places_BT=rows.places_NT).x_BTD
    N, K, L = rows.before_NKL.shape
    x_NCD = jnp.take_along_axis(x_NTD, rows.before_NKL.reshape(N, K * L, 1), 1)
    logp_NC = of_states(params, config, x_NCD, rows.targets_NKL.reshape(N, K * L), 1.0, vocab).logp_BT
    return jnp.where(rows.mask_NKL > 0, logp_NC.reshape(N, K, L), 0.0).sum(-1)
