"""Scores of models that write code as one HTML page: tables on all items and on new ones, comparisons, quality by steps, snippets forming.

Reads the scores.json, result.json and NAME.jsonl of `tenfold codefusion score` alone. Texts are somebody's and codes a model's: the
template escapes them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from tenfold.errors import UserError
from tenfold.report.page import drawn, own, template, write_page
from tenfold.report.plots import Figure, Series, number

SPLITS = {"all": "All items", "new": "Items whose text and code are both not in training"}
WHAT = {
    "exact": "the same letters",
    "template": "the same utilities, flags and structure, arguments aside",
    "ast": "the same syntax tree",
    "execution": "both rules do the same to the item's cells, or to made columns where it has none",
    "made": "both rules do the same to all made columns",
    "embedding": "F1 of the cosines of nearest tokens in a table of embeddings",
}
PYTHON_RUN = "both do the same when they are run with made-up values"
DIVERSITY = {
    "different": "samples that differ",
    "1-grams": "different tokens",
    "2-grams": "different 2-grams",
    "3-grams": "different 3-grams",
    "4-grams": "different 4-grams",
    "edits": "edit distance",
    "likeness": "likeness of embeddings",
}
LANGUAGES = {"bash": "Bash", "python": "Python", "cf": "Conditional formatting"}
SHOWN = 12  # items
LETTERS = 600  # of a code
HOLD = 4  # how many looks long the last one stays


def score_page(folder: Path) -> Path:
    """Writes FOLDER/score.html, whole or not at all. Raises UserError where a file is missing or damaged."""
    try:
        found, result = (json.loads((folder / name).read_text("utf-8")) for name in ("scores.json", "result.json"))
        items = {column["name"]: _items(folder, column["name"]) for column in found["columns"]}
        text = render(found, result, items)
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing.\n  Name a folder that `tenfold codefusion score` wrote.") from None
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(f"{folder} holds damaged scores: {error!r}.\n  Say the same `tenfold codefusion score` again.") from error
    return write_page(folder / "score.html", text)


def _items(folder: Path, name: str) -> list[dict[str, Any]]:
    with (folder / f"{name.replace('/', '-')}.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line, _ in zip(lines, range(SHOWN), strict=False)]


def render(found: dict[str, Any], result: dict[str, Any], items: dict[str, list[dict[str, Any]]]) -> str:
    """The page as text."""
    data, columns = found["data"], found["columns"]
    return template("codefusion.html").render(
        script=Markup(own("pointer.js")),
        title=LANGUAGES.get(found["language"], found["language"]),
        written=result["written"],
        lede=f"{data['items']:,} items of {data['path']}. New, with neither text nor code in training: {data['new']:,}.",
        tops=found["tops"],
        distinct=found["distinct"],
        together=[(column["of"], column["by"]) for column in columns if "of" in column],
        own=found["own"],
        what=[(metric, _what(found, metric)) for metric in found["metrics"]],
        splits=[_split(found, split) for split in SPLITS if any(column["splits"][split]["items"] for column in columns)],
        samples=_samples(columns),
        likeness=found["embeddings"],
        speed=[_speed(row) for row in result["speed"]],
        least=[_least(each, found["own"], found["tops"]) for each in found["curves"]],
        curves=[box for k in _ends(found["tops"]) if (box := drawn(curve(found, k)))],
        way=drawn(way(found["frames"])),
        forming=[_forming(looks) for looks in found["frames"]],
        answers=_answers(items, found["own"], found["tops"][-1]),
        models=[_model(column) for column in columns if "run" in column],
        machine=result["machine"].get("cpu", ""),
        device=result["machine"].get("device", ""),
    )


def _what(found: dict[str, Any], metric: str) -> str:
    if metric == "execution" and found["language"] == "python":
        return f"{PYTHON_RUN}; {found['data']['run']:,} items have code that can be run, of the others the same syntax tree"
    return WHAT[metric]


def curve(found: dict[str, Any], k: int) -> Figure:
    """The language's own metric at k by the number of steps, a line a model, with its interval; steps double along the axis."""
    metric, series, marks = found["own"], [], set()
    colours = {column["name"]: place for place, column in enumerate(found["columns"])}
    for each in found["curves"]:
        steps = [point["steps"] for point in each["points"]]
        rows = [point["scores"][metric][str(k)] for point in each["points"]]
        x, colour = np.log2(steps), colours[each["name"]]
        series += [Series("", x, np.array([row[end] for row in rows]), "raw", colour) for end in ("low", "high")]
        series.append(Series(each["name"], x, np.array([row["value"] for row in rows]), "dots", colour))
        marks |= set(steps)
    ticks = tuple((float(np.log2(steps)), f"{steps:,}") for steps in sorted(marks))
    count = max((each["items"] for each in found["curves"]), default=0)
    caption = f"On {count:,} items drawn at random. Faint: 95% intervals."
    return Figure(f"Top-{k} by steps, {metric}", "steps", series, from_zero=True, caption=caption, percent=True, x_ticks=ticks)


