"""Clean and dirty items as one HTML page: the table of GPT-3's appendix C, and what items share with training text, to be judged by eye.

Knows the rows of items.jsonl and result.json alone. Every text in them is somebody's page: the template escapes all of it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tenfold.report.page import template, write_page
from tenfold.report.plots import number

EACH = 8  # items shown of a task: so many with the fewest words in common, as many with the most
COUNTS = (("all", "items"), ("dirty", "dirty"), ("clean", "clean"))
WHICH = {
    "seen": "what training saw",
    "before": "what training would have seen had evaluation texts not been cut out",
}


def contamination_page(out: Path, result: dict[str, Any], rows: Sequence[dict[str, Any]]) -> Path:
    """Writes the page, whole or not at all, from result.json and the rows of items.jsonl."""
    corpus = result["corpus"]
    items, dirty = (sum(task[name] for task in result["tasks"]) for name in ("items", "dirty"))
    text = template("contamination.html").render(
        title="Contamination",
        written=datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC"),
        corpus=corpus["corpus"],
        which=WHICH[corpus["which"]],
        stage=corpus["stage"],
        figures=[
            ("items", f"{items:,}"),
            ("dirty", f"{dirty:,}"),
            ("clean", share(items - dirty, items)),
            ("training documents", f"{corpus['documents']:,}"),
            ("letters of text", number(corpus["letters"])),
        ],
        table=[row for task in result["tasks"] for row in table_rows(task, result["scores"])],
        scored=bool(result["scores"]),
        whole=sum(task["whole"] for task in result["tasks"]),
        examples=[each for task in result["tasks"] if (each := _examples(task, rows))],
    )
    return write_page(out, text)


def table_rows(task: dict[str, Any], scores: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """A task's rows of table C.1, in words: one for each result, or one without scores."""
    counts = {"task": task["task"], "n": str(task["n"]), "clean_share": share(task["clean"], task["items"])}
    own = [score for score in scores if score["task"] == task["task"]]
    if not own:
        none = {name: {"score": "", "range": "", "items": f"{task[key]:,}"} for name, key in COUNTS}
        return [counts | {"what": "", "relative": "", "relative_range": ""} | none]
    rows = []
    for score in own:
        relative = score["relative"]
        what = f"{score['model']}, {score['shots']} shots, {score['metric']}"
        clean = share(score["clean"]["items"] if score["clean"] else 0, score["all"]["items"])
        row = counts | {"what": what, "clean_share": clean} | {name: _score(score[name]) for name in ("all", "dirty", "clean")}
        row["relative"] = f"{100 * relative['value']:+.1f}%" if relative else ""
        row["relative_range"] = f"{100 * relative['low']:+.1f} to {100 * relative['high']:+.1f}" if relative else ""
        rows.append(row)
    return rows


def share(part: int, whole: int) -> str:
    """In percent, with as many digits that a few of very many are not rounded away."""
    rounded = f"{100 * part / whole:.1f}%"
    return f"{100 * part / whole:.3f}%" if rounded in ("0.0%", "100.0%") and 0 < part < whole else rounded


def _score(found: dict[str, Any] | None) -> dict[str, str]:
    if found is None:
        return {"score": "", "range": "", "items": "0"}
    between = f"{100 * found['low']:.1f} to {100 * found['high']:.1f}"
    return {"score": f"{100 * found['value']:.1f}", "range": between, "items": f"{found['items']:,}"}


def _examples(task: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The items of a task whose longest overlap is shortest, then those whose is longest."""
    own = [row for row in rows if row["task"] == task["task"] and row["overlaps"]]
    if not own:
        return None
    own.sort(key=lambda row: (max(overlap["words"] for overlap in row["overlaps"]), row["id"]))
    few = own if len(own) <= 2 * EACH else own[:EACH] + own[-EACH:]
    return {"task": task["task"], "n": task["n"], "dirty": len(own), "left_out": len(own) - len(few), "rows": [_shown(row) for row in few]}


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    overlap = max(row["overlaps"], key=lambda overlap: overlap["words"])
    place = " · ".join(each for each in (overlap["source"], overlap["file"], overlap["url"], overlap["document"]) if each)
    more = row["documents"] - 1
    return {
        "id": row["id"],
        "words": overlap["words"],
        "grams": f"{row['dirty_grams']} of its {row['grams']} runs of words",
        "place": place,
        "more": f"and {more:,} more document{'s' if more > 1 else ''}" if more > 0 else "",
        "item": overlap["item"],
        "training": overlap["training"],
    }
