"""A checkpoint's model written and read a piece at a time, whatever its size.

What is written is a checkpoint of Orbax like any other: its own handler writes the tree and all that belongs to it, and only the numbers
of each leaf are ours to bring. A leaf is a zarr 3 array whose chunks are files of at most CHUNK_BYTES, not compressed, as weights hardly
shrink; each holds its numbers in the order in which the source has them (the codec "transpose"), so that nothing is turned on the way.
"""

import json
import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore as ts

from tenfold.convert.weights import Leaf
from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.families.names import Shape
from tenfold.model.params import Param, Params, model_params
from tenfold.train.checkpoint import Checkpoints, quiet_orbax

StoredType = Literal["source", "float32", "bfloat16", "float16"]
CHUNK_BYTES = 32 * 2**20


def write_checkpoint(folder: Path, leaves: Params, dtype: StoredType = "source") -> None:
    """Writes a tree of Leaf as the checkpoint of step 0 in `folder`. It holds one tensor and one chunk at a time.

    Raises UserError where the disk takes no more.
    """
    quiet_orbax()
    registry = ocp.type_handlers.create_type_handler_registry((Leaf, _LeafHandler(dtype)))
    handler = ocp.PyTreeCheckpointHandler(use_ocdbt=False, use_zarr3=True, type_handler_registry=registry)
    try:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler(model=handler)) as checkpointer:
            checkpointer.save(folder.resolve() / "0", args=ocp.args.Composite(model=ocp.args.PyTreeSave(leaves)))
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}).\n  Name a place with room and permission.") from error


class _LeafHandler(ocp.type_handlers.TypeHandler):
    """How Orbax writes a Leaf: as what it will read as an array."""

    def __init__(self, dtype: StoredType):
        self._dtype = dtype

    def typestr(self) -> str:
        return "jax.Array"

    async def serialize(self, values, infos, args=None) -> list:
        async def write() -> None:  # when Orbax has made the directory, which it does meanwhile
            for leaf, info in zip(values, infos, strict=True):
                await info.await_path_creation()
                _write_leaf(Path(info.path), leaf, np.dtype(self._dtype if self._dtype != "source" else leaf.dtype))

        return [ocp.future.CommitFutureAwaitingContractedSignals(write(), name="leaves")]

    async def metadata(self, infos):
        raise NotImplementedError("a Leaf is written, and read as an array")

    async def deserialize(self, infos, args=None):
        raise NotImplementedError("a Leaf is written, and read as an array")


def _write_leaf(path: Path, leaf: Leaf, dtype: np.dtype) -> None:
    layout = None
    for at, piece in leaf.pieces():
        if layout is None:
            order = sorted(range(piece.ndim), key=lambda axis: -abs(piece.strides[axis]))
            layout = chunk_shape(piece.shape, order, dtype.itemsize), order
            path.mkdir()
            (path / "zarr.json").write_text(json.dumps(_zarr(leaf.shape, *layout, dtype)))
        _write_piece(path / "c", at, piece, *layout, dtype)


