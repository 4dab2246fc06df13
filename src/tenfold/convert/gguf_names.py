"""The architectures of GGUF files that we read and write: their metadata as a configuration, and their tensors' names as rows.

Source: llama.cpp's src/llama-model.cpp, gguf-py/gguf/tensor_mapping.py and convert_hf_to_gguf.py. Shapes: as model/config.py.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.families.names import Row, joined, linear_and_bias, norm, table
from tenfold.model.families.registry import essence

QKV = ("query", "key", "value")


class Fields:
    """The metadata of one architecture: `llama.block_count` is `number("block_count")`."""

    def __init__(self, metadata: Mapping[str, Any], architecture: str):
        self._metadata, self._prefix = metadata, architecture

    def get(self, key: str) -> Any:
        return self._metadata.get(f"{self._prefix}.{key}")

    def number(self, key: str, default: int | None = None) -> int:
        """A whole number. Raises UserError naming the key where the file has none, and none is usual."""
        value = self.get(key)
        if isinstance(value, list) and len(set(value)) == 1:
            value = value[0]  # one for each layer, all the same
        value = default if value is None else value
        if type(value) is not int:
            raise UserError(f"{self._prefix}.{key} is {value!r}, and must be a whole number.\n  Take another file of the model.")
        return value

    def real(self, key: str, default: float | None = None) -> float:
        """The shortest decimal that is this float32: 1e-05, not 9.999999747378752e-06."""
        value = default if self.get(key) is None else self.get(key)
        if type(value) is not float:
            raise UserError(f"{self._prefix}.{key} is {value!r}, and must be a number.\n  Take another file of the model.")
        return float(str(np.float32(value)))


@dataclass(frozen=True)
class Architecture:
    """One kind of GGUF model: `general.architecture` is its name."""

    name: str
    read_config: Callable[[Fields, Set[str], int], ModelConfig]
    """Of the metadata, the names of the tensors and the rows of the embedding table."""
    write_config: Callable[[ModelConfig], dict[str, Any]]
    """The metadata without the name before them; they need not fit, which `read_config` of them shows."""
    rows: Callable[[ModelConfig], list[Row]]


def architecture_of(config: ModelConfig) -> tuple[Architecture, dict[str, Any]]:
    """The architecture that a model of this shape is of, and its metadata; UserError saying what differs where there is none."""
    closest: list[str] = []
    nearest = ""
    for architecture in ARCHITECTURES.values():
        metadata = {f"{architecture.name}.{key}": value for key, value in architecture.write_config(config).items()}
        tensors = {theirs.format(0) for row in architecture.rows(config) for theirs in row.theirs}
        try:
            read = architecture.read_config(Fields(metadata, architecture.name), tensors, config.vocab)
        except UserError:  # heads of an odd width, for one, which another architecture may have
            continue
        ours, theirs = essence(config), essence(read)
        different = [f"model.{key} is {ours[key]!r}, there {theirs[key]!r}" for key in ours if ours[key] != theirs[key]]
        if not different:
            return architecture, metadata
        if not closest or len(different) < len(closest):
            closest, nearest = different, architecture.name
    more = f"\n    ... and {len(closest) - 6} more" if len(closest) > 6 else ""
    shown = "\n".join(f"    {line}" for line in closest[:6])
    raise UserError(
        f"Tenfold writes the GGUF architectures {', '.join(ARCHITECTURES)}, and this model is none; {nearest} is the closest:\n"
        f"{shown}{more}\n  Save it to a directory instead."
    )


def _shape(config: ModelConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab,
        "context_length": config.context,
        "embedding_length": config.embed,
        "block_count": config.layers,
        "feed_forward_length": config.hidden,
        "attention.head_count": config.heads,
    }


def _read_shape(fields: Fields, tensors: Set[str], vocab: int) -> dict[str, Any]:
    embed, mlp = fields.number("embedding_length"), fields.number("feed_forward_length")
    return dict(
        vocab=vocab,
        context=fields.number("context_length"),
        layers=fields.number("block_count"),
        embed=embed,
        heads=fields.number("attention.head_count"),
        mlp=0 if mlp == 4 * embed else mlp,
        tied="output.weight" not in tensors,
    )


def read_llama(fields: Fields, tensors: Set[str], vocab: int) -> ModelConfig:
    """LLaMA and what has its shape (SmolLM2, Mistral without its window); UserError for its kin that we do not read."""
    if fields.number("expert_count", 0):
        raise UserError(f"llama.expert_count is {fields.get('expert_count')}: experts are not read from GGUF.\n  Take its safetensors.")
    scaling, factor = fields.get("rope.scaling.type"), fields.get("rope.scale_linear")
    if "rope_freqs.weight" in tensors or scaling not in (None, "none") or factor not in (None, 1.0):
        said = f"llama.rope.scaling.type {scaling!r}, llama.rope.scale_linear {factor!r}, rope_freqs.weight"
        raise UserError(f"The file scales rotary embeddings ({said}), and only plain ones are known here.\n  Take a model without.")
    shape = _read_shape(fields, tensors, vocab)
    heads = shape["heads"]
    width = fields.number("attention.key_length", shape["embed"] // heads)
    if {fields.number("attention.value_length", width), fields.number("rope.dimension_count", width)} != {width}:
        raise UserError(
            f"llama.attention.key_length is {width}, but llama.attention.value_length and llama.rope.dimension_count are not.\n"
            "  Only heads whose keys, values and rotations are of one width are known here."
        )
    kv_heads = fields.number("attention.head_count_kv", heads)
    return ModelConfig(
        **shape,
        kv_heads=0 if kv_heads == heads else kv_heads,
        head_dim=0 if width * heads == shape["embed"] else width,
        positions="rotary",
        rotary_base=fields.real("rope.freq_base", 10000.0),
        norm="rms",
        norm_bias=False,
        norm_eps=fields.real("attention.layer_norm_rms_epsilon"),
        activation="silu",
        gated=True,
        qkv_bias="blk.0.attn_q.bias" in tensors,
        out_bias="blk.0.attn_output.bias" in tensors,
        mlp_bias="blk.0.ffn_up.bias" in tensors,
    )


def write_llama(config: ModelConfig) -> dict[str, Any]:
    return _shape(config) | {
        "attention.head_count_kv": config.groups,
        "attention.key_length": config.width,
        "attention.value_length": config.width,
        "attention.layer_norm_rms_epsilon": config.norm_eps,
        "rope.dimension_count": config.width,
        "rope.freq_base": float(config.rotary_base),
    }


def llama_rows(config: ModelConfig) -> list[Row]:
    h, ours = "blk.{}", "blocks"
    return [
        *_ends(config, False),
        *norm(f"{h}.attn_norm", f"{ours}.attention_norm", False),
        *_turned(f"{h}.attn_q", f"{ours}.attention.query", config),
        *_turned(f"{h}.attn_k", f"{ours}.attention.key", config),
        *linear_and_bias(f"{h}.attn_v", f"{ours}.attention.value", config.qkv_bias),
        *linear_and_bias(f"{h}.attn_output", f"{ours}.attention.out", config.out_bias, 2),
        *norm(f"{h}.ffn_norm", f"{ours}.mlp_norm", False),
        *[row for n in ("gate", "up", "down") for row in linear_and_bias(f"{h}.ffn_{n}", f"{ours}.mlp.{n}", config.mlp_bias)],
    ]


def read_gpt2(fields: Fields, tensors: Set[str], vocab: int) -> ModelConfig:
    return ModelConfig(**_read_shape(fields, tensors, vocab), norm_eps=fields.real("attention.layer_norm_epsilon"))


def write_gpt2(config: ModelConfig) -> dict[str, Any]:
    return _shape(config) | {"attention.layer_norm_epsilon": config.norm_eps}


def gpt2_rows(config: ModelConfig) -> list[Row]:
    h, ours = "blk.{}", "blocks"
    return [
        *_ends(config, True),
        table("position_embd.weight", "position"),
        *norm(f"{h}.attn_norm", f"{ours}.attention_norm", True),
        joined_linear(f"{h}.attn_qkv.weight", [f"{ours}.attention.{n}" for n in QKV]),
        joined(f"{h}.attn_qkv.bias", [f"{ours}.attention.{n}_bias" for n in QKV]),
        *linear_and_bias(f"{h}.attn_output", f"{ours}.attention.out", True, 2),
        *norm(f"{h}.ffn_norm", f"{ours}.mlp_norm", True),
        *[row for n in ("up", "down") for row in linear_and_bias(f"{h}.ffn_{n}", f"{ours}.mlp.{n}", True)],
    ]


def _ends(config: ModelConfig, biased: bool) -> list[Row]:
    head = [] if config.tied else [table("output.weight", "head")]
    return [table("token_embd.weight", "embedding"), *norm("output_norm", "final_norm", biased), *head]


def joined_linear(theirs: str, ours: list[str]) -> Row:
    """Queries, keys and values as one torch Linear, [3 x out, in]."""

    def unpack(arrays, shapes, _):
        return [part.T.reshape(shape) for part, shape in zip(np.split(arrays[0], len(ours)), shapes, strict=True)]

    return Row((theirs,), tuple(ours), unpack, lambda arrays, _: [np.concatenate([a.reshape(len(a), -1).T for a in arrays])])


def _turned(theirs: str, ours: str, config: ModelConfig) -> list[Row]:
    """Queries or keys of "llama", and their biases where there are any, as torch Linears whose rows are in the order of `interleaved`."""

    def unpack(arrays, shapes, config):
        return [halves(arrays[0], config.width).T.reshape(shapes[0])]

    def pack(arrays, config):
        a = arrays[0]
        return [interleaved(a.reshape(-1) if a.ndim == 2 else a.reshape(len(a), -1).T, config.width)]

    weight = Row((f"{theirs}.weight",), (ours,), unpack, pack)
    return [weight, Row((f"{theirs}.bias",), (f"{ours}_bias",), unpack, pack)] if config.qkv_bias else [weight]


def interleaved(rows: np.ndarray, width: int) -> np.ndarray:
    """[heads x width, ...]: rows i and i + width / 2 of each head become rows 2i and 2i + 1, the pairs that llama.cpp turns."""
    return rows.reshape(-1, 2, width // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def halves(rows: np.ndarray, width: int) -> np.ndarray:
    """The inverse of `interleaved`."""
    return rows.reshape(-1, width // 2, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


ARCHITECTURES = {
    "llama": Architecture("llama", read_llama, write_llama, llama_rows),
    "gpt2": Architecture("gpt2", read_gpt2, write_gpt2, gpt2_rows),
}
