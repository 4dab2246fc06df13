"""Safetensors, read in place and written a slice of a tensor at a time.

Layout, little-endian: u64 length of the header, the header as JSON (type, shape and extent of each tensor, by name), the tensors' bytes.
Tensors are views of memory-mapped files, so that reading a part of one reads that part only; the library's own reader copies whole
tensors or slices of their leading axes, and ours are transposed and split on the way. Its writer holds a whole file.
"""

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

from tenfold.corpus.files import replacing, write_atomically
from tenfold.errors import UserError

DTYPES: dict[str, np.dtype] = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}
INDEX = "model.safetensors.index.json"
LARGEST_HEADER = 100_000_000  # the library's own bound
SHARD_BYTES = 5 * 10**9  # as the library
SLICE_BYTES = 8 * 2**20


class Tensor(NamedTuple):
    """Where a tensor lies."""

    file: Path
    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int

    def view(self) -> np.ndarray:
        """The tensor as it lies in its file, read when it is used."""
        if not np.prod(self.shape):
            return np.zeros(self.shape, self.dtype)
        return np.memmap(self.file, self.dtype, "r", self.offset, self.shape)


def open_tensors(directory: Path) -> dict[str, Tensor]:
    """Every tensor of a directory's safetensors by name. Raises UserError where there are none, or a file is damaged or missing."""
    index = directory / INDEX
    if index.exists():
        try:
            names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise UserError(f"{index} is not an index of safetensors: {error!r}.\n  Fetch it again.") from error
        files = [directory / Path(str(name)).name for name in names]
    else:
        files = sorted(directory.glob("*.safetensors"))
    if not files:
        raise UserError(_why_none(directory))
    found: dict[str, Tensor] = {}
    for file in files:
        for name, tensor in _header(file).items():
            if name in found:
                raise UserError(f"{file} and {found[name].file.name} both hold {name!r}.\n  Keep the files of one checkpoint only.")
            found[name] = tensor
    return found


def _why_none(directory: Path) -> str:
    pickles = [*directory.glob("*.bin"), *directory.glob("*.pt"), *directory.glob("*.pth")]
    if not pickles:
        return f"{directory} holds no .safetensors file.\n  Name a directory with a Hugging Face checkpoint in it."
    return (
        f"{directory} holds {pickles[0].name}, a pickle, which can run anything when it is read, and no .safetensors.\n"
        '  Where you trust it, convert it once with the library that wrote it: python -c "from transformers import AutoModel as M; '
        f"M.from_pretrained('{directory}').save_pretrained('converted')\""
    )


def _header(file: Path) -> dict[str, Tensor]:
    """The tensors of a file; UserError where it is missing, cut short or not one."""
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            start = opened.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= min(LARGEST_HEADER, size - 8):
                raise UserError(
                    f"{file} is {size:,} bytes long and says that its header takes {length:,}: it is no whole safetensors file."
                )
            header = json.loads(opened.read(length))
        tensors = {name: _tensor(file, said, 8 + length) for name, said in header.items() if name != "__metadata__"}
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.\n  Fetch it again.") from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{file} has a header that is none: {error!r}.\n  Fetch it again.") from error
    end = max((t.offset + int(np.prod(t.shape)) * t.dtype.itemsize for t in tensors.values()), default=8 + length)
    if end != size:
        raise UserError(f"{file} is {size:,} bytes long, but its header describes {end:,}: it was cut short or damaged.\n  Fetch it again.")
    return tensors


def _tensor(file: Path, said: dict, data: int) -> Tensor:
    if said["dtype"] not in DTYPES:
        raise UserError(f"{file} holds numbers of type {said['dtype']}, which is none of {', '.join(DTYPES)}.")
    dtype, shape, (begin, end) = DTYPES[said["dtype"]], tuple(int(n) for n in said["shape"]), said["data_offsets"]
    if min(shape, default=0) < 0 or begin < 0 or end - begin != int(np.prod(shape, dtype=object)) * dtype.itemsize:
        raise ValueError(f"{list(shape)} of {said['dtype']} do not lie in bytes {begin} to {end}")
    return Tensor(file, dtype, shape, data + begin)


class NewTensor(NamedTuple):
    """A tensor to write, and what gives its numbers when its turn has come."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    make: Callable[[], np.ndarray]

    @property
    def bytes(self) -> int:
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize


def write_tensors(directory: Path, tensors: Sequence[NewTensor], shard_bytes: int = SHARD_BYTES) -> None:
    """Writes one file, or several of at most `shard_bytes` (or of one larger tensor) with an index. It holds one tensor at a time."""
    directory.mkdir(parents=True, exist_ok=True)
    shards: list[list[NewTensor]] = [[]]
    for tensor in tensors:
        if shards[-1] and sum(each.bytes for each in shards[-1]) + tensor.bytes > shard_bytes:
            shards.append([])
        shards[-1].append(tensor)
    count = len(shards)
    files = ["model.safetensors"] if count == 1 else [f"model-{n:05}-of-{count:05}.safetensors" for n in range(1, count + 1)]
    for file, shard in zip(files, shards, strict=True):
        _write_file(directory / file, sorted(shard, key=lambda tensor: -tensor.dtype.itemsize))  # so that all are aligned
    if count > 1:
        where = {tensor.name: file for file, shard in zip(files, shards, strict=True) for tensor in shard}
        said = {"metadata": {"total_size": sum(tensor.bytes for tensor in tensors)}, "weight_map": where}
        write_atomically(directory / INDEX, json.dumps(said, indent=2) + "\n")


def _write_file(path: Path, tensors: Sequence[NewTensor]) -> None:
    kinds = {dtype: kind for kind, dtype in DTYPES.items()}
    header: dict[str, dict] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in tensors:
        offsets = [end, end := end + tensor.bytes]
        header[tensor.name] = {"dtype": kinds[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors:
            _write_tensor(file, tensor)


def _write_tensor(file: BinaryIO, tensor: NewTensor) -> None:
    array = tensor.make()
    if array.shape != tensor.shape:
        raise ValueError(f"{tensor.name} was announced as {tensor.shape} and is {array.shape}")
    for rows in slices(array):
        file.write(np.ascontiguousarray(rows, tensor.dtype).reshape(-1).view(np.uint8).data)


def slices(array: np.ndarray, bytes: int = SLICE_BYTES) -> Iterator[np.ndarray]:
    """An array in runs of its first axis of about `bytes`, so that changing the order or the type of all of it holds little more."""
    if array.ndim == 0:
        yield array
        return
    rows = max(1, bytes * len(array) // max(1, array.nbytes))
    for first in range(0, len(array), rows):
        yield array[first : first + rows]
