"""A quality classifier as one HTML page: its ROC, and the documents whose scores are nearest one half, to be read by a person."""

from pathlib import Path
from typing import Any

from tenfold.report.page import template, write_page

POINTS = 400  # of the curve


def quality_page(out: Path, about: dict[str, Any], curve: dict[str, list[float]], rows: list[dict[str, Any]]) -> Path:
    """Writes the page, whole or not at all. `rows` are documents: id, score, whether it is of a curated source, text."""
    pairs = list(zip(curve["false_positive_rate"], curve["true_positive_rate"], strict=True))
    step = max(1, len(pairs) // POINTS)
    path = "M" + "L".join(f"{1000 * x:.1f} {1000 - 1000 * y:.1f}" for x, y in [*pairs[::step], pairs[-1]])
    return write_page(out, template("quality.html").render(title="Quality classifier", about=about, path=path, rows=rows))
