"""Which source each row comes from, when several are mixed by weight."""

from collections.abc import Sequence

RESOLUTION = 2**30


class Mixture:
    """Interleaves sources so that after any number of rows each has had its share, to within a row or so.

    A selection map for `grain.MapDataset.select_from_datasets`. (`grain.MapDataset.mix` does the same with weights rounded to 1% of
    the smallest, which is too coarse for "in proportion to the tokens", and cannot say how many rows of each it has used.)
    """

    def __init__(self, weights: Sequence[float], rows: int):
        """`rows` is the length of the mixture, which grain asks for."""
        total = sum(weights)
        self.parts = [max(1, round(RESOLUTION * weight / total)) for weight in weights]
        self._rows = rows

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, row: int) -> tuple[int, int]:
        """(source, how many rows that source has given before)."""
        before, after = self.counts(row), self.counts(row + 1)
        source = next(number for number, count in enumerate(before) if count != after[number])
        return source, before[source]

    def counts(self, rows: int) -> list[int]:
        """How many of the first `rows` rows come from each source. Exactly one count grows with each row."""
        counts, left, remaining = [], rows, sum(self.parts)
        for part in self.parts:
            others = left * (remaining - part) // remaining
            counts.append(left - others)
            left, remaining = others, remaining - part
        return counts
