"""Packing: each conversation whole and once an epoch, none sees another, and a row is a function of the seed and its number."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.align.chat import Encoded
from tenfold.align.pack import ConversationRows, best_fit
from tenfold.model.config import ModelConfig
from tenfold.model.params import init_params
from tenfold.objectives.causal import causal_loss
from tenfold.train.noise import Plain, places

CONTEXT, VOCAB = 24, 50
CONFIG = ModelConfig(vocab=VOCAB, context=CONTEXT, layers=2, embed=16, heads=2, dtype="float32")


def conversations(count: int = 9, seed: int = 0) -> list[Encoded]:
    random = np.random.default_rng(seed)
    lengths = random.integers(3, 16, count)
    return [Encoded(random.integers(1, VOCAB, n).tolist(), [False, False, *(random.random(n - 3) < 0.6), True]) for n in lengths]


def rows_of(found: list[Encoded], pack: bool, seed: int = 0) -> ConversationRows:
    return ConversationRows(found, [f"a.jsonl:{n + 1}" for n in range(len(found))], CONTEXT, seed, pack)


@given(st.lists(st.integers(1, 40), max_size=60), st.integers(0, 2**32))
def test_everything_is_packed_once_and_fits(lengths, seed):
    rows = best_fit(lengths, 40, seed)
    assert sorted(number for row in rows for number in row) == list(range(len(lengths)))
    assert all(0 < sum(lengths[number] for number in row) <= 40 for row in rows)
    assert sum(sum(lengths[n] for n in row) <= 20 for row in rows) <= 1  # two rows half empty would have been one


def test_a_row_holds_whole_conversations_and_says_where_they_are_from():
    found = conversations()
    rows = rows_of(found, True)
    epoch = rows.rows(0, len(rows.packed))
    seen = []
    for place in range(len(rows.packed)):
        for record, first, last in rows.provenance(place):
            number = int(record["source"].rpartition(":")[2]) - 1
            seen.append(number)
            ids, trained = found[number]
            where = (place, slice(first, last + 1))
            assert epoch.tokens_BT[where].tolist() == ids[:-1] and epoch.targets_BT[where].tolist() == ids[1:]
            assert epoch.weights_BT[where].tolist() == [float(own) for own in trained[1:]]
            assert len(set(epoch.segments_BT[where])) == 1 and epoch.segments_BT[where].all()
    assert sorted(seen) == list(range(len(found)))
    assert epoch.weights_BT[epoch.segments_BT == 0].sum() == 0
    assert epoch.weights_BT.sum() == sum(sum(each.trained[1:]) for each in found)


def test_rows_are_a_function_of_seed_and_number():
    """Whatever was read before, and whichever part a process reads; epochs come in another order, seeds too."""
    rows, again = rows_of(conversations(), True), rows_of(conversations(), True)
    late = again.rows(7, 4)
    for one, other in zip(rows.rows(0, 11), late, strict=True):
        np.testing.assert_array_equal(one[7:], other)
    np.testing.assert_array_equal(rows.rows(4, 4, slice(1, 3)).tokens_BT, rows.rows(5, 2).tokens_BT)
    many = rows_of(conversations(80), True)
    epoch = len(many.packed)
    first, second = many.rows(0, epoch).tokens_BT, many.rows(epoch, epoch).tokens_BT
    assert sorted(map(tuple, first)) == sorted(map(tuple, second)) and (first != second).any()
    assert rows_of(conversations(80), True, seed=1).packed != many.packed


def test_held_out_rows_come_in_order_with_padding_that_does_not_count():
    rows = rows_of(conversations(), False)
    batches = rows.in_order(4, most=6)
    assert [len(batch.tokens_BT) for batch in batches] == [4, 4]
    assert (batches[1].weights_BT.sum(1) > 0).tolist() == [True, True, False, False]


def test_places_count_from_each_document():
    assert places(np.array([[1, 1, 1, 2, 2, 0], [1, 2, 3, 3, 3, 3]])).tolist() == [[0, 1, 2, 0, 1, 0], [0, 0, 0, 1, 2, 3]]


KINDS = {
    "learned": {},
    "rotary": dict(positions="rotary"),
    "alibi": dict(positions="alibi"),
    "relative": dict(positions="relative"),
    "xpos": dict(positions="xpos"),
    "banded": dict(attention=("dense", "banded:4")),
}


def losses(config: ModelConfig, params, rows: ConversationRows) -> tuple[float, float]:
    """(sum of losses, sum of weights) of an epoch, in one batch."""
    batch = Plain(True, restart=config.positions == "learned")(rows.rows(0, len(rows.packed)))
    sums = causal_loss(params, config, batch.tokens_BT, batch.targets_BT, batch.weights_BT, batch.segments_BT, places_BT=batch.places_BT)
    return float(sums.loss), float(sums.weight)


@pytest.mark.parametrize("kind", [pytest.param("learned", marks=pytest.mark.slow), *(kind for kind in KINDS if kind != "learned")])
def test_packed_and_unpacked_losses_agree(kind):
    """To 1e-5: a conversation's loss is the same alone in a row and between others, so nothing leaks, and positions are its own."""
    config = replace(CONFIG, **KINDS[kind])
    params = jax.tree.map(lambda w: w + 0.3 * jax.random.normal(jax.random.key(1), w.shape), init_params(jax.random.key(0), config))
    found = conversations()
    packed, alone = rows_of(found, True), rows_of(found, False)
    assert len(packed.packed) < len(alone.packed)
    (loss, weight), (loss_alone, weight_alone) = losses(config, params, packed), losses(config, params, alone)
    assert weight == weight_alone
    assert loss / weight == pytest.approx(loss_alone / weight, rel=1e-5)


def test_positions_of_packed_conversations_would_otherwise_be_others():
    """What the test above rests on: without places, a model of learned positions reads a conversation elsewhere as another."""
    params = jax.tree.map(lambda w: w + 0.3 * jax.random.normal(jax.random.key(1), w.shape), init_params(jax.random.key(0), CONFIG))
    rows = rows_of(conversations(), True)
    batch = Plain(True)(rows.rows(0, len(rows.packed)))
    sums = causal_loss(params, CONFIG, batch.tokens_BT, batch.targets_BT, batch.weights_BT, batch.segments_BT)
    assert abs(float(sums.loss) - losses(CONFIG, params, rows)[0]) > 0.1


def test_no_conversation_moves_anothers_loss():
    """By gradient: what one conversation's tokens are changes nothing in the loss of another in its row."""
    rows = rows_of(conversations(), True)
    shared = next(number for number, row in enumerate(rows.packed) if len(row) > 1)
    batch = rows.filled([shared])
    params = init_params(jax.random.key(0), CONFIG)
    weights_BT = batch.weights_BT * (batch.segments_BT == 2)
    changed_BT = np.where(batch.segments_BT == 1, (batch.tokens_BT + 7) % VOCAB, batch.tokens_BT)
    before, after = (
        causal_loss(params, CONFIG, tokens_BT, batch.targets_BT, weights_BT, batch.segments_BT).loss
        for tokens_BT in (batch.tokens_BT, changed_BT)
    )
    assert (changed_BT != batch.tokens_BT).any() and float(before) == float(after)
