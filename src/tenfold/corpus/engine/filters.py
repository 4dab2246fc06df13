"""Stages 2 to 4: each document judged by itself. A stage names the sources it looks at; the others pass."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tenfold.corpus import quality
from tenfold.corpus.engine.frames import Engine
from tenfold.corpus.engine.store import DOCUMENT, Partial, Stage, table_of, write_part
from tenfold.corpus.language import identify
from tenfold.corpus.recipe import CorpusRecipe, SourceConfig
from tenfold.corpus.rules import c4
from tenfold.corpus.rules.judge import chosen
from tenfold.corpus.rules.judge import judge as broken_rules

if TYPE_CHECKING:
    import pyarrow as pa

C4_LINES, BAD_WORDS = "c4.lines", "c4.bad_words"


class Verdicts(NamedTuple):
    """What a stage says of some documents."""

    reason: list[str]
    """"" keeps the document."""
    other: list[str]
    """What was measured."""
    text: list[str]
    """As it goes on."""


Judge = Callable[[list[str], list[str]], Verdicts]
"""judge(ids, texts) of one source."""


def filter_stage(judges: Callable[[CorpusRecipe], dict[str, Judge]]) -> Callable[[Engine, CorpusRecipe, Stage, Partial], dict]:
    """The stage in which each source with a judge is judged by it."""

    def run(engine: Engine, recipe: CorpusRecipe, before: Stage, stage: Partial) -> dict:
        by_source, done, directory = judges(recipe), stage.done(), stage.directory
        parts = {part.number: part for part in before.with_documents() if part.name not in done}

        def work(number: int) -> int:
            import pyarrow as pa

            table = pa.concat_tables(_judged(by_source, batch) for batch in before.batches(parts[number]))
            write_part(directory, parts[number].name, table)
            return table.num_rows

        engine.each(work, list(parts))
        return {"ranges": before.index["ranges"]}

    return run


def _judged(judges: dict[str, Judge], batch: "pa.RecordBatch") -> "pa.Table":
    """The documents with their verdicts in columns."""
    ids, sources, texts = (batch[name].to_pylist() for name in ("id", "source", "text"))
    verdicts = table_of(judge_all(judges, ids, sources, texts)._asdict())
    kept = {name: batch[name] for name in DOCUMENT if name not in Verdicts._fields}
    return table_of({**kept, **{name: verdicts[name] for name in Verdicts._fields}})


def judge_all(judges: dict[str, Judge], ids: list[str], sources: list[str], texts: list[str]) -> Verdicts:
    """Each document's verdict by its own source's judge."""
    all = Verdicts([""] * len(ids), [""] * len(ids), list(texts))
    for source, judge in judges.items():
        rows = [row for row, each in enumerate(sources) if each == source]
        found = judge([ids[row] for row in rows], [texts[row] for row in rows]) if rows else Verdicts([], [], [])
        for field, values in zip(all, found, strict=True):
            for row, value in zip(rows, values, strict=True):
                field[row] = value
    return all


def language_judges(recipe: CorpusRecipe) -> dict[str, Judge]:
    """Keeps the languages that a source names."""

    def judge_of(allowed: tuple[str, ...]) -> Judge:
        def judge(ids: list[str], texts: list[str]) -> Verdicts:
            codes, chances = identify(texts)
            said = [f"{code} {chance:.2f}" for code, chance in zip(codes, chances, strict=True)]
            return Verdicts(["" if code in allowed else "language" for code in codes], said, texts)

        return judge

    return {source.name: judge_of(source.languages) for source in recipe.sources if source.languages}


def rule_judges(recipe: CorpusRecipe) -> dict[str, Judge]:
    """The first rule that a document breaks, of those its source names; "c4.lines" cuts lines before the rules look."""

    def judge_of(source: SourceConfig) -> Judge:
        rules = chosen(name for name in source.rules if name != C4_LINES)
        if source.bad_words:
            rules[BAD_WORDS] = c4.BadWords(c4.read_words(source.bad_words))
        cuts_lines = any(name in (C4_LINES, "c4") for name in source.rules)

        def judge(ids: list[str], texts: list[str]) -> Verdicts:
            cleaned = [c4.clean(text) for text in texts] if cuts_lines else texts
            reasons = broken_rules(cleaned, rules)
            reasons = [reason or ("" if text.strip() else C4_LINES) for reason, text in zip(reasons, cleaned, strict=True)]
            shown = [old if reason else new for old, new, reason in zip(texts, cleaned, reasons, strict=True)]
            return Verdicts(reasons, [""] * len(ids), shown)

        return judge

    return {source.name: judge_of(source) for source in recipe.sources if source.rules or source.bad_words}


def quality_judges(recipe: CorpusRecipe) -> dict[str, Judge]:
    """The classifier's draw for the sources marked `quality` (GPT-3, appendix A)."""
    classifier = quality.load(Path(recipe.quality.model))
    alpha, seed = recipe.quality.alpha, recipe.quality.seed

    def judge(ids: list[str], texts: list[str]) -> Verdicts:
        scores = quality.score_texts(classifier, texts)
        kept = quality.keep(ids, scores, alpha, seed)
        return Verdicts(["" if stays else "low quality" for stays in kept], [f"score {score:.4f}" for score in scores], texts)

    return {source.name: judge for source in recipe.sources if source.quality}
