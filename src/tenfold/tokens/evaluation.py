"""Rows to measure a model on: the held-out stream in order, every token of it predicted exactly once.

Shapes: B rows, T context, N tokens of the stream, S stride.
"""

from collections.abc import Iterator

import numpy as np

from tenfold.errors import UserError
from tenfold.tokens.loader import Batch
from tenfold.tokens.shards import Shards


class EvaluationRows:
    """A sequence of rows: `len(rows)`, `rows[a:b]` a Batch, and `rows.batches(size)`. Made by `evaluation_rows`."""

    def __init__(self, shards: Shards, context: int, stride: int):
        self._shards, self._context, self._stride = shards, context, stride
        self.targets = shards.tokens - 1
        """How many tokens are predicted; the weights of all rows add up to this."""
        self._count = 1 + max(0, -(-(self.targets - context) // stride))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, rows: slice) -> Batch:
        """The rows of a slice."""
        numbers = range(self._count)[rows]
        batch = _padding(len(numbers), self._context)
        for place, number in enumerate(numbers):
            self._fill(number, *(array[place] for array in batch))
        return batch

    def batches(self, size: int) -> Iterator[Batch]:
        """All rows in batches of `size`; the last is filled up with rows of weight 0, so that one shape serves all."""
        for first in range(0, self._count, size):
            batch = self[first : first + size]
            missing = _padding(size - len(batch.tokens_BT), self._context)
            yield Batch(*(np.concatenate(pair) for pair in zip(batch, missing, strict=True)))

    def _fill(self, number: int, tokens, targets, segments, weights) -> None:
        start = number * self._stride
        length = min(self._context, self.targets - start)
        ids, documents = self._shards.window(start, length + 1)
        tokens[:length], targets[:length] = ids[:-1], ids[1:]
        segments[:length] = documents[:-1] - documents[0] + 1
        seen = self._context - self._stride if number else 0
        weights[seen:length] = 1


def evaluation_rows(shards: Shards, context: int, stride: int) -> EvaluationRows:
    """Windows of T tokens, S apart; a row's weights leave out the T - S targets that the row before has had.

    A stride below the context gives every prediction at least T - S tokens of context (but in the first row) and costs T / S as
    much. Raises UserError where the stride is not from 1 to the context or the stream has nothing to predict.
    """
    if not 1 <= stride <= context:
        raise UserError(f"The evaluation's stride is {stride} but its context is {context}.\n  Give a stride from 1 to {context}.")
    if shards.tokens < 2:
        raise UserError(f"{shards.directory} holds {shards.tokens} token: there is nothing to predict.\n  Name more held-out text.")
    return EvaluationRows(shards, context, stride)


def _padding(rows: int, context: int) -> Batch:
    return Batch(*(np.zeros((rows, context), dtype) for dtype in (np.int32, np.int32, np.int32, np.float32)))
