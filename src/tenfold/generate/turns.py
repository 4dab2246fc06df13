"""More rows than are written at once: one that has ended makes room for the next (Orca's iteration-level scheduling, Yu et al. 2022).

Several rows may go on from one prompt, which is read once. What a row writes follows from its prompt and its key, but for the rounding of
sums. Shapes: N prompts, R rows in all, B of them at once.
"""

from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.generate.decode import Requests, admit, decode_chunk, in_rows, padded, prefill_once
from tenfold.model.cache import UNROLLED_ROWS
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params

TURN = 8
"""Tokens of a device call: few, as a row that has ended waits for the others; and enough to hide the call's own cost."""


def rows_at_once(most: int) -> int:
    """B, where at most so many are wanted: two or more; on CPUs no more than are written in place."""
    return max(2, min(most, UNROLLED_ROWS) if jax.default_backend() == "cpu" else most)


def write_in_turns(
    params: Params,
    config: ModelConfig,
    prompts: Sequence[Sequence[int]],
    prompt_R: np.ndarray,
    keys_R: jax.Array,
    temperature: float,
    vocab: int,
    end: int,
    most: int,
    sizes: tuple[int, int],
    at_once: int,
) -> list[list[int]]:
    """The tokens of each row before its `end`, at most `most`. Row r goes on from `prompts[prompt_R[r]]`, with its own key.

    `params` and `config` come from `prepare_for_decode`. `sizes` are the prompts' bucket, which none is longer than, and the positions of
    the cache, with room for `most` tokens behind each; `at_once` is B.
    """
    P, S = sizes
    ahead = prefill_once(params, config, S, padded(prompts, P), np.array([len(prompt) for prompt in prompts], np.int32))
    state, row_B, open_B = in_rows(ahead, np.zeros(at_once, np.int32)), np.zeros(at_once, np.int64), np.zeros(at_once, bool)
    waiting = iter(range(len(prompt_R)))
    written: list[list[int]] = [[] for _ in prompt_R]
    while True:
        new_B = np.zeros(at_once, bool)
        for slot, row in zip(np.flatnonzero(~open_B), waiting, strict=False):
            row_B[slot], open_B[slot], new_B[slot] = row, True, True
        if not open_B.any():
            return written
        if new_B.any():
            state = admit(state, ahead, prompt_R[row_B], new_B)
        state = replace(state, done_B=jnp.asarray(~open_B))
        requests = Requests.of(keys_R[row_B], temperature=temperature, vocab=vocab, end_of_text=end)
        state, tokens_BC, _, count = decode_chunk(params, config, state, requests, TURN)
        for slot in np.flatnonzero(open_B):
            own = written[row_B[slot]]
            tokens = np.asarray(tokens_BC)[slot, : min(int(count), most - len(own))]
            ends = np.flatnonzero(tokens == end)
            own += tokens[: ends[0] if len(ends) else None].tolist()
            open_B[slot] = not len(ends) and len(own) < most
