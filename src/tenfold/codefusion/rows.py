"""Examples to rows of tokens: a batch is a function of (seed, step).

A snippet's row is its tokens, then pads to the end (the paper: 128 tokens); the pad is the tokenizer's end of text. A text's row is
its tokens, cut where they are too many, then pads that nothing attends to.
Letters: config.py; A microbatches.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from tenfold.codefusion.config import FusionConfig
from tenfold.codefusion.data import Example
from tenfold.codefusion.masking import find_spans, hidden_tokens
from tenfold.codefusion.model import Text
from tenfold.codefusion.recipe import FusionRecipe
from tenfold.tokens.tokenizer import Tokenizer

HELD_OUT = 1  # the stream of random numbers of rows to measure on; training's is 0


Array = Any  # of numpy on the host, of JAX on the device


class Rows(NamedTuple):
    """Rows on the host or the device, f32, bool or int32."""

    text: Text
    code_BT: Array
    held_BT: Array
    """True where the code is given, and not to be found."""
    weight_BT: Array
    """What a token's loss counts."""
    alone_B: Array
    """True where noise stands for the text."""
    time_B: Array
    """In [0, 1): how much noise, evenly over a batch, as of Kingma et al. 2021 (appendix I.1), or more of it (train.late_noise)."""


@dataclass(frozen=True)
class Encoded:
    """Examples as tokens. Those whose code has more than T are left out."""

    examples: list[Example]
    code: list[list[int]]
    text: list[list[int]]
    said: list[str]
    """Each text as it was before words of it became slots, which is what a reader reads; empty where there is none."""
    left_out: int


def encode_examples(examples: Sequence[Example], tokenizer: Tokenizer, length: int, said: Sequence[str | None] | None = None) -> Encoded:
    """The examples that fit in rows of `length` tokens of code. `said`: their texts without slots; None: the same."""
    said = [example.text for example in examples] if said is None else said
    code = tokenizer.encode_batch([example.code for example in examples])
    fits = [n for n, ids in enumerate(code) if len(ids) <= length]
    text = tokenizer.encode_batch([examples[n].text or "" for n in fits])
    return Encoded([examples[n] for n in fits], [code[n] for n in fits], text, [said[n] or "" for n in fits], len(examples) - len(fits))


def text_rows(texts: Sequence[Sequence[int]], config: FusionConfig, pad: int, states_BRH: np.ndarray | None = None) -> Text:
    """Each text's tokens and an end, int32[B, S]; and what a reader has made of it, if any."""
    text_BS = np.full((len(texts), config.text_length), pad, np.int32)
    real_BS = np.zeros(text_BS.shape, bool)
    for row, ids in enumerate(texts):
        ids = [*ids[: config.text_length - 1], pad]
        text_BS[row, : len(ids)], real_BS[row, : len(ids)] = ids, True
    return Text(text_BS, real_BS, states_BRH)


class RowMaker:
    """Rows of a recipe's examples."""

    def __init__(
        self, recipe: FusionRecipe, data: Encoded, tokenizer: Tokenizer, states: Callable[[Sequence[str]], np.ndarray] | None = None
    ):
        """`states`: what a reader makes of texts, f16[B, R, H]; None: there is none."""
        self.recipe, self.data, self.tokenizer, self.states = recipe, data, tokenizer, states
        self._order = lru_cache(2)(lambda epoch: np.random.default_rng([recipe.data.seed, epoch]).permutation(len(data.code)))

    def batch(self, step: int) -> Rows:
        """The rows of the step numbered `step` from 0; each example comes once before any comes again."""
        size, count = self.recipe.train.batch, len(self.data.code)
        numbers = [divmod(n, count) for n in range(step * size, (step + 1) * size)]
        return self.rows([int(self._order(epoch)[place]) for epoch, place in numbers], step)

    def rows(self, examples: Sequence[int], number: int, stream: int = 0) -> Rows:
        """The rows of these examples, with the randomness of (data.seed, stream, number)."""
        config, train, pad = self.recipe.model, self.recipe.train, self.tokenizer.end_of_text
        random = np.random.default_rng([self.recipe.data.seed, 2 + stream, number])
        B = len(examples)
        code_BT = np.full((B, config.length), pad, np.int32)
        held_BT, weight_BT = np.zeros(code_BT.shape, bool), np.full(code_BT.shape, train.pad_weight, np.float32)
        texts, said, alone_B = [], [], np.zeros(B, bool)
        for row, example in enumerate(examples):
            code, task = self.data.code[example], train.tasks[row % len(train.tasks)]
            code_BT[row, : len(code)], weight_BT[row, : len(code) + 1] = code, 1
            text: Sequence[int] = [] if task == "code" else self.data.text[example]
            if task == "denoising":
                hidden = self._hidden(random, example)
                held_BT[row] = True
                held_BT[row, : len(code)] = ~hidden
                text = np.where(hidden, config.mask, code).tolist()
            elif task == "code" or random.random() < train.drop_text:
                alone_B[row] = True
            texts.append(text)
            said.append(self.data.said[example] if task == "pairs" else "")
        time_B = ((random.random() + np.arange(B) / B) % 1) ** (1 / train.late_noise)
        random.shuffle(time_B)  # or tasks in turn would each have their own times
        text = text_rows(texts, config, pad, self.states(said) if self.states else None)
        return Rows(text, code_BT, held_BT, np.where(held_BT, 0, weight_BT), alone_B, time_B.astype(np.float32))

    def held_out(self, most: int) -> list[Rows]:
        """Up to about `most` of the examples in order, in batches as training's."""
        size, count = self.recipe.train.batch, len(self.data.code)
        firsts = range(0, max(1, min(most, count) // size) * size, size)
        return [self.rows([n % count for n in range(first, first + size)], first, HELD_OUT) for first in firsts]

    def _hidden(self, random: np.random.Generator, example: int) -> np.ndarray:
        code, found = self.data.code[example], self.data.examples[example]
        pieces = [self.tokenizer.decode_bytes([id]) for id in code]
        spans = find_spans(found.language or self.recipe.data.language)
        return hidden_tokens(random, found.code, pieces, spans, self.recipe.train.mask_share)


def closed(tokens_FBT: np.ndarray, free_BT: np.ndarray, pad: int) -> np.ndarray:
    """The tokens without what stands in a hole from its first pad on: what follows the hole moves up, and pads fill the end. Holes are
    where `free_BT` is True, neighbours one hole; where all are free, what follows the first pad becomes pads."""
    pads_FBT = np.cumsum(free_BT & (tokens_FBT == pad), axis=-1)
    before_FBT = np.maximum.accumulate(np.where(free_BT, 0, pads_FBT), axis=-1)
    gone_FBT = free_BT & (pads_FBT > before_FBT)
    left_first = np.argsort(gone_FBT, axis=-1, kind="stable")
    return np.take_along_axis(np.where(gone_FBT, pad, tokens_FBT), left_first, axis=-1)


def trimmed(tokens_T: Sequence[int], pad: int) -> list[int]:
    """The tokens before the first pad."""
    tokens = [int(token) for token in tokens_T]
    return tokens[: tokens.index(pad)] if pad in tokens else tokens
