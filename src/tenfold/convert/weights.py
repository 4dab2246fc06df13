"""From tables of names to a model's weights and back; what the tensors lie in is for others to know (hugging_face.py, gguf_model.py).

A tree of `Leaf` is a model that lies in files: nothing of it is read before it is indexed, and then only what is asked for. So a host reads
what its own devices hold, and a model of any size is brought from one file to another a tensor at a time.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import jax
import ml_dtypes
import numpy as np

from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.families.names import Row, Shape
from tenfold.model.params import Param, Params, model_params
from tenfold.sharding.axes import check_divides, sharding

EVERY = slice(None)
Index = tuple[slice, ...]
KEPT = tuple(np.dtype(kind) for kind in (np.float32, np.float16, ml_dtypes.bfloat16))
"""The types of numbers that weights keep where they are stored; all else is stored as f32."""


class Packed(Protocol):
    """A tensor whose numbers are decoded when they are asked for."""

    @property
    def shape(self) -> Shape: ...
    def decoded(self, rows: slice = EVERY, columns: slice = EVERY) -> np.ndarray:
        """An array of its shape in which only these rows (all axes but the last, as one) and columns need mean something."""
        ...


Read = Callable[[str], np.ndarray | Packed]
"""Gives a tensor by name."""


class Names:
    """The rows of one model: which tensors it needs, of which shapes, and which of our weights they hold."""

    def __init__(self, config: ModelConfig, rows: Sequence[Row]):
        self.config, self.rows = config, list(rows)
        self.row_of = {ours: (row, place) for row in self.rows for place, ours in enumerate(row.ours)}

    @cached_property
    def params(self) -> dict[str, Param]:
        """Every weight by name; those of blocks for one layer."""
        found = {}
        for path, p in leaves(self.config):
            name, _ = name_of(path)
            found[name] = Param(p.shape[1:], p.axes[1:], p.init) if p.stacked else p
        return found

    def layers(self, ours: str) -> int:
        return self.config.encoder_layers if ours.startswith("encoder.") else self.config.layers

    def tensors(self) -> Iterator[tuple[str, Row, int, int]]:
        """(their name, its row, its place there, its layer) of every tensor."""
        for row in self.rows:
            for layer in range(self.layers(row.ours[0])) if "{}" in row.theirs[0] else (0,):
                for place, theirs in enumerate(row.theirs):
                    yield theirs.format(layer), row, place, layer

    def expected_shapes(self) -> dict[str, Shape]:
        """The shape of every tensor."""
        of_row: dict[int, list[Shape]] = {}
        shapes = {}
        for theirs, row, place, _ in self.tensors():
            if id(row) not in of_row:
                empty = [np.broadcast_to(np.int8(0), self.params[ours].shape) for ours in row.ours]
                of_row[id(row)] = [a.shape for a in row.pack(empty, self.config)]
            shapes[theirs] = of_row[id(row)][place]
        return shapes

    def read(self, ours: str, layer: int, read: Read, among: slice = EVERY, part: Index = ()) -> np.ndarray:
        """A part of one of our weights (of one layer), a view where its tensor is one; `among` chooses experts where each has a tensor."""
        row, place = self.row_of[ours]
        shapes = [self.params[name].shape for name in row.ours]
        if len(row.theirs) > 1:
            shapes = [(len(row.theirs[among]), *shapes[0][1:])]

        def unpacked(arrays: list[np.ndarray]) -> np.ndarray:
            return row.unpack(arrays, shapes, self.config)[place][part]

        whole = len(row.ours) == 1 and all(cut == EVERY for cut in part)
        tensors = [read(theirs.format(layer)) for theirs in row.theirs[among]]
        return unpacked([t if isinstance(t, np.ndarray) else t.decoded(*([] if whole else _where(t.shape, unpacked))) for t in tensors])

    def write(self, row: Row, place: int, layer: int, params: Params) -> np.ndarray:
        """One tensor of theirs, of our weights: arrays, or what gives one when it is indexed."""
        if len(row.theirs) > 1:
            expert = weight(params, self.config, row.ours[0], layer, slice(place, place + 1))
            return np.asarray(row.pack([expert], self.config)[0])
        return np.asarray(row.pack([weight(params, self.config, ours, layer) for ours in row.ours], self.config)[place])

    def dtypes(self, params: Params) -> dict[str, np.dtype]:
        """The type of numbers of every tensor that `write` makes."""
        return {theirs: _held(params, self.config, row.ours[0], layer)[0].dtype for theirs, row, _, layer in self.tensors()}


def _where(shape: Shape, unpacked: Callable[[list[np.ndarray]], np.ndarray]) -> list[slice]:
    """The rows and the columns of a tensor that `unpacked` gives some of: what it makes of their numbers."""
    sizes = math.prod(shape[:-1]), shape[-1]
    found = []
    for axis, size in enumerate(sizes):
        numbers = np.arange(size, dtype=np.int32).reshape((-1, 1) if axis == 0 else (1, -1))
        given = unpacked([np.broadcast_to(numbers, sizes).reshape(shape)])
        given = given[tuple(slice(None if step else 1) for step in given.strides)]  # what is repeated, once
        found.append(slice(int(given.min()), int(given.max()) + 1))
    return found


def leaves(config: ModelConfig):
    return jax.tree_util.tree_flatten_with_path(model_params(config), is_leaf=lambda p: isinstance(p, Param))[0]


def name_of(path) -> tuple[str, int]:
    """The name of a weight, and the stack of blocks it is in."""
    keys = [str(k.key) for k in path if isinstance(k, jax.tree_util.DictKey)]
    return ".".join(keys), next((k.idx for k in path if isinstance(k, jax.tree_util.SequenceKey)), 0)


def weight(params: Params, config: ModelConfig, name: str, layer: int, among: slice = EVERY) -> np.ndarray:
    """A weight by name, of one layer, on the host; `among` chooses experts of it."""
    leaf, repeat = _held(params, config, name, layer)
    if among != EVERY:
        return np.asarray(leaf[repeat, among])
    return np.asarray(leaf if repeat is None else leaf[repeat])


def _held(params: Params, config: ModelConfig, name: str, layer: int) -> tuple[Any, int | None]:
    """The leaf that a weight of one layer is in, and its place there, None where it is the leaf."""
    *keys, last = name.split(".")
    node, repeat = params, None
    for key in keys:
        node = node[key]
        if isinstance(node, list):
            node, repeat = node[layer % len(node)], layer // len(node)
    return node[last], repeat


@dataclass(frozen=True)
class Leaf:
    """One of our weights where others' tensors hold it."""

    names: Names
    name: str
    first: int
    """The layer of its first repeat."""
    period: int
    """Layers from one repeat to the next; 0 where the weight is of no layer."""
    shape: Shape
    dtype: np.dtype
    """In which it lies there, or f32 where that is none of KEPT."""
    read: Read

    @property
    def _by_expert(self) -> bool:
        return len(self.names.row_of[self.name][0].theirs) > 1

    def __getitem__(self, at: int | tuple[int, slice]) -> np.ndarray:
        """The weight of one layer (and of some of its experts), as a view where its tensor is one."""
        repeat, among = at if isinstance(at, tuple) else (at, EVERY)
        layer = self.first + self.period * repeat
        if self._by_expert:
            return self.names.read(self.name, layer, self.read, among)
        return self.names.read(self.name, layer, self.read)[among]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self.part((EVERY,) * len(self.shape)), dtype)

    def part(self, index: Index) -> np.ndarray:
        """A part of it, f32, of whose tensors nothing else is read."""
        part = np.empty([len(range(size)[cut]) for size, cut in zip(self.shape, index, strict=True)], np.float32)
        repeats, index = (range(self.shape[0])[index[0]], index[1:]) if self.period else (range(1), index)
        among, index = (index[0], (EVERY, *index[1:])) if self._by_expert else (EVERY, index)
        for place, repeat in enumerate(repeats):
            found = self.names.read(self.name, self.first + self.period * repeat, self.read, among, index)
            part[place if self.period else ...] = found
        return part

    def pieces(self) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
        """What it consists of, a tensor (or an expert of one) at a time: a place among its first axes, and the array there."""
        for repeat in range(self.shape[0] if self.period else 1):
            at, layer = ((repeat,), self.first + self.period * repeat) if self.period else ((), 0)
            if not self._by_expert:
                yield at, self.names.read(self.name, layer, self.read)
                continue
            for expert in range(self.shape[len(at)]):
                yield (*at, expert), self.names.read(self.name, layer, self.read, slice(expert, expert + 1))[0]


