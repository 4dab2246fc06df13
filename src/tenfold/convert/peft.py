"""Low-rank adapters in the form of the PEFT library: adapter_config.json and adapter_model.safetensors.

Theirs are lora_A [r, in] and lora_B [out, r], named by the linear layer they are added to. A layer that holds several of our weights side
by side (GPT-2's c_attn, NeoX's query_key_value) has one A there, where ours have one each. Read, all of ours get that A and each its own
outputs of B; written, the layer's A is all of ours, its rank their sum, and B has zeros where one weight's A is not another's. Both are
exact, and so are layers without adapters, as zeros, and ranks and alphas of a layer's own, brought to the largest rank and one alpha.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tenfold.convert.tensor_files import Tensor, open_tensors
from tenfold.convert.weights import Names
from tenfold.corpus.files import write_atomically
from tenfold.errors import UserError
from tenfold.model.adapters import MODULES, adapter_params
from tenfold.model.config import ModelConfig
from tenfold.model.families.names import Row
from tenfold.model.families.registry import family_of
from tenfold.model.forms import INPUT_AXES
from tenfold.model.params import Params, map_params

ROOT = "base_model.model."
FILES = ("adapter_config.json", "adapter_model.safetensors")
READ = ("peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "bias", "init_lora_weights")
NO_MATTER = (  # which tensors there are says it, or it changes no number of a finished adapter
    "auto_mapping base_model_name_or_path corda_config ensure_weight_tying eva_config exclude_modules fan_in_fan_out "
    "inference_mode layers_pattern layers_to_transform loftq_config lora_dropout lora_ga_config megatron_core peft_version "
    "qalora_group_size revision target_modules task_type"
).split()
STARTS = (True, False, None, "gaussian", "eva", "orthogonal")  # the others change the base


@dataclass(frozen=True)
class Adapters:
    """Adapters that were read: `tree` as `adapter_params(config, targets, rank)` has it, f32 on the host; x W + (alpha / rank) x A B."""

    targets: tuple[str, ...]
    rank: int
    alpha: float
    tree: Params


class Layer(NamedTuple):
    """A linear layer of theirs: which of our weights it holds, and whether as [out, in]."""

    row: Row
    inputs: int
    """Axes of our weights that are its inputs."""
    turned: bool

    @property
    def theirs(self) -> str:
        return self.row.theirs[0].removesuffix(".weight")

    def pack(self, bs: list[np.ndarray], config: ModelConfig) -> np.ndarray:
        """Our weights' [r, out..] as B, [out, r]."""
        packed = self.row.pack([b.reshape(b.shape[0], *[1] * (self.inputs - 1), *b.shape[1:]) for b in bs], config)[0]
        return packed if self.turned else packed.T

    def unpack(self, b_Or: np.ndarray, outs: list[tuple[int, ...]], config: ModelConfig) -> list[np.ndarray]:
        """B, [out, r], as our weights' [r, out..]."""
        return self.row.unpack([b_Or if self.turned else b_Or.T], [(b_Or.shape[1], *out) for out in outs], config)


def adapter_files(path: Path) -> list[Path]:
    """The files that decide adapters."""
    return [path / name for name in FILES]


def save_adapters(path: Path | str, config: ModelConfig, adapters: Params, alpha: float, base: str) -> None:
    """Writes adapters (as `adapter_params` has them) of a model that PEFT finds under `base`.

    Raises UserError where no family of the Hugging Face library is such a model, or its layers do not take such adapters.
    """
    from safetensors.numpy import save_file

    path = Path(path)
    family, _ = family_of(config)
    names = Names(config, family.rows(config))
    ranks, alphas, transposed = {}, {}, set()
    tensors: dict[str, np.ndarray] = {}
    pairs = dict(_pairs(adapters))
    rank = next(iter(pairs.values()))[0].shape[-1]
    for layer in _layers(names, {ours for ours, _ in pairs}):
        suffix, held = _suffix(names, layer.theirs), [ours for ours in layer.row.ours if (ours, 0) in pairs]
        ranks[suffix], alphas[suffix] = rank * len(held), alpha * len(held)
        transposed.add(layer.turned)
        for number in range(names.layers(layer.row.ours[0])):
            key = ROOT + layer.theirs.format(number)
            a_rI, b_Or = _joint(names, layer, rank, {ours: pairs[ours, number] for ours in held})
            tensors |= {f"{key}.lora_A.weight": a_rI, f"{key}.lora_B.weight": b_Or}
    said = {
        "peft_type": "LORA",
        "task_type": "SEQ_2_SEQ_LM" if config.encoder_layers else "CAUSAL_LM" if config.causal else None,
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "target_modules": sorted(ranks),
        "rank_pattern": {suffix: r for suffix, r in ranks.items() if r != rank},
        "alpha_pattern": {suffix: alphas[suffix] for suffix, r in ranks.items() if r != rank},
        "bias": "none",
        "fan_in_fan_out": transposed == {False},
        "inference_mode": True,
    }
    path.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path / FILES[1], {"format": "pt"})
    write_atomically(path / FILES[0], json.dumps(said, indent=2) + "\n")


