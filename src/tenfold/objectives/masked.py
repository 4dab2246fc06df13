"""BERT's masked tokens: the noise, made on the host, and the loss on the chosen positions.

Devlin et al. 2019, section 3.1: 15% of the positions are chosen; of these 80% read the mask, 10% a random token, 10% stay as they are.
As in BERT's create_pretraining_data.py, a row has a fixed number of chosen positions, so every row counts the same.
The mask is the first row of the embedding table beyond the tokenizer: its id is the tokenizer's size.
Shapes: B, T as in model/config.py.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tenfold.model.config import ModelConfig
from tenfold.model.params import Params
from tenfold.model.transformer import forward
from tenfold.objectives.causal import LossSums, loss_sums

CHOSEN, MASKED, RANDOM = 0.15, 0.8, 0.1


class MaskedRow(NamedTuple):
    """A row with its noise, on the host."""

    tokens_T: np.ndarray
    """int32: what the model reads."""
    chosen_T: np.ndarray
    """bool: where it must say what stood there."""


def chosen_count(places: int) -> int:
    """How many of `places` positions are chosen: the more, the more there are."""
    return max(1, round(CHOSEN * places))


def mask_row(seed: Sequence[int], tokens_T: np.ndarray, may_T: np.ndarray, vocab: int) -> MaskedRow:
    """Noise on one row: a function of `seed` (whole numbers, such as data.seed and the row's) and of the row alone.

    `may_T` is False where nothing may be chosen: padding, ends of documents. `vocab` is the tokenizer's size, and so the mask's id.
    """
    random = np.random.default_rng(list(seed))
    places = random.permutation(np.flatnonzero(may_T))
    places = places[: chosen_count(len(places))]
    fate = random.random(len(places))
    read_T, chosen_T = tokens_T.astype(np.int32), np.zeros(len(tokens_T), bool)
    read_T[places[fate < MASKED]] = vocab
    swapped = places[fate >= 1 - RANDOM]
    read_T[swapped] = random.integers(0, vocab, len(swapped))
    chosen_T[places] = True
    return MaskedRow(read_T, chosen_T)


def masked_loss(
    params: Params, config: ModelConfig, tokens_BT, targets_BT, weights_BT, segments_BT=None, z_loss: float = 0.0, most: int = 0
) -> LossSums:
    """Sums of the losses of a batch; `weights_BT` is 1 at the chosen positions, `targets_BT` what stood there before the noise.

    `segments_BT` masks attention across documents and padding where given. `most`: no row has more chosen positions, as none of
    `mask_row`'s has more than `chosen_count(T)`; the head then reads so many of each row, and not all T.
    """
    if config.causal or config.encoder_layers:
        raise ValueError("the masked objective is for a model that looks both ways and has no decoder")
    output = forward(params, config, tokens_BT, segments_BT)
    return loss_sums(params, config, output, targets_BT, weights_BT, z_loss, most)
