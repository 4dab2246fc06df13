"""Files and directories that are whole or absent, whenever the process dies; fingerprints of what they were made from."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from tenfold.errors import UserError


@contextlib.contextmanager
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


@contextlib.contextmanager
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


def sweep(directory: Path) -> None:
    """Removes what processes that were killed left half-written under a directory that nobody else writes now."""
    for path in directory.rglob(".*.partial"):
        if path.is_file():
            path.unlink()


def fingerprint(*parts) -> str:
    """16 hexadecimal digits of anything that JSON can hold."""
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).hexdigest()


@contextlib.contextmanager
def one_process(directory: Path, refused: str = "") -> Iterator[None]:
    """Holds a lock on a directory: another process waits here until this one is done, or where `refused` is given, has a UserError of these
    words. A kill lets go. (No lock where the system has no flock.)"""
    directory.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield
        return
    with (directory / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if refused else 0))
        except BlockingIOError:
            raise UserError(refused) from None
        yield
