"""Rows to buckets through the disk, a batch at a time: how anything that spans the corpus stays within a bounded memory.

scratch-NAME/
    00007/00003.parquet   the rows of bucket 7 that batch 3 gave
    00003.done            batch 3 is all there
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tenfold.corpus.engine.frames import each_part
from tenfold.corpus.engine.store import write_parquet
from tenfold.corpus.files import write_atomically

if TYPE_CHECKING:
    import daft
    import pyarrow as pa

BUCKET = "bucket"


class Shuffle:
    """Rows of dataframes, kept by the value of their column "bucket", in a folder of scratch files."""

    def __init__(self, directory: Path, name: str):
        self.directory = directory / f"scratch-{name}"

    def has(self, batch: int) -> bool:
        """Whether a batch was put before, by a build that was stopped since."""
        return self._mark(batch).exists()

    def put(self, batch: int, frame: "daft.DataFrame") -> None:
        """Writes a batch's rows by the frame's column "bucket"; the same batch again replaces what it gave before."""

        def write(table: "pa.Table") -> None:
            write_parquet(self.directory / f"{table[BUCKET][0].as_py():05}" / f"{batch:05}.parquet", table)

        each_part(frame, write, by=BUCKET)
        write_atomically(self._mark(batch), "")

    def read(self, buckets: Iterable[int] | None = None) -> "daft.DataFrame | None":
        """All rows of some buckets, or of every one; None where there are none."""
        import daft

        places = sorted(self.directory.glob("[0-9]*[0-9]/")) if buckets is None else [self.directory / f"{each:05}" for each in buckets]
        files = [str(piece) for place in places for piece in sorted(place.glob("[0-9]*.parquet"))]
        return daft.read_parquet(files) if files else None

    def batches(self, most_bytes: int) -> Iterator[list[int]]:
        """As many buckets at once as have about `most_bytes` on the disk, at least one."""
        batch: list[int] = []
        size = 0
        for bucket in sorted(path for path in self.directory.glob("*") if path.is_dir()):
            here = sum(piece.stat().st_size for piece in bucket.glob("[0-9]*.parquet"))
            if batch and size + here > most_bytes:
                yield batch
                batch, size = [], 0
            batch.append(int(bucket.name))
            size += here
        if batch:
            yield batch

    def _mark(self, batch: int) -> Path:
        return self.directory / f"{batch:05}.done"
