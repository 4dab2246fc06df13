"""Models in GGUF files, the form of llama.cpp: opened as a configuration, weights and a tokenizer, and written."""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import jax
import ml_dtypes
import numpy as np

from tenfold.convert.ggml_blocks import TYPES
from tenfold.convert.gguf import GGUF, Packed
from tenfold.convert.gguf_names import ARCHITECTURES, Fields, architecture_of
from tenfold.convert.gguf_tokenizer import UNUSED, chat_template, tokenizer_json, tokenizer_metadata
from tenfold.convert.gguf_write import Tensor, write_gguf
from tenfold.convert.weights import Names, Read, check_names, lazy_weights, load_weights
from tenfold.errors import UserError
from tenfold.model.config import Dtype, ModelConfig
from tenfold.model.families.names import Shape
from tenfold.model.params import Params
from tenfold.tokens.tokenizer import Tokenizer

EMBEDDING, HEAD = "token_embd.weight", "output.weight"
FILE_TYPES = {"F16": 1, "Q8_0": 7}  # what llama.cpp says of a file most of whose tensors are of a type
ALWAYS_F32 = ("position_embd.weight",)  # as llama.cpp's converter, which also leaves all that has one axis
NO_TOKENIZER = "none"
PLAIN = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype(ml_dtypes.bfloat16)}


@dataclass(frozen=True)
class GGUFModel:
    """A GGUF file that was opened and found whole; no tensor has been decoded."""

    file: GGUF
    config: ModelConfig
    names: Names

    def params(self, mesh: jax.sharding.Mesh) -> Params:
        """The weights, f32, on a mesh, each device's part decoded for it alone, one tensor at a time."""
        return load_weights(self.names, self._reader(), mesh)

    def lazy(self) -> Params:
        """The weights as a tree of Leaf, none of them read."""
        return lazy_weights(self.names, self._reader(), lambda name: PLAIN.get(self.file.tensors[name].type, np.dtype(np.float32)))

    def _reader(self) -> Read:
        """What gives a tensor by name: a view of the file where its numbers lie there as they are, else what decodes a part of it."""

        def read(name: str) -> np.ndarray | Packed:
            tensor = self.file.tensors[name]
            if tensor.type in PLAIN:
                return self.file.raw(name).view(PLAIN[tensor.type]).reshape(tensor.shape)
            return self.file.packed(name)

        return read

    def tokenizer(self) -> Tokenizer | None:
        """The file's tokenizer, None where it has none. Raises UserError for a kind that we do not read."""
        if self.file.metadata.get("tokenizer.ggml.model") in (None, NO_TOKENIZER, "no_vocab"):
            return None
        return Tokenizer(tokenizer_json(_without_padding(self.file.metadata)))

    @cached_property
    def chat_template(self) -> str | None:
        """The Jinja template that makes a prompt of messages, if the file has one."""
        return chat_template(self.file.metadata)


def open_gguf(path: str | Path, dtype: Dtype = "bfloat16") -> GGUFModel:
    """Opens a file; `dtype` is what its matrix products will take in.

    Raises UserError where it is of an architecture that is not known, is not whole, or its tensors are not what its metadata say.
    """
    file = GGUF.open(path)
    name = file.metadata.get("general.architecture")
    if name not in ARCHITECTURES:
        raise UserError(f"{file.path} is of the architecture {name!r}.\n  Known are {', '.join(ARCHITECTURES)}.")
    found = {name: tensor.shape for name, tensor in file.tensors.items()}
    if len(found.get(EMBEDDING, ())) != 2:
        raise UserError(f"{file.path} has no table {EMBEDDING!r}, so it is no language model.\n  Take the model's own file.")
    if _repeats_embedding(file):
        del found[HEAD]
    architecture = ARCHITECTURES[name]
    try:
        config = architecture.read_config(Fields(file.metadata, name), found.keys(), found[EMBEDDING][0])
    except UserError as error:
        raise UserError(f"{file.path}: {error}") from error
    names = Names(replace(config, dtype=dtype), architecture.rows(config))
    check_names(str(file.path), names, found)
    return GGUFModel(file, names.config, names)


def save_gguf(
    path: str | Path,
    config: ModelConfig,
    params: Params,
    tokenizer: Tokenizer | None,
    dtype: Literal["F16", "Q8_0"] = "F16",
    chat_template: str | None = None,
) -> Path:
    """Writes a file that llama.cpp loads, its matrices in `dtype`; without a tokenizer it takes token ids only. Returns its path.

    Raises UserError where no architecture of ours to write is such a model, saying what differs, or llama.cpp has no such tokenizer.
    """
    if dtype not in FILE_TYPES:
        raise UserError(f"dtype is {dtype!r}, and a model's matrices are written as one of {', '.join(FILE_TYPES)}.")
    path = Path(path).expanduser()
    architecture, shape = architecture_of(config)
    names = Names(config, architecture.rows(config))
    shapes = names.expected_shapes()
    tensors: list[Tensor] = [
        (theirs, shapes[theirs], _type(theirs, shapes[theirs], dtype), partial(names.write, row, place, layer, params))
        for theirs, row, place, layer in names.tensors()
    ]
    general: dict[str, Any] = {"architecture": architecture.name, "type": "model", "name": path.stem, "file_type": FILE_TYPES[dtype]}
    general |= {"quantization_version": 2} if dtype == "Q8_0" else {}
    metadata = {f"general.{key}": value for key, value in general.items()} | shape
    if tokenizer is None:
        metadata["tokenizer.ggml.model"] = NO_TOKENIZER
    else:
        metadata |= tokenizer_metadata(tokenizer.json, config.vocab, chat_template)
    return write_gguf(path, metadata, tensors)


def _type(name: str, shape: Shape, dtype: str) -> str:
    if len(shape) == 1 or name in ALWAYS_F32:
        return "F32"
    return "F16" if shape[-1] % TYPES[dtype].elements else dtype


def _repeats_embedding(file: GGUF) -> bool:
    """Whether the head is the table of embeddings written a second time, as older converters did for GPT-2."""
    if HEAD not in file.tensors:
        return False
    head, table = file.tensors[HEAD], file.tensors[EMBEDDING]
    if (head.type, head.shape) != (table.type, table.shape):
        return False
    some = 4096  # rows, whose maps are let go before the next
    return all(np.array_equal(file.raw(HEAD)[n : n + some], file.raw(EMBEDDING)[n : n + some]) for n in range(0, head.shape[0], some))


def _without_padding(metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata without the tokens that only fill rows of the table after the last real one, so that none is ever drawn."""
    tokens, types = metadata.get("tokenizer.ggml.tokens"), metadata.get("tokenizer.ggml.token_type")
    if not isinstance(tokens, list) or not isinstance(types, list) or len(tokens) != len(types):
        return metadata  # for tokenizer_json to refuse
    real = len(tokens)
    while real and types[real - 1] == UNUSED and tokens[real - 1] == f"[PAD{real - 1}]":
        real -= 1
    lists = {f"tokenizer.ggml.{key}" for key in ("tokens", "token_type", "scores")}
    return metadata | {key: metadata[key][:real] for key in lists & metadata.keys()}
