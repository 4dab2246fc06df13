"""Stage 7: where every document is, sorted by id: its source, part, row in the part, and bytes."""

from typing import TYPE_CHECKING

from tenfold.corpus.engine.frames import Engine, each_part, read_parts
from tenfold.corpus.engine.store import Part, Partial, Stage, batches, table_of, write_note, write_parquet
from tenfold.corpus.recipe import CorpusRecipe

if TYPE_CHECKING:
    import pyarrow as pa


def index_stage(engine: Engine, recipe: CorpusRecipe, before: Stage, stage: Partial) -> dict:
    """index/NNNNN.parquet for every part: id, source, part, row, bytes. The documents stay where they are."""
    notes = {part.number: part for part in before.with_documents()}

    def write(table: "pa.Table") -> None:
        _write(stage, notes[table["part"][0].as_py()], table)

    done = stage.done()
    for batch in batches([part for part in before.with_documents() if part.name not in done], recipe.work.batch_bytes):
        import daft

        frame = read_parts(before, batch).with_column("bytes", daft.col("text").length_bytes())
        each_part(frame.select("id", "source", "part", "bytes"), write)
    return {"ranges": before.index["ranges"], "documents": before.directory.name}


def _write(stage: Partial, part: Part, table: "pa.Table") -> None:
    table = table.sort_by("id")
    columns = {
        "id": table["id"],
        "source": table["source"],
        "part": table["part"],
        "row": list(range(table.num_rows)),
        "bytes": table["bytes"],
    }
    name = f"index/{part.name}.parquet"
    files = {name: write_parquet(stage.directory / name, table_of(columns))}
    write_note(stage.directory, {"part": part.name, "files": files, "kept": part.note["kept"], "dropped": {}, "samples": {}})
