"""Does it copy? Runs of words of texts that are in the training corpus, by their length; and each text's longest, with its source.

Letters: N texts.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.corpus.documents import Progress
from tenfold.corpus.letters import PlacedWords, grams, placed_words
from tenfold.evaluate.good_text import estimate
from tenfold.evaluate.lookup import DOCUMENT, PART, ROW, Found, look_up, table_of
from tenfold.evaluate.overlap import in_context, longest
from tenfold.evaluate.training import Training

ORDERS = tuple(range(1, 17))
LONGER = (24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Further lengths that are looked up, to come close to the longest run before documents are read."""


def novelty(
    seen: Training, columns: Mapping[str, Sequence[str]], scratch: Path, workers: int = 1, progress: Progress | None = None
) -> dict[str, dict[str, Any]]:
    """For each column of texts: "new", a list by number of words 1 to 16 of the share of runs that no training document holds; "copied",
    the words of the longest run that one does, a mean over texts; and "runs", each text's longest with its document and surroundings.

    A text's longest run is looked for in the first three documents that hold any of its runs of the greatest of ORDERS and LONGER that
    is in the corpus: exact up to 16 words, above that it may be longer in a document after those three, by less than the step.
    """
    words = {name: placed_words(list(texts)) for name, texts in columns.items()}
    most = max((int(np.diff(each.starts).max(initial=0)) for each in words.values()), default=0)
    orders = [n for n in (*ORDERS, *LONGER) if n <= max(most, ORDERS[-1])]
    tables = {n: table_of([grams(each, n)[0] for each in words.values()]) for n in orders}
    found = look_up(seen, tables, scratch, workers, progress).found
    hashes = {n: table.hashes for n, table in tables.items()}
    runs = _longest(seen, columns, {name: _candidates(each, hashes, found) for name, each in words.items()})
    made: dict[str, dict[str, Any]] = {}
    for name, each in words.items():
        new = [estimate(_new(each, n, hashes[n], found[n])) for n in ORDERS]
        made[name] = {"new": new, "copied": estimate(np.array([run["words"] for run in runs[name]], float)), "runs": runs[name]}
    return made


def _new(words: PlacedWords, n: int, hashes: np.ndarray, found: Found) -> np.ndarray:
    """float64[N]: the share of each text's runs of `n` words that are in no training document."""
    own, first = grams(words, n)
    text = np.searchsorted(words.starts, first, "right") - 1
    new = found.documents[np.searchsorted(hashes, own)] == 0
    texts = len(words.starts) - 1
    return np.bincount(text, new, texts) / np.maximum(np.bincount(text, minlength=texts), 1)


def _candidates(words: PlacedWords, hashes: Mapping[int, np.ndarray], found: Mapping[int, Found]) -> list[set[tuple[int, int]]]:
    """For each text the (part, row) of documents that hold one of its longest runs that were looked up."""
    chosen: list[set[tuple[int, int]]] = [set() for _ in words.starts[:-1]]
    for n in sorted(hashes, reverse=True):
        own, first = grams(words, n)
        text = np.searchsorted(words.starts, first, "right") - 1
        rows = np.searchsorted(hashes[n], own)
        there = np.flatnonzero(found[n].documents[rows] > 0)
        before = [bool(each) for each in chosen]
        low, high = (np.searchsorted(found[n].places[:, ROW], rows[there], side) for side in ("left", "right"))
        exact = n + 1 in hashes and n < ORDERS[-1]  # no longer one is in the corpus, so that any document will do
        for place, begin, end in zip(there.tolist(), low.tolist(), high.tolist(), strict=True):
            if not before[text[place]] and not (exact and chosen[text[place]]):
                end = begin + 1 if exact else end
                chosen[text[place]] |= {(int(row[PART]), int(row[DOCUMENT])) for row in found[n].places[begin:end]}
        if all(chosen):
            break
    return chosen


def _longest(
    seen: Training, columns: Mapping[str, Sequence[str]], candidates: Mapping[str, list[set[tuple[int, int]]]]
) -> dict[str, list[dict[str, Any]]]:
    """Of each text, the longest run that it shares with one of its candidates, in its surroundings on both sides."""
    wanted: dict[int, dict[int, list[tuple[str, int]]]] = {}
    for name, chosen in candidates.items():
        for number, places in enumerate(chosen):
            for part_number, row in places:
                wanted.setdefault(part_number, {}).setdefault(row, []).append((name, number))
    best: dict[str, list[dict[str, Any]]] = {name: [{"words": 0} for _ in texts] for name, texts in columns.items()}
    for part in seen.stage.with_documents():
        if part.number not in wanted:
            continue
        for row, document in seen.documents(part, set(wanted[part.number])):
            other = placed_words([document["text"]])
            for name, number in wanted[part.number][row]:
                text = columns[name][number]
                own = placed_words([text])
                run = longest(own, other)
                if run and run.words > best[name][number]["words"]:
                    best[name][number] = {
                        "words": run.words,
                        "document": document["id"],
                        "source": document["source"],
                        "text": in_context(text, own, run.one, run.words),
                        "training": in_context(document["text"], other, run.other, run.words),
                    }
    return best
