"""Runs of words looked up in every training document of a corpus, through the tables of the corpus build's own index.

A part of the corpus is read in a worker, a few megabytes of text at a time. What a part gave is a file, so that a search which was
stopped goes on after its last part. Memory depends on the grams that are asked for, and not on the corpus.

Letters: G grams of a table, P places.
"""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tenfold.corpus.contamination import GramTable
from tenfold.corpus.documents import Progress
from tenfold.corpus.engine.frames import Engine
from tenfold.corpus.engine.store import Part
from tenfold.corpus.files import fingerprint, replacing, write_atomically
from tenfold.corpus.letters import PlacedWords, grams, placed_words
from tenfold.evaluate.training import Training

VERSION = 2  # of the files under scratch
FIRST = 3
"""Documents remembered of each gram."""
AT_ONCE = 8  # parts for each worker between two reports of progress
ROW, PART, DOCUMENT = range(3)
"""Columns of places: the gram's row in its table, the part's number, the document's row in the part."""


class Found(NamedTuple):
    """What the corpus holds of one table."""

    documents: np.ndarray
    """int64[G], in how many training documents each gram stands."""
    places: np.ndarray
    """int64[P, 3], sorted: the first FIRST documents of every gram."""


class Search(NamedTuple):
    """A whole search."""

    found: dict[int, Found]
    """By the number of words."""
    documents: int
    """Training documents that were looked through."""
    letters: int
    """Of their text."""


def table_of(hashes: list[np.ndarray]) -> GramTable:
    """A table of the grams in these arrays, each once."""
    different = np.unique(np.concatenate([np.zeros(0, np.uint64), *hashes]))
    return GramTable(different, np.zeros(len(different), np.int64))


def look_up(seen: Training, tables: dict[int, GramTable], scratch: Path, workers: int = 1, progress: Progress | None = None) -> Search:
    """Every gram of each table (by its number of words) looked up in all training documents.

    What the parts gave stays under `scratch` until `forget`: a call with the same tables and documents goes on from there.
    """
    _begin(
        scratch, fingerprint(VERSION, seen.stage.fingerprint, seen.held_out, [[n, _printed(table)] for n, table in sorted(tables.items())])
    )
    parts = {part.number: part for part in seen.stage.with_documents()}

    def work(number: int) -> int:
        return _look_in(seen, parts[number], tables, _file(scratch, number))

    todo = [part for part in parts.values() if not _file(scratch, part.number).exists()]
    in_parts(work, todo, workers, progress, "looking up")
    files = [_file(scratch, number) for number in sorted(parts)]
    read = sum((_read(path) for path in files), np.zeros(2, np.int64))
    return Search({n: _joined(n, len(table.hashes), files) for n, table in tables.items()}, int(read[0]), int(read[1]))


def in_parts(work: Callable[[int], int], parts: list[Part], workers: int, progress: Progress | None = None, what: str = "") -> None:
    """Calls work(number) for each part in the workers."""
    engine = Engine("native", workers).worth(sum(part.bytes for part in parts))
    for at in range(0, len(parts), AT_ONCE * workers):
        batch = parts[at : at + AT_ONCE * workers]
        engine.start().each(work, [part.number for part in batch])
        if progress:
            progress(what, at + len(batch), len(parts))


def forget(scratch: Path) -> None:
    """Removes what searches left."""
    shutil.rmtree(scratch, ignore_errors=True)


def _begin(scratch: Path, made_from: str) -> None:
    mark = scratch / "made_from"
    if not mark.exists() or mark.read_text("utf-8") != made_from:
        forget(scratch)
        write_atomically(mark, made_from)


def _file(scratch: Path, number: int) -> Path:
    return scratch / f"{number:05}.npz"


def _printed(table: GramTable) -> str:
    return hashlib.blake2b(table.hashes.tobytes(), digest_size=8).hexdigest()


def _look_in(seen: Training, part: Part, tables: dict[int, GramTable], path: Path) -> int:
    """Writes what one part holds of the tables. Returns its number of training documents."""
    counts = {n: np.zeros(len(table.hashes), np.int32) for n, table in tables.items()}
    places = {n: np.zeros((0, 3), np.int64) for n in tables}
    read = np.zeros(2, np.int64)
    for rows, texts in seen.slices(part):
        words = placed_words(texts)
        for n, table in tables.items():
            found = _once_a_document(table, words, n)
            counts[n] += np.bincount(found[:, 0], minlength=len(table.hashes)).astype(np.int32)
            here = np.stack([found[:, 0], np.full(len(found), part.number), np.array(rows, np.int64)[found[:, 1]]], 1)
            places[n] = _first(np.concatenate([places[n], here]))
        read += (len(texts), sum(map(len, texts)))
    arrays: dict[str, Any] = {"read": read} | {f"places_{n}": each for n, each in places.items()}
    for n, count in counts.items():
        arrays |= {f"rows_{n}": np.flatnonzero(count), f"counts_{n}": count[count > 0]}
    with replacing(path) as file:
        np.savez(file, allow_pickle=False, **arrays)
    return int(read[0])


def _read(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as part:
        return part["read"]


def _once_a_document(table: GramTable, words: PlacedWords, n: int) -> np.ndarray:
    """int64[P, 2]: (the table's row, the text's number) for each gram that stands in a text, once."""
    hashes, first = grams(words, n)
    asked, rows = table.find(hashes)
    text = np.searchsorted(words.starts, first[asked], "right") - 1
    return np.stack(np.divmod(np.unique(rows * len(words.starts) + text), len(words.starts)), 1)


def _first(places: np.ndarray) -> np.ndarray:
    """The places of each gram's first FIRST documents, sorted."""
    places = places[np.lexsort(places.T[::-1])]
    starts = np.flatnonzero(np.diff(places[:, ROW], prepend=-1))
    rank = np.arange(len(places)) - np.repeat(starts, np.diff(np.append(starts, len(places))))
    return places[rank < FIRST]


def _joined(n: int, size: int, files: list[Path]) -> Found:
    documents, places = np.zeros(size, np.int64), np.zeros((0, 3), np.int64)
    for path in files:
        with np.load(path, allow_pickle=False) as part:
            documents[part[f"rows_{n}"]] += part[f"counts_{n}"]
            places = _first(np.concatenate([places, part[f"places_{n}"]]))
    return Found(documents, places)
