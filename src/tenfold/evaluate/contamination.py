"""Which items of evaluation tasks were in the training text: every item dirty or clean, and where, in context.

Source: Brown et al. 2020, section 4 and appendix C: an item is dirty where N words of it in a row, whatever their case and punctuation,
are in any training document; N is the task's own (items.py). Exact but for the hashes of 64 bits.

OUT/items.jsonl     a line an item: task, id, n, dirty, how many of its grams are, the first documents that hold any, each in context
    result.json     the counts by task, and the scores on all, dirty and clean items of every result that was given
    contamination.html
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tenfold.corpus.documents import Progress
from tenfold.corpus.engine.stop import clean_stop
from tenfold.corpus.engine.store import Part
from tenfold.corpus.files import one_process, replacing, write_atomically
from tenfold.corpus.letters import placed_words
from tenfold.errors import UserError
from tenfold.evaluate.clean_scores import results_of, scores
from tenfold.evaluate.items import Grams, Item, ItemSet, grams_of, task_items
from tenfold.evaluate.lookup import DOCUMENT, FIRST, PART, ROW, Found, Search, forget, in_parts, look_up, table_of
from tenfold.evaluate.overlap import Looked, in_context, longest_from
from tenfold.evaluate.training import Training, Which, training
from tenfold.report.contamination import contamination_page

SCRATCH = ".looking-up"
ITEMS, RESULT, PAGE = "items.jsonl", "result.json", "contamination.html"


@dataclass(frozen=True)
class ContaminationSettings:
    """How the corpus is looked through."""

    documents: Which = "seen"
    """seen: what training saw. before: the same before evaluation texts were cut out of it, if the corpus was built so."""
    n: int = 0
    """Words in a row that make an item dirty, the same for every task; 0: each task's own, as in the paper."""
    workers: int = 2
    """Processes. The result is the same for any number."""

    def __post_init__(self):
        if self.workers < 1:
            raise UserError(f"workers is {self.workers}, but must be 1 or more.")


class Place(NamedTuple):
    """A training document, by where it is."""

    part: int
    row: int


@dataclass
class Finding:
    """What was found of one item."""

    grams: int = 0
    """Different runs of N words that it has."""
    dirty_grams: int = 0
    """Those that are in a training document."""
    documents: int = 0
    """In how many documents the commonest of them is."""
    places: list[Place] = field(default_factory=list)
    """The first documents that hold one, at most FIRST."""

    @property
    def dirty(self) -> bool:
        return self.dirty_grams > 0


def run(
    corpus: Path,
    tasks: Sequence[str],
    data: Sequence[Path] = (),
    results: Sequence[Path] = (),
    out: Path | None = None,
    settings: ContaminationSettings | None = None,
    progress: Progress | None = None,
) -> Path:
    """Looks for every item of the tasks in a built corpus. Returns the page, which is in `out` (default: CORPUS/contamination).

    `data` are the folders where tasks find their items; `results` what `tenfold eval` wrote: runs, folders or single results. A search
    that was stopped goes on where it was. Raises UserError for what is no finished corpus, no task, or no result of these tasks.
    """
    settings = settings or ContaminationSettings()
    sets = [task_items(name, data, settings.n) for name in dict.fromkeys(tasks)]
    return write(corpus, sets, results, out or corpus / "contamination", settings, progress)


def write(
    corpus: Path,
    sets: Sequence[ItemSet],
    results: Sequence[Path],
    out: Path,
    settings: ContaminationSettings,
    progress: Progress | None = None,
) -> Path:
    """The same for items that are given, whose names are different."""
    began = time.perf_counter()
    seen = training(corpus, settings.documents)
    results_of(results, {each.name: {item.id for item in each.items} for each in sets})
    with clean_stop(out), one_process(out):
        search, found = find(seen, sets, out / SCRATCH, settings.workers, progress)
        shown = overlaps(seen, sets, found, out / SCRATCH / "shown", settings.workers, progress)
        rows = [row for each in sets for row in _rows(each, found[each.name], shown)]
        dirty = {each.name: {row["id"]: row["dirty"] for row in rows if row["task"] == each.name} for each in sets}
        result = {
            "corpus": seen.about() | {"documents": search.documents, "letters": search.letters},
            "tasks": sorted((_counts(each, found[each.name]) for each in sets), key=lambda row: (row["clean_share"], row["task"])),
            "scores": scores(results, dirty),
            "seconds": round(time.perf_counter() - began, 3),
        }
        with replacing(out / ITEMS) as file:
            file.writelines((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "replace") for row in rows)
        write_atomically(out / RESULT, json.dumps(result, indent=1) + "\n")
        forget(out / SCRATCH)
        return contamination_page(out / PAGE, result, rows)


