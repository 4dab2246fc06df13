"""WebText: of the crawled pages of a source, those that Reddit submissions with enough karma link to (GPT-2, section 2.1)."""

from pathlib import Path

import numpy as np

from tenfold.corpus.documents import document_id
from tenfold.corpus.engine.ids import numbers_of
from tenfold.corpus.files import replacing
from tenfold.corpus.recipe import CorpusRecipe, SourceConfig
from tenfold.corpus.sources import urls

LINKS = "0-links"


def link_sources(recipe: CorpusRecipe) -> list[SourceConfig]:
    """The Reddit submissions that the recipe's sources name, each by the name of its source."""
    return [SourceConfig(each.name, "reddit", each.links, limits=each.limits) for each in recipe.sources if each.links]


class LinkKeys:
    """The addresses that the sources with links may keep, as numbers: 64 bits of each address's hash, sorted, in a file."""

    def __init__(self, chosen: list[str], file: Path):
        self.chosen, self.file = chosen, file

    @classmethod
    def of(cls, recipe: CorpusRecipe, links: Path, directory: Path) -> "LinkKeys":
        """Those of a recipe, whose links were read into `links`; the file is written under `directory` unless it is there."""
        import pyarrow.parquet as pq

        made = cls([each.name for each in recipe.sources if each.links], directory / "scratch-links" / "keys.npy")
        if made.chosen and not made.file.exists():
            tables = [pq.read_table(path, columns=["source", "url"]) for path in sorted((links / "kept").glob("*.parquet"))]
            keys = [_keys(table["source"].to_pylist(), table["url"].to_pylist()) for table in tables]
            with replacing(made.file) as file:
                np.save(file, np.unique(np.concatenate([np.zeros(0, np.uint64), *keys])))
        return made

    def reasons(self, sources: list[str], addresses: list[str]) -> list[str]:
        """For each page "", or "not linked" where its source has links and none of them names it."""
        if not self.chosen:
            return [""] * len(sources)
        keys = np.load(self.file, mmap_mode="r")
        asked = _keys(sources, [urls.normalise(address) for address in addresses])
        known = np.isin(asked, keys[np.minimum(np.searchsorted(keys, asked), len(keys) - 1)]) if len(keys) else np.zeros(len(asked), bool)
        return ["" if found or source not in self.chosen else "not linked" for source, found in zip(sources, known, strict=True)]


def _keys(sources: list[str], addresses: list[str]) -> np.ndarray:
    """uint64[N]"""
    return numbers_of(document_id(f"{source} {address}") for source, address in zip(sources, addresses, strict=True))