def way(frames: Sequence[dict[str, Any]]) -> Figure:
    """Edit distance of looks at a snippet to its end, by how much of the way is gone."""
    series = []
    for colour, each in enumerate(frames):
        x = 100 * np.arange(1, len(each["steps"]) + 1) / len(each["steps"])
        series += [Series("", x, np.array([row[end] for row in each["edits"]], float), "raw", colour) for end in ("low", "high")]
        series.append(Series(each["name"], x, np.array([row["value"] for row in each["edits"]], float), "dots", colour))
    caption = "Letters to change until the final snippet, of the longer one's. Faint: 95% intervals over items."
    return Figure("Edit distance to the final code", "percent of the steps", series, from_zero=True, caption=caption, percent=True)


def _least(each: dict[str, Any], metric: str, tops: Sequence[int]) -> dict[str, Any]:
    """Each number of steps less the largest, on the same items."""
    *fewer, most = each["points"]
    rows = [(f"{point['steps']:,}", [_signed(point["less"][metric][str(k)]) for k in _ends(tops)]) for point in fewer]
    return {"name": each["name"], "most": f"{most['steps']:,}", "heads": [f"{metric} top-{k}" for k in _ends(tops)], "rows": rows}


def _signed(row: dict[str, Any]) -> tuple[str, str]:
    return f"{100 * row['value']:+.1f}", f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}"


def _ends(tops: Sequence[int]) -> list[int]:
    return sorted({tops[0], tops[-1]})


def _split(found: dict[str, Any], split: str) -> dict[str, Any]:
    columns = [column for column in found["columns"] if column["splits"][split]["items"]]
    rows = [
        {
            "name": column["name"],
            "metric": metric,
            "first": place == 0,
            "colour": found["columns"].index(column),
            "cells": [_cell(column["splits"][split]["scores"][metric][str(k)]) for k in found["tops"]],
        }
        for column in columns
        for place, metric in enumerate(found["metrics"])
    ]
    wanted = [f"{found['own']}@{k}" for k in _ends(found["tops"])] + ["4-grams", "edits"]
    paired = [_paired(row) for row in found["paired"] if row["split"] == split and row["what"] in wanted]
    return {"title": SPLITS[split], "count": f"{columns[0]['splits'][split]['items']:,}", "rows": rows, "paired": paired}


def _cell(row: dict[str, Any] | None) -> tuple[str, str]:
    """A share in percent, and its interval."""
    return (f"{100 * row['value']:.1f}", f"{100 * row['low']:.1f} to {100 * row['high']:.1f}") if row else ("", "")


def _paired(row: dict[str, Any]) -> dict[str, str]:
    return {
        "pair": f"{row['second']} less {row['first']}",
        "what": row["what"],
        **dict(zip(("value", "interval"), _signed(row), strict=True)),
        "p": f"{row['p']:.2g}" if row["p"] >= 0.001 else "< 0.001",
        "flips": f"{row['better']:,} and {row['worse']:,}",
    }


def _samples(columns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A row a measure, a cell a model, of all items."""
    rows = [column["splits"]["all"] for column in columns]
    found = [("valid", [row["valid"]["all"] for row in rows]), ("the first is valid", [row["valid"]["first"] for row in rows])]
    found += [(said, [row["diversity"].get(name) for row in rows]) for name, said in DIVERSITY.items()]
    return {
        "names": [column["name"] for column in columns],
        "rows": [(said, [_cell(cell) for cell in cells]) for said, cells in found if any(cells)],
    }


def _speed(row: dict[str, Any]) -> tuple[str, ...]:
    memory = "" if row["bytes"] is None else f"{row['bytes'] / 2**20:,.1f}"
    spread = f"{number(row['least'])} to {number(row['most'])}"
    steps = str(row["steps"] or "one a token")
    return row["name"], steps, str(row["batch"]), number(row["snippets_per_second"]), number(row["seconds"]), spread, memory


def _forming(frames: dict[str, Any]) -> dict[str, Any]:
    """What the template shows one after the other: looks with their steps, the last as long as HOLD of them."""
    looks = len(frames["steps"])
    snippets = []
    for each in frames["examples"]:
        shown = [{"code": code[:LETTERS], "step": f"step {step:,}"} for code, step in zip(each["looks"], frames["steps"], strict=True)]
        snippets.append({"text": each["text"], "gold": each["gold"], "looks": shown})
    seconds = looks + HOLD - 1
    shares = {"share": f"{100 / seconds:.3f}", "hold": f"{100 * HOLD / seconds:.3f}"}
    return {"name": frames["name"], "snippets": snippets, "seconds": seconds, **shares}


def _answers(items: dict[str, list[dict[str, Any]]], metric: str, most: int) -> list[dict[str, Any]]:
    """The first items, with what each model answered."""
    found = []
    for place, asked in enumerate(next(iter(items.values()))):
        answered = []
        for name, rows in items.items():
            marks = rows[place]["scores"][metric]
            lines = [(_mark(marks[n]), code[:LETTERS]) for n, code in enumerate(rows[place]["codes"][:most])]
            answered.append((name, lines))
        found.append({"text": asked["text"], "gold": asked["gold"], "new": asked["new"], "id": asked["id"], "answered": answered})
    return found


def _mark(worth: float) -> str:
    return {1.0: "✓", 0.0: " "}.get(worth, f"{100 * worth:.0f}")


def _model(column: dict[str, Any]) -> tuple[str, ...]:
    size = number(column["parameters"])
    settings = ", ".join(f"{name} {value}" for name, value in column["settings"].items() if value not in (None, ""))
    step = "" if column["step"] is None else f"{column['step']:,}"
    return column["name"], column["kind"], size, number(column["without_tables"]), step, settings, column["fingerprint"]
