"""One shard of a directory: its three files, read and written. Positions count from the shard's own first token."""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tenfold.corpus.documents import Document
from tenfold.errors import UserError

INDEX = "tokens.json"
MEND = "Write the shards again, or copy them again from where they came."


class ShardNames(NamedTuple):
    """The three files of a shard."""

    tokens: str
    starts: str
    documents: str

    @classmethod
    def of(cls, number: int) -> "ShardNames":
        """Those of the shard numbered from 0."""
        return cls(f"{number:05}.bin", f"{number:05}.docs.npy", f"{number:05}.ids.jsonl")


class Shard:
    """A shard on disk; `entry` is what the index says of it."""

    def __init__(self, directory: Path, number: int, entry: dict, dtype: np.dtype):
        self.names = ShardNames.of(number)
        self.directory, self.dtype, self.entry = directory, dtype, entry
        self.tokens: int = entry["tokens"]
        self.documents: int = entry["documents"]

    def path(self, name: str) -> Path:
        return self.directory / name

    def check_sizes(self) -> None:
        for name in self.names:
            path, due = self.path(name), self.entry["sizes"][name]
            if not path.exists():
                raise UserError(f"{path} is missing, though {INDEX} beside it names it.\n  {MEND}")
            if path.stat().st_size != due:
                raise UserError(f"{path} has {path.stat().st_size} bytes but {INDEX} beside it says {due}: it is damaged.\n  {MEND}")

    def verify(self) -> None:
        for name in self.names:
            with self.path(name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != self.entry["sha256"][name]:
                raise UserError(
                    f"{self.path(name)} has sha256 {found[:16]}... but {INDEX} beside it says {self.entry['sha256'][name][:16]}...: "
                    f"it is damaged.\n  {MEND}"
                )

    def window(self, start: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        last = int(np.searchsorted(self._starts, start + length - 1, side="right")) - 1
        begins = np.zeros(length, np.int32)
        begins[0] = first
        begins[self._starts[first + 1 : last + 1] - start] = 1
        return self._ids[start : start + length].astype(np.int32), np.cumsum(begins, dtype=np.int32)

    def document(self, index: int) -> dict:
        start = int(self._starts[index])
        end = int(self._starts[index + 1]) if index + 1 < self.documents else self.tokens
        with self.path(self.names.documents).open("rb") as file:
            file.seek(self._lines[index])
            record = json.loads(file.readline())
        return record | {"start": start, "tokens": end - start}

    # Views as plain arrays: slicing a np.memmap costs several times as much.
    @cached_property
    def _ids(self) -> np.ndarray:
        return np.memmap(self.path(self.names.tokens), self.dtype, "r").view(np.ndarray)

    @cached_property
    def _starts(self) -> np.ndarray:
        path = self.path(self.names.starts)
        try:
            starts = np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
        except (ValueError, EOFError) as error:
            raise UserError(f"{path} is not an array of document starts: {error}.\n  {MEND}") from error
        if starts.shape != (self.documents,) or starts.dtype != np.int64:
            raise UserError(f"{path} holds {starts.dtype}{list(starts.shape)} but should hold int64[{self.documents}].\n  {MEND}")
        return starts

    @cached_property
    def _lines(self) -> np.ndarray:
        data = np.fromfile(self.path(self.names.documents), np.uint8)
        return np.concatenate([[0], np.flatnonzero(data == ord("\n")) + 1])


class ShardWriter:
    """One shard being written."""

    def __init__(self, directory: Path, names: ShardNames):
        self._directory, self._names = directory, names
        self._file = (directory / names.tokens).open("wb")
        self._hash = hashlib.sha256()
        self._starts: list[int] = []
        self._lines: list[str] = []
        self.tokens = self._bytes = 0

    def add(self, document: Document, ids: np.ndarray) -> None:
        size = len(document.text.encode())
        self._starts.append(self.tokens)
        self._lines.append(json.dumps({"id": document.id, "source": document.source, "bytes": size}) + "\n")
        data = ids.tobytes()
        self._file.write(data)
        self._hash.update(data)
        self.tokens, self._bytes = self.tokens + len(ids), self._bytes + size

    def close(self) -> dict:
        """Finishes the shard's files. Returns its entry in the index."""
        self._file.close()
        np.save(self._directory / self._names.starts, np.array(self._starts, np.int64))
        (self._directory / self._names.documents).write_text("".join(self._lines), "utf-8")
        digests = {self._names.tokens: self._hash.hexdigest()}
        for name in self._names[1:]:
            digests[name] = hashlib.sha256((self._directory / name).read_bytes()).hexdigest()
        counts = {"tokens": self.tokens, "documents": len(self._starts), "bytes": self._bytes}
        sizes = {name: (self._directory / name).stat().st_size for name in self._names}
        return {"file": self._names.tokens, **counts, "sizes": sizes, "sha256": digests}