def lazy_weights(names: Names, read: Read, dtype_of: Callable[[str], np.dtype] = lambda _: np.dtype(np.float32)) -> Params:
    """The weights as a tree of Leaf; `dtype_of` gives the type of a tensor's numbers."""
    config = names.config

    def leaf(path, p: Param) -> Leaf:
        name, first = name_of(path)
        period = (config.encoder_period if name.startswith("encoder.") else config.period) if p.stacked else 0
        dtype = dtype_of(names.row_of[name][0].theirs[0].format(first))
        return Leaf(names, name, first, period, p.shape, dtype if dtype in KEPT else np.dtype(np.float32), read)

    return jax.tree_util.tree_map_with_path(leaf, model_params(config), is_leaf=lambda p: isinstance(p, Param))


def load_weights(names: Names, read: Read, mesh: jax.sharding.Mesh) -> Params:
    """The weights, f32, on a mesh, each device's part read for it alone."""

    def load(p: Param, leaf: Leaf) -> jax.Array:
        check_divides(leaf.name, p.shape, p.axes, mesh)
        return jax.make_array_from_callback(p.shape, sharding(mesh, p.axes), leaf.part)  # type: ignore[arg-type]

    return jax.tree.map(load, model_params(names.config), lazy_weights(names, read), is_leaf=lambda p: isinstance(p, Param))


def check_names(where: str, names: Names, found: dict[str, Shape], ignored: Sequence[str] = ()) -> None:
    """Refuses tensors that are missing, not expected, or of another shape, all of them by name, before any is read."""
    expected = names.expected_shapes()
    missing = [n for n in expected if n not in found]
    unexpected = [n for n in found if n not in expected and not n.endswith(tuple(ignored))]
    wrong = [n for n in expected if n in found and tuple(found[n]) != tuple(expected[n])]
    if not (missing or unexpected or wrong):
        return
    ours = {theirs: ", ".join(row.ours) for theirs, row, _, _ in names.tensors()}
    lines = [f"{n!r} is missing (our {ours[n]})" for n in missing]
    lines += [f"{n!r} is not part of such a model" for n in unexpected]
    lines += [f"{n!r} is {list(found[n])}, but its configuration makes it {list(expected[n])} (our {ours[n]})" for n in wrong]
    more = f"\n    ... and {len(lines) - 12} more" if len(lines) > 12 else ""
    shown = "\n".join(f"    {line}" for line in lines[:12])
    raise UserError(f"{where} does not hold what its configuration says:\n{shown}{more}\n  They are not from the same model.")
