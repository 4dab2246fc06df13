"""GGUF files: the models of llama.cpp, read tensor by tensor from a memory map.

Layout, little-endian: "GGUF", u32 version, u64 tensors, u64 keys; each key as string, u32 type, value; each tensor as name, u32 rank,
u64 sizes innermost first, u32 type, u64 offset; then the tensors' bytes, aligned. Source: docs/gguf.md of ggml, and its reader
src/gguf.cpp. The `gguf` package was not taken: it checks no extents, fails on a damaged header with any exception at all, and needs
two seconds for the vocabulary of a small model.
"""

import math
import struct
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.convert.ggml_blocks import OTHERS, TYPES, BlockType
from tenfold.errors import UserError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
ALIGNMENT = 32
MOST_AXES = 4
EVERY = slice(None)
BLOCKS = 2**13
"""Decoded at once."""
STRING, ARRAY, BOOL = 8, 9, 7
NUMBERS = {0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?", 10: "<u8", 11: "<i8", 12: "<f8"}
LEAST_KEY = 8 + 4 + 1  # bytes of a key with no name and a value of one byte
LEAST_TENSOR = 8 + 4 + 8 + 4 + 8  # bytes that describe a tensor of one axis

_NAMES = {kind.id: name for name, kind in TYPES.items()}


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor is in its file, and what it is."""

    name: str
    shape: tuple[int, ...]
    """In NumPy's order, innermost axis last: ggml's sizes reversed."""
    type: str
    """One of ggml_blocks.TYPES."""
    offset: int
    """Of its first byte, from the start of the file."""
    bytes: int


class GGUF:
    """A GGUF file. Made by `GGUF.open`; tensors are read when asked for."""

    def __init__(self, path: Path, version: int, metadata: dict[str, Any], tensors: dict[str, TensorInfo]):
        self.path = path
        self.version = version
        self.metadata = metadata
        """Numbers, booleans and strings, and lists of them."""
        self.tensors = tensors
        """By name, in the order of the file."""

    @classmethod
    def open(cls, path: str | Path) -> "GGUF":
        """Reads and checks all but the tensors' numbers.

        Raises UserError naming the file, and the key or tensor, where it is missing, damaged, cut short or of a kind that we do not read.
        """
        path = Path(path).expanduser()
        try:
            data = np.memmap(path, np.uint8, mode="r") if path.stat().st_size else np.zeros(0, np.uint8)
        except OSError as error:
            raise UserError(f"There is no GGUF file at {str(path)!r} ({error.strerror}).\n  Name a .gguf file.") from error
        header = _Header(data, path)
        version, tensor_count, key_count = _prologue(header)
        metadata = _metadata(header, key_count)
        alignment = _alignment(metadata, header)
        tensors = _tensors(header, tensor_count, alignment)
        _check_extents(tensors, header, alignment)
        return cls(path, version, metadata, {tensor.name: tensor for tensor in tensors})

    def raw(self, name: str) -> np.ndarray:
        """The bytes of a tensor as they are: a read-only map of their own, u8[..., blocks of a row, bytes of a block]."""
        tensor = self._tensor(name)
        kind = TYPES[tensor.type]
        shape = (*tensor.shape[:-1], tensor.shape[-1] // kind.elements, kind.bytes)
        return np.memmap(self.path, np.uint8, "r", tensor.offset, shape).view(np.ndarray)

    def packed(self, name: str) -> "Packed":
        """A tensor that is decoded when a part of it is asked for. Raises UserError where there is no such tensor."""
        tensor = self._tensor(name)
        return Packed(self.raw(name), tensor.shape, TYPES[tensor.type])

    def read(self, name: str) -> np.ndarray:
        """The numbers of a tensor, f32 in its shape; decoded anew at each call. Raises UserError where there is no such tensor."""
        return self.packed(name).decoded()

    def _tensor(self, name: str) -> TensorInfo:
        if name not in self.tensors:
            raise UserError(f"{self.path} has no tensor {name!r}; it has {len(self.tensors)}, such as {list(self.tensors)[:3]}.")
        return self.tensors[name]


@dataclass(frozen=True)
class Packed:
    """A tensor where it lies in its file, in blocks along its last axis."""

    raw: np.ndarray
    """As `GGUF.raw` gives it."""
    shape: tuple[int, ...]
    kind: BlockType

    def decoded(self, rows: slice = EVERY, columns: slice = EVERY) -> np.ndarray:
        """f32 in the tensor's shape, of which only those rows and columns (and the rest of their blocks) are read and decoded.

        Rows are all axes but the last, as one. The rest of the array means nothing, and takes no memory where the system gives it when it
        is first written to.
        """
        blocks, elements = self.raw.reshape(-1, *self.raw.shape[-2:]), self.kind.elements
        found = np.empty((len(blocks), self.shape[-1]), np.float32)
        first_row, last_row, _ = rows.indices(len(blocks))
        begin, end, _ = columns.indices(self.shape[-1])
        first, last = begin // elements, -(-end // elements)
        some = max(1, BLOCKS // (last - first))  # decoding makes several arrays on the way
        for row in range(first_row, last_row, some):
            part = blocks[row : min(row + some, last_row), first:last]
            numbers = self.kind.decode(part.reshape(-1, self.kind.bytes))
            found[row : row + len(part), first * elements : last * elements] = numbers.reshape(len(part), -1)
        return found.reshape(self.shape)


class _Header:
    """A place in the file that moves on as values are taken, and never beyond the end."""

    def __init__(self, data: np.ndarray, path: Path):
        self.path = path
        self.size = len(data)
        self.at = 0
        self._bytes = data.data

    def bad(self, what: str, mend: str = "Fetch or make it again.") -> UserError:
        return UserError(f"{self.path} {what}\n  {mend}")

    def need(self, count: int, where: str) -> None:
        """Raises UserError where fewer than `count` bytes are left."""
        if count > self.size - self.at:
            raise self.bad(
                f"is damaged or cut short: {where} needs {count} bytes at byte {self.at}, and the file ends after {self.size - self.at}."
            )

    def bytes(self, count: int, where: str) -> bytes:
        self.need(count, where)
        taken = bytes(self._bytes[self.at : self.at + count])
        self.at += count
        return taken

    def u32(self, where: str) -> int:
        return struct.unpack("<I", self.bytes(4, where))[0]

    def u64(self, where: str) -> int:
        return struct.unpack("<Q", self.bytes(8, where))[0]

    def string(self, where: str) -> str:
        text = self.bytes(self.u64(where), where)
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError:
            raise self.bad(f"is damaged: {where} is not UTF-8 ({text[:40]!r}).") from None

    def numbers(self, kind: int, count: int, where: str) -> list:
        dtype = np.dtype(NUMBERS[kind])
        self.need(count * dtype.itemsize, where)  # before anything of that size is made
        taken = np.frombuffer(self.bytes(count * dtype.itemsize, where), "<u1" if kind == BOOL else dtype)
        return (taken != 0).tolist() if kind == BOOL else taken.tolist()


def _prologue(header: _Header) -> tuple[int, int, int]:
    """Version, tensors and keys."""
    if header.size < len(MAGIC) or header.bytes(4, "the magic") != MAGIC:
        raise header.bad("is not a GGUF file: it does not begin with the bytes 'GGUF'.", "Name a .gguf file.")
    version = header.u32("the version")
    if version not in VERSIONS:
        kind = "big-endian" if version & 0xFFFF == 0 else f"of version {version}"
        raise header.bad(f"is {kind}, and Tenfold reads little-endian GGUF of versions 2 and 3.", "Convert the model anew with llama.cpp.")
    return version, header.u64("the count of tensors"), header.u64("the count of keys")


def _metadata(header: _Header, count: int) -> dict[str, Any]:
    header.need(count * LEAST_KEY, f"a header of {count} keys")
    metadata: dict[str, Any] = {}
    for index in range(count):
        key = header.string(f"the name of key {index}")
        if key in metadata:
            raise header.bad(f"is damaged: the key {key!r} is in it twice.")
        metadata[key] = _value(header, header.u32(key), repr(key))
    return metadata


def _value(header: _Header, kind: int, where: str) -> Any:
    if kind == STRING:
        return header.string(where)
    if kind in NUMBERS:
        return header.numbers(kind, 1, where)[0]
    if kind != ARRAY:
        raise header.bad(f"is damaged: {where} has type {kind}, which GGUF has not.")
    kind, count = header.u32(where), header.u64(where)
    if kind in NUMBERS:
        return header.numbers(kind, count, where)
    if kind != STRING:
        raise header.bad(f"is damaged, or unusual: {where} is an array of type {kind}; numbers and strings are read.")
    header.need(count * 8, f"an array of {count} strings in {where}")
    return [header.string(where) for _ in range(count)]


def _alignment(metadata: dict[str, Any], header: _Header) -> int:
    alignment = metadata.get("general.alignment", ALIGNMENT)
    if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
        raise header.bad(f"is damaged: general.alignment is {alignment!r}, which is not a power of two.")
    return alignment


def _tensors(header: _Header, count: int, alignment: int) -> list[TensorInfo]:
    """The descriptions of the tensors, with offsets from the start of the file; their extents are not checked yet."""
    header.need(count * LEAST_TENSOR, f"a header of {count} tensors")
    described = [_tensor(header, index, alignment) for index in range(count)]
    start = aligned(header.at, alignment)
    return [TensorInfo(name, shape, kind, start + offset, bytes) for name, shape, kind, offset, bytes in described]


def _tensor(header: _Header, index: int, alignment: int) -> tuple[str, tuple[int, ...], str, int, int]:
    name = header.string(f"the name of tensor {index}")
    where = f"tensor {name!r}"
    axes = header.u32(where)
    if not 1 <= axes <= MOST_AXES:
        raise header.bad(f"is damaged: {where} has {axes} axes, and ggml has from 1 to {MOST_AXES}.")
    shape = tuple(reversed([header.u64(where) for _ in range(axes)]))
    id, offset = header.u32(where), header.u64(where)
    if id not in _NAMES:
        raise header.bad(
            f"holds {where} as {OTHERS.get(id, f'type {id}')}, and Tenfold reads {', '.join(TYPES)}.",
            "Take the model in one of these types, or make one: llama-quantize --allow-requantize MODEL OUT Q8_0.",
        )
    kind = TYPES[_NAMES[id]]
    if min(shape) < 1 or shape[-1] % kind.elements:
        raise header.bad(f"is damaged: {where} has shape {list(shape)}, and rows of {_NAMES[id]} hold a multiple of {kind.elements}.")
    if offset % alignment:
        raise header.bad(f"is damaged: {where} begins at byte {offset} of the data, which is not a multiple of {alignment}.")
    return name, shape, _NAMES[id], offset, math.prod(shape) // kind.elements * kind.bytes


def _check_extents(tensors: list[TensorInfo], header: _Header, alignment: int) -> None:
    """Raises UserError where a tensor ends beyond the file or overlaps another, or two have one name."""
    end, before = aligned(header.at, alignment), "the header"
    seen: set[str] = set()
    for tensor in sorted(tensors, key=attrgetter("offset")):
        stop = tensor.offset + tensor.bytes
        if stop > header.size:
            raise header.bad(
                f"is cut short or damaged: tensor {tensor.name!r} ({tensor.type} {list(tensor.shape)}) takes {tensor.bytes} bytes "
                f"from byte {tensor.offset}, to {stop}, and the file has {header.size}."
            )
        if tensor.offset < end:
            raise header.bad(f"is damaged: tensor {tensor.name!r} begins at byte {tensor.offset}, inside {before}, which ends at {end}.")
        if tensor.name in seen:
            raise header.bad(f"is damaged: tensor {tensor.name!r} is in it twice.")
        end, before = stop, f"tensor {tensor.name!r}"
        seen.add(tensor.name)


def aligned(offset: int, alignment: int) -> int:
    """The next multiple of `alignment` at or after `offset`."""
    return -(-offset // alignment) * alignment
