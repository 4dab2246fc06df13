"""Sources to clean documents: the stages in their order, each from the one before; a stage that is finished is not run again."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from tenfold.corpus.documents import Progress
from tenfold.corpus.engine.frames import Engine
from tenfold.corpus.engine.links import LINKS, link_sources
from tenfold.corpus.engine.read import Task, read_sources, reading_tasks, text_in
from tenfold.corpus.engine.stages import STEPS, check
from tenfold.corpus.engine.stop import clean_stop
from tenfold.corpus.engine.store import Partial, Stage
from tenfold.corpus.files import fingerprint, one_process, write_atomically
from tenfold.corpus.recipe import CorpusRecipe, SourceConfig
from tenfold.corpus.sources.opening import is_url

FORMAT = 1  # raise it when a stage gives other documents from the same input


class Built:
    """The stages of a corpus that are there, and those that the recipe does without."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self.skipped: dict[str, str] = {}

    @property
    def documents(self) -> Stage:
        """The last stage that holds documents: stage 7 only says where they are."""
        return next(stage for stage in reversed(self.stages) if stage.directory.name != "7-index")


def build_documents(recipe: CorpusRecipe, out: Path, engine: Engine, progress: Progress | None = None, before_step: str = "") -> Built:
    """Runs the stages that are not there yet under OUT/documents, all or those before one, and writes OUT/manifest.json.

    Raises UserError naming the source, file or field that cannot be used, or saying that the disk is full: what was finished stays,
    and the same command goes on from there.
    """
    built = Built()
    check(recipe, with_quality=before_step != "4-quality")
    with clean_stop(out), one_process(out / "documents"):
        engine.start()
        links = link_sources(recipe)
        read_links = _read(recipe, links, out / "documents" / LINKS, engine, progress) if links else None
        built.stages.append(_read(recipe, recipe.sources, out / "documents" / "0-read", engine, progress))
        for step in STEPS:
            if step.name == before_step:
                break
            why = step.skipped(recipe)
            if why:
                built.skipped[step.name] = why
                continue
            before = built.documents
            worth = engine.worth(before.count("kept")["bytes"])
            made_from = fingerprint(
                FORMAT, step.name, step.settings(recipe), before.fingerprint, read_links.fingerprint if read_links else ""
            )
            stage = _made(out / "documents" / step.name, made_from, lambda partial: step.run(worth, recipe, before, partial), progress)  # noqa: B023
            built.stages.append(stage)
            write_manifest(out, recipe, built)
    return built


def _read(recipe: CorpusRecipe, sources: Sequence[SourceConfig], place: Path, engine: Engine, progress: Progress | None) -> Stage:
    tasks = reading_tasks(sources, recipe.work.part_bytes)
    made_from = fingerprint(FORMAT, "read", recipe.work.part_bytes, [_described_task(task) for task in tasks])

    def run(partial: Partial) -> dict:
        read_sources(engine.worth(sum(text_in(file) for task in tasks for file, _ in task.files)), tasks, recipe.work.part_bytes, partial)
        return {}

    return _made(place, made_from, run, progress)


def _described_task(task: Task) -> list:
    source = task.source
    return [source.name, source.kind, asdict(source.limits), [[file, name, _stat(file)] for file, name in task.files], task.components]


def _stat(file: str) -> list[int]:
    path = Path(file).expanduser()
    return [] if is_url(file) else [path.stat().st_size, path.stat().st_mtime_ns]


def _made(place: Path, made_from: str, run: Callable[[Partial], dict], progress: Progress | None) -> Stage:
    """The stage at a place: as it is if it was made from this and is whole, else made."""
    stage = Stage.open(place, made_from)
    if stage is None:
        began = time.perf_counter()
        if progress:
            progress(place.name, 0, None)
        partial = Partial(place, made_from)
        stage = partial.finish({"stage": place.name, **run(partial)}, time.perf_counter() - began)
    if progress:
        documents = stage.count("kept")["documents"]
        progress(place.name, documents, documents)
    return stage


def write_manifest(out: Path, recipe: CorpusRecipe, built: Built) -> None:
    """OUT/manifest.json: what each stage kept and dropped, why, how many bytes, how long it took, and examples."""
    manifest = {
        "recipe": recipe.name,
        "sources": [source.name for source in recipe.sources],
        "stages": [_described(stage) for stage in built.stages],
        "skipped": built.skipped,
    }
    write_atomically(out / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def _described(stage: Stage) -> dict:
    fields = {name: stage.index[name] for name in ("stage", "kept", "dropped", "samples")}
    return {**fields, "seconds": stage.seconds, "total": {"kept": stage.count("kept"), "dropped": stage.count("dropped")}}
