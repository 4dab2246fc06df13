"""`tenfold eval emergence`: asks every model of a ladder, shows what is found, writes the files and the page."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from tenfold.errors import UserError
from tenfold.evaluate.emergence import emergence, find_models, find_probes
from tenfold.evaluate.results import check_writable
from tenfold.evaluate.settings import EvalSettings
from tenfold.recipes.evaluate_road import Display
from tenfold.recipes.evaluate_show import table
from tenfold.report.emergence import MEASURES, emergence_report
from tenfold.scaling.points import Point
from tenfold.train.records import write_json


def emerge(
    places: Sequence[Path], tasks: Sequence[str], settings: EvalSettings, out: Path | None = None, console: Console | None = None
) -> int:
    """Measures the models of ladders and runs on the tasks, prints tables, writes OUT/emergence.json, result.json and report.html. Returns
    the exit code. The same call goes on where it was stopped."""
    from tenfold.api import load

    console = console or Console(highlight=False)
    out = out or _place(places)
    asked = find_probes(tasks, settings)
    models, aside = find_models(places)
    check_writable(out)
    with ExitStack() as stack:

        def watch(point: Point) -> Display:
            stack.close()  # the bar of the model before
            console.print(f"{point.name} ({point.flops:.2e} FLOPs)", soft_wrap=True)
            return stack.enter_context(Display(console))

        found = emergence(models, asked, settings, load, watch, aside)
    write_json(out / "emergence.json", found)
    write_json(out / "result.json", result(found))
    for task in found["tasks"]:
        for row in task["shots"]:
            _show(task, row, found["models"], console)
    for each in aside:
        console.print(f"{each.name} is set aside: {each.fault}.", soft_wrap=True)
    console.print(f"{emergence_report(out)} has the curves.", soft_wrap=True)
    return 0


def result(found: dict[str, Any]) -> dict[str, Any]:
    """What the command found, in short."""
    rows = [(task, row) for task in found["tasks"] for row in task["shots"]]
    return {
        "command": "eval emergence",
        "models": [model["name"] for model in found["models"]],
        "verdicts": [
            {"task": task["task"], "shots": row["shots"], **{name: row[name] for name in ("verdict", "said", "why")}} for task, row in rows
        ],
    }


def _place(places: Sequence[Path]) -> Path:
    if len(places) != 1:
        raise UserError(f"{len(places)} places are named, so there is no one folder to write into.\n  Say --out DIR.")
    return places[0] / "emergence"


def _show(task: dict[str, Any], row: dict[str, Any], models: Sequence[dict[str, Any]], console: Console) -> None:
    """A table of scores without chance, a row a model, and the verdict."""
    names = [name for name in MEASURES if name in row["measures"]]
    shown = table("model", "FLOPs", *names)
    for m, model in enumerate(models):
        values = [(name, row["measures"][name]["centred"][m]) for name in names]
        cells = (f"{value:+.2f} nats" if name == "logprob" else f"{100 * value:.1f}%" for name, value in values)
        shown.add_row(model["name"], f"{model['flops']:.1e}", *cells)
    console.print("", f"{task['task']}, {row['shots']} examples, chance taken out:", shown, sep="\n")
    console.print(f"{row['said']}: {row['why']}", soft_wrap=True)
