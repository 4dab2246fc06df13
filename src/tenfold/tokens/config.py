"""What a recipe may say about its data. Imports nothing heavy, so that `tenfold --help` stays quick."""

import math
from dataclasses import dataclass

from tenfold.errors import UserError


@dataclass(frozen=True)
class DataConfig:
    """The text a run learns from, and the text it is measured on."""

    paths: tuple[str, ...] = ()
    """Corpora (`tenfold corpus build`), directories of token shards, or documents: a folder, .txt, .jsonl(.gz|.zst), .parquet, "stdlib"."""
    weights: tuple[float, ...] = ()
    """How often each path is drawn from, relative to the others. Empty: in proportion to its tokens."""
    held_out: str | None = None
    """Shards or documents to measure on. Absent: 5% of the documents, chosen by their hash."""
    tokenizer: str | None = None
    """A tokenizer.json, or a directory with it, with GPT-2's encoder.json and vocab.bpe, or with vocab.json and merges.txt.
    Absent: the shards' own, or a new one."""
    mask_documents: bool = False
    """Keep attention inside each document. GPT-3 did not."""
    seed: int = 0
    """The order of the rows. A batch is a function of this and of the step."""

    def __post_init__(self):
        _check_paths(self.paths)
        _check_weights(self.weights, self.paths)
        if not 0 <= self.seed < 2**64:
            raise UserError(f"data.seed is {self.seed}.\n  Give a whole number from 0 to 2^64 - 1.")
        for field in ("held_out", "tokenizer"):
            if getattr(self, field) == "":
                raise UserError(f"data.{field} is an empty string.\n  Name a path, or leave the field out.")


def _check_paths(paths: tuple[str, ...]) -> None:
    if isinstance(paths, str):
        raise UserError(f"data.paths is the string {paths!r}.\n  Give a list, even for one: [{paths!r}].")
    if "" in paths:
        raise UserError(f"data.paths is {list(paths)}, and one of them is empty.\n  Name a path, or leave it out.")
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise UserError(f"data.paths names {twice[0]!r} more than once.\n  Name it once, and give it more weight in data.weights.")


def _check_weights(weights: tuple[float, ...], paths: tuple[str, ...]) -> None:
    bad = [weight for weight in weights if not (math.isfinite(weight) and weight > 0)]
    if bad:
        raise UserError(
            f"data.weights is {list(weights)}, and {bad[0]} cannot be a share of the rows.\n"
            "  Every weight is a finite number above 0; to leave a path out, take it from data.paths."
        )
    if weights and len(weights) != len(paths):
        raise UserError(
            f"data.weights has {len(weights)} numbers {list(weights)} but data.paths has {len(paths)} paths.\n"
            "  Give one weight for each path, or none at all to draw in proportion to the tokens."
        )
