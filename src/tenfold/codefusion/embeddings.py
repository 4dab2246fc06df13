"""A model's table of tokens, to compare code by."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from tenfold.codefusion.metrics import Table
from tenfold.codefusion.run import read_fusion_run
from tenfold.convert.start import open_model
from tenfold.errors import UserError
from tenfold.model.forms import dense
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.tokens.tokenizer import Tokenizer
from tenfold.train.run import read_run
from tenfold.train.start import load_model


def read_embeddings(path: str) -> Table:
    """The table that the texts of a model go through, rows of length 1: of a run of any kind, or a Hugging Face directory or .gguf file.
    Raises UserError where there is none, or no tokenizer."""
    place, mesh = Path(path).expanduser(), make_mesh(MeshConfig(), jax.local_devices()[:1])
    embedding, tokenizer = _of_run(place, mesh) if (place / "recipe.yaml").exists() else _of_other(place, mesh)
    if tokenizer is None:
        raise UserError(f"embeddings is {path}, which has no tokenizer.\n  Name a model that has one.")
    rows_VD = np.asarray(dense(embedding), np.float32)
    if tokenizer.vocab > len(rows_VD):
        raise UserError(f"embeddings is {path}, whose table has {len(rows_VD)} rows, but its tokenizer {tokenizer.vocab} tokens.")
    return Table(tokenizer.encode, rows_VD / np.maximum(np.linalg.norm(rows_VD, axis=1, keepdims=True), 1e-12))


def _of_run(path: Path, mesh) -> tuple[Any, Tokenizer | None]:
    try:
        run = read_fusion_run(path)
    except UserError:  # a run of `tenfold train`
        tokenizer = Tokenizer.load(path / "tokenizer") if (path / "tokenizer").exists() else None
        return load_model(read_run(path), mesh)[0]["embedding"], tokenizer
    return run.params(mesh)[0]["embedding"], run.tokenizer()


def _of_other(path: Path, mesh) -> tuple[Any, Tokenizer | None]:
    opened = open_model(path, "float32")
    return opened.params(mesh)["embedding"], opened.tokenizer()
