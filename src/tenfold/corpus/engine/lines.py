"""Stage 1, second half: lines that come back on page after page of a site are cut. A document keeps its id."""

from typing import TYPE_CHECKING

import numpy as np

from tenfold.corpus.boilerplate import group_of, is_boilerplate, line_keys, without_lines
from tenfold.corpus.engine.frames import Engine, read_parts, struct, unpacked, write_parts
from tenfold.corpus.engine.shuffle import BUCKET, Shuffle
from tenfold.corpus.engine.store import Partial, Stage, batches
from tenfold.corpus.recipe import CorpusRecipe

if TYPE_CHECKING:
    import daft

LINES_IN_BUCKET = 2_000_000
LETTERS_IN_LINE = 40  # about
AT_ONCE = 64_000_000


def boilerplate_stage(engine: Engine, recipe: CorpusRecipe, before: Stage, stage: Partial) -> dict:
    """Counts every line of every site, then cuts those that the rule takes. What has nothing left is dropped."""
    work = list(batches(before.with_documents(), recipe.work.batch_bytes))
    found = _common_lines(engine, recipe, before, stage, work)
    done = stage.done()
    for batch in work:
        parts = [part for part in batch if part.name not in done]
        if parts:
            write_parts(_cut(engine, read_parts(before, parts), found, _chosen(recipe)), stage.directory)
    return {"ranges": before.index["ranges"]}


def _chosen(recipe: CorpusRecipe) -> list[str]:
    return [source.name for source in recipe.sources if source.boilerplate]


def _common_lines(engine: Engine, recipe: CorpusRecipe, before: Stage, stage: Partial, work: list) -> "daft.DataFrame | None":
    """(group, key) of the lines that are boilerplate; None where there are none."""
    import daft

    col, rule = daft.col, recipe.normalise.boilerplate
    lines, sites, found = (Shuffle(stage.directory, name) for name in ("lines", "sites", "common-lines"))
    buckets = 1 + before.count("kept")["bytes"] // LETTERS_IN_LINE // LINES_IN_BUCKET
    for number, batch in enumerate(work):
        if lines.has(number):
            continue
        frame = _keyed(engine, read_parts(before, batch), _chosen(recipe)).select("group", "keys").collect()
        sites.put(number, frame.groupby("group").agg(col("keys").count().alias("pages")).with_column(BUCKET, daft.lit(0)))
        counts = frame.where(col("keys").list_count() > 0).explode("keys").groupby("group", "keys").agg(col("group").count().alias("count"))
        lines.put(number, counts.with_column(BUCKET, (col("keys") % buckets + buckets) % buckets))
    totals = sites.read()
    for bucket in [] if totals is None else lines.batches(AT_ONCE):
        if found.has(bucket[0]):
            continue
        frame = lines.read(bucket)
        assert frame is not None and totals is not None
        counts = frame.groupby("group", "keys").agg(col("count").sum())
        counts = counts.where(col("count") >= rule.documents).join(totals.groupby("group").agg(col("pages").sum()), on="group")

        def taken(with_line: list[int], in_group: list[int]) -> list[bool]:
            return list(is_boilerplate(rule, np.array(with_line), np.array(in_group)))

        chosen = counts.where(Engine().apply(taken, ["count", "pages"], daft.DataType.bool(), rows=8192))
        found.put(bucket[0], chosen.select("group", "keys").with_column(BUCKET, daft.lit(0)))
    return found.read()


def _keyed(engine: Engine, frame: "daft.DataFrame", chosen: list[str]) -> "daft.DataFrame":
    """The frame with the site of each document and the keys of its lines; a document of a source that is left alone has none."""
    import daft

    def work(urls: list[str], sources: list[str], texts: list[str]) -> dict:
        looked_at = [text if source in chosen else "" for source, text in zip(sources, texts, strict=True)]
        return {"group": [group_of(*each) for each in zip(urls, sources, strict=True)], "keys": line_keys(looked_at)}

    type = struct(group=daft.DataType.string(), keys=daft.DataType.list(daft.DataType.int64()))
    return unpacked(frame.with_column("_made", engine.apply(work, ["url", "source", "text"], type)), "_made", ["group", "keys"])


def _cut(engine: Engine, frame: "daft.DataFrame", found: "daft.DataFrame | None", chosen: list[str]) -> "daft.DataFrame":
    import daft
    from daft.functions import when

    col = daft.col
    if found is None:
        return frame.with_columns({"reason": daft.lit(""), "other": daft.lit("")})
    names = frame.column_names
    rows = _keyed(engine, frame, chosen).select("id", "group", "keys").where(col("keys").list_count() > 0).explode("keys")
    theirs = rows.join(found, on=["group", "keys"], how="semi").groupby("id").agg(col("keys").list_agg().alias("cut"))
    frame = frame.join(theirs, on="id", how="left")

    def work(texts: list[str], keys: list[list[int] | None]) -> list[str]:
        return without_lines(texts, [set(each or ()) for each in keys])

    frame = frame.with_column("rest", engine.apply(work, ["text", "cut"], daft.DataType.string()))
    nothing = col("rest").lstrip() == ""
    reason = when(nothing, daft.lit("only boilerplate")).otherwise(daft.lit(""))
    text = when(nothing, col("text")).otherwise(col("rest"))
    return frame.with_columns({"reason": reason, "other": daft.lit(""), "text": text}).select(*names, "reason", "other")
