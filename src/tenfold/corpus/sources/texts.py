"""What every reader does with a text it found: make it a record, or say why not; and the lines of a file, none held that is too long."""

from collections.abc import Iterator

from tenfold.corpus.documents import document_id
from tenfold.corpus.record import Limits, Record, Refused, metadata
from tenfold.corpus.sources.members import Damage, pieces
from tenfold.corpus.sources.opening import open_bytes


def taken(
    source: str, file: str, offset: int, text: str | bytes, limits: Limits, *, url: str = "", timestamp: str = "", **meta: object
) -> Record | Refused:
    """A record of `text`, or refused: "over the size cap", "empty", "binary", "undecodable" (as UTF-8)."""
    try:
        data, text = (text, text.decode("utf-8-sig")) if isinstance(text, bytes) else (text.encode("utf-8"), text)
    except UnicodeError:
        problem = "binary" if isinstance(text, bytes) and b"\0" in text else "undecodable"
        return Refused(source, file, offset, problem, len(text))
    if len(data) > limits.max_bytes:
        return Refused(source, file, offset, "over the size cap", len(data))
    if "\0" in text:
        return Refused(source, file, offset, "binary", len(data))
    if not text.strip():
        return Refused(source, file, offset, "empty", len(data))
    return Record(document_id(text), source, url, text, timestamp, metadata(file, offset, **meta))


def whole(path: str, source: str, file: str, most: int) -> bytes | Refused:
    """All of a small file, or refused where it has more than `most` bytes or cannot be read."""
    with open_bytes(path) as opened:
        try:
            data = opened.read(most + 1)
            if len(data) <= most:
                return data
            return Refused(source, file, 0, "over the size cap", opened.seek(0, 2))
        except OSError:
            return Refused(source, file, 0, "unreadable file", 0)


def lines(path: str, source: str, file: str, longest: int, begins: bytes = b"{") -> Iterator[tuple[int, bytes] | Refused]:
    """(number from 1, line without its end) of a file, compressed with gzip or Zstandard (of any window) or not.

    Refused, with the number of the line: one of more than `longest` bytes, and damage of the compression. After that, lines go on
    with the next member whose text starts with `begins`.
    """
    number, rest, lost = 1, b"", 0  # lost: bytes of a line too long to hold
    with open_bytes(path) as opened:
        for piece in pieces(opened, path, begins):
            if isinstance(piece, Damage):
                yield Refused(source, file, number, piece.reason, piece.bytes)
                number, rest, lost = number + 1, b"", 0
                continue
            first, *others = piece.data.split(b"\n")
            rest += b"" if lost else first
            lost += len(first) if lost else 0
            for line in others:
                if size := lost or max(len(rest) - longest, 0) and len(rest):
                    yield Refused(source, file, number, "over the size cap", size)
                else:
                    yield number, rest
                number, rest, lost = number + 1, line, 0
            if len(rest) > longest:
                rest, lost = b"", len(rest)
    if lost:
        yield Refused(source, file, number, "over the size cap", lost)
    elif rest:
        yield number, rest
