"""A ledger as one HTML page: what works and since when, what does not yet, what worked once, and how scores go with scale and time.

Reads the board.json of `tenfold ledger show` alone. What a model said is its own text: the template escapes it.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from tenfold.errors import UserError
from tenfold.report.evaluation import is_share
from tenfold.report.page import drawn, own, template, write_page
from tenfold.report.plots import Figure, Series, number, percent

ABOUT = {
    "regressed": "A model that comes after one that passed fails, by more than two standard errors: it is larger, or as large and newer.",
    "not yet": "No model passes. The nearest to its threshold first.",
    "works": "Some model passes, and no later one has lost it. The newest first.",
    "not run": "No model has been asked what the file says now.",
}


def ledger_report(ledger: Path) -> Path:
    """Writes LEDGER/board.html, whole or not at all, of its board.json. Raises UserError where that is missing or damaged."""
    path = ledger / "board.json"
    try:
        return write_page(ledger / "board.html", render(json.loads(path.read_text("utf-8"))))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} cannot be read: {error!r}.\n  Say `tenfold ledger show` again.") from error


def score_said(value: float, metric: str) -> str:
    """A score as people read it: shares in percent."""
    return f"{100 * value:.0f}" if is_share(metric) else number(value)


def render(board: dict[str, Any]) -> str:
    """The page as text."""
    models, rows = board["models"], board["experiments"]
    counts = {state: sum(row["state"] == state for row in rows) for state in ABOUT}
    return template("ledger.html").render(
        title=board["ledger"],
        lede=_lede(models, rows),
        written=_day(board["written"]),
        figures=[(state, counts[state]) for state in ("works", "not yet", "regressed", "not run") if counts[state] or state != "not run"],
        models=[_model(model) for model in models],
        plots=[box for box in (drawn(figure) for figure in (_by_size(models), _by_date(rows)) if figure) if box],
        sections=[(state, about, _rows(state, rows, models)) for state, about in ABOUT.items() if counts[state]],
        earlier=board["earlier"],
        script=Markup(own("pointer.js")),
    )


def _lede(models: list[dict[str, Any]], rows: list[dict[str, Any]]) -> str:
    if not models:
        return f"{len(rows)} experiments that no model has been asked yet: tenfold ledger run --model RUN."
    sizes = [model["parameters"] for model in models]
    said = f"{len(models)} models from {number(min(sizes))} to {number(max(sizes))} parameters" if len(models) > 1 else models[0]["name"]
    return f"{len(rows)} experiments, asked of {said}."


def _model(model: dict[str, Any]) -> dict[str, str]:
    tokens, flops = model.get("tokens"), model.get("flops")
    return {
        "name": model["name"],
        "parameters": number(model["parameters"]),
        "tokens": number(tokens) if tokens else "not known",
        "flops": f"{flops:.1e}" if flops else "not known",
        "first": _day(model["first"]),
        "passes": f"{model['passes']} of {model['measured']}",
        "new": str(model["new"]),
    }


def _by_size(models: list[dict[str, Any]]) -> Figure | None:
    """The share of what was asked that each model passes, by its size."""
    if len({model["parameters"] for model in models}) < 2:
        return None
    x = np.log10([model["parameters"] for model in models])
    y = np.array([model["passes"] / max(model["measured"], 1) for model in models])
    return Figure("What works, by scale", "parameters, log10", [Series("passed", x, y, "points")], from_zero=True, percent=True)


def _by_date(rows: list[dict[str, Any]]) -> Figure | None:
    """How many experiments had worked by each day."""
    days = sorted(datetime.fromisoformat(row["since"]["date"]) for row in rows if row["since"])
    if len({day.date() for day in days}) < 2:
        return None
    x = np.array([(day - days[0]).total_seconds() / 86_400 for day in days])
    return Figure("What had worked, by date", f"days since {_day(days[0].isoformat())}", [Series("worked", x, np.arange(1, len(x) + 1.0))])


def _rows(state: str, rows: list[dict[str, Any]], models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    mine = [row for row in rows if row["state"] == state]
    if state == "not yet":
        mine.sort(key=_distance)
    if state == "works":
        mine.sort(key=lambda row: row["since"]["date"], reverse=True)
    return [_row(row, models) for row in mine]


def _distance(row: dict[str, Any]) -> float:
    """How far the best score is from the threshold, as a share of it."""
    scores = [result["score"] for result in row["results"]]
    best = min(scores) if row["falls"] else max(scores)
    return abs(best - row["threshold"]) / row["threshold"]


def _row(row: dict[str, Any], models: list[dict[str, Any]]) -> dict[str, Any]:
    by_model = {result["model"]: result for result in row["results"]}
    metric, since, smallest = row["metric"], row["since"], row["smallest"]
    lines = [
        f"{each['model']} scores {score_said(each['score'], metric)}, {each['from']} had {score_said(each['had'], metric)}"
        for each in row["regressions"]
    ]
    if since:
        lines.append(f"since {_day(since['date'])}, {since['model']}")
    if smallest and smallest["model"] != since["model"]:
        lines.append(f"smallest that passes: {smallest['model']}")
    how = [row["asks"], row["check"] and f"check {row['check']}", f"{row['shots']} shots" if row["shots"] else "", f"metric {metric}"]
    return {
        "name": row["name"],
        "claim": row["claim"],
        "failed": row["failed"],
        "how": ", ".join(part for part in how if part),
        "threshold": ("up to " if row["falls"] else "") + score_said(row["threshold"], metric),
        "cells": [_cell(by_model.get(model["fingerprint"]), metric) for model in models],
        "lines": lines,
        "spark": _spark(row, models),
        "slope": _slope(row),
        "said": _said(row, models),
    }


def _cell(result: dict[str, Any] | None, metric: str) -> dict[str, Any]:
    if result is None:
        return {"score": "", "passes": False, "error": "", "title": "not run"}
    interval = f"{score_said(result['low'], metric)} to {score_said(result['high'], metric)}"
    cut = f"; {result['cut']} with a prompt longer than the model's context" if result["cut"] else ""
    return {
        "score": score_said(result["score"], metric),
        "passes": result["passes"],
        "error": "" if result["error"] is None else score_said(result["error"], metric),
        "title": f"95% from {interval}, {result['items']} items, {_day(result['date'])}{cut}",
    }


def _slope(row: dict[str, Any]) -> str:
    """What ten times the parameters add."""
    if row["slope"] is None:
        return ""
    return f"{100 * row['slope']:+.0f}" if is_share(row["metric"]) else f"{row['slope']:+.2g}"


def _spark(row: dict[str, Any], models: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Scores by size in a box of 100 x 100, and the threshold; None of fewer than two sizes."""
    sizes = {model["fingerprint"]: float(np.log10(max(model["parameters"], 1))) for model in models}
    found = sorted((sizes[result["model"]], result["score"], result["passes"]) for result in row["results"])
    if len({x for x, _, _ in found}) < 2:
        return None
    scores = [y for _, y, _ in found]
    low, high = (0.0, 1.0) if is_share(row["metric"]) else (min(*scores, row["threshold"]), max(*scores, row["threshold"]))
    left, right = found[0][0], found[-1][0]
    points = [(percent(x, left, right), 100 - percent(y, low, high), passes) for x, y, passes in found]
    return {"points": points, "path": "M" + "L".join(f"{x} {y}" for x, y, _ in points), "at": 100 - percent(row["threshold"], low, high)}


def _said(row: dict[str, Any], models: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What the largest model that was asked said."""
    order = [model["fingerprint"] for model in models]
    found = sorted(row["results"], key=lambda result: order.index(result["model"]))
    if not found or not found[-1]["examples"]:
        return None
    return {"model": models[order.index(found[-1]["model"])]["name"], "examples": found[-1]["examples"]}


def _day(date: str) -> str:
    return datetime.fromisoformat(date).strftime("%-d %B %Y")
