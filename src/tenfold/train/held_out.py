"""Loss on documents the model does not train on."""

import math
from typing import NamedTuple

import numpy as np

from tenfold.generate.complete import TextTokenizer
from tenfold.train.batches import place_rows
from tenfold.train.noise import Rows


class HeldOut(NamedTuple):
    """How well a model predicts text it has not seen."""

    loss: float
    """Mean negative log-likelihood in nats per token."""
    bits_per_byte: float | None
    """The same in bits per byte of text: comparable between tokenizers. Ends of documents cost bits and have no bytes.
    None where the objective does not predict a whole text: a part of it, given the rest, costs no bits that add up."""
    tokens: int
    bytes: int


def token_bytes(tokenizer: TextTokenizer, vocab: int) -> np.ndarray:
    """int64[V]: bytes of text in each token; none in end-of-text."""
    lengths = np.zeros(vocab, np.int64)
    lengths[: tokenizer.vocab] = [0 if i == tokenizer.end_of_text else len(tokenizer.decode_bytes([i])) for i in range(tokenizer.vocab)]
    return lengths


def measure(evaluate, params, batches: list[Rows], lengths: np.ndarray | None, mesh) -> HeldOut:
    """Sums `evaluate(params, DeviceBatch)` over the batches, in order and in f64, so that the figure repeats to the last bit.

    `lengths` None: no bits per byte.
    """
    nll = weight = 0.0
    size = 0
    for rows in batches:
        sums = evaluate(params, place_rows(rows, mesh))
        nll, weight = nll + float(sums.nll), weight + float(sums.weight)
        size += 0 if lengths is None else int((lengths[rows.targets_BT] * (rows.weights_BT > 0)).sum())
    bits = None if lengths is None else nll / math.log(2) / max(size, 1)
    return HeldOut(nll / max(weight, 1), bits, int(weight), size)
