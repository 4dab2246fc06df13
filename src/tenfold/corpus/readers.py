"""Raw texts out of files: a folder, .txt, .jsonl (.gz, .zst), .parquet. Nothing here judges a text; it only says what could not be read.

Every reader is a generator over its file from front to back, in an order that depends on names and contents alone.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tenfold.errors import UserError

TEXT_FIELD = "text"
END_OF_TEXT = "<|endoftext|>"
PIECE_CHARACTERS = 8_192  # a lone .txt is cut at the first blank line after this many,
LONGEST_PIECE = 65_536  # and at the end of a line, or inside one, after this many

COMPRESSION = {".gz": "gzip", ".zst": "zstd"}
SKIPPED_FOLDERS = {"__pycache__", "site-packages", "dist-packages", "node_modules"}


class Raw(NamedTuple):
    """A text as found, or the reason why there is none."""

    source: str
    """Where it was: the path inside the collection, with `:n` for the n-th line, row or piece of a file of many."""
    text: str | None
    bytes: int
    problem: str = ""


def read_file(path: Path, source: str, max_bytes: int) -> Iterator[Raw]:
    """Every text in one file of a collection, by what its name ends in; a name that says nothing is taken for one text."""
    if is_lines(path):
        yield from read_jsonl(path, source)
    elif path.suffix == ".parquet":
        yield from read_parquet(path, source)
    else:
        yield read_text(path, source, max_bytes)


def is_lines(path: Path) -> bool:
    """Whether the name is that of a JSON-lines file, compressed or not."""
    return path.suffix == ".jsonl" or (path.suffix in COMPRESSION and path.with_suffix("").suffix == ".jsonl")


def holds_many(path: Path) -> bool:
    """Whether a file of this name is a table of texts rather than one."""
    return is_lines(path) or path.suffix == ".parquet"


def walk(root: Path) -> list[Path]:
    """The files under a folder, sorted by path. Hidden ones, caches and installed packages are not part of a collection."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in SKIPPED_FOLDERS]
        found += [Path(folder, name) for name in files if not name.startswith(".")]
    return sorted((path for path in found if path.is_file()), key=lambda path: path.relative_to(root).as_posix())


def read_text(path: Path, source: str, max_bytes: int) -> Raw:
    """A whole file as one text, byte for byte: line ends are left as they are."""
    try:
        size = path.stat().st_size
        if size > max_bytes:
            return Raw(source, None, size, "over the size cap")
        data = path.read_bytes()
    except OSError:
        return Raw(source, None, 0, "unreadable file")
    if b"\0" in data:
        return Raw(source, None, size, "binary")
    try:
        return Raw(source, data.decode("utf-8"), size)
    except UnicodeDecodeError:
        return Raw(source, None, size, "undecodable")


def read_txt(path: Path, source: str) -> Iterator[Raw]:
    """A .txt that is the whole collection, as many texts.

    Cut at `<|endoftext|>` where its first million characters hold one (with the line ends around it), else at the first blank
    line after 8,192 characters; those pieces join to the whole again.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            marked = END_OF_TEXT in file.read(1_000_000)
            file.seek(0)
            pieces = _marked_pieces(file) if marked else _paragraphs(file)
            for number, piece in enumerate(pieces, 1):
                yield Raw(f"{source}:{number}", piece, len(piece.encode()))
    except UnicodeDecodeError:
        yield Raw(source, None, path.stat().st_size, "undecodable")
    except OSError as error:
        yield _unreadable(path, source, error)


def _unreadable(path: Path, source: str, error: Exception) -> Raw:
    problem = "unreadable file" if isinstance(error, PermissionError) else "damaged file"
    return Raw(source, None, path.stat().st_size, problem)


def _marked_pieces(file) -> Iterator[str]:
    piece: list[str] = []
    for line in file:
        *ended, rest = line.split(END_OF_TEXT)
        for end in ended:
            yield "".join([*piece, end]).strip("\r\n")
            piece = []
        piece.append(rest)
    if last := "".join(piece).strip("\r\n"):
        yield last


def _paragraphs(file) -> Iterator[str]:
    piece: list[str] = []
    size = 0
    while line := file.readline(LONGEST_PIECE):
        piece.append(line)
        size += len(line)
        if size >= LONGEST_PIECE or (size >= PIECE_CHARACTERS and not line.strip()):
            yield "".join(piece)
            piece, size = [], 0
    if piece:
        yield "".join(piece)


def read_jsonl(path: Path, source: str) -> Iterator[Raw]:
    """One JSON object a line, its text under "text". A line that is not that is a "bad line"; a file cut short, "damaged file"."""
    try:
        for number, line in enumerate(lines(path), 1):
            if line.strip():
                yield _json_text(line, f"{source}:{number}")
    except OSError as error:
        yield _unreadable(path, source, error)


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a JSON-lines file, compressed or not. Raises OSError where it cannot be read to its end."""
    if path.suffix == ".jsonl":
        with path.open("rb") as file:
            yield from file
        return
    import pyarrow as pa

    try:
        with pa.input_stream(str(path), compression=COMPRESSION[path.suffix]) as stream:
            yield from _split_lines(stream)
    except pa.ArrowException as error:
        raise OSError(str(error)) from error


def _split_lines(stream) -> Iterator[bytes]:
    rest: list[bytes] = []
    while chunk := stream.read(1 << 20):
        first, newline, others = chunk.partition(b"\n")
        rest.append(first)
        if newline:
            yield b"".join(rest)
            *whole, last = others.split(b"\n")
            yield from whole
            rest = [last]
    if any(rest):
        yield b"".join(rest)


def _json_text(line: bytes, source: str) -> Raw:
    try:
        text = json.loads(line.decode("utf-8-sig"))[TEXT_FIELD]
        if not isinstance(text, str):
            raise TypeError
        return Raw(source, text, len(text.encode("utf-8")))
    except UnicodeError:  # bytes that are not UTF-8, or half of a surrogate pair written as an escape
        return Raw(source, None, len(line), "undecodable")
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return Raw(source, None, len(line), "bad line")


def read_parquet(path: Path, source: str) -> Iterator[Raw]:
    """The rows of column "text"; a null is an empty text.

    Raises UserError where the file is sound but has no such column of strings.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = 0
    try:
        with pq.ParquetFile(path) as file:
            _check_column(file.schema_arrow, path, pa)
            for batch in file.iter_batches(batch_size=256, columns=[TEXT_FIELD]):
                for value in batch.column(0):
                    row += 1
                    yield _parquet_text(value, f"{source}:{row}")
    except (pa.ArrowException, OSError) as error:
        yield _unreadable(path, source, error)


def _parquet_text(value, source: str) -> Raw:
    try:
        text = value.as_py() or ""
        return Raw(source, text, len(text.encode("utf-8")))
    except UnicodeError:  # Parquet does not check what other programs wrote into a column of strings
        return Raw(source, None, len(value.as_buffer()), "undecodable")


def _check_column(schema, path: Path, pa) -> None:
    kind = schema.field(TEXT_FIELD).type if TEXT_FIELD in schema.names else None
    if kind is None or not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
        raise UserError(
            f"{path} has no column of strings named 'text'; its columns are {columns}.\n  Rename the one with the documents to 'text'."
        )
