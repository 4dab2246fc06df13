"""Safetensors, read in place and written a shard at a time.

Tensors are views of memory-mapped files, so that reading a part of one reads that part only; the library's own reader copies whole
tensors or slices of their leading axes, and ours are transposed and split on the way. It writes, though.
"""

import json
import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np

from tenfold.errors import UserError
from tenfold.tokens.files import write_atomically

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
SHARD_BYTES = 2 * 2**30


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


def write_tensors(directory: Path, tensors: Sequence[tuple[str, tuple[int, ...], Callable[[], np.ndarray]]], itemsize: int = 4) -> None:
    """Writes (name, shape, what gives the array) as one file, or as several of at most 2 GiB with an index; it holds one at a time."""
    from safetensors.numpy import save_file

    directory.mkdir(parents=True, exist_ok=True)
    shards: list[list] = [[]]
    size = total = 0
    for name, shape, make in tensors:
        weight = int(np.prod(shape)) * itemsize
        if size and size + weight > SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append((name, make))
        size, total = size + weight, total + weight
    names = (
        ["model.safetensors"] if len(shards) == 1 else [f"model-{n:05}-of-{len(shards):05}.safetensors" for n in range(1, len(shards) + 1)]
    )
    for file, shard in zip(names, shards, strict=True):
        partial = directory / f".{file}.partial"
        try:
            save_file({name: np.ascontiguousarray(make()) for name, make in shard}, partial, {"format": "pt"})
            os.replace(partial, directory / file)
        finally:
            partial.unlink(missing_ok=True)
    if len(shards) > 1:
        where = {name: file for file, shard in zip(names, shards, strict=True) for name, _ in shard}
        write_atomically(directory / INDEX, json.dumps({"metadata": {"total_size": total}, "weight_map": where}, indent=2) + "\n")
