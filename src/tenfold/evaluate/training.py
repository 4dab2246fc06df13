"""The documents of a built corpus that training saw."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from tenfold.corpus.documents import is_held_out
from tenfold.corpus.engine.store import Part, Stage
from tenfold.corpus.recipe import TokensConfig
from tenfold.errors import UserError

Which = Literal["seen", "before"]
CUT = "6-decontaminate"
INDEX = "7-index"
SLICE = 4_000_000  # letters of text that are in memory at once, or one document


@dataclass(frozen=True)
class Training:
    """Where the training documents are."""

    corpus: Path
    which: Which
    stage: Stage
    held_out: float
    """Share of the documents, by their ids, that were kept from training."""

    def about(self) -> dict:
        """What a result says of it."""
        return {"corpus": str(self.corpus), "which": self.which, "stage": self.stage.directory.name, "held_out": self.held_out}

    def slices(self, part: Part) -> Iterator[tuple[list[int], list[str]]]:
        """(rows, texts) of a part's training documents, a few megabytes at a time. Raises UserError where the part is damaged."""
        at, rows, texts, size = 0, [], [], 0
        for batch in self.stage.batches(part, ("id", "text")):
            for row, (id, text) in enumerate(zip(batch["id"].to_pylist(), batch["text"], strict=True), at):
                if is_held_out(id, self.held_out):
                    continue
                rows.append(row)
                texts.append(text.as_py())
                size += len(texts[-1])
                if size > SLICE:
                    yield rows, texts
                    rows, texts, size = [], [], 0
            at += len(batch)
        if rows:
            yield rows, texts

    def documents(self, part: Part, rows: set[int]) -> Iterator[tuple[int, dict]]:
        """(row, document) of some rows of a part: id, source, url, meta and text."""
        at = 0
        for batch in self.stage.batches(part, ("id", "source", "url", "meta", "text")):
            for row in sorted(row for row in rows if at <= row < at + len(batch)):
                yield row, batch.slice(row - at, 1).to_pylist()[0]
            at += len(batch)

    def held_out_texts(self, most: int) -> list[str]:
        """Texts that training did not see, at most so many: those with the smallest ids."""
        texts: list[str] = []
        for part in self.stage.with_documents():
            for batch in self.stage.batches(part, ("id", "text")):
                texts += [row["text"] for row in batch.to_pylist() if is_held_out(row["id"], self.held_out)]
                if len(texts) >= most:
                    return texts[:most]
        return texts


def training(corpus: Path, which: Which = "seen") -> Training:
    """The documents that training sees of a corpus ("seen"), or that it would see had evaluation texts not been cut out ("before").

    Documents that the recipe holds out are in neither. Raises UserError where there is no finished corpus, or a file of it is damaged.
    """
    names = [stage["stage"] for stage in _json(corpus, "manifest.json")["stages"]]
    if INDEX not in names:
        raise UserError(f"{corpus} is not finished: its last stage is {names[-1]}.\n  Say the same `tenfold corpus build` again.")
    name = [name for name in names if name != INDEX and not (which == "before" and name == CUT)][-1]
    stage = Stage(corpus / "documents" / name, _json(corpus, f"documents/{name}/stage.json"))
    return Training(corpus, which, stage, _held_out(corpus / "recipe.yaml"))


def _held_out(recipe: Path) -> float:
    try:
        return float(yaml.safe_load(recipe.read_text("utf-8")).get("tokens", {}).get("held_out", TokensConfig().held_out))
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise UserError(f"{recipe} cannot be read: {error}.\n  Say the same `tenfold corpus build` again.") from error


def _json(corpus: Path, name: str) -> dict:
    path = corpus / name
    if not path.exists():
        raise UserError(f"{corpus} is no corpus: it has no {name}.\n  Name a folder that `tenfold corpus build` wrote.")
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged: {error}.\n  Say the same `tenfold corpus build` again.") from error
