"""T5's span corruption: the noise, made on the host, and the loss of the decoder's targets.

Raffel et al. 2020, section 3.1.4: 15% of a row's tokens are dropped, in spans of 3 on average. The encoder reads the row with a
sentinel in place of each span; the decoder's targets are each sentinel and the span it stands for, and an end of text. Spans and lengths
agree with `random_spans_noise_mask` and `random_spans_helper` of the t5 library (t5/data/preprocessors.py).
Sentinels descend from the top of the vocabulary: the n-th span's is model.vocab - n, from n = 1. The decoder's input is its targets
moved on by one place, with START before them.
Shapes: L tokens of a row, S encoder positions, U decoder positions, B as in model/config.py.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tenfold.model.config import ModelConfig
from tenfold.model.params import Params
from tenfold.model.transformer import encode, forward
from tenfold.objectives.causal import LossSums, loss_sums

DENSITY, MEAN_SPAN = 0.15, 3.0
START = 0


class Counts(NamedTuple):
    """What becomes of a row of some length."""

    noise: int
    spans: int
    inputs: int
    """S: what stays, the sentinels and an end of text."""
    targets: int
    """U: what was dropped, the sentinels and an end of text."""


class SpanRow(NamedTuple):
    """A row with its noise, on the host: int32 each."""

    tokens_S: np.ndarray
    targets_U: np.ndarray


def span_counts(length: int) -> Counts:
    """Of a row of `length` tokens, at least 2."""
    noise = min(max(round(length * DENSITY), 1), length - 1)
    spans = max(round(noise / MEAN_SPAN), 1)
    return Counts(noise, spans, length - noise + spans + 1, noise + spans + 1)


def row_length(inputs: int) -> int:
    """L, the longest row whose encoder input has at most `inputs` places: 568 for T5's 512."""
    length = 2
    while span_counts(length + 1).inputs <= inputs:
        length += 1
    return length


def noise_mask(random: np.random.Generator, length: int) -> np.ndarray:
    """bool[L]: True where a token is dropped. Spans alternate, beginning with one that stays."""
    counts = span_counts(length)
    noise, kept = (_segment_lengths(random, items, counts.spans) for items in (counts.noise, length - counts.noise))
    return np.repeat(np.arange(2 * counts.spans) % 2 == 1, np.stack([kept, noise], axis=1).ravel())


def corrupt_row(seed: Sequence[int], tokens_L: np.ndarray, vocab: int, end_of_text: int) -> SpanRow:
    """Noise on one row: a function of `seed` (whole numbers, such as data.seed and the row's) and of the row alone.

    `vocab` is model.vocab, below which the sentinels lie.
    """
    noise_L = noise_mask(np.random.default_rng(list(seed)), len(tokens_L))
    return SpanRow(*(_with_sentinels(tokens_L, dropped_L, vocab, end_of_text) for dropped_L in (noise_L, ~noise_L)))


def shifted(targets_U: np.ndarray) -> np.ndarray:
    """The decoder's input for its targets."""
    return np.concatenate([[START], targets_U[:-1]]).astype(np.int32)


def span_loss(params: Params, config: ModelConfig, tokens_BS, decoder_BU, targets_BU, weights_BU, real_BS=None, z_loss=0.0) -> LossSums:
    """Sums of the losses of a batch; `real_BS` is False where the encoder's input is padding, `weights_BU` 0 where the targets are."""
    encoded = encode(params, config, tokens_BS, real_BS)
    return loss_sums(params, config, forward(params, config, decoder_BU, encoded=encoded), targets_BU, weights_BU, z_loss)


def _segment_lengths(random: np.random.Generator, items: int, segments: int) -> np.ndarray:
    """int[segments], each at least 1, adding up to `items`: every way to cut is as likely."""
    starts = np.sort(random.permutation(items - 1)[: segments - 1]) + 1
    return np.diff(np.concatenate([[0], starts, [items]]))


def _with_sentinels(tokens_L, dropped_L, vocab: int, end_of_text: int) -> np.ndarray:
    """The tokens with each run of dropped ones as one sentinel, and an end of text."""
    first_L = dropped_L & ~np.concatenate([[False], dropped_L[:-1]])
    written_L = np.where(first_L, vocab - np.cumsum(first_L), tokens_L)
    return np.concatenate([written_L[first_L | ~dropped_L], [end_of_text]]).astype(np.int32)