def chunk_shape(shape: Shape, order: Sequence[int], itemsize: int) -> Shape:
    """Equal parts of at most CHUNK_BYTES of an array whose axes lie in `order`, slowest first: each part lies in one run."""
    chunk = list(shape)
    for axis in order:
        if math.prod(chunk) * itemsize > CHUNK_BYTES:
            most = max(1, CHUNK_BYTES * chunk[axis] // (math.prod(chunk) * itemsize))
            chunk[axis] = -(-shape[axis] // -(-shape[axis] // most))
    return tuple(chunk)


def _zarr(shape: Shape, chunk: Shape, order: Sequence[int], dtype: np.dtype) -> dict[str, Any]:
    """What says how a leaf lies (zarr 3, core specification); `chunk` and `order` are of a piece, which has the last axes of `shape`."""
    before = len(shape) - len(chunk)
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": str(dtype),
        "fill_value": 0.0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": (1,) * before + chunk}},
        "chunk_key_encoding": {"name": "default"},
        "codecs": [
            {"name": "transpose", "configuration": {"order": [*range(before), *(before + axis for axis in order)]}},
            {"name": "bytes", "configuration": {"endian": "little"}},
        ],
    }


def _write_piece(path: Path, at: Shape, piece: np.ndarray, chunk: Shape, order: Sequence[int], dtype: np.dtype) -> None:
    """Writes the chunks of a piece, whole ones straight from the map of its file; those at an end are filled up, as zarr has it."""
    for place in product(*[range(-(-size // step)) for size, step in zip(piece.shape, chunk, strict=True)]):
        part = piece[tuple(slice(n * step, (n + 1) * step) for n, step in zip(place, chunk, strict=True))]
        if part.shape != chunk:
            part = np.pad(part, [(0, full - size) for full, size in zip(chunk, part.shape, strict=True)])
        file = path.joinpath(*map(str, (*at, *place)))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(np.ascontiguousarray(part.transpose(order), dtype).reshape(-1).view(np.uint8).data)


class Stored:
    """A weight in a checkpoint on disk: read when it is indexed and asked for as an array, and then only that part."""

    def __init__(self, store, where: str):
        self._store, self._where = store, where
        self.shape, self.dtype = tuple(store.shape), store.dtype.numpy_dtype

    @property
    def chunk(self) -> Shape:
        """The shape of what is read at once at least."""
        return tuple(self._store.chunk_layout.read_chunk.shape)

    def __getitem__(self, index) -> "Stored":
        return Stored(self._store[index], self._where)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        order = list(self._store.chunk_layout.inner_order or range(self._store.ndim))
        turned = self._store[ts.d[order].transpose[:]] if self._store.ndim else self._store
        try:
            return np.asarray(turned.read().result().transpose(np.argsort(order)), dtype)
        except Exception as error:  # tensorstore, its files and its codecs each raise their own for a damaged file
            what = str(error).splitlines()[0]
            raise UserError(f"{self._where} cannot be read: {what}\n  Remove that checkpoint, or make it anew.") from error


def stored_params(run: Path, config: ModelConfig) -> tuple[Params, int]:
    """A run's newest weights as a tree of Stored, none of them read, and the step they are of."""
    with Checkpoints(run / "checkpoints") as checkpoints:
        return checkpoints.newest(lambda step: (open_stored(checkpoints.folder / str(step) / "model", config), step))


def open_stored(folder: Path, config: ModelConfig) -> Params:
    """The weights in one checkpoint's folder, whichever of Orbax's forms it has; tensorstore's errors where it is damaged."""
    found = _opened(folder, config, 0)
    # Checkpoints from before layers had chunks of their own hold a stack as one: kept, with two more that one tensor may be made of, it is
    # read once for all of its layers.
    leaves = jax.tree.leaves([found["blocks"], found.get("encoder", {}).get("blocks", [])])
    stacks = [math.prod(leaf.chunk) * leaf.dtype.itemsize for leaf in leaves if leaf.chunk[0] > 1]
    return _opened(folder, config, 3 * max(stacks)) if stacks else found


def _opened(folder: Path, config: ModelConfig, kept: int) -> Params:
    """The weights in a folder; `kept` bytes of chunks that were read stay in memory."""
    said = json.loads((folder / "_METADATA").read_text())
    base = {"driver": "ocdbt", "base": f"file://{folder}/"} if said["use_ocdbt"] else {"driver": "file", "path": f"{folder}/"}
    one = {"limit": 1}  # at a time, for each takes its chunk's memory
    context = ts.Context({"cache_pool": {"total_bytes_limit": kept}, "data_copy_concurrency": one, "file_io_concurrency": one})

    def opened(path, p: Param) -> Stored:
        name = ".".join(str(getattr(key, "key", getattr(key, "idx", key))) for key in path)
        kvstore = base | {"path": f"{base.get('path', '')}{name}/"}
        spec = {"driver": "zarr3" if said["use_zarr3"] else "zarr", "kvstore": kvstore, "fill_missing_data_reads": False}
        store = ts.open(spec, context=context).result()
        if tuple(store.shape) != p.shape:
            raise ValueError(f"{name} is {list(store.shape)}, and the recipe makes it {list(p.shape)}")
        return Stored(store, f"{folder}: {name}")

    return jax.tree_util.tree_map_with_path(opened, model_params(config), is_leaf=lambda p: isinstance(p, Param))
