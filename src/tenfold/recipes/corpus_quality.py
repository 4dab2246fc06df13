"""`tenfold corpus fit-quality`: the classifier of GPT-3's appendix A from a recipe's own sources, its ROC, and a page to read."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console

from tenfold.corpus import quality
from tenfold.corpus.engine.build import build_documents
from tenfold.corpus.engine.frames import read_parts
from tenfold.corpus.engine.store import Stage
from tenfold.corpus.features import features
from tenfold.corpus.files import one_process, write_atomically
from tenfold.corpus.recipe import CorpusRecipe
from tenfold.errors import UserError
from tenfold.recipes.corpus_road import Work
from tenfold.report.quality import quality_page

BORDERLINE = 50
LETTERS = 1500  # of a borderline document


class Side(NamedTuple):
    """Documents of one kind."""

    ids: list[str]
    texts: list[str]


def fit_quality(recipe: CorpusRecipe, work: Work, model: Path | None = None, console: Console | None = None) -> Path:
    """Fits on up to quality.documents of each side, by the stages before the classifier; a tenth measures it. Returns the .npz.

    Beside it: the ROC as .json, and an .html with the ROC and the documents whose scores are nearest one half.
    Raises UserError where the recipe has no raw or no curated source.
    """
    console = console or Console(highlight=False)
    out = work.out or Path("corpora") / recipe.name
    model = model or out / "quality.npz"
    raw = [source.name for source in recipe.sources if source.quality]
    curated = list(recipe.quality.positives) or [source.name for source in recipe.sources if not source.quality]
    if not raw or not curated:
        raise UserError(
            f"fit-quality needs raw and curated sources, but {recipe.name} has {len(raw)} marked quality and {len(curated)} others.\n"
            "  Mark the raw crawl with --sources.N.quality, and keep a curated source beside it."
        )
    with one_process(out):
        built = build_documents(recipe, out, work.start(), before_step="4-quality")
        sides = [_sample(built.documents, names, recipe.quality.documents) for names in (curated, raw)]
    good, bad = sides
    ids, texts = good.ids + bad.ids, good.texts + bad.texts
    is_good = np.arange(len(ids)) < len(good.ids)
    measured = quality.held_out(ids)
    found = features([text for text, held in zip(texts, measured, strict=True) if not held])
    classifier = quality.fit(found, is_good[~measured])
    scores = quality.score_texts(classifier, texts)
    roc = quality.roc(scores[measured], is_good[measured])
    quality.save(classifier, model)
    chosen = quality.borderline(scores, ids, BORDERLINE)
    rows = [{"id": ids[row], "score": float(scores[row]), "good": bool(is_good[row]), "text": texts[row][:LETTERS]} for row in chosen]
    about = {"curated": curated, "raw": raw, "documents": [len(good.ids), len(bad.ids)], "measured": int(measured.sum()), "area": roc.area}
    curve = {"false_positive_rate": roc.false_positive_rate.tolist(), "true_positive_rate": roc.true_positive_rate.tolist()}
    write_atomically(model.with_suffix(".json"), json.dumps({**about, **curve}) + "\n")
    page = quality_page(model.with_suffix(".html"), about, curve, rows)
    console.print(
        f"{len(good.ids):,} curated and {len(bad.ids):,} raw documents; ROC area {roc.area:.4f} on {about['measured']:,} not fitted."
    )
    console.print(f"Read the borderline documents before trusting it: {page}")
    return model


def _sample(documents: Stage, sources: list[str], most: int) -> Side:
    """Up to `most` documents of some sources: those with the smallest last digits of their ids, so always the same."""
    import daft

    there = sum(documents.index["kept"].get(source, {"documents": 0})["documents"] for source in sources)
    if not there:
        raise UserError(f"No document of {', '.join(sources)} is left to learn from.\n  See {documents.directory} for what was dropped.")
    largest = f"{round(min(1.0, 1.5 * most / there) * (16**8 - 1)):08x}"
    frame = read_parts(documents, documents.with_documents()).select("id", "source", "text")
    frame = frame.where(daft.col("source").is_in(sources) & (daft.col("id").substr(8, 8) <= largest))
    found = frame.select("id", "text").to_pydict()
    order = sorted(range(len(found["id"])), key=lambda row: found["id"][row][8:] + found["id"][row][:8])[:most]
    return Side([found["id"][row] for row in order], [found["text"][row] for row in order])
