"""More rows than are written at once: one that has ended makes room for the next (Orca's iteration-level scheduling, Yu et al. 2022).

Several rows may go on from one prompt, which is read once. What a row writes follows from its prompt and its key, but for the rounding of
sums. Shapes: N prompts of up to P tokens, R rows in all, B of them at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

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


@dataclass(frozen=True)
class Turns:
    """How rows are written."""

    temperature: float
    vocab: int
    """Ids below it are tokens."""
    end: int
    """The token that ends a row."""
    most: int
    """Tokens of a row at most."""
    bucket: int
    """P: no prompt is longer."""
    at_once: int
    """B."""


def write_in_turns(
    params: Params, config: ModelConfig, prompts: Sequence[Sequence[int]], prompt_R: np.ndarray, keys_R: jax.Array, how: Turns
) -> list[list[int]]:
    """The tokens of each row before its end. Row r goes on from `prompts[prompt_R[r]]`, with its own key. `params` and `config` come from
    `prepare_for_decode`; the model must know `how.bucket` + `how.most` positions."""
    B, lengths = how.at_once, np.array([len(prompt) for prompt in prompts], np.int32)
    ahead = prefill_once(params, config, how.bucket + how.most, padded(prompts, how.bucket), lengths)
    state, row_B, open_B = in_rows(ahead, np.zeros(B, np.int32)), np.zeros(B, np.int64), np.zeros(B, bool)
    waiting = iter(range(len(prompt_R)))
    written: list[list[int]] = [[] for _ in prompt_R]
    while True:
        new_B = np.zeros(B, bool)
        for slot, row in zip(np.flatnonzero(~open_B), waiting, strict=False):
            row_B[slot], open_B[slot], new_B[slot] = row, True, True
        if not open_B.any():
            return written
        if new_B.any():
            state = admit(state, ahead, prompt_R[row_B], new_B)
        state = replace(state, done_B=jnp.asarray(~open_B))
        requests = Requests.of(keys_R[row_B], temperature=how.temperature, vocab=how.vocab, end_of_text=how.end)
        state, tokens_BC, _, count = decode_chunk(params, config, state, requests, TURN)
        new_BC = np.asarray(tokens_BC)[:, : int(count)]
        for slot in np.flatnonzero(open_B):
            own = written[row_B[slot]]
            tokens = new_BC[slot, : how.most - len(own)]
            ends = np.flatnonzero(tokens == how.end)
            own += tokens[: ends[0] if len(ends) else None].tolist()
            open_B[slot] = not len(ends) and len(own) < how.most
