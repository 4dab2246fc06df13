"""Emergence as one HTML page: by task, scores against compute by the coarse measure and the finer ones, with what the tests say of
each; and accuracy against the number of examples, a line a model, as GPT-3's figure 1.2.

Reads emergence.json alone. Compute spans decades, so its axis is its logarithm to base 10. Shapes: M models.
"""

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from tenfold.errors import UserError
from tenfold.report.page import drawn, own, template, write_page
from tenfold.report.plots import Figure, Series, number

COMPUTE = "compute, 10^x FLOPs"
MEASURES = {
    "exact": "exact match",
    "logprob": "log-probability",
    "tokens": "edit distance, tokens",
    "letters": "edit distance, letters",
    "brier": "Brier score",
}
WHAT = {
    "exact": "the answer is right, by the task's own rule",
    "logprob": "nats of the right answer; without chance, less those of other items' answers",
    "tokens": "1 less the tokens to change in what was written, of the longer text's",
    "letters": "the same in letters",
    "brier": "squared error of the probabilities of the right answer and the others; lower is better",
}
SHARES = ("exact", "tokens", "letters", "brier")  # 0 at chance and 1 where all is right, once chance is out
COLOURS = {"exact": 1, "tokens": 2, "letters": 3, "brier": 4, "logprob": 0}


def emergence_report(folder: Path) -> Path:
    """Writes FOLDER/report.html, whole or not at all. Raises UserError where emergence.json is missing or damaged."""
    file = folder / "emergence.json"
    try:
        found = json.loads(file.read_text("utf-8"))
        text = render(found, folder.resolve().parent.name if folder.name == "emergence" else folder.resolve().name)
    except FileNotFoundError:
        raise UserError(f"{folder} holds no emergence.json.\n  Name a folder that `tenfold eval emergence` wrote.") from None
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(f"{file} is damaged: {error!r}.\n  Say the same `tenfold eval emergence` again.") from error
    return write_page(folder / "report.html", text)


def render(found: dict[str, Any], title: str) -> str:
    """The page as text."""
    models = found["models"]
    flops = [model["flops"] for model in models]
    extent = f"{_count(len(models), 'model')}, {max(flops) / min(flops):,.0f}x apart in training compute"
    return template("emergence.html").render(
        script=Markup(own("pointer.js")),
        title=title,
        written=datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC"),
        lede=f"{extent}, on {_count(len(found['tasks']), 'task')}.",
        summary=[_summary(task, row) for task in found["tasks"] for row in task["shots"]],
        tasks=[_task(task, models) for task in found["tasks"]],
        measures=[(MEASURES[name], WHAT[name]) for name in MEASURES],
        models=[
            (
                m["name"],
                number(m["parameters"] or m["non_embedding"]),
                number(m["tokens"]),
                f"{m['flops']:.2e}",
                f"{math.log10(m['flops']):.2f}",
            )
            for m in models
        ],
        aside=[(row["name"], row["reason"]) for row in found["aside"]],
    )


def shares(row: dict[str, Any], models: list[dict[str, Any]]) -> Figure:
    """The measures that are shares, chance taken out, against compute, with the interval of exact match and the hinge of what breaks."""
    x, series = _log(models), []
    for name in (name for name in SHARES if name in row["measures"]):
        curve = row["measures"][name]
        if name == "exact":
            series += [Series("", x, np.array(curve[end]), "raw", COLOURS[name]) for end in ("low", "high")]
        series.append(Series(MEASURES[name], x, np.array(curve["centred"]), "dots", COLOURS[name]))
        series += _hinge(curve["bend"], x[row["tested"]], COLOURS[name])
    caption = "0 at chance, 100% where all is right. Faint: the 95% interval of exact match over items, and the hinge of what bends upward."
    return Figure("Scores without chance", COMPUTE, series, caption=caption, percent=True)


def logprobs(row: dict[str, Any], models: list[dict[str, Any]]) -> Figure:
    """The log-probability of the right answers and of other items' answers after the same questions."""
    x, curve = _log(models), row["measures"]["logprob"]
    series = [
        Series("the right answer", x, np.array(curve["value"]), "dots", COLOURS["logprob"]),
        Series("wrong answers", x, np.array(curve["chance"]), "dots", 7),
    ]
    return Figure("Log-probability of answers", COMPUTE, series, caption="Nats an answer. What is between the two is no matter of form.")


