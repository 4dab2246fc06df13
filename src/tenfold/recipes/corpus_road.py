"""`tenfold corpus`: raw sources to the shards that `tenfold train --data OUT` reads, what happened to them, and the classifier for them.

OUT holds recipe.yaml, documents/ (a folder a stage), shards/ (a folder a source), tokenizer.json, mixture.json, manifest.json,
report.html and result.json.
"""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from tenfold.corpus.engine.build import build_documents
from tenfold.corpus.engine.frames import Engine, EngineName
from tenfold.corpus.engine.stop import clean_stop
from tenfold.corpus.engine.trace import Fate, trace
from tenfold.corpus.files import one_process, sweep, write_atomically
from tenfold.corpus.planner import Held, plan, weights_of_epochs
from tenfold.corpus.recipe import CorpusRecipe
from tenfold.errors import UserError
from tenfold.recipes.corpus import recipe_text
from tenfold.report.corpus import corpus_report, mixture_row, read_manifest, stage_row
from tenfold.tokens.corpus import tokenise
from tenfold.tokens.mixed import MIXTURE


@dataclass(frozen=True)
class Work:
    """Where a corpus is written and what does the work. Nothing here changes a byte of the result."""

    out: Path | None = None
    """The folder of the corpus. None: corpora/NAME."""
    engine: EngineName = "native"
    """Daft's own engine on this machine, or the Ray cluster that RAY_ADDRESS names (pip install 'tenfold[ray]')."""
    workers: int = 0
    """Processes. 0: one for each core, at most 8."""

    def __post_init__(self):
        if self.workers < 0:
            raise UserError(f"workers is {self.workers}, but must be 1 or more, or 0 for one a core.")

    def start(self) -> Engine:
        """The engine of these settings."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return Engine(self.engine, self.workers or min(8, cores))


def build_corpus(recipe: CorpusRecipe, work: Work, console: Console | None = None) -> Path:
    """Everything from sources to shards and report; the same call goes on where an earlier one was stopped. Returns OUT."""
    console = console or Console(highlight=False)
    out, began, engine = work.out or Path("corpora") / recipe.name, time.perf_counter(), work.start()
    _check_place(out)
    with clean_stop(out), one_process(out):
        write_atomically(out / "recipe.yaml", recipe_text(recipe))
        say = _Steps(console)
        built = build_documents(recipe, out, engine, say.progress)
        counts = tokenise(recipe, built.documents, out, engine, say.progress)
        write_atomically(out / MIXTURE, json.dumps(_mixture(recipe, counts), indent=1) + "\n")
        corpus_report(out)
        sweep(out)
        result = {"documents": built.documents.count("kept"), "sources": counts, "seconds": round(time.perf_counter() - began, 3)}
        write_atomically(out / "result.json", json.dumps(result, indent=1) + "\n")
    show(out, console)
    return out


def _check_place(out: Path) -> None:
    ours = (out / "recipe.yaml").exists() or (out / "documents").is_dir()
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not ours)):
        raise UserError(f"{out} is there already and holds no corpus.\n  Name an empty place with --out, or move it away.")


class _Steps:
    """One line for each stage as it ends."""

    def __init__(self, console: Console):
        self.console, self.began = console, time.perf_counter()

    def progress(self, what: str, done: int, total: int | None) -> None:
        if total is None:
            self.began = time.perf_counter()
        else:
            self.console.print(f"  {what:<18} {done:>12,} documents  {time.perf_counter() - self.began:8.1f} s")
            self.began = time.perf_counter()


def show(out: Path, console: Console) -> None:
    """The tables of a corpus: its stages, its mixture, and warnings."""
    manifest = read_manifest(out)
    stages = _table("stage", "kept", "bytes", "dropped, and why", "time")
    stages.title, stages.title_justify = f"corpus {manifest['recipe']}", "left"
    for row in map(stage_row, manifest["stages"]):
        why = ", ".join(f"{count} {reason}" for reason, count, _ in row["reasons"])
        stages.add_row(row["name"], row["documents"], row["bytes"], why, row["seconds"])
    console.print(stages)
    for name, why in manifest["skipped"].items():
        console.print(f"{name} was not run: {why}.")
    path = out / MIXTURE
    if path.exists():
        mixture = json.loads(path.read_text("utf-8"))
        table = _table("source", "documents", "tokens", "weight", "epochs", "unique tokens", "shortfall")
        for row in map(mixture_row, mixture["sources"]):
            table.add_row(*row.values())
        console.print(table)
        for warning in mixture["warnings"]:
            console.print(f"warning: {warning}")
    console.print(f"{out / 'report.html'} has examples of each reason.")


def _table(*names: str) -> Table:
    """Of columns that are wrapped where the terminal is narrow: nothing is cut off."""
    return Table(*(Column(name, overflow="fold") for name in names))


def inspect(out: Path, document: str, console: Console | None = None) -> list[Fate]:
    """Prints what a corpus holds, or where one document went. Returns its fates."""
    console = console or Console(highlight=False)
    if not document:
        show(out, console)
        return []
    fates = trace(out, document)
    for fate in fates:
        what = "kept" if fate.kept else f"dropped: {fate.reason}"
        console.print(f"{fate.stage:<18} {what}" + (f"  ({fate.other})" if fate.other else ""), markup=False)
        console.print(f"    {fate.source}  {fate.place}", markup=False)
    console.print(f"\n{fates[-1].text}", markup=False)
    return fates


def _mixture(recipe: CorpusRecipe, counts: dict[str, dict[str, int]]) -> dict[str, Any]:
    """The table of stage 7, with the weights that `train` mixes by. Sources of which nothing is left are not in it."""
    there = [source for source in recipe.sources if source.name in counts]
    weights = {source.name: source.weight for source in there}
    if any(source.epochs for source in there):
        tokens = {source.name: counts[source.name]["tokens"] for source in there}
        weights = weights_of_epochs(tokens, {source.name: source.epochs for source in there})
    held = {name: Held(counts[name]["documents"], counts[name]["tokens"], weight) for name, weight in weights.items()}
    rows = plan(held, recipe.mixture.planned_tokens, recipe.mixture.most_epochs)
    sources = [{**row._asdict(), "bytes": counts[row.source]["bytes"], "shards": f"shards/{row.source}"} for row in rows]
    gone = [f"{source.name} has no document left to train on" for source in recipe.sources if source.name not in counts]
    warnings = [*gone, *(row.warning for row in rows if row.warning)]
    return {"planned_tokens": recipe.mixture.planned_tokens, "sources": sources, "warnings": warnings}
