"""Files and directories that are whole or absent, whenever the process dies."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A binary file under another name, flushed to the disk and renamed to `path` at the end; removed where the block raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> Path:
    """Writes a file under another name, flushes it to the disk and renames it. Returns the path."""
    with replacing(path) as file:
        file.write(text.encode("utf-8"))
    return path


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """An empty directory under another name, flushed to the disk with all its files and renamed to `path`, where nothing is yet, at the
    end; removed where the block raises."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        yield partial
        with ThreadPoolExecutor(16) as several:  # the file system then flushes them together
            list(several.map(_flush, (file for file in partial.rglob("*") if file.is_file())))
        os.rename(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _flush(file: Path) -> None:
    with file.open("rb") as written:
        os.fsync(written.fileno())
