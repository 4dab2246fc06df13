"""Stage 1: texts in one form, and one of each. From here on a document's id is the hash of its normalised text.

Parts are ranges of ids, so that all copies of a text meet in one part and the parts in their order are sorted by id.
"""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from tenfold.corpus.documents import document_id
from tenfold.corpus.engine.frames import Engine, each_part, read_parts, struct, unpacked
from tenfold.corpus.engine.links import LINKS, linked
from tenfold.corpus.engine.shuffle import Shuffle
from tenfold.corpus.engine.store import Partial, Stage, batches, write_part
from tenfold.corpus.normalise import normalise
from tenfold.corpus.recipe import CorpusRecipe

if TYPE_CHECKING:
    import daft
    import pyarrow as pa

PLACE_DIGITS = 15
COMPRESSION = 4  # text to what it takes on the disk, about


def part_of(id: str, parts: int) -> int:
    """Which of `parts` equal ranges of ids this one lies in."""
    return int(id, 16) * parts >> 64


def normalise_stage(engine: Engine, recipe: CorpusRecipe, before: Stage, stage: Partial) -> dict:
    """Normalised documents without exact duplicates; of those the first in the recipe, its file and its place in it is kept."""
    parts = max(1, math.ceil(before.count("kept")["bytes"] / recipe.work.part_bytes))
    shuffle = Shuffle(stage.directory, "by-id")
    for number, batch in enumerate(batches(before.with_documents(), recipe.work.batch_bytes)):
        if not shuffle.has(number):
            shuffle.put(number, _normalised(engine, recipe, read_parts(before, batch), parts, before.directory.with_name(LINKS)))
    done = stage.done()
    for buckets in shuffle.batches(recipe.work.batch_bytes // COMPRESSION):
        frame = shuffle.read([bucket for bucket in buckets if f"{bucket:05}" not in done])
        if frame is not None:
            each_part(frame, lambda table: _write(stage.directory, table))
    return {"ranges": parts}


def _normalised(engine: Engine, recipe: CorpusRecipe, frame: "daft.DataFrame", parts: int, links: Path) -> "daft.DataFrame":
    """The documents with their text in its one form, the id of it, and where it lies among all, to choose between equals."""
    import daft

    ranks = {source.name: rank for rank, source in enumerate(recipe.sources)}

    def work(texts: list[str], sources: list[str], metas: list[str]) -> dict:
        normal = normalise(texts, recipe.normalise.mend_encoding)
        ids = [document_id(text) for text in normal]
        places = [_place(ranks[source], json.loads(meta)) for source, meta in zip(sources, metas, strict=True)]
        return {"text": normal, "id": ids, "place": places, "part": [part_of(id, parts) for id in ids]}

    text, number = daft.DataType.string(), daft.DataType.int64()
    type = struct(text=text, id=text, place=text, part=number)
    frame = linked(engine, recipe, frame, links).with_column("_made", engine.apply(work, ["text", "source", "meta"], type))
    return unpacked(frame, "_made", ["text", "id", "place", "part"]).with_column("bucket", daft.col("part"))


def _place(rank: int, meta: dict) -> str:
    return f"{rank:05}:{meta.get('file', '')}:{int(meta.get('offset', 0)):0{PLACE_DIGITS}}"


def _write(directory: Path, table: "pa.Table") -> None:
    """One part: of rows with the same id the first that may stay is kept; a text of white space alone is empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = table.sort_by([("id", "ascending"), ("reason", "ascending"), ("place", "ascending")])  # "" comes first
    ids = table["id"].combine_chunks()
    again = pa.concat_arrays([pa.array([False]), pc.equal(ids[1:], ids[:-1])]) if len(ids) else pa.array([], pa.bool_())
    empty = pc.equal(pc.utf8_trim_whitespace(table["text"]), "")
    reason = pc.if_else(empty, "empty", pc.if_else(pc.and_(again, pc.equal(table["reason"], "")), "exact duplicate", table["reason"]))
    other = pc.if_else(pc.equal(reason, "exact duplicate"), ids, "")
    table = table.drop_columns(["reason"]).append_column("reason", reason).append_column("other", other)
    write_part(directory, f"{table['part'][0].as_py():05}", table)
