"""A finished stage on disk: Parquet parts with checksums, counts by source and reason, samples. Whole or absent.

OUT/documents/3-rules/
    kept/00000.parquet      documents, sorted by id: id, source, url, text, timestamp, meta, part
    dropped/00000.parquet   what was not kept: id, source, file, offset, reason, bytes, other (a twin, a score), text (its beginning)
    notes/00000.json        counts, samples and checksums of that part
    stage.json              the parts, and their counts added up; seconds.json beside it, how long it took

A stage in the making has a folder `.3-rules.partial` instead; each part in it is whole or absent, so that a build which was killed
goes on after its last part.
"""

import hashlib
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenfold.corpus.files import replacing, sweep, write_atomically
from tenfold.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

TIMING = "seconds.json"
SAMPLES = 5
SAMPLE_LETTERS = 600
ROW_GROUP = 1024
DOCUMENT = ("id", "source", "url", "text", "timestamp", "meta", "part")
DROPPED = ("id", "source", "file", "offset", "reason", "bytes", "other", "text")
REPEATED = {"source", "reason", "file"}
WHOLE_NUMBERS = {"part", "offset", "bytes", "row"}


def write_parquet(path: Path, table: "pa.Table") -> dict:
    """Writes a table, whole or not at all. Returns {"bytes", "sha256"} of the file.

    The same rows give the same bytes: one writer, one level of compression, row groups of one size.
    """
    import pyarrow.parquet as pq

    data = io.BytesIO()
    pq.write_table(
        table,
        data,
        compression="zstd",
        compression_level=1,
        row_group_size=ROW_GROUP,
        use_dictionary=[name for name in table.column_names if name in REPEATED],
    )
    with replacing(path) as file:
        file.write(data.getbuffer())
    return {"bytes": data.getbuffer().nbytes, "sha256": hashlib.sha256(data.getbuffer()).hexdigest()}


def table_of(columns: dict[str, Any]) -> "pa.Table":
    """Columns of lists or Arrow arrays as a table of the types that our files have: int64 and large_string."""
    import pyarrow as pa

    made = {}
    for name, values in columns.items():
        type = pa.int64() if name in WHOLE_NUMBERS else pa.large_string()
        made[name] = values.cast(type) if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, type)
    return pa.table(made)


@dataclass(frozen=True)
class Part:
    """One part of a stage, as its note says."""

    name: str
    """Such as "00012": the names of its files."""
    note: dict

    @property
    def number(self) -> int:
        """Of a part that is a range of ids."""
        return int(self.name)

    @property
    def documents(self) -> int:
        return sum(count["documents"] for count in self.note["kept"].values())

    @property
    def bytes(self) -> int:
        return sum(count["bytes"] for count in self.note["kept"].values())


