"""Span corruption: nothing is lost, lengths are those computed, and the loss sees what it should."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.model.config import ModelConfig
from tenfold.model.params import init_params
from tenfold.objectives.spans import START, corrupt_row, noise_mask, row_length, shifted, span_counts, span_loss

VOCAB, END = 1000, 899
tokens_of = st.lists(st.integers(0, 800), min_size=2, max_size=300)


def joined(inputs: list[int], targets: list[int], spans: int) -> list[int]:
    """The row that was: each sentinel of the inputs replaced by what follows it in the targets."""
    assert inputs[-1] == targets[-1] == END
    spelled: dict[int, list[int]] = {}
    for token in targets[:-1]:
        if token >= VOCAB - spans:
            sentinel = token
            spelled[sentinel] = []
        else:
            spelled[sentinel].append(token)
    assert list(spelled) == [VOCAB - n for n in range(1, spans + 1)] and all(spelled.values())
    assert [token for token in inputs if token >= VOCAB - spans] == list(spelled)
    return [token for each in inputs[:-1] for token in spelled.get(each, [each])]


@given(st.integers(0, 2**32), tokens_of)
def test_inputs_and_targets_together_are_the_row(seed, tokens):
    """And their lengths are those that span_counts says."""
    row, counts = corrupt_row((seed,), np.array(tokens), VOCAB, END), span_counts(len(tokens))
    assert joined(row.tokens_S.tolist(), row.targets_U.tolist(), counts.spans) == tokens
    assert (len(row.tokens_S), len(row.targets_U)) == (counts.inputs, counts.targets)


def test_lengths_are_t5s():
    """512 places come of 568 tokens and leave 114 targets, as in the t5 library; one token more would not fit."""
    assert row_length(512) == 568 and span_counts(568) == (85, 28, 512, 114)
    for inputs in range(4, 600):
        length = row_length(inputs)
        assert span_counts(length).inputs <= inputs < span_counts(length + 1).inputs


@given(st.integers(0, 2**32), st.integers(2, 600))
def test_density_and_spans(seed, length):
    """15% in spans of 3 on average, to within rounding; the first token always stays, the last never does."""
    mask, counts = noise_mask(np.random.default_rng(seed), length), span_counts(length)
    assert len(mask) == length and mask.sum() == counts.noise == max(1, round(0.15 * length))
    starts = mask & ~np.concatenate([[False], mask[:-1]])
    assert starts.sum() == counts.spans == max(1, round(counts.noise / 3))
    assert not mask[0] and mask[-1]


def test_span_lengths_vary_and_places_are_alike():
    """Over many seeds spans of 1 to 7 occur, and positions in the row's middle are dropped as often as any."""
    masks = np.stack([noise_mask(np.random.default_rng(seed), 200) for seed in range(2000)])
    middle = masks[:, 40:160].mean(0)
    assert abs(middle - 0.15).max() < 4.5 * (0.15 * 0.85 / 2000) ** 0.5
    lengths = {len(run) for row in masks[:200] for run in "".join("x" if m else " " for m in row).split()}
    assert lengths >= set(range(1, 8))


def test_noise_is_a_function_of_the_seed_and_the_row():
    tokens = np.arange(100)
    a, b, c = (corrupt_row(seed, tokens, VOCAB, END) for seed in ((1, 5), (1, 5), (1, 6)))
    np.testing.assert_array_equal(a.tokens_S, b.tokens_S)
    np.testing.assert_array_equal(a.targets_U, b.targets_U)
    assert (a.tokens_S != c.tokens_S).any()


def test_the_decoder_reads_its_targets_a_place_late():
    assert shifted(np.array([7, 8, 9])).tolist() == [START, 7, 8]


CONFIG = ModelConfig(vocab=67, context=12, layers=1, encoder_layers=1, embed=16, heads=2, positions="relative", norm="rms", dtype="float32")


@pytest.mark.slow
def test_padding_counts_for_nothing():
    """Neither as the encoder's input nor as a target; real places do count."""
    params = init_params(jax.random.key(0), CONFIG)
    random = np.random.default_rng(0)
    tokens, decoder, targets = (random.integers(0, 67, (2, n)) for n in (10, 6, 6))
    real, weights = np.ones((2, 10), bool), np.ones((2, 6), np.float32)
    real[1, 7:], weights[1, 4:] = False, 0

    def loss(tokens, targets):
        return float(span_loss(params, CONFIG, tokens, decoder, targets, weights, real).loss)

    def changed(array, row, place):
        return np.where(np.arange(array.size).reshape(array.shape) == row * array.shape[1] + place, (array + 1) % 67, array)

    assert loss(tokens, targets) == loss(changed(tokens, 1, 8), targets) == loss(tokens, changed(targets, 1, 5))
    assert loss(tokens, targets) != loss(changed(tokens, 1, 6), targets)
    assert loss(tokens, targets) != loss(tokens, changed(targets, 1, 3))
