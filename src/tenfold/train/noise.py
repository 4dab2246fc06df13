"""What an objective makes of the loader's rows: nothing (causal, chats), masked tokens (masked), or spans to write again (span).

The noise on a row is a function of data.seed, the row's number and the row, so a batch remains one of (seed, step), whatever reads it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tenfold.objectives.masked import chosen_count, mask_row
from tenfold.objectives.spans import corrupt_row, row_length, shifted, span_counts
from tenfold.tokens.loader import Batch
from tenfold.tokens.prepare import Prepared
from tenfold.train.recipe import Recipe

TRAINING, HELD_OUT = 0, 1
"""The noise of a run's rows, and the other noise of those it is measured on."""


class Rows(NamedTuple):
    """Rows on the host as the step takes them: one array for each of DeviceBatch."""

    tokens_BT: np.ndarray
    targets_BT: np.ndarray
    """Of the decoder, [B, U], where there is one; so are the weights."""
    weights_BT: np.ndarray
    segments_BT: np.ndarray | None
    """Documents, or 1 and for padding 0; None where every position sees every other."""
    decoder_BU: np.ndarray | None
    places_BT: np.ndarray | None = None
    """Places in each token's own document; None where a row's positions count from the row's start."""


class Plain:
    """Next-token prediction: the rows as they are. `restart`: each document's positions count from its own start."""

    def __init__(self, mask_documents: bool, restart: bool = False):
        self.mask, self.restart = mask_documents, restart

    def __call__(self, batch: Batch, numbers: Iterable[int] = (), stream: int = TRAINING) -> Rows:
        segments_BT = batch.segments_BT if self.mask else None
        places_BT = places(batch.segments_BT) if self.restart else None
        return Rows(batch.tokens_BT, batch.targets_BT, batch.weights_BT, segments_BT, None, places_BT)


def places(segments_BT: np.ndarray) -> np.ndarray:
    """int32[B, T]: how many tokens of its own document stand before each."""
    numbers_T = np.arange(segments_BT.shape[1], dtype=np.int32)
    begins_BT = np.ones(segments_BT.shape, bool)
    begins_BT[:, 1:] = segments_BT[:, 1:] != segments_BT[:, :-1]
    return numbers_T - np.maximum.accumulate(np.where(begins_BT, numbers_T, 0), 1)


@dataclass(frozen=True)
class Masked:
    """BERT's noise. Held-out rows may end in padding, which nothing may look at."""

    seed: int
    vocab: int
    end_of_text: int | None
    mask_documents: bool

    def __call__(self, batch: Batch, numbers: Iterable[int], stream: int = TRAINING) -> Rows:
        real_BT = batch.segments_BT > 0
        may_BT = real_BT if self.end_of_text is None else real_BT & (batch.tokens_BT != self.end_of_text)
        rows = [
            mask_row((self.seed, stream, n), tokens_T, may_T, self.vocab)
            for n, tokens_T, may_T in zip(numbers, batch.tokens_BT, may_BT, strict=True)
        ]
        segments_BT = batch.segments_BT if self.mask_documents else real_BT.astype(np.int32) if stream == HELD_OUT else None
        chosen_BT = np.stack([row.chosen_T for row in rows]).astype(np.float32)
        return Rows(np.stack([row.tokens_T for row in rows]), batch.tokens_BT, chosen_BT, segments_BT, None)


@dataclass(frozen=True)
class Spans:
    """T5's noise, on rows of `row_length(model.context)` tokens."""

    seed: int
    vocab: int
    end_of_text: int

    def __call__(self, batch: Batch, numbers: Iterable[int], stream: int = TRAINING) -> Rows:
        whole = span_counts(batch.tokens_BT.shape[1])
        B = len(batch.tokens_BT)
        tokens_BS, real_BS = np.zeros((B, whole.inputs), np.int32), np.ones((B, whole.inputs), np.int32)
        targets_BU, decoder_BU, weights_BU = (np.zeros((B, whole.targets), dtype) for dtype in (np.int32, np.int32, np.float32))
        for place, number in enumerate(numbers):
            length = int((batch.segments_BT[place] > 0).sum())
            if length < 2:  # padding from its start: of no weight, but a softmax needs something to look at
                continue
            row = corrupt_row((self.seed, stream, number), batch.tokens_BT[place, :length], self.vocab, self.end_of_text)
            S, U = len(row.tokens_S), len(row.targets_U)
            tokens_BS[place, :S], real_BS[place, S:] = row.tokens_S, 0
            targets_BU[place, :U], decoder_BU[place, :U], weights_BU[place, :U] = row.targets_U, shifted(row.targets_U), 1
        return Rows(tokens_BS, targets_BU, weights_BU, real_BS if stream == HELD_OUT else None, decoder_BU)


Noise = Plain | Masked | Spans


def noise_of(recipe: Recipe, data: Prepared) -> Noise:
    """What the recipe's objective makes of rows of this data."""
    end_of_text = data.tokenizer.end_of_text if data.tokenizer else None
    match recipe.train.objective:
        case "masked":
            return Masked(recipe.data.seed, data.vocab, end_of_text, recipe.data.mask_documents)
        case "span":
            return Spans(recipe.data.seed, recipe.model.vocab, end_of_text or 0)
        case _:
            return Plain(recipe.data.mask_documents)


def row_tokens(recipe: Recipe) -> int:
    """Tokens of text in a row: span corruption makes a row shorter, so it starts longer than the context."""
    return row_length(recipe.model.context) if recipe.train.objective == "span" else recipe.model.context


def reserved(recipe: Recipe) -> int:
    """Rows of the embedding table that the objective needs beyond the tokenizer's: the mask's, or the sentinels'."""
    spans = span_counts(row_tokens(recipe)).spans if recipe.train.objective == "span" else 0
    return {"masked": 1, "span": spans}.get(recipe.train.objective, 0)


def decoded(recipe: Recipe) -> int:
    """Places of the decoder in a row, where there is one; else 0."""
    return span_counts(row_tokens(recipe)).targets if recipe.train.objective == "span" else 0


def head_reads(recipe: Recipe) -> int:
    """Positions of a row whose logits are made, where that is not all; else 0."""
    return chosen_count(recipe.model.context) if recipe.train.objective == "masked" else 0
