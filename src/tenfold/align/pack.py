"""Conversations to rows: several in a row that see nothing of each other, each whole; what is left of a row is padding.

Which conversations share a row is decided once, by the seed; the order of the rows is shuffled anew each epoch, by grain's random access,
so a batch is a function of (seed, step). A conversation of n tokens takes n - 1 places: each but the last is read, each but the first is
a target, which counts where the assistant writes it.
Shapes: B batch rows, T context.
"""

import bisect
import random
from collections.abc import Sequence

import numpy as np

from tenfold.align.chat import Encoded
from tenfold.tokens.loader import Batch


class ConversationRows:
    """The rows of a run in their order, which has no end. No conversation has more than T + 1 tokens, or fewer than 2."""

    def __init__(self, conversations: Sequence[Encoded], sources: Sequence[str], context: int, seed: int, pack: bool = True):
        """`sources` say where each conversation is from. `pack` False: a row for each."""
        import grain  # takes seconds, most of them JAX

        self.context, self.sources = context, list(sources)
        self._ids = [np.asarray(conversation.ids, np.int32) for conversation in conversations]
        self._trained = [np.asarray(conversation.trained, np.float32) for conversation in conversations]
        lengths = [len(ids) - 1 for ids in self._ids]
        self.packed = best_fit(lengths, context, seed) if pack else [[number] for number in range(len(lengths))]
        """The conversations of each row of an epoch."""
        self.most = max(int(sum(self._trained[number][1:].sum() for number in row)) for row in self.packed)
        """Places that count, of the row with the most."""
        self._order = grain.MapDataset.range(len(self.packed)).shuffle(seed=seed % 2**32).repeat()

    def rows(self, start: int, count: int, process_slice: slice = slice(None)) -> Batch:
        """Rows start .. start + count, or the part of them that `process_slice` takes."""
        return self.filled([int(self._order[number]) for number in range(start, start + count)[process_slice]])

    def provenance(self, number: int) -> list[tuple[dict, int, int]]:
        """The conversations in a row: ({"source"}, first place, last place) of each; places count from 0, the last is included."""
        found, at = [], 0
        for conversation in self.packed[int(self._order[number])]:
            end = at + len(self._ids[conversation]) - 1
            found.append(({"source": self.sources[conversation]}, at, end - 1))
            at = end
        return found

    def in_order(self, size: int, most: int) -> list[Batch]:
        """The first `most` rows as they were packed, in batches of `size`; the last is filled up with rows of weight 0."""
        taken = range(min(most, len(self.packed)))
        return [self.filled([*taken[first : first + size]], size) for first in range(0, len(taken), size)]

    def filled(self, numbers: Sequence[int], size: int = 0) -> Batch:
        """The packed rows of these numbers, and padding up to `size`."""
        shape = (max(size, len(numbers)), self.context)
        tokens_BT, targets_BT, segments_BT = (np.zeros(shape, np.int32) for _ in range(3))
        weights_BT = np.zeros(shape, np.float32)
        for place, number in enumerate(numbers):
            at = 0
            for segment, conversation in enumerate(self.packed[number], 1):
                ids, trained = self._ids[conversation], self._trained[conversation]
                where = (place, slice(at, at + len(ids) - 1))
                tokens_BT[where], targets_BT[where], weights_BT[where], segments_BT[where] = ids[:-1], ids[1:], trained[1:], segment
                at += len(ids) - 1
        return Batch(tokens_BT, targets_BT, segments_BT, weights_BT)


def best_fit(lengths: Sequence[int], room: int, seed: int) -> list[list[int]]:
    """Which lengths go into which row of `room` places: one after the other in an order by the seed, each where it leaves least."""
    order = list(range(len(lengths)))
    random.Random(seed).shuffle(order)
    rows: list[list[int]] = []
    open_rows: dict[int, list[int]] = {}  # by places left
    left: list[int] = []  # the keys of open_rows in order
    for number in order:
        length = lengths[number]
        at = bisect.bisect_left(left, length)
        if at == len(left):
            row, rest = len(rows), room - length
            rows.append([])
        else:
            row, rest = open_rows[left[at]].pop(), left[at] - length
            if not open_rows[left[at]]:
                del open_rows[left.pop(at)]
        rows[row].append(number)
        if rest:
            if rest not in open_rows:
                bisect.insort(left, rest)
            open_rows.setdefault(rest, []).append(row)
    return rows
