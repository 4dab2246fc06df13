"""Directories in the form of the Hugging Face library: config.json, safetensors, tokenizer.json."""

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import jax

from tenfold.convert.tensor_files import SHARD_BYTES, NewTensor, Tensor, open_tensors, write_tensors
from tenfold.convert.weights import Names, check_names, lazy_weights, load_weights
from tenfold.corpus.files import write_atomically
from tenfold.errors import UserError
from tenfold.model.config import Dtype, ModelConfig
from tenfold.model.families.names import Family
from tenfold.model.families.registry import FAMILIES, family_of
from tenfold.model.params import Params
from tenfold.tokens.tokenizer import Tokenizer, has_tokenizer


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was opened and found whole; no tensor has been read."""

    path: Path
    config: ModelConfig
    names: Names
    tensors: dict[str, Tensor]

    @property
    def chat_template(self) -> str | None:
        """The Jinja template of chat_template.jinja or, in older directories, of tokenizer_config.json."""
        file = self.path / "chat_template.jinja"
        if file.exists():
            return file.read_text("utf-8")
        try:
            template = json.loads((self.path / "tokenizer_config.json").read_text("utf-8")).get("chat_template")
        except (OSError, ValueError, AttributeError):
            return None
        return template if isinstance(template, str) else None

    def params(self, mesh: jax.sharding.Mesh) -> Params:
        """The weights, f32, on a mesh."""
        return load_weights(self.names, lambda name: self.tensors[name].view(), mesh)

    def lazy(self) -> Params:
        """The weights as a tree of Leaf, none of them read."""
        return lazy_weights(self.names, lambda name: self.tensors[name].view(), lambda name: self.tensors[name].dtype)

    def tokenizer(self) -> Tokenizer | None:
        return Tokenizer.load(self.path) if has_tokenizer(self.path) else None


def is_checkpoint(path: Path) -> bool:
    """Whether a directory has a config.json, which a run has not."""
    return (path / "config.json").exists()


def open_checkpoint(path: Path, dtype: Dtype = "bfloat16") -> Checkpoint:
    """Opens a directory; `dtype` is what its matrix products will take in.

    Raises UserError where it is of a family that is not known, is not whole, or is not what its config.json says.
    """
    family, hf = read_family(path)
    tensors = _named(family, open_tensors(path))
    if "lm_head.weight" in tensors and family.model_type == "t5":  # transformers 5 says that every T5 is tied
        hf = hf | {
            "tie_word_embeddings": False,
            "scale_decoder_outputs": hf.get("scale_decoder_outputs", hf.get("tie_word_embeddings", True)),
        }
    config = replace(family.read_config(hf), dtype=dtype)
    names = Names(config, family.rows(config))
    ignored = (*family.ignored, "lm_head.weight") if config.tied else family.ignored
    check_names(str(path), names, {name: tensor.shape for name, tensor in tensors.items()}, ignored)
    return Checkpoint(path, config, names, tensors)


def read_family(path: Path) -> tuple[Family, dict]:
    """The family a config.json names, and all it says."""
    file = path / "config.json"
    try:
        hf = json.loads(file.read_text(encoding="utf-8"))
        model_type = hf["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is no configuration of a model: {error!r}.\n  Fetch it again.") from error
    if model_type not in FAMILIES:
        raise UserError(f"{file} is of the family {model_type!r}.\n  Known are {', '.join(FAMILIES)}.")
    return FAMILIES[model_type], hf


def _named(family: Family, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, with the prefix that files of a model without its head lack."""
    if not family.prefix or any(name.startswith(family.prefix) for name in tensors):
        return tensors
    return {family.prefix + name: tensor for name, tensor in tensors.items()}


def save_checkpoint(path: Path, config: ModelConfig, params: Params, tokenizer: Tokenizer | None, shard_bytes: int = SHARD_BYTES) -> None:
    """Writes a directory that the Hugging Face library loads, in the types that the weights have.

    The leaves of `params` are arrays, or what gives them when it is indexed (Leaf, Stored): one tensor is held at a time. Raises UserError
    where no family of theirs is such a model.
    """
    family, hf = family_of(config)
    names = Names(config, family.rows(config))
    shapes, dtypes = names.expected_shapes(), names.dtypes(params)
    tensors = [
        NewTensor(theirs, shapes[theirs], dtypes[theirs], partial(names.write, row, place, layer, params))
        for theirs, row, place, layer in names.tensors()
    ]
    write_tensors(path, tensors, shard_bytes)
    dtype = str(params["embedding"].dtype)
    hf = {"architectures": [family.architecture], "model_type": family.model_type, "dtype": dtype} | hf
    hf |= {"bos_token_id": None, "eos_token_id": None}  # else the library takes those of the family's first release
    if tokenizer:
        hf |= {"bos_token_id": tokenizer.end_of_text, "eos_token_id": tokenizer.end_of_text}
        end = tokenizer.decode([tokenizer.end_of_text])
        tokenizer.save(path)
        said = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": end, "eos_token": end, "model_max_length": config.context}
        write_atomically(path / "tokenizer_config.json", json.dumps(said, indent=2) + "\n")
    write_atomically(path / "config.json", json.dumps(hf, indent=2) + "\n")