def _pairs(adapters: Params, where: str = "") -> Iterator[tuple[tuple[str, int], tuple[np.ndarray, np.ndarray]]]:
    """((our weight, its layer), (A [in.., r], B [r, out..])) of all adapters."""
    for first, block in enumerate(adapters["blocks"]):
        for module, targets in block.items():
            for target, pair in targets.items():
                a, b = (np.asarray(pair[name], np.float32) for name in "ab")
                for repeat in range(len(a)):
                    yield (f"{where}blocks.{module}.{target}", first + len(adapters["blocks"]) * repeat), (a[repeat], b[repeat])
    if "encoder" in adapters:
        yield from _pairs(adapters["encoder"], "encoder.")


def _layers(names: Names, ours: set[str]) -> list[Layer]:
    """The layers that hold some of these weights."""
    return [_layer(names, row) for row in names.rows if ours & set(row.ours)]


def _joint(names: Names, layer: Layer, rank: int, pairs: dict[str, tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """A and B of a layer, of the pairs of those of its weights that have one."""
    total, first, bs = rank * len(pairs), 0, []
    for ours in layer.row.ours:
        b_rO = np.zeros((total, *names.params[ours].shape[layer.inputs :]), np.float32)
        if ours in pairs:
            b_rO[first : first + rank] = pairs[ours][1]
            first += rank
        bs.append(b_rO)
    a_rI = np.concatenate([a.reshape(-1, rank).T for a, _ in pairs.values()])
    return np.ascontiguousarray(a_rI), np.ascontiguousarray(layer.pack(bs, names.config))


def _suffix(names: Names, layer: str) -> str:
    """What PEFT finds the layer by: the end of its name, and the word before where other layers end in the same one."""
    end = layer.rpartition(".")[2]
    alike = [row.theirs[0] for row in names.rows if row.theirs[0].endswith(f".{end}.weight")]
    return end if len(alike) == 1 else ".".join(layer.split(".")[-2:])


def _layer(names: Names, row: Row) -> Layer:
    """How a row's tensor lies. Refuses experts, and inputs in another order than ours."""
    inputs = INPUT_AXES[row.ours[0].rpartition(".")[2]]
    shapes = [names.params[ours].shape for ours in row.ours]
    if len(row.theirs) == 1 and all(shape[:inputs] == shapes[0][:inputs] for shape in shapes):
        ins = shapes[0][:inputs]
        number_I = np.arange(np.prod(ins), dtype=np.int32)
        marked = [np.broadcast_to(number_I.reshape(*ins, *[1] * (len(shape) - inputs)), shape) for shape in shapes]
        theirs = row.pack(marked, names.config)[0]
        for turned, wanted in ((True, number_I), (False, number_I[:, None])):
            if theirs.shape[int(turned)] == number_I.size and (theirs == wanted).all():
                return Layer(row, inputs, turned)
    raise UserError(f"{row.theirs[0]!r} holds our {', '.join(row.ours)} in a way that PEFT's adapters do not fit.\n  Merge them instead.")


def read_adapters(path: Path | str, config: ModelConfig) -> Adapters:
    """The adapters of a directory, for a model of this shape.

    Raises UserError, by name, for options that are not exact here, and for tensors that do not fit the model or the configuration.
    """
    path = Path(path).expanduser()
    said = _read_config(path / FILES[0])
    family, _ = family_of(config)
    names = Names(config, family.rows(config))
    takes = [row for row in names.rows if _target(row)]
    known = {row.theirs[0].removesuffix(".weight").format(n): (row, n) for row in takes for n in range(names.layers(row.ours[0]))}
    probed: dict[Row, Layer] = {}
    found: dict[str, dict[int, tuple[np.ndarray, np.ndarray, float]]] = {}  # our weight -> layer -> (A [in, r], B [r, out..], alpha / r)
    for theirs, (a, b) in _by_layer(path, open_tensors(path)).items():
        name = theirs if theirs in known else family.prefix + theirs
        if name not in known:
            raise UserError(
                f"{path} holds an adapter of {theirs!r}, which is no layer of this model that takes one.\n"
                f"  Those that do end in {', '.join(sorted(_suffix(names, row.theirs[0].removesuffix('.weight')) for row in takes))}."
            )
        row, number = known[name]
        layer = probed.setdefault(row, probed.get(row) or _layer(names, row))
        outs = [names.params[ours].shape[layer.inputs :] for ours in row.ours]
        a_rI, b_Or = _checked(path, theirs, a, b, _rank(said, theirs), (names, layer))
        scaling = _scaling(said, theirs, len(a_rI))
        for ours, part in zip(row.ours, layer.unpack(b_Or, outs, config), strict=True):
            found.setdefault(ours, {})[number] = a_rI.T, part, scaling
    rank = max(a.shape[1] for layers in found.values() for a, _, _ in layers.values())
    targets = tuple(name for name in INPUT_AXES if any(ours.endswith(f".{name}") for ours in found))
    alpha = float(max(scaling for layers in found.values() for _, _, scaling in layers.values()) * rank)
    tree = map_params(lambda p: np.zeros(p.shape, np.float32), adapter_params(config, targets, rank))
    _fill(tree, found, alpha / rank)
    return Adapters(targets, rank, alpha, tree)


def _target(row: Row) -> bool:
    words = row.ours[0].split(".")
    return words[-1] in INPUT_AXES and words[-2] in MODULES


def _fill(tower: Params, found: dict, factor: float, where: str = "") -> None:
    """Puts what was found into a tree of zeros, each B brought from its own alpha / r to `factor`."""
    period = len(tower["blocks"])
    for first, block in enumerate(tower["blocks"]):
        for module, targets in block.items():
            for target, pair in targets.items():
                for number, (a, b, scaling) in found.get(f"{where}blocks.{module}.{target}", {}).items():
                    if number % period == first:
                        r, repeat = a.shape[1], number // period
                        pair["a"][repeat, ..., :r] = a.reshape(*pair["a"].shape[1:-1], r)
                        pair["b"][repeat, :r] = b * (scaling / factor)
    if "encoder" in tower:
        _fill(tower["encoder"], found, factor, "encoder.")


def _read_config(file: Path) -> dict[str, Any]:
    """What adapter_config.json says; UserError for options that would change the numbers here."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        kind, r, alpha = said["peft_type"], int(said["r"]), float(said["lora_alpha"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file} is no configuration of adapters: {error!r}.\n  Name a directory that PEFT's save_pretrained wrote."
        ) from error
    if kind != "LORA" or r < 1 or alpha <= 0:
        raise UserError(f"{file} says peft_type {kind!r}, r {r} and lora_alpha {alpha:g}; known here is LORA, with both above 0.")
    if said.get("bias", "none") != "none":
        raise UserError(f"{file} says bias {said['bias']!r}, and only adapters that leave biases alone are known here.")
    if said.get("init_lora_weights", True) not in STARTS:
        raise UserError(
            f"{file} says init_lora_weights {said['init_lora_weights']!r}, which changes the model under the adapters.\n"
            "  Save them with PEFT's path_initial_model_for_weight_conversion, which makes ordinary ones of them."
        )
    other = [name for name, value in said.items() if value and name not in READ and name not in NO_MATTER]
    if other:
        raise UserError(
            f"{file} says {other[0]} {said[other[0]]!r}, which is not known here.\n  In PEFT, merge_and_unload makes a plain model of it."
        )
    return said


def _pattern(patterns: dict[str, Any] | None, layer: str, usual):
    """A layer's own value, by the first pattern that fits its name (as PEFT's get_pattern_key), or the usual one."""
    return next((value for key, value in (patterns or {}).items() if re.match(rf"(.*\.)?({key})$", layer)), usual)


def _rank(said: dict, layer: str) -> int:
    return int(_pattern(said.get("rank_pattern"), layer, said["r"]))


def _scaling(said: dict, layer: str, rank: int) -> float:
    """alpha / r, or alpha / sqrt(r) where the adapters are rank-stabilised (Kalajdzievski 2023)."""
    alpha = float(_pattern(said.get("alpha_pattern"), layer, said["lora_alpha"]))
    return alpha / (rank**0.5 if said.get("use_rslora") else rank)


def _by_layer(path: Path, tensors: dict[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """The two tensors of each layer, by its name. Refuses tensors that are neither, and layers with one only."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = re.fullmatch(rf"{re.escape(ROOT)}(.+)\.lora_([AB])\.weight", name)
        if not match:
            raise UserError(f"{path} holds {name!r}, and of adapters only lora_A and lora_B of linear layers are known here.")
        found.setdefault(match[1], {})[match[2]] = tensor
    alone = [f"{layer}.lora_{next(iter(pair))}" for layer, pair in found.items() if len(pair) < 2]
    if alone or not found:
        raise UserError(f"{path} holds {alone[0] + ' without its other half' if alone else 'no adapters'}.\n  Save it again.")
    return {layer: (pair["A"], pair["B"]) for layer, pair in found.items()}


def _checked(path: Path, theirs: str, a: Tensor, b: Tensor, rank: int, where: tuple[Names, Layer]) -> tuple[np.ndarray, np.ndarray]:
    """A and B of a layer, f32; UserError where they are not of its shape."""
    names, layer = where
    out, into = _sizes(names, layer)
    if a.shape != (rank, into) or b.shape != (out, rank):
        raise UserError(
            f"{path} holds lora_A {list(a.shape)} and lora_B {list(b.shape)} of {theirs!r}; "
            f"with rank {rank} this model makes them {[rank, into]} and {[out, rank]}.\n  They are not of the same model."
        )
    return np.asarray(a.view(), np.float32), np.asarray(b.view(), np.float32)


def _sizes(names: Names, layer: Layer) -> tuple[int, int]:
    """(outputs, inputs) of a layer."""
    shapes = [names.params[ours].shape for ours in layer.row.ours]
    return sum(int(np.prod(shape[layer.inputs :])) for shape in shapes), int(np.prod(shapes[0][: layer.inputs]))