def _counts(each: ItemSet, found: Sequence[Finding]) -> dict[str, Any]:
    dirty = sum(finding.dirty for finding in found)
    return {
        "task": each.name,
        "n": each.n,
        "items": len(found),
        "dirty": dirty,
        "clean": len(found) - dirty,
        "clean_share": (len(found) - dirty) / len(found),
        "whole": len(each.short),
    }


def _rows(each: ItemSet, found: Sequence[Finding], shown: Mapping[tuple[str, str], list[dict]]) -> Iterator[dict[str, Any]]:
    for number, (item, finding) in enumerate(zip(each.items, found, strict=True)):
        yield {
            "task": each.name,
            "id": item.id,
            "dirty": finding.dirty,
            "n": each.n,
            "whole": number in each.short,
            "grams": finding.grams,
            "dirty_grams": finding.dirty_grams,
            "documents": finding.documents,
            "overlaps": shown.get((each.name, item.id), []),
        }


def find(
    seen: Training, sets: Sequence[ItemSet], scratch: Path, workers: int = 1, progress: Progress | None = None
) -> tuple[Search, dict[str, list[Finding]]]:
    """The search, and for each task a finding for each of its items in their order."""
    asked = {each.name: grams_of(each) for each in sets}
    lengths = sorted({n for grams in asked.values() for n in grams})
    tables = {n: table_of([grams[n].hashes for grams in asked.values() if n in grams]) for n in lengths}
    search = look_up(seen, tables, scratch / "grams", workers, progress)
    made = {}
    for each in sets:
        made[each.name] = [Finding() for _ in each.items]
        for n, grams in asked[each.name].items():
            _note(made[each.name], grams, np.searchsorted(tables[n].hashes, grams.hashes), search.found[n])
    return search, made


def _note(findings: list[Finding], grams: Grams, rows: np.ndarray, found: Found) -> None:
    """Adds to the findings what was found of these grams, whose rows in the table are `rows`."""
    for item, count in zip(*np.unique(grams.item, return_counts=True), strict=True):
        findings[item].grams += int(count)
    low, high = (np.searchsorted(found.places[:, ROW], rows, side) for side in ("left", "right"))
    for number in np.flatnonzero(found.documents[rows]).tolist():
        finding = findings[grams.item[number]]
        here = found.places[low[number] : high[number]]
        places = {Place(int(place[PART]), int(place[DOCUMENT])) for place in here} | set(finding.places)
        finding.places = sorted(places)[:FIRST]
        finding.dirty_grams += 1
        finding.documents = max(finding.documents, int(found.documents[rows[number]]))


def overlaps(
    seen: Training,
    sets: Sequence[ItemSet],
    found: Mapping[str, list[Finding]],
    scratch: Path,
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[tuple[str, str], list[dict]]:
    """{(task, item's id): what it shares with each of its documents}: the longest run of words, in its surroundings on both sides."""
    wanted: dict[int, dict[int, list[tuple[ItemSet, Item]]]] = {}
    for each in sets:
        for item, finding in zip(each.items, found[each.name], strict=True):
            for place in finding.places:
                wanted.setdefault(place.part, {}).setdefault(place.row, []).append((each, item))
    parts = {part.number: part for part in seen.stage.with_documents() if part.number in wanted}

    def work(number: int) -> int:
        rows = list(_shown(seen, parts[number], wanted[number]))
        write_atomically(scratch / f"{number:05}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        return len(rows)

    in_parts(work, list(parts.values()), workers, progress, "showing")
    made: dict[tuple[str, str], list[dict]] = {}
    for number in sorted(parts):
        for line in (scratch / f"{number:05}.jsonl").read_text("utf-8").splitlines():
            row = json.loads(line)
            made.setdefault((row["task"], row["item"]), []).append(row["overlap"])
    return made


def _shown(seen: Training, part: Part, wanted: Mapping[int, list[tuple[ItemSet, Item]]]) -> Iterator[dict]:
    for row, document in seen.documents(part, set(wanted)):
        looked = Looked(document["text"])
        for each, item in wanted[row]:
            overlap = _overlap(each.n, item, document, looked)
            if overlap:
                yield {"task": each.name, "item": item.id, "overlap": overlap}


def _overlap(n: int, item: Item, document: dict, looked: Looked) -> dict | None:
    """The longest run that any of an item's texts shares with a document; of several as long, that of its first text."""
    own = placed_words(list(item.texts))
    sizes = np.diff(own.starts)
    best, text = None, 0
    for number, size in enumerate(sizes.tolist()):
        run = longest_from(own, number, looked, min(size, n)) if size else None
        if run and (best is None or run.words > best.words):
            best, text = run, number
    if best is None:
        return None
    meta = json.loads(document["meta"] or "{}")
    return {
        "document": document["id"],
        "source": document["source"],
        "url": document["url"] or "",
        "file": str(meta.get("file", "")),
        "words": best.words,
        "item": in_context(item.texts[text], own, int(own.starts[text]) + best.one, best.words),
        "training": in_context(document["text"], looked.words, best.other, best.words),
    }
