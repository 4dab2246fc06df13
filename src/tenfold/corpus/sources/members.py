"""The compressed members of a file one by one, so that a damaged one does not take the rest of the file with it.

A .warc.gz is one gzip member a record, a .warc.zst one Zstandard frame a record, by their specifications (ISO 28500 annex D;
IIPC WARC-Zstandard 1.0, with its dictionary frame). Files that hold all in one member, or cut records across members, are read too.
After damage the next member is looked for from one byte after the damaged one's start: what a decompressor has eaten since may be it.
"""

import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import zstandard

CHUNK = 1 << 16
PIECE = 1 << 20
GZIP = b"\x1f\x8b\x08"
ZSTD = b"\x28\xb5\x2f\xfd"
LARGEST_WINDOW = 1 << 31
RECORD = b"WARC/"


class Piece(NamedTuple):
    """Decompressed bytes, at most about a megabyte. A member of more is several pieces."""

    data: bytes
    offset: int
    """Where its member begins in the file, or the bytes themselves where nothing is compressed."""
    starts: bool
    """Whether it is the first of its member."""
    plain: bool = False
    """Whether nothing is compressed."""


class Damage(NamedTuple):
    """Bytes that are no member, or a member that cannot be decompressed to its end."""

    offset: int
    reason: str
    bytes: int


def pieces(file: BinaryIO, name: str = "", begins: bytes = RECORD) -> Iterator[Piece | Damage]:
    """All of a file, decompressed as its first bytes ask for, or where those are damaged, its name.

    After damage, the next member whose text starts with `begins` is believed.
    """
    head = file.read(1 << 16)
    if not head:
        yield Damage(0, "empty", 0)
        return
    file.seek(0)
    plain = head.startswith(begins) and (len(begins) > 1 or not (GZIP in head or ZSTD in head))  # one byte alone can be chance
    if head.startswith(GZIP) or (name.endswith(".gz") and not plain):
        yield from _members(file, _gzip_member, GZIP, "gzip member", begins)
    elif head.startswith(ZSTD) or _is_skippable(head[:4]) or (name.endswith(".zst") and not plain):
        frames = _Frames()
        yield from _members(file, frames.member, ZSTD, "zstd frame", begins)
    else:
        yield from _plain(file)


def _plain(file: BinaryIO) -> Iterator[Piece]:
    offset = 0
    while data := file.read(PIECE):
        yield Piece(data, offset, starts=False, plain=True)
        offset += len(data)


class _Buffered:
    """A file read ahead: how a member's end is found without reading the file twice."""

    def __init__(self, file: BinaryIO):
        self.file = file
        self.data = b""
        self.offset = 0

    def seek(self, offset: int) -> None:
        self.file.seek(offset)
        self.data, self.offset = b"", offset

    def take(self, size: int) -> bytes:
        """The next `size` bytes, or as many as there are."""
        while len(self.data) < size and (more := self.file.read(max(CHUNK, size - len(self.data)))):
            self.data += more
        taken, self.data = self.data[:size], self.data[size:]
        self.offset += len(taken)
        return taken

    def chunk(self) -> bytes:
        """What is at hand, or the next chunk of the file; empty at its end."""
        taken, self.data = self.data or self.file.read(CHUNK), b""
        self.offset += len(taken)
        return taken

    def give_back(self, data: bytes) -> None:
        self.data = data + self.data if self.data else data
        self.offset -= len(data)

    def at_end(self) -> bool:
        self.data = self.data or self.file.read(CHUNK)
        return not self.data


class _Cut(Exception):
    """The file ends inside a member."""


def _members(file: BinaryIO, member, magic: bytes, name: str, begins: bytes) -> Iterator[Piece | Damage]:
    source = _Buffered(file)
    while not source.at_end():
        start = source.offset
        held: list[bytes] = []
        first = True
        try:
            for data in member(source, held):
                if sum(map(len, held)) >= PIECE:
                    yield Piece(b"".join(held), start, first)
                    held.clear()
                    first = False
                held.append(data)
        except (_Cut, zlib.error, zstandard.ZstdError) as error:
            reason = f"truncated {name}" if isinstance(error, _Cut) else f"damaged {name}"
            if any(held):
                yield Piece(b"".join(held), start, first)
            elif first:
                reason = _nothing_came(source, start, magic, reason)
            end = _next_member(source, start + 1, member, magic, begins)
            yield Damage(start, reason, end - start)
            continue
        if any(held):
            yield Piece(b"".join(held), start, first)


