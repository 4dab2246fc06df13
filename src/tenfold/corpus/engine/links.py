"""WebText: of the crawled pages of a source, those that Reddit submissions with enough karma link to (GPT-2, section 2.1)."""

from pathlib import Path
from typing import TYPE_CHECKING

from tenfold.corpus.engine.frames import Engine
from tenfold.corpus.recipe import CorpusRecipe, SourceConfig
from tenfold.corpus.sources import urls

if TYPE_CHECKING:
    import daft

LINKS = "0-links"


def link_sources(recipe: CorpusRecipe) -> list[SourceConfig]:
    """The Reddit submissions that the recipe's sources name, each by the name of its source."""
    return [SourceConfig(each.name, "reddit", each.links, limits=each.limits) for each in recipe.sources if each.links]


def linked(engine: Engine, recipe: CorpusRecipe, frame: "daft.DataFrame", links: Path) -> "daft.DataFrame":
    """The frame with a column "reason": pages of a source with links that none of them names are "not linked"."""
    import daft
    from daft.functions import when

    files = [str(path) for path in sorted((links / "kept").glob("*.parquet"))]
    chosen = [each.name for each in recipe.sources if each.links]
    if not chosen or not files:
        return frame.with_column("reason", daft.lit("not linked" if chosen else ""))
    known = daft.read_parquet(files).select("source", daft.col("url").alias("address")).distinct().with_column("known", daft.lit(True))

    def work(found: list[str]) -> list[str]:
        return [urls.normalise(url) for url in found]

    frame = frame.with_column("address", engine.apply(work, ["url"], daft.DataType.string()))
    frame = frame.join(known, on=["source", "address"], how="left")
    lost = daft.col("source").is_in(chosen) & daft.col("known").is_null()
    return frame.with_column("reason", when(lost, daft.lit("not linked")).otherwise(daft.lit(""))).exclude("address", "known")
