"""A corpus's last stage: its documents as token shards, by source, part by part in the engine's workers.

OUT/shards/
    common_crawl/train, common_crawl/held_out    shards, a part of the documents each
    made.json                                    what they were made from
"""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tenfold.corpus.documents import Document, Progress, is_held_out
from tenfold.corpus.engine.frames import Engine, read_parts
from tenfold.corpus.engine.stop import clean_stop
from tenfold.corpus.engine.store import Stage, batches
from tenfold.corpus.files import fingerprint, write_atomically
from tenfold.corpus.recipe import CorpusRecipe
from tenfold.errors import UserError
from tenfold.tokens.prepare import SAMPLE_BYTES, sample
from tenfold.tokens.shard import INDEX, ShardNames, ShardWriter
from tenfold.tokens.shards import DTYPES, VERSION, dtype_for, encoded, is_shards
from tenfold.tokens.tokenizer import Tokenizer, train_tokenizer

if TYPE_CHECKING:
    import pyarrow as pa

PARTS = "parts"
COLUMNS = ("id", "source", "meta", "text", "part")
FORMAT = 1


def tokenise(
    recipe: CorpusRecipe, documents: Stage, out: Path, engine: Engine, progress: Progress | None = None
) -> dict[str, dict[str, int]]:
    """Writes OUT/shards and OUT/tokenizer.json. Returns {source: {"documents", "tokens", "bytes"}} of what may be trained on.

    Shards that were made from the same documents and settings are used again; parts of them that a killed build left, too.
    Raises UserError where there are no documents, or the tokenizer cannot be used.
    """
    if not documents.count("kept")["documents"]:
        raise UserError(f"No document is left to tokenise.\n  See why in {out / 'report.html'}, and change the recipe.")
    with clean_stop(out):
        engine.start()
        tokenizer = _tokenizer(recipe, documents, out, engine)
        made_from = fingerprint(FORMAT, documents.fingerprint, tokenizer.fingerprint, recipe.tokens.held_out)
        place = out / "shards"
        if _read_json(place / "made.json").get("made_from") != made_from:
            _make(recipe, documents, place, tokenizer, engine, made_from, progress)
        tokenizer.save(out)
    return _read_json(place / "made.json")["train"]


def _tokenizer(recipe: CorpusRecipe, documents: Stage, out: Path, engine: Engine) -> Tokenizer:
    """The recipe's tokenizer, else a new one; that of a build before this one is used again if it was trained on the same."""
    if recipe.tokens.tokenizer:
        return Tokenizer.load(recipe.tokens.tokenizer)
    made_from = fingerprint(FORMAT, documents.fingerprint, recipe.tokens.vocab, SAMPLE_BYTES)
    note = out / "tokenizer.made_from"
    if note.exists() and note.read_text("utf-8") == made_from and (out / "tokenizer.json").exists():
        return Tokenizer.load(out)
    tokenizer = train_tokenizer(_sample(documents), recipe.tokens.vocab)
    tokenizer.save(out)
    write_atomically(note, made_from)
    return tokenizer


def _sample(documents: Stage) -> list[str]:
    """About SAMPLE_BYTES of training text: the documents with the smallest last digits of their ids, whatever the source."""
    import daft

    share = min(1.0, 2 * SAMPLE_BYTES / documents.count("kept")["bytes"])
    largest = f"{round(share * (16**8 - 1)):08x}"
    parts = documents.with_documents()
    frame = read_parts(documents, parts).select("id", "text")
    chosen = frame.where(daft.col("id").substr(8, 8) <= largest).to_pydict()
    rows = [Document(id, text, "") for id, text in zip(chosen["id"], chosen["text"], strict=True)]
    return sample([row for row in rows if not is_held_out(row.id)] or rows)


def _make(
    recipe: CorpusRecipe, documents: Stage, place: Path, tokenizer: Tokenizer, engine: Engine, made_from: str, progress: Progress | None
) -> None:
    partial = place.with_name(f".{place.name}.partial")
    mark = partial / "made_from"
    if not mark.exists() or mark.read_text("utf-8") != made_from:
        shutil.rmtree(partial, ignore_errors=True)
        write_atomically(mark, made_from)
    done = {path.stem for path in (partial / "notes").glob("*.json")}
    todo = [part for part in documents.with_documents() if part.name not in done]

    parts = {part.number: part for part in todo}

    def write(number: int) -> int:
        return _write_part(partial, documents.table(parts[number], COLUMNS), tokenizer, recipe.tokens.held_out)

    one = replace(engine, workers=1) if engine.name == "native" else engine  # the tokenizer takes all cores by itself
    for batch in batches(todo, recipe.work.batch_bytes):
        one.each(write, [part.number for part in batch])
        if progress:
            progress("tokenising", sum(part.documents for part in batch), None)
    _finish(partial, place, tokenizer, made_from)


