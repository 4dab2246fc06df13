"""Emergence: the scores of a ladder of models against the compute that trained them, by a coarse measure and by finer ones.

Every model is asked every task at every number of shots, its results being files as `tenfold eval` writes them, so that nothing is measured
twice. What is found of them is one JSON object, OUT/emergence.json, which the page shows; docs/emergence.md has its fields.

Shapes: N items, M models, K numbers of shots.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.errors import UserError
from tenfold.evaluate.curves import curves, in_context
from tenfold.evaluate.engine import TrainedModel
from tenfold.evaluate.grades import COARSE, Grade, grades
from tenfold.evaluate.loaded import Loaded, find_tasks, load
from tenfold.evaluate.probes import Probes, check_near, probes
from tenfold.evaluate.results import Item, Result, read_items
from tenfold.evaluate.run import Answers, Watch, evaluate_loaded
from tenfold.evaluate.settings import EvalSettings
from tenfold.evaluate.task import read_task
from tenfold.scaling.ladder import ladder_points, rung_path
from tenfold.scaling.points import Point
from tenfold.scaling.prediction import PREDICTION, VERIFICATION, read_prediction
from tenfold.scaling.read import read_points

FORMAT = 1
Models = Callable[[Path], TrainedModel]
Answering = Callable[[TrainedModel], Answers]


@dataclass(frozen=True)
class Answered:
    """One model's answers to one task at one number of shots."""

    grades: Mapping[str, Grade]
    items: int
    cut: int
    """Items that the model's context had no room for with all their shots."""


def find_models(places: Sequence[Path]) -> tuple[list[Point], list[Point]]:
    """The trained models of ladders, runs and folders of runs, by compute, and those set aside, each with its fault.

    Raises UserError for a place that is none of these, a model named twice, and where there are none.
    """
    found: list[Point] = []
    for place in places:
        if place.suffix in (".csv", ".json"):
            raise UserError(f"{place} is a table: its models cannot be asked anything.\n  Give a ladder's folder, or runs.")
        found += _of_ladder(place) if (place / "ladder.json").exists() else read_points([place])
    paths = [Path(point.path).resolve() for point in found]
    if twice := next((path for path in paths if paths.count(path) > 1), None):
        raise UserError(f"{twice} is named twice, as a run or in its ladder.\n  Name each once.")
    names = [point.name for point in found]
    found = [point if names.count(point.name) == 1 else replace(point, name=point.path) for point in found]
    usable = sorted((point for point in found if not point.fault), key=lambda point: (point.flops, point.name))
    if not usable:
        rows = "".join(f"\n    {point.name}: {point.fault}" for point in found)
        raise UserError(f"there is no trained model to ask{':' + rows if rows else '.'}\n  Name a ladder that has been climbed, or runs.")
    return usable, [point for point in found if point.fault]


def _of_ladder(out: Path) -> list[Point]:
    """The rungs that were trained, and the target where it was."""
    points = ladder_points(out)
    if (out / PREDICTION).exists() and (out / VERIFICATION).exists():
        target = rung_path(out, read_prediction(out)["target"]["name"])
        points += [] if str(target) in [point.path for point in points] else read_points([target])
    return points


def find_probes(tasks: Sequence[str], settings: EvalSettings) -> list[Probes]:
    """The tasks, with their items and shots, as all models are asked them. Raises UserError for what `tenfold eval` refuses, and for tasks
    without answers that can be near."""
    if not tasks:
        raise UserError("no task is named.\n  Say --tasks TASK ...; `tenfold eval tasks` lists them.")
    chosen = [read_task(name) for name in find_tasks(tasks)]
    for task in chosen:
        check_near(task)
    return [probes(load(task, settings), settings.seed) for task in chosen]


def emergence(
    models: Sequence[Point],
    asked: Sequence[Probes],
    settings: EvalSettings,
    load_model: Models,
    watch: Callable[[Point], Watch],
    aside: Sequence[Point] = (),
    answering: Answering | None = None,
) -> dict[str, Any]:
    """Asks each model each task, and says what is found, for JSON. Results are written into MODEL/eval. `watch` makes what hears how a
    model's evaluation goes, `answering` what answers in place of a new Engine."""

    def ask(point: Point) -> dict[tuple[str, int], Answered]:
        path = Path(point.path)
        model = load_model(path)
        return answers(model, asked, settings, path / "eval", point.path, watch(point), answering and answering(model))

    answered = [ask(point) for point in models]  # one model in memory at a time
    x_M = np.log10([point.flops for point in models])
    return {
        "format": FORMAT,
        "command": "eval emergence",
        "settings": {**settings.written(), "shots": settings.shots},
        "models": [_model(point) for point in models],
        "aside": [{"name": point.name, "reason": point.fault} for point in aside],
        "tasks": [_task(each, answered, x_M) for each in asked],
    }


def answers(
    model: TrainedModel,
    asked: Sequence[Probes],
    settings: EvalSettings,
    out: Path,
    path: str,
    watch: Watch,
    engine: Answers | None = None,
) -> dict[tuple[str, int], Answered]:
    """What one model's answers are worth, by task and number of shots; its results are in `out`."""
    loaded = [each for probe in asked for each in probe.all]
    found = {(each.task, each.shots): each for each in evaluate_loaded(model, loaded, settings, out, path, watch, engine)}
    assert model.tokenizer is not None  # evaluate_loaded has refused a model without one
    encode = model.tokenizer.encode

    def read(each: Loaded, shots: int) -> tuple[Result, list[Item]]:
        result = found[each.task.name, shots]
        return result, read_items(out / f"{result.name}.json")

    made = {}
    for probe in asked:
        for shots in probe.among.counts:
            among, written = read(probe.among, shots), read(probe.written, shots) if probe.written else None
            graded = grades(among, written, encode, probe.task.metric == "greedy")
            made[probe.task.name, shots] = Answered(graded, among[0].items, among[0].cut)
    return made


def _model(point: Point) -> dict[str, Any]:
    return {name: getattr(point, name) for name in ("name", "path", "flops", "parameters", "non_embedding", "tokens")}


def _task(probe: Probes, answered: Sequence[Mapping[tuple[str, int], Answered]], x_M: np.ndarray) -> dict[str, Any]:
    """All of one task."""
    task, counts = probe.task, probe.among.counts
    by_shots = [[found[task.name, shots] for found in answered] for shots in counts]
    return {
        "task": task.name,
        "what": task.about,
        "kind": task.kind,
        "items": by_shots[0][0].items,
        "of": probe.among.of,
        "shots": [_at_shots(shots, found_M, x_M) for shots, found_M in zip(counts, by_shots, strict=True)],
        "examples": in_context(counts, [[found.grades[COARSE] for found in found_M] for found_M in by_shots]),
    }


def _at_shots(shots: int, found_M: Sequence[Answered], x_M: np.ndarray) -> dict[str, Any]:
    by_measure = {name: [found.grades[name] for found in found_M] for name in found_M[0].grades}
    return {"shots": shots, "cut": [found.cut for found in found_M], **curves(by_measure, x_M)}
