"""The stages in their order: what runs each, when it is wanted, and what of the recipe decides its result."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenfold.corpus import quality
from tenfold.corpus.engine.contaminated import decontaminate_stage, evaluation_texts
from tenfold.corpus.engine.filters import C4_LINES, filter_stage, language_judges, quality_judges, rule_judges
from tenfold.corpus.engine.frames import Engine
from tenfold.corpus.engine.fuzzy import fuzzy_stage
from tenfold.corpus.engine.index import index_stage
from tenfold.corpus.engine.lines import boilerplate_stage
from tenfold.corpus.engine.normalise import normalise_stage
from tenfold.corpus.engine.store import Partial, Stage
from tenfold.corpus.language import languages
from tenfold.corpus.recipe import CorpusRecipe, plain
from tenfold.corpus.rules.c4 import read_words
from tenfold.corpus.rules.judge import chosen
from tenfold.corpus.sources.registry import kind_of, read_files
from tenfold.errors import UserError


@dataclass(frozen=True)
class Step:
    """A stage of the build."""

    name: str
    """Its folder under OUT/documents: the number is that of the stage."""
    run: Callable[[Engine, CorpusRecipe, Stage, Partial], dict]
    """Makes its parts. Returns what its index says besides."""
    settings: Callable[[CorpusRecipe], Any]
    """What of the recipe decides its result: where this is as before, a finished stage is used again."""
    skipped: Callable[[CorpusRecipe], str] = lambda recipe: ""
    """Why the recipe does without it; "" where it runs."""


def _names(recipe: CorpusRecipe) -> list[str]:
    return [source.name for source in recipe.sources]


def _stats(paths: list[str]) -> list:
    """Names, sizes and times of files, to see that they changed."""
    found = [Path(path).expanduser() for path in paths]
    return [[str(path), path.stat().st_size, path.stat().st_mtime_ns] if path.exists() else [str(path)] for path in found]


def _evaluations(recipe: CorpusRecipe) -> list:
    return _stats([file for path in recipe.decontaminate.paths for file in read_files("files", path)])


def check(recipe: CorpusRecipe, with_quality: bool = True) -> None:
    """Raises UserError for what some stage would refuse, before the first of them has worked for hours."""
    for source in recipe.sources:
        if kind_of(source.kind).gives == "links":
            raise UserError(f"The source {source.name!r} is of kind {source.kind!r}, which gives links and no texts.\n  Name it in links.")
        chosen(name for name in source.rules if name != C4_LINES)
        if source.bad_words:
            read_words(source.bad_words)
        if source.languages:
            languages(source.languages)
    judged = [source.name for source in recipe.sources if source.quality]
    if judged and with_quality and not recipe.quality.model:
        raise UserError(
            f"{judged[0]} is marked quality, but quality.model is empty.\n  Fit one with `tenfold corpus fit-quality {recipe.name}`, "
            f"or turn it off with --sources.{recipe.rank(judged[0])}.no-quality."
        )
    if judged and with_quality:
        quality.load(Path(recipe.quality.model))
    evaluation_texts(recipe.decontaminate.paths)


STEPS = (
    Step("1-normalise", normalise_stage, lambda recipe: [recipe.normalise.mend_encoding, _names(recipe), recipe.work.part_bytes]),
    Step(
        "1b-boilerplate",
        boilerplate_stage,
        lambda recipe: [plain(recipe.normalise.boilerplate), [each.name for each in recipe.sources if each.boilerplate]],
        lambda recipe: "" if any(each.boilerplate for each in recipe.sources) else "no source says boilerplate",
    ),
    Step(
        "2-language",
        filter_stage(language_judges),
        lambda recipe: [[each.name, each.languages] for each in recipe.sources],
        lambda recipe: "" if any(each.languages for each in recipe.sources) else "no source names languages",
    ),
    Step(
        "3-rules",
        filter_stage(rule_judges),
        lambda recipe: [[each.name, each.rules, _stats([each.bad_words] if each.bad_words else [])] for each in recipe.sources],
        lambda recipe: "" if any(each.rules or each.bad_words for each in recipe.sources) else "no source names rules",
    ),
    Step(
        "4-quality",
        filter_stage(quality_judges),
        lambda recipe: [plain(recipe.quality), _stats([recipe.quality.model]), [each.name for each in recipe.sources if each.quality]],
        lambda recipe: "" if any(each.quality for each in recipe.sources) else "no source is marked quality",
    ),
    Step(
        "5-fuzzy",
        fuzzy_stage,
        lambda recipe: [plain(recipe.fuzzy), _names(recipe)],
        lambda recipe: "" if recipe.fuzzy.enabled else "fuzzy.enabled is False",
    ),
    Step(
        "6-decontaminate",
        decontaminate_stage,
        lambda recipe: [plain(recipe.decontaminate), _evaluations(recipe)],
        lambda recipe: "" if recipe.decontaminate.paths else "decontaminate.paths is empty",
    ),
    Step("7-index", index_stage, lambda recipe: []),
)
