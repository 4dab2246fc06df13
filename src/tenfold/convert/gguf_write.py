"""GGUF files out, for llama.cpp: one tensor in memory at a time. The layout is in `convert/gguf.py`."""

import struct
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tenfold.convert.ggml_blocks import TYPES, quantise_q8_0
from tenfold.convert.gguf import ALIGNMENT, ARRAY, BOOL, MAGIC, MOST_AXES, NUMBERS, STRING, aligned
from tenfold.convert.tensor_files import slices
from tenfold.corpus.files import replacing
from tenfold.errors import UserError

VERSION = 3
LONGEST_NAME = 63  # bytes: GGML_MAX_NAME with its final zero
WRITTEN = ("F32", "F16", "Q8_0")
UINT32, INT32, FLOAT32, UINT64, INT64 = 4, 5, 6, 10, 11
Tensor = tuple[str, tuple[int, ...], str, Callable[[], np.ndarray]]
"""Name, shape in NumPy's order, one of WRITTEN, and what gives the f32 array when its turn has come."""

_KINDS = {np.dtype(dtype): kind for kind, dtype in NUMBERS.items()}


def write_gguf(path: str | Path, metadata: Mapping[str, Any], tensors: Iterable[Tensor]) -> Path:
    """Writes a GGUF file, whole or not at all. Returns its path.

    Metadata are strings, booleans, numbers (int as u32, or what it needs; float as f32), NumPy numbers and arrays in their own type, and
    lists of one kind (int as i32). Raises UserError naming the key or tensor that the file cannot hold.
    """
    path = Path(path).expanduser()
    tensors = list(tensors)
    _check(tensors, path)
    header = _header(metadata, tensors, path)
    try:
        with replacing(path) as file:
            file.write(header)
            for tensor in tensors:
                _pad(file)
                _write(file, tensor, path)
            _pad(file)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}).\n  Name a place with room and permission.") from error
    return path


def tensor_bytes(shape: tuple[int, ...], type: str) -> int:
    """The bytes of a tensor in a file."""
    return int(np.prod(shape, dtype=object)) // TYPES[type].elements * TYPES[type].bytes


def _check(tensors: list[Tensor], path: Path) -> None:
    """Raises UserError for what no file can hold, before a long export begins."""
    seen: set[str] = set()
    for name, shape, type, _ in tensors:
        where = f"{path} cannot hold tensor {name!r}"
        if type not in WRITTEN:
            raise UserError(f"{where} as {type!r}.\n  Tenfold writes {', '.join(WRITTEN)}.")
        if not 1 <= len(shape) <= MOST_AXES or min(shape) < 1:
            raise UserError(f"{where} of shape {list(shape)}.\n  ggml has from 1 to {MOST_AXES} axes of at least 1.")
        if shape[-1] % TYPES[type].elements:
            raise UserError(f"{where} of shape {list(shape)} as {type}: rows hold a multiple of {TYPES[type].elements}.\n  Take F16.")
        if len(name.encode()) > LONGEST_NAME or name in seen:
            raise UserError(f"{where}: names are unique and at most {LONGEST_NAME} bytes long.")
        seen.add(name)


def _header(metadata: Mapping[str, Any], tensors: list[Tensor], path: Path) -> bytes:
    metadata = {key: value for key, value in metadata.items() if key != "general.alignment"}  # a file copied from keeps its own
    parts = [MAGIC, struct.pack("<IQQ", VERSION, len(tensors), len(metadata))]
    for key, value in metadata.items():
        try:
            parts += [_string(key), _typed(value)]
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(f"{path} cannot hold the key {key!r} with the value {str(value)[:60]!r}: {error}.") from error
    offset = 0
    for name, shape, type, _ in tensors:
        parts += [_string(name), struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), TYPES[type].id, offset)]
        offset += aligned(tensor_bytes(shape, type), ALIGNMENT)
    return b"".join(parts)


def _string(text: str) -> bytes:
    encoded = text.encode("utf-8")
    return struct.pack("<Q", len(encoded)) + encoded


def _typed(value: Any) -> bytes:
    """A value with its type before it."""
    if isinstance(value, str):
        return struct.pack("<I", STRING) + _string(value)
    if isinstance(value, list | tuple | np.ndarray):
        return struct.pack("<I", ARRAY) + _array(value)
    if isinstance(value, np.generic):  # before float, of which float64 is one
        return struct.pack("<I", _kind(value.dtype)) + value.astype(NUMBERS[_kind(value.dtype)]).tobytes()
    if isinstance(value, bool):
        return struct.pack("<I?", BOOL, value)
    if isinstance(value, int):
        kind = (UINT32 if value < 2**32 else UINT64) if value >= 0 else (INT32 if value >= -(2**31) else INT64)
        return struct.pack("<I", kind) + np.array(value, NUMBERS[kind]).tobytes()
    if isinstance(value, float):
        return struct.pack("<If", FLOAT32, value)
    raise TypeError(f"{type(value).__name__} is not a kind of value that GGUF has")


def _array(values: Any) -> bytes:
    """The elements' type, their count, and they."""
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise ValueError("arrays have one axis")
        kind = _kind(values.dtype)
        return struct.pack("<IQ", kind, len(values)) + values.astype(NUMBERS[kind]).tobytes()
    kinds = {type(value) for value in values}
    if kinds <= {str}:  # also where there is none
        return struct.pack("<IQ", STRING, len(values)) + b"".join(map(_string, values))
    for one, dtype in ((bool, "?"), (int, "<i4"), (float, "<f4")):
        if kinds == {one}:
            return _array(np.array(values, dtype))
    raise TypeError(f"a list holds values of one kind, not {', '.join(sorted(kind.__name__ for kind in kinds))}")


def _kind(dtype: np.dtype) -> int:
    if dtype.newbyteorder("<") not in _KINDS:
        raise TypeError(f"{dtype} is not a kind of number that GGUF has")
    return _KINDS[dtype.newbyteorder("<")]


def _pad(file: BinaryIO) -> None:
    at = file.tell()
    file.write(bytes(aligned(at, ALIGNMENT) - at))


def _write(file: BinaryIO, tensor: Tensor, path: Path) -> None:
    name, shape, _, get = tensor
    x = get()
    if x.shape != tuple(shape):
        raise UserError(f"{path}: tensor {name!r} is {list(x.shape)}, but was announced as {list(shape)}.")
    for rows in slices(x):
        file.write(_encode(tensor, rows, path))


def _encode(tensor: Tensor, rows: np.ndarray, path: Path) -> memoryview:
    """The bytes of some rows of a tensor. Raises UserError where their numbers are not finite, or too large for the type."""
    name, _, type, _ = tensor
    x = np.ascontiguousarray(rows, np.float32)
    most = float(max(x.max(), -x.min()))
    if not np.isfinite(most):
        raise UserError(f"{path}: tensor {name!r} holds numbers that are not finite.\n  Export a checkpoint from before the model broke.")
    half = float(np.finfo(np.float16).max)
    if most > {"F32": np.inf, "F16": half, "Q8_0": 127 * half}[type]:
        raise UserError(f"{path}: tensor {name!r} holds {most:g}, which {type} cannot.\n  Take F32 for it.")
    encoded = {"F32": lambda: x.astype("<f4"), "F16": lambda: x.astype("<f2"), "Q8_0": lambda: quantise_q8_0(x.reshape(-1, 32))}[type]()
    return encoded.reshape(-1).view(np.uint8).data
