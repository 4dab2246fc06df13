"""Held-out loss counts every token once, with the documents and the tokens that are really there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import UserError
from tenfold.tokens.evaluation import evaluation_rows


class Stream:
    """As much of Shards as the rows need: tokens 0, 1, 2 ... in documents of `size`."""

    directory = "here"

    def __init__(self, tokens: int, size: int):
        self.tokens, self._size = tokens, size

    def window(self, start, length):
        assert start >= 0 and start + length <= self.tokens
        ids = np.arange(start, start + length, dtype=np.int32)
        return ids, ids // np.int32(self._size)


@given(st.integers(2, 200), st.integers(1, 20), st.data())
def test_every_token_after_the_first_is_predicted_once(tokens, context, data):
    stride = data.draw(st.integers(1, context))
    rows = evaluation_rows(Stream(tokens, 7), context, stride)
    batch = rows[:]
    assert sorted(batch.targets_BT[batch.weights_BT == 1]) == list(range(1, tokens))
    assert set(np.unique(batch.weights_BT)) <= {0, 1} and batch.weights_BT.sum() == rows.targets


@given(st.integers(2, 200), st.integers(1, 20), st.data())
def test_a_prediction_has_the_context_before_it(tokens, context, data):
    """Where a target counts, its row holds the token before it, and T - S more of them but in the first row."""
    stride = data.draw(st.integers(1, context))
    batch = evaluation_rows(Stream(tokens, 7), context, stride)[:]
    real = batch.segments_BT > 0
    assert (batch.targets_BT[real] == batch.tokens_BT[real] + 1).all()
    assert (batch.weights_BT[~real] == 0).all() and (batch.tokens_BT[~real] == 0).all()
    for weights in batch.weights_BT[1:]:
        assert int(np.argmax(weights)) == context - stride


def test_segments_number_the_documents_of_the_row():
    batch = evaluation_rows(Stream(20, 7), 10, 10)[:]
    assert batch.segments_BT.tolist() == [[1] * 7 + [2] * 3, [1] * 4 + [2] * 5 + [0]]


@given(st.integers(2, 100), st.integers(1, 9), st.integers(1, 7))
def test_batches_are_the_rows_in_one_shape(tokens, context, size):
    rows = evaluation_rows(Stream(tokens, 7), context, context)
    batches = list(rows.batches(size))
    assert {array.shape for batch in batches for array in batch} == {(size, context)}
    whole = rows[:]
    for number, due in enumerate(whole):
        joined = np.concatenate([batch[number] for batch in batches])
        np.testing.assert_array_equal(joined[: len(rows)], due)
        assert (joined[len(rows) :] == 0).all() and joined.dtype == due.dtype


def test_on_real_shards_the_bytes_are_all_there(shards, tokenizer):
    """What bits per byte divides by: the targets' bytes are the stream's, but for its first token and the ends of documents."""
    batch = evaluation_rows(shards, 128, 128)[:]
    counted = batch.targets_BT[batch.weights_BT == 1]
    text = [id for id in counted if id != tokenizer.end_of_text]
    first = tokenizer.decode_bytes(shards.window(0, 1)[0])
    assert len(first) + len(tokenizer.decode_bytes(text)) == shards.bytes


@pytest.mark.parametrize("stride", [0, 11])
def test_messages(stride):
    with pytest.raises(UserError, match=f"stride is {stride} but its context is 10.\n  Give a stride from 1 to 10"):
        evaluation_rows(Stream(50, 7), 10, stride)
    with pytest.raises(UserError, match="here holds 1 token: there is nothing to predict.\n  Name more held-out text"):
        evaluation_rows(Stream(1, 7), 10, 10)
