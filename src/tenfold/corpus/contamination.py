"""The index of evaluation texts that training text is cleaned with and that an evaluation's clean and dirty parts are told by.

For each evaluation set the index holds the n-grams of its texts for the set's own n and for the n that training text is cut by (13),
and in how many training documents each was seen. Source: Brown et al. 2020, appendix C: a set's n is the length in words of the
example at the 5th percentile, but at least 8 and at most 13; an example is dirty where any of its n-grams is in the training text.

A gram is 64 bits of hash: among 10^8 grams of evaluation and 10^11 of training about half of one is taken for another.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.corpus.files import replacing
from tenfold.corpus.letters import PlacedWords, grams, placed_words
from tenfold.errors import UserError

VERSION = 1
CUT = 13
SHORTEST = 8
FILTER_BITS = 22


class GramTable:
    """The grams of one length, quick to ask about text that has none of them."""

    def __init__(self, hashes: np.ndarray, documents: np.ndarray):
        """`hashes` uint64[G], sorted and different; `documents` int64[G], in how many training documents each was seen."""
        self.hashes, self.documents = hashes, documents
        self._maybe = np.zeros(2**FILTER_BITS, bool)
        self._maybe[self._slots(hashes)] = True

    @staticmethod
    def _slots(hashes: np.ndarray) -> np.ndarray:
        return hashes >> np.uint64(64 - FILTER_BITS)

    def find(self, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(int64[F] which of `asked` are in the table, int64[F] the table's rows)."""
        near = np.flatnonzero(self._maybe[self._slots(asked)]) if len(self.hashes) else np.zeros(0, np.int64)
        row = np.minimum(np.searchsorted(self.hashes, asked[near]), len(self.hashes) - 1)
        there = self.hashes[row] == asked[near] if len(near) else np.zeros(0, bool)
        return near[there], row[there]


@dataclass(frozen=True)
class Index:
    """What evaluation sets say, in n-grams."""

    lengths: dict[str, int]
    """The n of each set, by its name."""
    tables: dict[int, GramTable]
    """The grams of all sets, by n. Those of `CUT` words are what training text is cut by."""


def build(evaluations: dict[str, list[str]]) -> Index:
    """The index of evaluation sets, each a list of texts; every gram still in no training document."""
    lengths, found = {}, {CUT: [np.zeros(0, np.uint64)]}
    for name, texts in sorted(evaluations.items()):
        words = placed_words(texts)
        lengths[name] = length_of(words)
        for n in {CUT, lengths[name]}:
            found.setdefault(n, []).append(grams(words, n)[0])
    hashes = {n: np.unique(np.concatenate(parts)) for n, parts in sorted(found.items())}
    return Index(lengths, {n: GramTable(each, np.zeros(len(each), np.int64)) for n, each in hashes.items()})


def length_of(words: PlacedWords, least: int = SHORTEST) -> int:
    """A set's n: the words of its example at the 5th percentile, at least 8 (of a synthetic task less) and at most 13 (appendix C). 13
    for a set without texts."""
    sizes = np.diff(words.starts)
    return int(np.clip(np.percentile(sizes, 5, method="lower"), least, CUT)) if len(sizes) else CUT


def counts(index: Index, texts: list[str]) -> dict[int, np.ndarray]:
    """For each n, int64[G]: in how many of these texts each gram stands. Add them up over a collection's parts, in any order."""
    words = placed_words(texts)
    return {n: _counted(table, words, n) for n, table in index.tables.items()}


def _counted(table: GramTable, words: PlacedWords, n: int) -> np.ndarray:
    hashes, first = grams(words, n)
    asked, rows = table.find(hashes)
    text = np.searchsorted(words.starts, first[asked], "right") - 1
    once = np.unique(np.stack([rows, text], 1), axis=0) if len(rows) else np.zeros((0, 2), np.int64)
    return np.bincount(once[:, 0], minlength=len(table.hashes))


def counted(index: Index, seen: dict[int, np.ndarray]) -> Index:
    """The index with the counts of a whole collection, as `counts` of its parts add up."""
    return Index(index.lengths, {n: GramTable(table.hashes, table.documents + seen[n]) for n, table in index.tables.items()})


def dirty(index: Index, name: str, texts: list[str]) -> np.ndarray:
    """bool[N]: which examples of the set `name` share an n-gram with a training document. Raises UserError for a set not indexed."""
    if name not in index.lengths:
        raise UserError(
            f"The contamination index has no set {name!r}; it has {', '.join(index.lengths) or 'none'}.\n  Build it with the set."
        )
    n = index.lengths[name]
    words = placed_words(texts)
    hashes, first = grams(words, n)
    asked, rows = index.tables[n].find(hashes)
    text = np.searchsorted(words.starts, first[asked[index.tables[n].documents[rows] > 0]], "right") - 1
    return np.bincount(text, minlength=len(texts)) > 0


def save(index: Index, path: Path) -> None:
    """Writes an .npz, whole or not at all."""
    about = {"version": VERSION, "kind": "tenfold contamination index", "lengths": index.lengths, "tables": list(index.tables)}
    arrays: dict[str, Any] = {f"hashes_{n}": table.hashes for n, table in index.tables.items()}
    arrays |= {f"documents_{n}": table.documents for n, table in index.tables.items()}
    with replacing(path) as file:
        np.savez_compressed(file, about=np.array(json.dumps(about)), **arrays)


def load(path: Path) -> Index:
    """The index of a file that `save` wrote. Raises UserError where there is none, or it is another thing or damaged."""
    mend = "Build the corpus again with its evaluation texts."
    if not path.is_file():
        raise UserError(f"There is no contamination index at {path}.\n  {mend}")
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            version, lengths = about["version"], {str(name): int(n) for name, n in about["lengths"].items()}
            tables = {int(n): GramTable(file[f"hashes_{n}"], file[f"documents_{n}"]) for n in about["tables"]}
    except Exception as error:  # zipfile, zlib, json and NumPy each have their own for bytes that are not theirs
        raise UserError(f"{path} is no contamination index, or is damaged ({error}).\n  {mend}") from error
    if version != VERSION:
        raise UserError(f"{path} is a contamination index of version {version}, and this release reads {VERSION}.\n  {mend}")
    return Index(lengths, tables)