class Stage:
    """A finished stage. Opened by `Stage.open`."""

    def __init__(self, directory: Path, index: dict):
        self.directory, self.index = directory, index
        self.parts = [Part(note["part"], note) for note in index["parts"]]

    @classmethod
    def open(cls, directory: Path, made_from: str) -> "Stage | None":
        """The stage in a folder, if it is there, was made from this, and its files are as long as it says; else None."""
        try:
            index = json.loads((directory / "stage.json").read_text("utf-8"))
            whole = all(_is_whole(directory, note) for note in index["parts"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return cls(directory, index) if whole and index["made_from"] == made_from else None

    @cached_property
    def fingerprint(self) -> str:
        """Of every byte of every part."""
        sums = [[name, file["sha256"]] for part in self.parts for name, file in sorted(part.note["files"].items())]
        return hashlib.sha256(json.dumps(sums).encode()).hexdigest()[:16]

    @property
    def seconds(self) -> float:
        """How long it took. Beside the index, which is the same on any machine."""
        return float(json.loads((self.directory / TIMING).read_text("utf-8"))["seconds"])

    def kept(self, part: Part) -> Path:
        return self.directory / "kept" / f"{part.name}.parquet"

    def table(self, part: Part, columns: Sequence[str] | None = None) -> "pa.Table":
        """The documents of a part, sorted by id. Raises UserError where the file is not what its checksum says."""
        import pyarrow as pa

        return pa.Table.from_batches(self.batches(part, columns))

    def batches(self, part: Part, columns: Sequence[str] | None = None) -> Iterator["pa.RecordBatch"]:
        """The same, a few at a time."""
        import pyarrow.parquet as pq

        self.verify([part])
        with pq.ParquetFile(self.kept(part)) as file:
            yield from file.iter_batches(ROW_GROUP, columns=list(columns) if columns else None)

    def with_documents(self) -> list[Part]:
        """The parts that hold any."""
        return [part for part in self.parts if part.documents]

    def verify(self, parts: Iterable[Part]) -> None:
        """Raises UserError naming the first file of these parts' documents whose sha256 is not that of its note."""
        for part in parts:
            path = self.kept(part)
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != part.note["files"][f"kept/{part.name}.parquet"]["sha256"]:
                raise UserError(
                    f"{path} is damaged: its sha256 is {found[:16]}...\n  Remove {self.directory} and say the same command again."
                )

    def count(self, kind: str) -> dict[str, int]:
        """{"documents", "bytes"} of what was kept, or dropped, in all."""
        groups = self.index[kind].values()
        counts = groups if kind == "kept" else [count for reasons in groups for count in reasons.values()]
        return added(counts)


class Partial:
    """A stage in the making."""

    def __init__(self, directory: Path, made_from: str):
        """What was made of it before is kept if it was made from the same."""
        self.final, self.made_from = directory, made_from
        self.directory = directory.with_name(f".{directory.name}.partial")
        mark = self.directory / "made_from"
        if not mark.exists() or mark.read_text("utf-8") != made_from:
            shutil.rmtree(self.directory, ignore_errors=True)
            write_atomically(mark, made_from)

    def done(self) -> dict[str, Part]:
        """The parts that are there and whole, by name."""
        found = {}
        for path in sorted((self.directory / "notes").glob("*.json")):
            note = json.loads(path.read_text("utf-8"))
            if _is_whole(self.directory, note):
                found[note["part"]] = Part(note["part"], note)
        return found

    def finish(self, about: dict, seconds: float) -> Stage:
        """All parts are there: says so in stage.json, and puts the folder in its place."""
        notes = [part.note for part in self.done().values()]
        index = {"made_from": self.made_from, **about, **summed(notes), "parts": [{**note, "samples": {}} for note in notes]}
        write_atomically(self.directory / "stage.json", json.dumps(index, indent=1, ensure_ascii=False) + "\n")
        write_atomically(self.directory / TIMING, json.dumps({"seconds": round(seconds, 3)}) + "\n")
        (self.directory / "made_from").unlink()
        for scratch in self.directory.glob("scratch-*"):
            shutil.rmtree(scratch)
        sweep(self.directory)
        shutil.rmtree(self.final, ignore_errors=True)
        os.replace(self.directory, self.final)
        return Stage(self.final, index)


def write_part(directory: Path, name: str, table: "pa.Table") -> None:
    """One part of a stage: rows without a reason are documents, sorted by id; the others are what was dropped. The note comes last.

    A row has the columns of a document, "reason" ("" for kept) and "other".
    """
    import pyarrow.compute as pc

    is_kept = pc.equal(table["reason"], "")
    kept = table_of(dict(zip(DOCUMENT, table.filter(is_kept).sort_by("id").select(DOCUMENT).columns, strict=True)))
    refused = [dropped_row(row) for row in table.filter(pc.invert(is_kept)).to_pylist()]
    write_kept_and_dropped(directory, name, kept, refused)


def write_kept_and_dropped(directory: Path, name: str, kept: "pa.Table", dropped: list[dict]) -> None:
    """One part of a stage, from documents in their order and rows of what was dropped in any."""
    dropped = sorted(dropped, key=lambda row: tuple(str(row[column]) for column in DROPPED))
    files = {}
    if kept.num_rows:
        files[f"kept/{name}.parquet"] = write_parquet(directory / "kept" / f"{name}.parquet", kept)
    if dropped:
        columns = {column: [row[column] for row in dropped] for column in DROPPED}
        files[f"dropped/{name}.parquet"] = write_parquet(directory / "dropped" / f"{name}.parquet", table_of(columns))
    counts = {"kept": _kept_counts(kept), "dropped": _dropped_counts(dropped)}
    write_note(directory, {"part": name, "files": files, **counts, "samples": _sampled(kept, dropped)})


def write_note(directory: Path, note: dict) -> None:
    """Says that a part is there, whole."""
    write_atomically(directory / "notes" / f"{note['part']}.json", json.dumps(note, ensure_ascii=False))


def dropped_row(row: dict) -> dict:
    """What is remembered of a document that was not kept."""
    place = json.loads(row["meta"] or "{}")
    return {
        "id": row["id"],
        "source": row["source"],
        "file": str(place.get("file", "")),
        "offset": int(place.get("offset", 0)),
        "reason": row["reason"],
        "bytes": len(row["text"].encode()),
        "other": row["other"] or "",
        "text": row["text"][:SAMPLE_LETTERS],
    }


def _kept_counts(kept: "pa.Table") -> dict[str, dict[str, int]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    sizes = pa.table({"source": kept["source"], "bytes": pc.binary_length(kept["text"])})
    groups = sizes.group_by("source").aggregate([("bytes", "count"), ("bytes", "sum")]).to_pylist()
    return _sorted({row["source"]: {"documents": row["bytes_count"], "bytes": row["bytes_sum"]} for row in groups})


def _dropped_counts(dropped: list[dict]) -> dict[str, dict[str, dict[str, int]]]:
    found: dict[str, dict[str, dict[str, int]]] = {}
    for row in dropped:
        count = found.setdefault(row["source"], {}).setdefault(row["reason"], {"documents": 0, "bytes": 0})
        count["documents"] += 1
        count["bytes"] += row["bytes"]
    return {source: _sorted(reasons) for source, reasons in sorted(found.items())}


def _sorted(counts: dict) -> dict:
    return dict(sorted(counts.items()))


def _sampled(kept: "pa.Table", dropped: list[dict]) -> dict[str, list[dict]]:
    """A few examples of each reason ("" are the kept): those with the smallest ids, so always the same ones."""
    first = kept.slice(0, SAMPLES).to_pylist()
    groups: dict[str, list[dict]] = {"": [dropped_row({**row, "reason": "", "other": ""}) for row in first]}
    for row in dropped:
        groups.setdefault(row["reason"], []).append(row)
    return {reason: _smallest(group) for reason, group in sorted(groups.items()) if group}


def _smallest(rows: list[dict]) -> list[dict]:
    return sorted(rows, key=lambda row: (row["id"], row["file"], row["offset"]))[:SAMPLES]


def summed(notes: list[dict]) -> dict:
    """Counts of several parts added up, and samples of all."""
    kept: dict[str, list[dict]] = {}
    dropped: dict[str, dict[str, list[dict]]] = {}
    samples: dict[str, list[dict]] = {}
    for note in notes:
        for source, count in note["kept"].items():
            kept.setdefault(source, []).append(count)
        for source, reasons in note["dropped"].items():
            for reason, count in reasons.items():
                dropped.setdefault(source, {}).setdefault(reason, []).append(count)
        for reason, rows in note["samples"].items():
            samples[reason] = _smallest([*samples.get(reason, []), *rows])
    return {
        "kept": _sorted({source: added(counts) for source, counts in kept.items()}),
        "dropped": _sorted({source: _sorted({r: added(c) for r, c in reasons.items()}) for source, reasons in dropped.items()}),
        "samples": _sorted(samples),
    }


def added(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """{"documents", "bytes"} of all."""
    total = Counter({"documents": 0, "bytes": 0})
    for count in counts:
        total.update(count)
    return dict(total)


def batches(parts: list[Part], most_bytes: int) -> Iterator[list[Part]]:
    """Parts in their order, as many at once as hold about `most_bytes` of text, at least one."""
    batch: list[Part] = []
    size = 0
    for part in parts:
        if batch and size + part.bytes > most_bytes:
            yield batch
            batch, size = [], 0
        batch.append(part)
        size += part.bytes
    if batch:
        yield batch


def _is_whole(directory: Path, note: dict) -> bool:
    return all(_size(directory / name) == file["bytes"] for name, file in note["files"].items())


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else -1
