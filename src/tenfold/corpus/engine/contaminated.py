"""Stage 6: evaluation texts out of training texts. A piece of a document that was cut keeps the first half of its id."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tenfold.corpus import contamination
from tenfold.corpus.decontaminate import Cut, cut
from tenfold.corpus.documents import document_id
from tenfold.corpus.engine.frames import Engine, each_part, read_parts, struct, unpacked, write_parts
from tenfold.corpus.engine.store import Partial, Stage, batches
from tenfold.corpus.files import replacing
from tenfold.corpus.readers import is_lines
from tenfold.corpus.recipe import CorpusRecipe
from tenfold.corpus.record import Limits, Record, Refused
from tenfold.corpus.sources.registry import read, read_files
from tenfold.corpus.sources.texts import lines
from tenfold.errors import UserError

if TYPE_CHECKING:
    import daft
    import pyarrow as pa

INDEX = "contamination.npz"
LONGEST_LINE = 10_000_000  # bytes of an example


def evaluation_texts(paths: tuple[str, ...]) -> dict[str, list[str]]:
    """The texts of each evaluation set, by its name. Of a line of JSON: its "text", or where it has none all strings in it.

    Raises UserError where a set holds none, or two have one name.
    """
    found: dict[str, list[str]] = {}
    for path in paths:
        name = Path(path).name.split(".")[0]
        texts = [text for file in read_files("files", path) for text in _texts_of(file) if text.strip()]
        if not texts:
            raise UserError(f"decontaminate.paths names {path!r}, which holds no text.\n  Name .jsonl, .parquet or text files.")
        if name in found:
            raise UserError(f"decontaminate.paths names two sets {name!r}.\n  Rename one of the files, or put both into one folder.")
        found[name] = texts
    return found


def _texts_of(file: str) -> list[str]:
    if is_lines(Path(file)):
        return [_example(line[1]) for line in lines(file, "evaluation", file, LONGEST_LINE) if not isinstance(line, Refused)]
    return [each.text for each in read("files", file, "evaluation", Limits()) if isinstance(each, Record)]


def _example(line: bytes) -> str:
    """Question, choices and answer, under whatever names a set has for them."""
    try:
        item = json.loads(line.decode("utf-8-sig"))
        return item["text"] if isinstance(item, dict) and isinstance(item.get("text"), str) else "\n".join(_strings(item))
    except (ValueError, RecursionError):
        return ""


def _strings(item: object) -> Iterator[str]:
    if isinstance(item, str):
        yield item
    elif isinstance(item, dict | list):
        for each in item.values() if isinstance(item, dict) else item:
            yield from _strings(each)


def decontaminate_stage(engine: Engine, recipe: CorpusRecipe, before: Stage, stage: Partial) -> dict:
    """Counts in how many documents each gram of the evaluation sets stands, keeps that index, then cuts."""
    index = _counted(engine, recipe, before, stage)
    rule = recipe.decontaminate.rule

    def work(ids: list[str], texts: list[str]) -> list[list[dict]]:
        return [_rows(id, text, found) for id, text, found in zip(ids, texts, cut(index, texts, rule), strict=True)]

    done = stage.done()
    for batch in batches([part for part in before.with_documents() if part.name not in done], recipe.work.batch_bytes):
        write_parts(_cut(engine, read_parts(before, batch), work), stage.directory)
    return {"ranges": before.index["ranges"]}


def _cut(engine: Engine, frame: "daft.DataFrame", work) -> "daft.DataFrame":
    import daft

    text, names = daft.DataType.string(), ["id", "text", "reason", "other"]
    type = daft.DataType.list(struct(id=text, text=text, reason=text, other=text))
    frame = frame.with_column("_rows", engine.apply(work, ["id", "text"], type)).explode("_rows")
    return unpacked(frame, "_rows", names)


def _rows(id: str, text: str, found: Cut) -> list[dict]:
    """What becomes of one document: itself, or its pieces and a row that says what was cut out of it."""
    if not found.reason:
        return [{"id": id, "text": text, "reason": "", "other": ""}]
    pieces = [{"id": piece_id(id, piece), "text": piece, "reason": "", "other": ""} for piece in found.pieces]
    removed = "\n".join(text[begin:end] for begin, end in found.removed) if pieces else text
    return [*pieces, {"id": id, "text": removed, "reason": found.reason, "other": " ".join(piece["id"] for piece in pieces)}]


def piece_id(id: str, piece: str) -> str:
    """The id of a piece: it sorts beside the whole, and falls on the same side of the held-out split."""
    return id[:8] + document_id(piece)[:8]


def _counted(engine: Engine, recipe: CorpusRecipe, before: Stage, stage: Partial) -> contamination.Index:
    """The index with its counts over the whole collection, kept beside the documents for evaluations to use."""
    place = stage.directory / INDEX
    if place.exists():
        return contamination.load(place)
    index = contamination.build(evaluation_texts(recipe.decontaminate.paths))
    scratch = stage.directory / "scratch-counts"

    def count(table: "pa.Table") -> None:
        seen = contamination.counts(index, table["text"].to_pylist())
        with replacing(scratch / f"{table['part'][0].as_py():05}.npz") as file:
            np.savez(file, allow_pickle=False, **{str(n): each for n, each in seen.items()})

    todo = [part for part in before.with_documents() if not (scratch / f"{part.name}.npz").exists()]
    for batch in batches(todo, recipe.work.batch_bytes):
        each_part(read_parts(before, batch).select("text", "part"), count)
    total = {n: np.zeros(len(table.hashes), np.int64) for n, table in index.tables.items()}
    for part in before.with_documents():
        with np.load(scratch / f"{part.name}.npz", allow_pickle=False) as seen:
            for n in total:
                total[n] += seen[str(n)]
    index = contamination.counted(index, total)
    contamination.save(index, place)
    return index
