"""What a family's file is made of: rows that pair tensors of a Hugging Face checkpoint with our weights, and how each is laid out.

A row's functions only reshape, transpose, slice and join, so that on memory-mapped tensors they read no more than is asked of them.
Our weights are named `embedding`, `blocks.attention.query`, ... ; names of blocks hold for every layer, whose number `{}` stands for.
Shapes: as model/config.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tenfold.errors import UserError
from tenfold.model.config import Activation, ModelConfig

Arrays = list[np.ndarray]
Shape = tuple[int, ...]


class Row(NamedTuple):
    """`theirs` tensors hold `ours` weights.

    `unpack(their arrays, our shapes, the configuration)` and `pack(our arrays, the configuration)` turn one into the other.
    """

    theirs: tuple[str, ...]
    ours: tuple[str, ...]
    unpack: Callable[[Arrays, Sequence[Shape], ModelConfig], Arrays]
    pack: Callable[[Arrays, ModelConfig], Arrays]


@dataclass(frozen=True)
class Family:
    """One kind of checkpoint: `model_type` as its config.json says."""

    model_type: str
    architecture: str
    """The class that `transformers` makes of it."""
    read_config: Callable[[dict], ModelConfig]
    write_config: Callable[[ModelConfig], dict]
    """The entries of a config.json that say what ours does; it need not fit, which `read_config` of it shows."""
    rows: Callable[[ModelConfig], list[Row]]
    prefix: str = ""
    """What the names in some files lack: those of a model saved without its head."""
    sizes: Callable[[], dict[str, ModelConfig]] = dict
    """Published sizes by name."""
    ignored: tuple[str, ...] = ()
    """Ends of names that hold no weights, in older files."""


def plain(theirs: str, ours: str) -> Row:
    """The same numbers in the same order: biases, norms, embeddings, and GPT-2's matrices, which are [in, out]."""
    return Row((theirs,), (ours,), lambda arrays, shapes, _: [arrays[0].reshape(shapes[0])], lambda arrays, _: [_flat(arrays[0], 1)])


def conv1d(theirs: str, ours: str, contract: int = 1) -> Row:
    """GPT-2's matrices, [in, out], where `in` stands for the first `contract` axes of ours."""
    return Row(
        (theirs,), (ours,), lambda arrays, shapes, _: [arrays[0].reshape(shapes[0])], lambda arrays, _: [_matrix(arrays[0], contract)]
    )


def table(theirs: str, ours: str) -> Row:
    """An embedding or any other array whose axes are ours."""
    return Row((theirs,), (ours,), lambda arrays, shapes, _: [arrays[0].reshape(shapes[0])], lambda arrays, _: [arrays[0]])


def linear(theirs: str, ours: str, contract: int = 1) -> Row:
    """A torch Linear, [out, in], where `in` stands for the first `contract` axes of ours."""

    def unpack(arrays, shapes, _):
        return [arrays[0].T.reshape(shapes[0])]

    return Row((theirs,), (ours,), unpack, lambda arrays, _: [_matrix(arrays[0], contract).T])


def linear_and_bias(theirs: str, ours: str, biased: bool, contract: int = 1) -> list[Row]:
    """A torch Linear of name `theirs`, and its bias where there is one, which ours calls `<name>_bias`."""
    rows = [linear(f"{theirs}.weight", ours, contract)]
    return [*rows, plain(f"{theirs}.bias", f"{ours}_bias")] if biased else rows


def norm(theirs: str, ours: str, biased: bool) -> list[Row]:
    """A norm's gain, and its bias where there is one."""
    rows = [plain(f"{theirs}.weight", f"{ours}.scale")]
    return [*rows, plain(f"{theirs}.bias", f"{ours}.bias")] if biased else rows


def joined(theirs: str, ours: Sequence[str]) -> Row:
    """GPT-2's queries, keys and values side by side: [in, 3 x out], or [3 x out] of biases."""

    def unpack(arrays, shapes, _):
        return [part.reshape(shape) for part, shape in zip(np.split(arrays[0], len(ours), axis=-1), shapes, strict=True)]

    def pack(arrays, _):
        return [np.concatenate([a.reshape(*a.shape[:-2], -1) for a in arrays], -1)]

    return Row((theirs,), tuple(ours), unpack, pack)


