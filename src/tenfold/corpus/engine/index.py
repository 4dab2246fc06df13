"""Stage 7: where every document is, sorted by id: its source, part, row in the part, and bytes."""

from tenfold.corpus.engine.frames import Engine
from tenfold.corpus.engine.store import Part, Partial, Stage, table_of, write_note, write_parquet
from tenfold.corpus.recipe import CorpusRecipe


def index_stage(engine: Engine, recipe: CorpusRecipe, before: Stage, stage: Partial) -> dict:
    """index/NNNNN.parquet for every part: id, source, part, row, bytes. The documents stay where they are."""
    done = stage.done()
    parts = {part.number: part for part in before.with_documents() if part.name not in done}
    engine.each(lambda number: _write(stage, before, parts[number]), list(parts))
    return {"ranges": before.index["ranges"], "documents": before.directory.name}


def _write(stage: Partial, before: Stage, part: Part) -> int:
    import pyarrow.compute as pc

    table = before.table(part, ("id", "source", "part", "text"))
    columns = {
        "id": table["id"],
        "source": table["source"],
        "part": table["part"],
        "row": list(range(table.num_rows)),
        "bytes": pc.binary_length(table["text"]),
    }
    name = f"index/{part.name}.parquet"
    files = {name: write_parquet(stage.directory / name, table_of(columns))}
    write_note(stage.directory, {"part": part.name, "files": files, "kept": part.note["kept"], "dropped": {}, "samples": {}})
    return table.num_rows
