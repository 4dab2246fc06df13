"""Named corpora for `tenfold corpus build`. The paths are where a person puts the raw files; `--sources.0.path` names other places.

Sources: GPT-3 (Brown et al. 2020, table 2.2, appendices A and C), The Pile (Gao et al. 2020, table 1), WebText (Radford et al. 2019).
"""

from collections.abc import Callable
from pathlib import Path

import yaml

from tenfold.corpus.minhash import MinHash
from tenfold.corpus.mixtures import GPT3, PILE
from tenfold.corpus.recipe import (
    CorpusRecipe,
    FuzzyConfig,
    MixtureConfig,
    QualityConfig,
    SourceConfig,
    TokensConfig,
    WorkConfig,
)
from tenfold.errors import UserError
from tenfold.train.recipe import from_dict, to_dict

WEB_RULES = ("gopher", "c4")


def stdlib() -> CorpusRecipe:
    """The running interpreter's own library: the whole road on a small scale."""
    return CorpusRecipe(
        "stdlib",
        "Python's standard library: exact and near duplicates removed, tokens in under a minute.",
        sources=(SourceConfig("stdlib", "stdlib", "stdlib"),),
        fuzzy=FuzzyConfig(minhash=MinHash(words=5)),
        mixture=MixtureConfig(planned_tokens=10_000_000),
        tokens=TokensConfig(vocab=4096),
        work=WorkConfig(part_bytes=8_000_000, batch_bytes=64_000_000),
    )


def gpt3() -> CorpusRecipe:
    """The five sources of GPT-3 with the paper's weights; curated sources come first, so that the crawl loses their copies."""
    return CorpusRecipe(
        "gpt3",
        "Table 2.2's weights; they add up to 1.01 there and are shares here. Fit quality.model first: tenfold corpus fit-quality gpt3.",
        sources=(
            SourceConfig("wikipedia", "wikipedia", "data/wikipedia", weight=GPT3["wikipedia"].weight),
            SourceConfig("books1", "gutenberg", "data/books1", weight=GPT3["books1"].weight),
            SourceConfig("books2", "epub", "data/books2", weight=GPT3["books2"].weight),
            SourceConfig("webtext2", "warc", "data/crawl", weight=GPT3["webtext2"].weight, links="data/reddit", boilerplate=True),
            SourceConfig("common_crawl", "warc", "data/crawl", weight=GPT3["common_crawl"].weight, quality=True, boilerplate=True),
        ),
        quality=QualityConfig(positives=("wikipedia", "books1", "webtext2")),
        fuzzy=FuzzyConfig(together=("webtext2+common_crawl",)),
    )


def webtext() -> CorpusRecipe:
    """Pages that Reddit submissions with at least 3 karma link to (GPT-2, section 2.1), in English and by Gopher's and C4's rules."""
    return CorpusRecipe(
        "webtext",
        "OpenWebText2's way to GPT-2's corpus; the rules and the language are ours to switch.",
        sources=(SourceConfig("webtext", "warc", "data/crawl", links="data/reddit", boilerplate=True, languages=("en",), rules=WEB_RULES),),
        mixture=MixtureConfig(planned_tokens=10e9),
    )


def pile() -> CorpusRecipe:
    """The Pile's published lines: 22 components out of the same files, each seen as often as its table 1 says."""
    sources = tuple(
        SourceConfig(_slug(component), "pile", "data/pile", epochs=published.epochs, component=component)
        for component, published in PILE.items()
    )
    note = "Published documents were cleaned already: no language, no rules, no classifier; near duplicates within a component go."
    return CorpusRecipe("pile", note, sources=sources)


def trio() -> CorpusRecipe:
    """An encyclopedia, a newspaper and a playwright, weighted as GPT-3 weighs Wikipedia, WebText2 and a set of books."""
    return CorpusRecipe(
        "trio",
        "Three small sources that anyone can get; docs/corpus_runs.md says how. Name your copies with --sources.N.path.",
        sources=(
            SourceConfig("wikipedia", "wikipedia", "data/enwiki.xml.bz2", weight=GPT3["wikipedia"].weight),
            SourceConfig("press", "files", "data/press", weight=GPT3["webtext2"].weight),
            SourceConfig("shakespeare", "txt", "data/shakespeare.txt", weight=GPT3["books1"].weight),
        ),
        mixture=MixtureConfig(planned_tokens=2_000_000),
        tokens=TokensConfig(vocab=4096),
        work=WorkConfig(part_bytes=8_000_000, batch_bytes=64_000_000),
    )


def _slug(component: str) -> str:
    return component.lower().replace("(", "").replace(")", "").replace(" ", "_")


RECIPES: dict[str, Callable[[], CorpusRecipe]] = {"stdlib": stdlib, "gpt3": gpt3, "pile": pile, "webtext": webtext, "trio": trio}


def find_corpus(name: str) -> CorpusRecipe:
    """The corpus recipe of that name, or of that file (a recipe.yaml, or the folder of a corpus that was built)."""
    if name in RECIPES:
        return RECIPES[name]()
    path = Path(name) / "recipe.yaml" if (Path(name) / "recipe.yaml").exists() else Path(name)
    if not path.is_file():
        raise UserError(f"{name!r} is neither a corpus nor a file.\n  Corpora: {', '.join(RECIPES)}; or give the path of a recipe.yaml.")
    try:
        return from_dict(CorpusRecipe, yaml.safe_load(path.read_text("utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {error}") from error


def recipe_text(recipe: CorpusRecipe) -> str:
    """The recipe as YAML, to read and to give back."""
    return yaml.safe_dump(to_dict(recipe), sort_keys=False, allow_unicode=True)