def grouped(theirs: str, ours: Sequence[str]) -> Row:
    """NeoX's and Falcon's queries, keys and values: for each head of keys its H / G heads of queries, its key and its value,
    [G (H / G + 2) K, in], or without `in` for biases."""

    def unpack(arrays, shapes, config):
        G, R = config.groups, config.heads // config.groups
        parts = arrays[0].reshape(G, R + 2, config.width, *arrays[0].shape[1:])
        found = []
        for part, shape in zip((parts[:, :R], parts[:, R : R + 1], parts[:, R + 1 :]), shapes, strict=True):
            part = part.reshape(-1, *part.shape[2:])  # [heads, K, in] or [heads, K]
            found.append((np.moveaxis(part, 2, 0) if part.ndim == 3 else part).reshape(shape))
        return found

    def pack(arrays, config):
        G = config.groups
        parts = [np.moveaxis(a, 0, 2) if a.ndim == 3 else a for a in arrays]
        parts = [part.reshape(G, -1, *part.shape[1:]) for part in parts]
        joint = np.concatenate(parts, 1)
        return [joint.reshape(-1, *joint.shape[3:])]

    return Row((theirs,), tuple(ours), unpack, pack)


def experts(theirs: str, ours: str, count: int) -> Row:
    """A torch Linear of each expert, `[]` standing for its number, as one array of ours."""
    names = tuple(theirs.replace("[]", str(number)) for number in range(count))

    def unpack(arrays, shapes, _):
        turned = [a.T for a in arrays]
        return [(np.stack(turned) if len(turned) > 1 else turned[0][None]).reshape(shapes[0])]  # one stays a view

    return Row(names, (ours,), unpack, lambda arrays, _: [a.T for a in arrays[0]])


def _flat(a: np.ndarray, axes: int) -> np.ndarray:
    return a.reshape(-1) if axes == 1 else a


def _matrix(a: np.ndarray, contract: int) -> np.ndarray:
    return a.reshape(int(np.prod(a.shape[:contract])), -1)


def number(hf: dict, *names: str, default=None):
    """The first of several names that a config.json gives a value; UserError where it gives none and nothing is usual."""
    for name in names:
        if hf.get(name) is not None:
            return hf[name]
    if default is None:
        raise UserError(f"config.json has no {names[0]}, which a {hf.get('model_type')} model must say.\n  Fetch the checkpoint again.")
    return default


def shape_of(
    hf: dict,
    context: str = "max_position_embeddings",
    layers: str = "num_hidden_layers",
    embed: str = "hidden_size",
    heads: str = "num_attention_heads",
) -> dict[str, Any]:
    """What every config.json says of a model's shape, by the family's names for it: each a word, older ones after it."""
    names = {"vocab": "vocab_size", "context": context, "layers": layers, "embed": embed, "heads": heads}
    return {ours: number(hf, *theirs.split()) for ours, theirs in names.items()}


def rope_base(hf: dict, default: float = 10000.0) -> float:
    """The base of rotary embeddings, by transformers 5's name or the older ones; UserError for a kind of scaling we do not have."""
    rope = hf.get("rope_parameters") or hf.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        raise UserError(f"config.json asks for rotary embeddings of type {kind!r}, and only the default is known here.")
    return float(rope.get("rope_theta") or hf.get("rope_theta") or hf.get("rotary_emb_base") or default)


def activation(hf: dict, *names: str) -> Activation:
    """Our name of an activation; UserError for one we do not have."""
    said = number(hf, *names)
    ours: dict[str, Activation] = {
        "gelu_new": "gelu_tanh",
        "gelu_pytorch_tanh": "gelu_tanh",
        "gelu_fast": "gelu_tanh",
        "gelu": "gelu",
        "relu": "relu",
        "silu": "silu",
    }
    if said not in ours:
        raise UserError(f"config.json says {names[0]} {said!r}, which is none of {', '.join(ours)}.")
    return ours[said]


def hf_activation(config: ModelConfig) -> str:
    return {"gelu_tanh": "gelu_new"}.get(config.activation, config.activation)
