"""Stages 2 to 4: each document judged by itself. A stage names the sources it looks at; the others pass."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tenfold.corpus import quality
from tenfold.corpus.engine.frames import Engine, read_parts, struct, unpacked, write_parts
from tenfold.corpus.engine.store import Partial, Stage, batches
from tenfold.corpus.language import identify
from tenfold.corpus.recipe import CorpusRecipe
from tenfold.corpus.rules import c4
from tenfold.corpus.rules.judge import chosen
from tenfold.corpus.rules.judge import judge as broken_rules

C4_LINES = "c4.lines"


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
        import daft

        by_source = judges(recipe)

        def work(ids: list[str], sources: list[str], texts: list[str]) -> dict:
            return judge_all(by_source, ids, sources, texts)._asdict()

        type = struct(**{name: daft.DataType.string() for name in Verdicts._fields})
        done = stage.done()
        for batch in batches([part for part in before.with_documents() if part.name not in done], recipe.work.batch_bytes):
            frame = read_parts(before, batch).with_column("_verdict", engine.apply(work, ["id", "source", "text"], type))
            write_parts(unpacked(frame, "_verdict", Verdicts._fields), stage.directory)
        return {"ranges": before.index["ranges"]}

    return run


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

    def judge_of(names: tuple[str, ...]) -> Judge:
        rules = chosen(name for name in names if name != C4_LINES)
        cuts_lines = any(name in (C4_LINES, "c4") for name in names)

        def judge(ids: list[str], texts: list[str]) -> Verdicts:
            cleaned = [c4.clean(text) for text in texts] if cuts_lines else texts
            reasons = broken_rules(cleaned, rules)
            reasons = [reason or ("" if text.strip() else C4_LINES) for reason, text in zip(reasons, cleaned, strict=True)]
            shown = [old if reason else new for old, new, reason in zip(texts, cleaned, reasons, strict=True)]
            return Verdicts(reasons, [""] * len(ids), shown)

        return judge

    return {source.name: judge_of(source.rules) for source in recipe.sources if source.rules}


def quality_judges(recipe: CorpusRecipe) -> dict[str, Judge]:
    """The classifier's draw for the sources marked `quality` (GPT-3, appendix A)."""
    classifier = quality.load(Path(recipe.quality.model))
    alpha, seed = recipe.quality.alpha, recipe.quality.seed

    def judge(ids: list[str], texts: list[str]) -> Verdicts:
        scores = quality.score_texts(classifier, texts)
        kept = quality.keep(ids, scores, alpha, seed)
        return Verdicts(["" if stays else "low quality" for stays in kept], [f"score {score:.4f}" for score in scores], texts)

    return {source.name: judge for source in recipe.sources if source.quality}
