"""Stage 1: texts in one form, and one of each. From here on a document's id is the hash of its normalised text.

Parts are ranges of ids, so that all copies of a text meet in one part and the parts in their order are sorted by id.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tenfold.corpus.documents import document_id
from tenfold.corpus.engine.frames import Engine
from tenfold.corpus.engine.ids import numbers_of, part_of
from tenfold.corpus.engine.links import LINKS, LinkKeys
from tenfold.corpus.engine.spill import Columns, Spill
from tenfold.corpus.engine.store import DOCUMENT, Part, Partial, Stage, table_of, write_part
from tenfold.corpus.normalise import normalise
from tenfold.corpus.recipe import CorpusRecipe

PLACE_DIGITS = 15


def normalise_stage(engine: Engine, recipe: CorpusRecipe, before: Stage, stage: Partial) -> dict:
    """Normalised documents without exact duplicates; of those the first in the recipe, its file and its place in it is kept."""
    ranges = max(1, math.ceil(before.count("kept")["bytes"] / recipe.work.part_bytes))
    given, directory = dict(enumerate(before.with_documents())), stage.directory
    by_id = Spill(directory, "by-id", "zstd")
    links = LinkKeys.of(recipe, before.directory.with_name(LINKS), directory)
    engine.each(lambda task: by_id.write(task, _normalised(recipe, before, given[task], ranges, links)), by_id.missing(given))
    done = stage.done()
    engine.each(lambda part: _write(directory, part, by_id), [part for part in range(ranges) if f"{part:05}" not in done])
    return {"ranges": ranges}


def _normalised(recipe: CorpusRecipe, before: Stage, part: Part, ranges: int, links: LinkKeys) -> Iterator[tuple[np.ndarray, Columns]]:
    """The documents with their text in its one form, the id of it, and where it lies among all, to choose between equals; by id."""
    ranks = {source.name: rank for rank, source in enumerate(recipe.sources)}
    for batch in before.batches(part):
        row = {name: batch[name].to_pylist() for name in ("source", "url", "text", "meta")}
        normal = normalise(row["text"], recipe.normalise.mend_encoding)
        ids = [document_id(text) for text in normal]
        parts = part_of(numbers_of(ids), ranges)
        places = [_place(ranks[source], json.loads(meta)) for source, meta in zip(row["source"], row["meta"], strict=True)]
        reasons = links.reasons(row["source"], row["url"])
        made = table_of({"id": ids, "text": normal, "part": parts, "place": places, "reason": reasons})
        kept = {name: batch[name] for name in DOCUMENT if name not in made.column_names}
        yield parts, {**kept, **{name: made[name] for name in made.column_names}}


def _place(rank: int, meta: dict) -> str:
    return f"{rank:05}:{meta.get('file', '')}:{int(meta.get('offset', 0)):0{PLACE_DIGITS}}"


def _write(directory: Path, part: int, by_id: Spill) -> int:
    """One part: of rows with the same id the first that may stay is kept; a text of white space alone is empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    tables = list(by_id.pieces(part))
    if not tables:
        return 0
    table = pa.concat_tables(tables).sort_by([("id", "ascending"), ("reason", "ascending"), ("place", "ascending")])  # "" comes first
    ids = table["id"].combine_chunks()
    again = pa.concat_arrays([pa.array([False]), pc.equal(ids[1:], ids[:-1])])
    empty = pc.equal(pc.utf8_trim_whitespace(table["text"]), "")
    reason = pc.if_else(empty, "empty", pc.if_else(pc.and_(again, pc.equal(table["reason"], "")), "exact duplicate", table["reason"]))
    other = pc.if_else(pc.equal(reason, "exact duplicate"), ids, "")
    table = table.drop_columns(["reason"]).append_column("reason", reason).append_column("other", other)
    write_part(directory, f"{part:05}", table)
    return table.num_rows