def _write_part(directory: Path, table: "pa.Table", tokenizer: Tokenizer, held_out: float) -> int:
    """The shards of one part: one for each source and split that has documents in it. Returns its documents."""
    part = table["part"][0].as_py()
    names = ShardNames.of(part)
    writers: dict[tuple[str, str], ShardWriter] = {}
    documents = (_document(row) for batch in table.to_batches(max_chunksize=1024) for row in batch.to_pylist())
    for (document, source), ids in _encoded(documents, tokenizer):
        key = (source, "held_out" if is_held_out(document.id, held_out) else "train")
        if key not in writers:
            place = directory / source / key[1] / PARTS
            place.mkdir(parents=True, exist_ok=True)
            writers[key] = ShardWriter(place, names)
        writers[key].add(document, ids)
    entries = [{"source": source, "split": split, "entry": writer.close()} for (source, split), writer in sorted(writers.items())]
    write_atomically(directory / "notes" / f"{part:05}.json", json.dumps(entries))
    return table.num_rows


def _encoded(rows, tokenizer: Tokenizer):
    """((document, source), ids) of each row; sources travel beside the documents in the order in which they are encoded."""
    sources: list[str] = []

    def documents():
        for document, source in rows:
            sources.append(source)
            yield document

    for number, (document, ids) in enumerate(encoded(documents(), tokenizer, DTYPES[dtype_for(tokenizer)])):
        yield (document, sources[number]), ids


def _document(row: dict) -> tuple[Document, str]:
    meta = json.loads(row["meta"] or "{}")
    return Document(row["id"], row["text"], f"{meta.get('file', row['source'])}:{meta.get('offset', 0)}"), row["source"]


def _finish(partial: Path, place: Path, tokenizer: Tokenizer, made_from: str) -> None:
    """Numbers the shards of each source and split from 0, writes their indexes, and puts the folder in its place."""
    found: dict[tuple[str, str], list[dict]] = {}
    for path in sorted((partial / "notes").glob("*.json")):
        for note in _read_list(path):
            found.setdefault((note["source"], note["split"]), []).append(note["entry"])
    train = {}
    for (source, split), entries in sorted(found.items()):
        counts = _index(partial / source / split, entries, tokenizer)
        if split == "train":
            train[source] = counts
    write_atomically(partial / "made.json", json.dumps({"made_from": made_from, "train": train}, indent=1) + "\n")
    shutil.rmtree(partial / "notes")
    (partial / "made_from").unlink()
    shutil.rmtree(place, ignore_errors=True)
    os.replace(partial, place)


def _index(directory: Path, entries: list[dict], tokenizer: Tokenizer) -> dict[str, int]:
    """Writes the index of a directory of shards, whose files get the numbers from 0 on. Returns the sums of its counts."""
    shards = [_numbered(directory, entry, number) for number, entry in enumerate(entries)]
    sums = {count: sum(entry[count] for entry in shards) for count in ("tokens", "documents", "bytes")}
    index = {"version": VERSION, "dtype": dtype_for(tokenizer), "tokenizer": tokenizer.fingerprint, "vocab": tokenizer.vocab, **sums}
    shutil.rmtree(directory / PARTS, ignore_errors=True)
    tokenizer.save(directory)
    write_atomically(directory / INDEX, json.dumps({**index, "shards": shards}, indent=1) + "\n")
    assert is_shards(directory)
    return sums


def _numbered(directory: Path, entry: dict, number: int) -> dict:
    """A shard's entry with its files moved up and called by another number. A build killed in between may have moved some."""
    old, new = ShardNames.of(int(entry["file"].split(".")[0])), ShardNames.of(number)
    for before, after in zip(old, new, strict=True):
        if (directory / PARTS / before).exists():
            os.replace(directory / PARTS / before, directory / after)
    renamed = {field: {after: entry[field][before] for before, after in zip(old, new, strict=True)} for field in ("sizes", "sha256")}
    return {**entry, **renamed, "file": new.tokens}


def _read_json(path: Path) -> dict:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _read_list(path: Path) -> list[dict]:
    return list(json.loads(path.read_text("utf-8")))