def in_context(task: dict[str, Any], models: list[dict[str, Any]]) -> Figure | None:
    """Exact match against the number of examples, a line a model; None where there is one number."""
    rows = sorted(task["shots"], key=lambda row: row["shots"])
    if len(rows) < 2:
        return None
    x = np.log2(1 + np.array([row["shots"] for row in rows], float))
    values = [np.array([row["measures"]["exact"]["value"][m] for row in rows]) for m in range(len(models))]
    series = [Series(model["name"], x, y, "dots", m) for m, (model, y) in enumerate(zip(models, values, strict=True))]
    ticks = tuple((float(at), str(row["shots"])) for at, row in zip(x, rows, strict=True))
    return Figure(
        "Accuracy by number of examples",
        "examples in the prompt",
        series,
        caption="Exact match, a line a model.",
        percent=True,
        x_ticks=ticks,
    )


def _task(task: dict[str, Any], models: list[dict[str, Any]]) -> dict[str, Any]:
    figure = in_context(task, models)
    slopes = [
        (model["name"], _signed(row["slope"]), f"{_signed(row['low'])} to {_signed(row['high'])}")
        for model, row in zip(models, task["examples"], strict=bool(task["examples"]))
    ]
    return {
        "name": task["task"],
        "what": task["what"],
        "count": f"{task['items']:,} of {task['of']:,} items" if task["of"] > task["items"] else f"{task['items']:,} items",
        "in_context": drawn(figure) if figure else None,
        "slopes": slopes,
        "shots": [_at_shots(row, models) for row in task["shots"]],
    }


def _at_shots(row: dict[str, Any], models: list[dict[str, Any]]) -> dict[str, Any]:
    measures = row["measures"]
    return {
        **_said(row),
        "plots": [box for box in (drawn(shares(row, models)), drawn(logprobs(row, models))) if box],
        "tests": [_test(name, measures[name]["bend"]) for name in MEASURES if name in measures and measures[name]["bend"]],
        "heads": [MEASURES[name] for name in MEASURES if name in measures],
        "rows": [_values(m, model, measures) for m, model in enumerate(models)],
        "cut": [(model["name"], f"{cut:,}") for model, cut in zip(models, row["cut"], strict=True) if cut],
        "untested": [model["name"] for m, model in enumerate(models) if m not in row["tested"]],
    }


def _values(place: int, model: dict[str, Any], measures: dict[str, Any]) -> dict[str, Any]:
    cells = []
    for name in (name for name in MEASURES if name in measures):
        curve = measures[name]
        shown = _score(name, curve["value"][place])
        centred = f"{curve['centred'][place]:+.2f}" if name == "logprob" else f"{100 * curve['centred'][place]:.1f}"
        cells.append((shown, centred))
    return {"name": model["name"], "flops": f"{model['flops']:.2e}", "cells": cells}


def _score(name: str, value: float) -> str:
    return f"{100 * value:.1f}%" if name in ("exact", "tokens", "letters") else f"{value:.3f}"


def _test(name: str, bend: dict[str, Any]) -> dict[str, str]:
    at = "" if bend["at"] is None or not bend["breaks"] else f"10^{bend['at']:.2f} ({bend['low']:.2f} to {bend['high']:.2f})"
    said = "breaks" if bend["breaks"] else "on a line" if bend["on_a_line"] else "rises" if bend["rises"] else "nothing"
    return {
        "measure": MEASURES[name],
        "said": said,
        "slope": f"{bend['line'][1]:+.3g}",
        "rise": _p(bend["rise_p"]),
        "straight": f"{100 * bend['straight']:.0f}%",
        "p": _p(bend["p"]),
        "at": at,
    }


def _summary(task: dict[str, Any], row: dict[str, Any]) -> dict[str, str]:
    exact = row["measures"]["exact"]
    best = f"{100 * exact['value'][-1]:.1f}%"
    return {"task": task["task"], "largest": best, **_said(row)}


def _said(row: dict[str, Any]) -> dict[str, str]:
    return {"shots": _count(row["shots"], "example"), "verdict": row["said"], "word": row["verdict"], "why": row["why"]}


def _hinge(bend: dict[str, Any] | None, x: np.ndarray, colour: int) -> list[Series]:
    """The hinge along the models that were tested, where it is more than a line."""
    if not bend or not bend["breaks"] or bend["at"] is None:
        return []
    at = np.array(sorted([*x, bend["at"]]))
    y = bend["start"] + bend["before"] * at + (bend["after"] - bend["before"]) * np.maximum(0, at - bend["at"])
    return [Series("", at, y, "raw", colour)]


def _log(models: list[dict[str, Any]]) -> np.ndarray:
    return np.log10([model["flops"] for model in models])


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 0.001 else "< 0.001"


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
