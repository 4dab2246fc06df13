"""A model's samples beside other texts as one HTML page: a table of measures, curves over length, what was copied, and the texts.

Knows result.json and copies.jsonl alone. Every text in them may hold anything: the template escapes all of it.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from tenfold.report.page import drawn, own, template, write_page
from tenfold.report.plots import Figure, Series, number

EACH = 4  # longest copied runs shown of each column
LETTERS = 3000  # of a text that is shown
PART = 50  # words
NEAREST = 8  # words back, of the first distance
ROWS = (
    ("repeated 4-word runs", "of a text's runs of four words, those that stood in it before", ("repeated", "4"), "%"),
    ("repeated single words", "of a text's words, those that stood in it before", ("repeated", "1"), "%"),
    ("repeated sentences", "of a text's sentences, those that stood in it before", ("repeated_sentences",), "%"),
    ("compressed", "bytes of a text over its bytes after zlib", ("compressed",), "x"),
    ("different 2-word runs", "of all runs of two words of all texts, those that are different", ("distinct", "2"), "%"),
    ("different 4-word runs", "the same of four words", ("distinct", "4"), "%"),
    ("new 4-word runs", "of a text's runs of four words, those that no training document holds", ("new", 3), "%"),
    ("new 8-word runs", "the same of eight words", ("new", 7), "%"),
    ("longest copied run", "words in a row that a training document holds, the mean over texts", ("copied",), "words"),
)


def samples_page(out: Path, result: dict[str, Any], copies: Sequence[dict[str, Any]], texts: Mapping[str, Sequence[str]]) -> Path:
    """Writes the page, whole or not at all, from result.json, the rows of copies.jsonl, and some texts of each column to show."""
    columns = result["columns"]
    page = template("samples.html").render(
        script=Markup(own("pointer.js")),
        title="Samples",
        written=datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC"),
        words=result["words"],
        names=[column["name"] for column in columns],
        counts=[f"{column['texts']:,}" for column in columns],
        rows=[row for row in map(lambda each: _row(each, columns), ROWS) if row],
        corpus=result.get("corpus"),
        length=[box for box in (drawn(_coherence(columns)), _back(_distance(columns))) if box],
        model=[box for box in (drawn(_model(columns, "gain")), drawn(_model(columns, "given"))) if box],
        new=drawn(_new(columns)),
        copied=[{"name": column["name"], "colour": at, "rows": _copied(column["name"], copies)} for at, column in enumerate(columns)],
        texts=[{"name": name, "texts": [text[:LETTERS] for text in each]} for name, each in texts.items()],
    )
    return write_page(out, page)


def _row(row: tuple[str, str, tuple, str], columns: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """A measure in words, for each column; None where no column has it."""
    name, about, keys, unit = row
    if keys[0] not in columns[0]:
        return None
    cells = []
    for column in columns:
        found = column
        for key in keys:
            found = found[key]
        estimate = found if isinstance(found, dict) else {"value": found, "low": None}
        between = "" if estimate["low"] is None else f"{_shown(estimate['low'], unit)} to {_shown(estimate['high'], unit)}"
        cells.append({"value": _shown(estimate["value"], unit) + ("%" if unit == "%" else ""), "range": between})
    return {"name": name, "about": about, "cells": cells}


def _shown(value: float, unit: str) -> str:
    return f"{100 * value:.1f}" if unit == "%" else f"{value:.2f}" if unit == "x" else f"{value:.1f}"


def _curves(columns: Sequence[dict[str, Any]], values: Sequence[Sequence[dict[str, Any]]], x: Sequence[float]) -> list[Series]:
    return [
        Series(column["name"], np.array(x[: len(each)], float), np.array([estimate["value"] for estimate in each], float), "line", colour)
        for colour, (column, each) in enumerate(zip(columns, values, strict=True))
        if len(each)
    ]


def _coherence(columns: Sequence[dict[str, Any]]) -> Figure:
    values = [column["coherence"] for column in columns]
    places = [PART * (at + 1.5) for at in range(max(map(len, values)))]
    caption = (
        "Of a part's words, how many more are in its own text's first 50 words than in those of other texts. Falls as texts wander off."
    )
    return Figure("Holding to the beginning", "words into the text", _curves(columns, values, places), caption=caption, percent=True)


def _distance(columns: Sequence[dict[str, Any]]) -> Figure:
    values = [column["distance"] for column in columns]
    caption = "Of a text's runs of four words, those that last stood so many words before."
    return Figure(
        "Repeating by distance",
        "words back, to twice that",
        _curves(columns, values, range(len(values[0]))),
        from_zero=True,
        caption=caption,
        percent=True,
    )


def _back(figure: Figure) -> dict[str, Any] | None:
    """The plot with distances for ticks: its axis goes by their powers of two."""
    box = drawn(figure)
    if box is None:
        return None
    count = len(figure.series[0].x)
    names = [f"<{2 * NEAREST}", *(number(NEAREST * 2**at) for at in range(1, count))]
    ticks = [{"at": 100 * at / (count - 1), "text": name} for at, name in enumerate(names)]
    return {**box, "x_ticks": ticks}


def _model(columns: Sequence[dict[str, Any]], what: str) -> Figure:
    values = [column["model"][what] if "model" in column else [] for column in columns]
    first = 1 if what == "gain" else 0  # the first part has nothing before it to gain by
    places = [PART * (at + 0.5) for at in range(first, max(map(len, values)) or 1)]
    title, caption = {
        "gain": ("What the text before is worth to the model", "Bits per byte that a part costs less after all of its text than alone."),
        "given": ("Bits per byte after the text before", "What each part costs the model that is measured, whoever wrote it."),
    }[what]
    return Figure(title, "words into the text", _curves(columns, [each[first:] for each in values], places), caption=caption)


def _new(columns: Sequence[dict[str, Any]]) -> Figure:
    values = [column.get("new", []) for column in columns]
    caption = "Of a text's runs of so many words, those that no training document holds."
    return Figure(
        "New runs of words", "words in a row", _curves(columns, values, range(1, 17)), from_zero=True, caption=caption, percent=True
    )


def _copied(name: str, copies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The texts of a column with the longest runs that training text has."""
    rows = [row for row in copies if row["column"] == name and row["words"]]
    return sorted(rows, key=lambda row: (-row["words"], row["number"]))[:EACH]
