"""From tables of names to a model's weights and back; what the tensors lie in is for others to know (hugging_face.py, gguf_model.py).

A weight is made when a device asks for its part, so that a host reads only what its own devices hold.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import jax
import numpy as np

from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.families.names import Row, Shape
from tenfold.model.params import Param, Params, model_params
from tenfold.sharding.axes import check_divides, sharding

Read = Callable[[str], np.ndarray]


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

    def read(self, ours: str, layer: int, read: Read) -> np.ndarray:
        """One of our weights (of one layer), as a view where its tensor is one."""
        row, place = self.row_of[ours]
        arrays = [read(theirs.format(layer)) for theirs in row.theirs]
        return row.unpack(arrays, [self.params[name].shape for name in row.ours], self.config)[place]

    def write(self, row: Row, place: int, layer: int, params: Params) -> np.ndarray:
        """One tensor of theirs, of our weights."""
        return np.asarray(row.pack([weight(params, self.config, ours, layer) for ours in row.ours], self.config)[place])


def leaves(config: ModelConfig):
    return jax.tree_util.tree_flatten_with_path(model_params(config), is_leaf=lambda p: isinstance(p, Param))[0]


def name_of(path) -> tuple[str, int]:
    """The name of a weight, and the stack of blocks it is in."""
    keys = [str(k.key) for k in path if isinstance(k, jax.tree_util.DictKey)]
    return ".".join(keys), next((k.idx for k in path if isinstance(k, jax.tree_util.SequenceKey)), 0)


def weight(params: Params, config: ModelConfig, name: str, layer: int) -> np.ndarray:
    """A weight by name, of one layer, on the host."""
    *keys, last = name.split(".")
    node, repeat = params, None
    for key in keys:
        node = node[key]
        if isinstance(node, list):
            node, repeat = node[layer % len(node)], layer // len(node)
    return np.asarray(node[last] if repeat is None else node[last][repeat])


def load_weights(names: Names, read: Read, mesh: jax.sharding.Mesh) -> Params:
    """The weights, f32, on a mesh, each device's part read for it alone."""
    config = names.config

    def load(path, p: Param) -> jax.Array:
        name, first = name_of(path)
        period = config.encoder_period if name.startswith("encoder.") else config.period
        check_divides(name, p.shape, p.axes, mesh)

        def part(index) -> np.ndarray:
            if not p.stacked:
                return np.asarray(names.read(name, 0, read)[index], np.float32)
            repeats = range(p.shape[0])[index[0]]
            return np.stack([np.asarray(names.read(name, first + period * r, read)[index[1:]], np.float32) for r in repeats])

        return jax.make_array_from_callback(p.shape, sharding(mesh, p.axes), part)

    return jax.tree_util.tree_map_with_path(load, model_params(config), is_leaf=lambda p: isinstance(p, Param))


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