def _nothing_came(source: _Buffered, start: int, magic: bytes, reason: str) -> str:
    source.seek(start)
    return reason if source.take(len(magic)) == magic else "garbage between records"


def _next_member(source: _Buffered, offset: int, member, magic: bytes, begins: bytes) -> int:
    """Moves to the next member whose text starts with `begins`, and says where that is; the end of the file if there is none."""
    source.seek(offset)
    while window := source.take(PIECE):
        begin = source.offset - len(window)
        at = window.find(magic)
        while at >= 0:
            source.seek(begin + at)
            if _begins(source, member, begins):
                source.seek(begin + at)
                return begin + at
            at = window.find(magic, at + 1)
        source.seek(begin + len(window))
        if len(window) == PIECE:
            source.seek(begin + PIECE - len(magic) + 1)
    return source.offset


def _begins(source: _Buffered, member, begins: bytes) -> bool:
    held: list[bytes] = []
    try:
        for data in member(source, held):
            held.append(data)
            if sum(map(len, held)) >= len(begins):
                break
    except (_Cut, zlib.error, zstandard.ZstdError):
        pass
    return b"".join(held).lstrip(b"\r\n").startswith(begins)


def _gzip_member(source: _Buffered, held: list[bytes]) -> Iterator[bytes]:
    """The bytes of the member at hand. On damage what could still be decompressed is put into `held` first."""
    inflate = zlib.decompressobj(31)
    saved = None
    given = b""
    while not inflate.eof:
        if not given and not (given := source.chunk()):
            raise _Cut
        try:
            data = inflate.decompress(given, PIECE)
        except zlib.error:
            _salvage(saved or zlib.decompressobj(31), given, held)
            raise
        given = inflate.unconsumed_tail
        if inflate.eof:
            source.give_back(inflate.unused_data)
        else:
            saved = inflate.copy()
        yield data


def _salvage(inflate, given: bytes, held: list[bytes]) -> None:
    """Decompresses in small steps until it fails, for the records that lie before the damage."""
    try:
        for at in range(0, len(given), 64):
            held.append(inflate.decompress(given[at : at + 64], PIECE))
    except zlib.error:
        return


def _is_skippable(head: bytes) -> bool:
    return len(head) == 4 and head[0] & 0xF0 == 0x50 and head[1:] == b"\x2a\x4d\x18"


class _Frames:
    """Zstandard frames, walked block by block: each gives at most 128 KiB, so a bomb is met in small pieces (RFC 8878, section 3.1)."""

    def __init__(self) -> None:
        self.dictionary: zstandard.ZstdCompressionDict | None = None

    def member(self, source: _Buffered, held: list[bytes]) -> Iterator[bytes]:
        head = _whole(source, 4)
        if _is_skippable(head):
            self._skip(source, head)
            return
        if head != ZSTD:
            raise zstandard.ZstdError("not a frame")
        head += _whole(source, 1)
        head += _whole(source, _header_size(head[4]) - 5)
        decompressor = zstandard.ZstdDecompressor(dict_data=self.dictionary, max_window_size=LARGEST_WINDOW)
        frame = decompressor.decompressobj()
        yield frame.decompress(head)
        last = False
        while not last:
            mark = _whole(source, 3)
            block = int.from_bytes(mark, "little")
            last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
            if kind == 3 or size > 1 << 17:
                raise zstandard.ZstdError("not a block")
            body = _whole(source, 1 if kind == 1 else size)
            if last and head[4] & 4:
                body += _whole(source, 4)
            yield frame.decompress(mark + body)

    def _skip(self, source: _Buffered, head: bytes) -> None:
        size = int.from_bytes(_whole(source, 4), "little")
        if head[0] == 0x5D and size <= 1 << 27:
            data = _whole(source, size)
            if data.startswith(ZSTD):
                data = zstandard.ZstdDecompressor().decompress(data, max_output_size=1 << 27)
            self.dictionary = zstandard.ZstdCompressionDict(data)
            return
        while size:
            size -= len(_whole(source, min(size, PIECE)))


def _header_size(descriptor: int) -> int:
    single = descriptor >> 5 & 1
    content = (1 if single else 0, 2, 4, 8)[descriptor >> 6]
    return 5 + (1 - single) + (0, 1, 2, 4)[descriptor & 3] + content


def _whole(source: _Buffered, size: int) -> bytes:
    data = source.take(size)
    if len(data) < size:
        raise _Cut
    return data
