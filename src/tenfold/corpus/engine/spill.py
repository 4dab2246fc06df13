"""Rows from tasks to buckets through the disk: how what spans the corpus stays within a bounded memory.

scratch-NAME/00007.parquet is what task 7 gave: whole or absent, with a checksum of every page, a row group or more for each bucket.
Where a `Shuffle` takes dataframes, this takes columns from workers: NumPy's numbers, sets of numbers as their bytes, texts.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from tenfold.corpus.files import replacing

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BUCKETS, COUNT = b"buckets", b"count"
Columns = dict[str, Any]
"""Equally long arrays by name: NumPy's of one dimension, or Arrow's."""


class Spill:
    """A folder of scratch files that tasks write, each one of its own, and that is read by bucket."""

    def __init__(self, directory: Path, name: str, compression: str = "none"):
        self.directory, self.compression = directory / f"scratch-{name}", compression

    def has(self, task: int) -> bool:
        """Whether a task has given its rows, perhaps to a build that was stopped since."""
        return self._path(task).exists()

    def missing(self, tasks: Iterable[int]) -> list[int]:
        """The tasks that have not."""
        return [task for task in tasks if not self.has(task)]

    def write(self, task: int, pieces: Iterable[tuple[np.ndarray, Columns]], count: int = 0) -> int:
        """Writes all rows of a task: pieces of (bucket of each row, columns), one in memory at a time. Returns `count`, which is kept."""
        import pyarrow as pa

        groups: list[int] = []
        with replacing(self._path(task)) as file:
            writer = None
            for buckets, columns in pieces:
                table = pa.table(columns)
                writer = writer or self._writer(file, table.schema)
                for bucket, rows in _by_bucket(buckets):
                    writer.write_table(table.take(rows), row_group_size=len(rows))
                    groups.append(bucket)
            writer = writer or self._writer(file, pa.schema([]))
            writer.add_key_value_metadata({BUCKETS: json.dumps(groups), COUNT: str(count)})
            writer.close()
        return count

    def counted(self, task: int) -> int:
        """The count that a task left."""
        import pyarrow.parquet as pq

        return int(pq.read_metadata(self._path(task)).metadata[COUNT])

    def pieces(self, bucket: int, columns: Sequence[str] | None = None) -> Iterator["pa.Table"]:
        """The rows of a bucket, a task at a time in their order. Only some columns where they are named."""
        import pyarrow.parquet as pq

        for path in sorted(self.directory.glob("[0-9]*.parquet")):
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                groups = json.loads(file.metadata.metadata[BUCKETS])
                here = [place for place, each in enumerate(groups) if each == bucket]
                if here:
                    yield file.read_row_groups(here, columns=columns)

    def arrays(self, bucket: int, columns: Sequence[str]) -> list[np.ndarray]:
        """Columns of numbers of a bucket, of all tasks."""
        tables = list(self.pieces(bucket, columns))
        return [
            np.concatenate([chunk.to_numpy() for table in tables for chunk in table[name].chunks] or [np.zeros(0, np.uint64)])
            for name in columns
        ]

    def pairs(self, bucket: int) -> np.ndarray:
        """uint64[E, 2]: the columns "a" and "b" of a bucket."""
        return np.stack(self.arrays(bucket, ("a", "b")), 1)

    def remove(self) -> None:
        """Its work is done."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _writer(self, file: BinaryIO, schema: "pa.Schema") -> "pq.ParquetWriter":
        import pyarrow.parquet as pq

        return pq.ParquetWriter(
            file, schema, compression=self.compression, use_dictionary=False, write_statistics=False, write_page_checksum=True
        )

    def _path(self, task: int) -> Path:
        return self.directory / f"{task:05}.parquet"


def _by_bucket(buckets: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(bucket, its rows in their order) of each that has any."""
    if not len(buckets):
        return
    order = np.argsort(buckets, kind="stable")
    heads = np.flatnonzero(np.append(True, np.diff(buckets[order]) != 0))
    for rows in np.split(order, heads[1:]):
        yield int(buckets[rows[0]]), rows


def as_bytes(values: np.ndarray, starts: np.ndarray) -> "pa.Array":
    """A row for each run of values between two of `starts`: its bytes."""
    import pyarrow as pa

    offsets = np.ascontiguousarray(starts, np.int64) * values.itemsize
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(pa.large_binary(), len(starts) - 1, buffers)


def from_bytes(column: "pa.ChunkedArray", type: Any) -> tuple[np.ndarray, np.ndarray]:
    """(values, starts) of what `as_bytes` made rows of."""
    chunks = [_values(chunk, np.dtype(type)) for chunk in column.chunks] or [(np.zeros(0, type), np.zeros(1, np.int64))]
    sizes = np.concatenate([np.diff(starts) for _, starts in chunks])
    return np.concatenate([values for values, _ in chunks]), np.append(0, np.cumsum(sizes))


def _values(chunk: "pa.Array", type: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    _, offsets, data = chunk.buffers()
    starts = np.frombuffer(offsets, np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
    values = np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)
    return values[starts[0] : starts[-1]].view(type), (starts - starts[0]) // type.itemsize
