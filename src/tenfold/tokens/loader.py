"""Token shards to batches. A row is a function of (seed, row number), so a batch is one of (seed, step): any process, restart or
number of devices reads the same.

The stream of each source is cut into windows of T + 1 tokens, T apart: each token after the first is a target exactly once an epoch
(but for a rest of less than T at the stream's end), and no place in a row is padding. grain's random access orders the windows:
shuffled anew each epoch, and mixed by weight.
Shapes: B batch rows, T context.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tenfold.errors import UserError
from tenfold.tokens.mixture import Mixture
from tenfold.tokens.shards import Shards


class Batch(NamedTuple):
    """Rows on the host."""

    tokens_BT: np.ndarray
    """int32: what the model reads."""
    targets_BT: np.ndarray
    """int32: the next token at each place."""
    segments_BT: np.ndarray
    """int32: the documents in the row, numbered from 1; an end of text belongs to the document it ends. 0 where there is padding."""
    weights_BT: np.ndarray
    """float32: 1 where the target counts."""


class Loader:
    """The rows of a run in their order, which has no end."""

    def __init__(self, sources: Sequence[Shards], weights: Sequence[float], context: int, seed: int):
        """`weights` empty: in proportion to tokens. Raises UserError where a source cannot fill one row."""
        self.sources, self.context = list(sources), context
        if not self.sources:
            raise UserError("There is no training data: data.paths gave no token shards.\n  Name documents or shards in data.paths.")
        self.weights = [float(weight) for weight in weights] or [float(source.tokens) for source in self.sources]
        if len(self.weights) != len(self.sources):
            raise UserError(f"data.weights has {len(self.weights)} numbers for {len(self.sources)} sources.\n  Give one for each.")
        self._windows = [_windows(source, context) for source in self.sources]
        self._first_window = np.cumsum([0, *self._windows])
        self._mixture = Mixture(self.weights, 2**62)
        self._order = _order(self._windows, self._mixture, seed)

    def row(self, number: int) -> dict[str, np.ndarray]:
        """One row: tokens, targets and segments, each int32[T]."""
        ids, documents = self._read(number)
        return {"tokens": ids[:-1], "targets": ids[1:], "segments": documents - documents[0] + 1}

    def rows(self, start: int, count: int, process_slice: slice = slice(None)) -> Batch:
        """Rows start .. start + count, or the part of them that `process_slice` takes, such as one process's share."""
        numbers = range(start, start + count)[process_slice]
        tokens, targets, segments = (np.empty((len(numbers), self.context), np.int32) for _ in range(3))
        for place, number in enumerate(numbers):
            ids, documents = self._read(number)
            tokens[place], targets[place] = ids[:-1], ids[1:]
            np.subtract(documents, documents[0] - 1, out=segments[place])
        return Batch(tokens, targets, segments, np.ones_like(tokens, np.float32))

    def provenance(self, number: int) -> list[tuple[dict, int, int]]:
        """The documents in a row: (record, first place, last place) of each; places count from 0 in the row, the last is included.

        A record is that of `Shards.document`, and "shards", the directory they are in.
        """
        source, start = self._place(number)
        shards = self.sources[source]
        _, documents = shards.window(start, self.context)
        found, first = np.unique(documents, return_index=True)
        last = [*first[1:] - 1, self.context - 1]
        records = [shards.document(int(index)) | {"shards": str(shards.directory)} for index in found]
        return [(record, int(a), int(b)) for record, a, b in zip(records, first, last, strict=True)]

    def plan(self, total_rows: int) -> list[dict]:
        """What a run of `total_rows` rows takes from each source: its path, tokens, weight, rows, epochs, unique_tokens."""
        total = sum(self._mixture.parts)
        return [
            {
                "path": str(source.directory),
                "tokens": source.tokens,
                "weight": part / total,
                "rows": rows,
                "epochs": rows / windows,
                "unique_tokens": min(rows, windows) * self.context,
            }
            for source, part, rows, windows in zip(
                self.sources, self._mixture.parts, self._mixture.counts(total_rows), self._windows, strict=True
            )
        ]

    def _place(self, number: int) -> tuple[int, int]:
        window = self._order[number]
        source = int(np.searchsorted(self._first_window, window, side="right")) - 1
        return source, (window - int(self._first_window[source])) * self.context

    def _read(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """(ids int32[T + 1], documents int32[T])"""
        source, start = self._place(number)
        ids, documents = self.sources[source].window(start, self.context + 1)
        return ids, documents[:-1]


def _windows(source: Shards, context: int) -> int:
    windows = (source.tokens - 1) // context
    if windows < 1:
        raise UserError(
            f"{source.directory} holds {source.tokens} tokens, fewer than one row of context {context} needs ({context + 1}).\n"
            "  Name more text, or make the context shorter."
        )
    return windows


def _order(windows: list[int], mixture: Mixture, seed: int):
    """A grain dataset whose item i is the window, numbered through all sources, that row i reads."""
    import grain  # takes seconds, most of them JAX

    first = np.cumsum([0, *windows])
    # Sources get seeds that are far apart: grain gives epoch e the seed + e, and no two sources may share one.
    seeds = [int(np.random.SeedSequence([seed, number]).generate_state(1)[0]) for number in range(len(windows))]
    sources = [
        grain.MapDataset.range(int(first[number]), int(first[number + 1])).shuffle(seed=seeds[number]).repeat()
        for number in range(len(windows))
    ]
    return sources[0] if len(sources) == 1 else grain.MapDataset.select_from_datasets(sources, mixture)
