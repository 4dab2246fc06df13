"""WARC records out of decompressed bytes (ISO 28500), good ones beside bad ones.

A record is believed when its Content-Length ends where the next record, or the end of what belongs together, begins. One that is not
is refused, and reading goes on at the next thing that looks like a record's first lines, even inside the bytes it claimed. An
oversized record is never held, and not believed either: a record that begins inside it is taken.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tenfold.corpus.sources.members import RECORD, Damage, Piece

LONGEST_HEADER = 1 << 16
BEGINS = re.compile(rb"WARC/\d\.\d{1,2}\r?\n(?=[A-Za-z-]+:)")
HEADER_END = re.compile(rb"\r?\n\r?\n")
LENGTH = re.compile(rb"\ncontent-length:[ \t]*(\d{1,15})[ \t]*\r?(?=\n)", re.IGNORECASE)
NEWLINES = re.compile(rb"[\r\n]*")
OVERLAP = 128  # bytes of a record's first lines that BEGINS needs to see


class Framed(NamedTuple):
    """One WARC record, whole: its header lines, an empty line, and the block of Content-Length bytes."""

    data: bytes
    offset: int


def framed(pieces: Iterator[Piece | Damage], largest: int) -> Iterator[Framed | Damage]:
    """The records of a file's pieces, front to back. Blocks over `largest` bytes are "over the size cap"."""
    window = _Window(pieces)
    while window.next_run():
        yield from _run(window, largest)
        if window.damage:
            yield window.damage


class _Window:
    """The bytes at hand of one run: what lies between two places where a record is sure to begin, or between damages."""

    def __init__(self, pieces: Iterator[Piece | Damage]):
        self.pieces = pieces
        self.upcoming = next(pieces, None)
        self.buffer = bytearray()
        self.dropped = 0
        self.marks: list[tuple[int, Piece]] = []  # (bytes of the run before a piece, the piece)
        self.damage: Damage | None = None

    def next_run(self) -> bool:
        """Moves on to the next run. False where there is none."""
        self.buffer.clear()
        self.marks.clear()
        self.dropped = 0
        self.damage = None
        if self.upcoming is None:
            return False
        self._append()
        return True

    def more(self) -> bool:
        """Adds a piece to the buffer, or says that the run ends here."""
        following = self.upcoming
        if self.damage or following is None:
            return False
        if isinstance(following, Damage):
            apart = not self.marks or following.offset != self.marks[-1][1].offset
        else:
            apart = following.starts and following.data.lstrip(b"\r\n").startswith(RECORD)
        return not apart and self._append()

    def _append(self) -> bool:
        following = self.upcoming
        self.upcoming = next(self.pieces, None)
        if not isinstance(following, Piece):
            self.damage = following
            return False
        self.marks.append((self.dropped + len(self.buffer), following._replace(data=b"")))
        self.buffer += following.data
        return True

    def hold(self, size: int) -> bool:
        """Whether at least `size` bytes of the run are at hand, reading on where they are not."""
        while len(self.buffer) < size:
            if not self.more():
                return False
        return True

    def drop(self, size: int) -> None:
        """Forgets the first bytes."""
        del self.buffer[:size]
        self.dropped += size
        while len(self.marks) > 1 and self.marks[1][0] <= self.dropped:
            del self.marks[0]

    def offset(self, at: int = 0) -> int:
        """Where a byte of the buffer lies in the file: exactly where nothing is compressed, else where its member begins."""
        place = self.dropped + at
        before, piece = next(mark for mark in reversed(self.marks) if mark[0] <= place)
        return piece.offset + place - before if piece.plain else piece.offset

    def is_damaged(self, at: int) -> bool:
        """Whether the member that holds a byte of the buffer is known not to decompress to its end."""
        known = self.damage or self.upcoming
        return isinstance(known, Damage) and known.offset == self.offset(at)


def _run(window: _Window, largest: int) -> Iterator[Framed | Damage]:
    while _at_something(window):
        offset = window.offset()
        size = _size(window, largest)
        if isinstance(size, int):
            yield Framed(bytes(window.buffer[:size]), offset)
            window.drop(size)
            continue
        lost = _to_next_record(window)
        if window.buffer or not window.damage:  # else the damage says it
            yield Damage(offset, size, lost)


def _at_something(window: _Window) -> bool:
    """Drops line ends, and says whether the run goes on after them."""
    while window.hold(1):
        window.drop(_end_of_newlines(window.buffer, 0))
        if window.buffer:
            return True
    return False


def _end_of_newlines(buffer: bytearray, start: int) -> int:
    found = NEWLINES.match(buffer, start)
    assert found is not None
    return found.end()


def _size(window: _Window, largest: int) -> int | str:
    """The bytes of the record at hand, header and block; or why it cannot be believed."""
    window.hold(OVERLAP)
    if not BEGINS.match(window.buffer):
        return "garbage between records"
    while not (end := HEADER_END.search(window.buffer, 0, LONGEST_HEADER)):
        if len(window.buffer) >= LONGEST_HEADER or not window.more():
            return "bad WARC header"
    length = LENGTH.search(window.buffer, 0, end.end())
    if not length or BEGINS.search(window.buffer, 1, end.end()):  # the next record's lines after the torn ones of this
        return "bad WARC header"
    if int(length[1]) > largest:
        return "over the size cap"
    size = end.end() + int(length[1])
    if not window.hold(size):
        return "shorter than its Content-Length"
    sound = _is_followed_well(window, size) and not _swallows(window.buffer, end.end(), size)
    return size if sound else "wrong Content-Length"


def _is_followed_well(window: _Window, size: int) -> bool:
    """Whether a record that ends after `size` bytes has an end there: the two line ends, another record, or the end of its run."""
    window.hold(size + 4 + OVERLAP)
    after = _end_of_newlines(window.buffer, size)
    if BEGINS.match(window.buffer, after):
        return True
    apart = after == len(window.buffer) or window.buffer[size : size + 4] == b"\r\n\r\n"
    return apart and not window.is_damaged(size - 1)


def _swallows(buffer: bytearray, start: int, size: int) -> bool:
    """Whether the line ends after a block are those of another record inside it: bytes between the two have been lost.

    A page that is a WARC file is none of this: it has the line ends of its own last record, and then come those of the page.
    """
    at, after = start, _end_of_newlines(buffer, size)
    while (at := buffer.find(RECORD, at, size)) >= 0:
        end = BEGINS.match(buffer, at) and HEADER_END.search(buffer, at, min(at + LONGEST_HEADER, size))
        length = LENGTH.search(buffer, at, end.end()) if end else None
        inside = end.end() + int(length[1]) if end and length else after
        if inside <= size and after - inside <= 4 and _end_of_newlines(buffer, inside) == after:
            return True
        at += 1
    return False


def _to_next_record(window: _Window) -> int:
    """Drops what is at hand up to the next record after it, and says how many bytes that was."""
    lost, start = 0, 1
    while not (found := BEGINS.search(window.buffer, start)):
        done = max(len(window.buffer) - OVERLAP, 0)
        window.drop(done)
        lost += done
        start = 0 if lost else 1
        if not window.more():
            done = len(window.buffer)
            window.drop(done)
            return lost + done
    window.drop(found.start())
    return lost + found.start()
