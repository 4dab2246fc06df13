"""Where a document of a corpus went, and why: looked up by its id in what every stage kept and dropped."""

import json
import re
from pathlib import Path
from typing import NamedTuple

from tenfold.errors import UserError

ID = re.compile(r"[0-9a-f]{16}")


class Fate(NamedTuple):
    """What one stage did with a document."""

    stage: str
    kept: bool
    reason: str
    """Why it was dropped; "" where it was kept."""
    other: str
    """The document that was kept in its stead, the pieces it was cut into, or what was measured."""
    source: str
    place: str
    """File and offset, where the stage tells them."""
    text: str
    """Its beginning."""


def trace(out: Path, id: str) -> list[Fate]:
    """What each stage did with the document, in their order. Raises UserError for what is no id, or an id that no stage has met."""
    if not (out / "manifest.json").exists():
        raise UserError(f"{out} is no corpus: it has no manifest.json.\n  Name a folder that `tenfold corpus build` wrote.")
    if not ID.fullmatch(id):
        raise UserError(
            f"{id!r} is not a document's id.\n  Ids are 16 hexadecimal digits, as report.html and the shards' .ids.jsonl show them."
        )
    names = [stage["stage"] for stage in json.loads((out / "manifest.json").read_text("utf-8"))["stages"]]
    places = [out / "documents" / name for name in names if name != "7-index"]
    found = [fate for place in places for kind in ("kept", "dropped") for fate in _look(place, kind, id)]
    if not found:
        raise UserError(f"No stage of {out} has met the document {id}.\n  The id is the hash of the normalised text; look in report.html.")
    return found


def _look(place: Path, kind: str, id: str) -> list[Fate]:
    """The rows of that id. Parts are sorted by id, so that Parquet's statistics leave most row groups unread."""
    import pyarrow.parquet as pq

    fates = []
    for path in sorted((place / kind).glob("*.parquet")):
        for row in pq.read_table(path, filters=[("id", "==", id)]).to_pylist():
            where = f"{row['file']}:{row['offset']}" if kind == "dropped" else row["meta"]
            fates.append(
                Fate(place.name, kind == "kept", row.get("reason", ""), row.get("other", ""), row["source"], where, row["text"][:200])
            )
    return fates
