"""Models of others to start from: directories of the Hugging Face library, and GGUF files."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import jax

from tenfold.convert.hugging_face import is_checkpoint, open_checkpoint
from tenfold.errors import UserError
from tenfold.model.config import Dtype, ModelConfig
from tenfold.model.params import Params
from tenfold.tokens.tokenizer import Tokenizer

SAMPLE = 1_000_000


class Opened(Protocol):
    """A model that was opened and found whole; no tensor has been read."""

    @property
    def config(self) -> ModelConfig: ...
    @property
    def chat_template(self) -> str | None: ...
    def params(self, mesh: jax.sharding.Mesh) -> Params: ...
    def lazy(self) -> Params: ...
    def tokenizer(self) -> Tokenizer | None: ...


def open_model(path: Path, dtype: Dtype) -> Opened:
    """The model of a Hugging Face directory or a .gguf. Raises UserError where the path is neither, or is damaged."""
    if path.suffix == ".gguf" and path.is_file():
        from tenfold.convert.gguf_model import open_gguf

        return open_gguf(path, dtype)
    if is_checkpoint(path):
        return open_checkpoint(path, dtype)
    what = "does not exist" if not path.exists() else "holds no config.json" if path.is_dir() else "is not a .gguf"
    raise UserError(
        f"{path} {what}, so there is no model to start from.\n"
        "  Name a run directory, a Hugging Face directory (config.json and .safetensors), or a .gguf file."
    )


def model_files(path: Path) -> list[Path]:
    """The files that decide a model's weights."""
    return [path] if path.is_file() else [path / "config.json", *sorted(path.glob("*.safetensors"))]


def content_fingerprint(files: Sequence[Path]) -> str:
    """16 hexadecimal digits of each file's name, size, first and last megabyte: headers are read whole, tensors in part."""
    found = hashlib.blake2b(digest_size=8)
    for file in files:
        size = file.stat().st_size
        found.update(f"{file.name} {size}\n".encode())
        with open(file, "rb") as opened:
            found.update(opened.read(SAMPLE))
            opened.seek(max(SAMPLE, size - SAMPLE))
            found.update(opened.read(SAMPLE))
    return found.hexdigest()
