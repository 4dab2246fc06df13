"""`tenfold codefusion score`: scores runs, shows the tables, writes the page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tenfold.codefusion.score import score
from tenfold.codefusion.score_settings import ScoreSettings
from tenfold.recipes.evaluate_show import steps, table
from tenfold.report.codefusion import score_page
from tenfold.report.plots import number

DIVERSITY = ("different", "4-grams", "edits")


def score_runs(runs: Sequence[str], settings: ScoreSettings, out: Path, console: Console | None = None) -> int:
    """Scores runs on test pairs, prints the tables, writes the files and the page. Returns the exit code. The same call goes on where it
    was stopped."""
    console = console or Console(highlight=False)
    with steps(console) as progress:
        found, result = score(runs, settings, out, progress)
    for line in notes(found):
        console.print(line, soft_wrap=True)
    data = found["data"]
    for split, said in (
        ("all", f"{data['items']:,} items"),
        ("new", f"{data['new']:,} items whose text and code are both not in training"),
    ):
        console.print("", f"{said}; percent, with 95% intervals:", split_table(found, split) or "none", sep="\n")
    console.print("", "Of all items, of their samples:", samples_table(found), sep="\n")
    if result["speed"]:
        console.print("", "Speed, without ranking:", speed_table(result["speed"]), sep="\n")
    console.print(f"{score_page(out)} has every interval, the comparisons and the answers.", soft_wrap=True)
    return 0


def notes(found: dict[str, Any]) -> list[str]:
    """What a reader of the table should know of its data."""
    data, lines = found["data"], []
    if data["of"] > data["items"]:
        lines.append(f"{data['items']:,} of {data['of']:,} items, drawn at random.")
    if data["without_text"]:
        lines.append(f"{data['without_text']:,} items have no text and are left out.")
    if data.get("without_rows"):
        lines.append(f"{data['without_rows']:,} items have no rows of data: their rules are run on made columns instead.")
    if "run" in data:
        lines.append(
            f"{data['run']:,} items have code that can be run, and answers beside it; of the others the syntax tree counts as execution."
        )
    if found["distinct"] == "meaning":
        lines.append("A text's answers are told apart by what they mean.")
    for column in found["columns"]:
        if "of" in column:
            lines.append(f"{column['name']}: the answers of {' and '.join(column['of'])} in one order, by {column['by']}.")
    named = {str(Path(path).expanduser().resolve()) for path in data["train"]}
    for column in found["columns"]:
        others = [path for path in column.get("trained_on", ()) if str(Path(path).expanduser().resolve()) not in named]
        if others:
            lines.append(
                f"{column['name']} was also trained on {', '.join(others)}, which --train does not name: items in them count as new."
            )
        if column.get("cut"):
            lines.append(f"{column['name']}: {column['cut']:,} texts are longer than it reads, and were cut.")
    return lines


def split_table(found: dict[str, Any], split: str) -> Table | None:
    """A row for each model and metric, the language's own first: the best of the first k answers; None where the split has no item."""
    columns = [column for column in found["columns"] if column["splits"][split]["items"]]
    shown = table("model", "metric", *(f"top-{k}" for k in found["tops"]))
    for column in columns:
        for metric in found["metrics"]:
            scores = column["splits"][split]["scores"][metric]
            star = "*" if metric == found["own"] else ""
            shown.add_row(column["name"] if star else "", metric + star, *(interval(scores[str(k)]) for k in found["tops"]))
    return shown if columns else None


def samples_table(found: dict[str, Any]) -> Table:
    """A row a model: how many of its samples are valid, and how unlike those of a text are."""
    shown = table("model", "steps", "valid", "the first", *DIVERSITY)
    for column in found["columns"]:
        row = column["splits"]["all"]
        cells = [row["valid"]["all"], row["valid"]["first"], *(row["diversity"].get(name) for name in DIVERSITY)]
        shown.add_row(column["name"], str(column.get("settings", {}).get("steps") or ""), *map(percent, cells))
    return shown


def speed_table(speed: Sequence[dict[str, Any]]) -> Table:
    """A row for each model and size of batch."""
    shown = table("model", "steps", "batch", "snippets/s", "s a batch", "MiB, at most")
    for row in speed:
        memory = "" if row["bytes"] is None else f"{row['bytes'] / 2**20:,.1f}"
        cells = (str(row["batch"]), number(row["snippets_per_second"]), number(row["seconds"]), memory)
        shown.add_row(row["name"], str(row["steps"] or ""), *cells)
    return shown


def interval(row: dict[str, Any]) -> str:
    """34.2 (31.0-37.5)."""
    return f"{100 * row['value']:.1f} ({100 * row['low']:.1f}-{100 * row['high']:.1f})"


def percent(row: dict[str, Any] | None) -> str:
    """34.2."""
    return f"{100 * row['value']:.1f}" if row else ""
