"""`tenfold codefusion score`: scores runs, shows the tables, writes the page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from tenfold.codefusion.score import score
from tenfold.codefusion.score_settings import ScoreSettings
from tenfold.recipes.evaluate_show import steps, table

HEADS = ("model", "steps")
SHOWN = ("different", "4-grams", "edits")  # of diversity


def score_runs(runs: Sequence[str], settings: ScoreSettings, out: Path, console: Console | None = None) -> int:
    """Scores runs on test pairs, prints the tables, writes the files and the page. Returns the exit code. The same call goes on where it was
    stopped."""
    console = console or Console(highlight=False)
    with steps(console) as progress:
        found = score(runs, settings, out, progress)
    for line in notes(found):
        console.print(line, soft_wrap=True)
    for split in ("all", "new"):
        shown = split_table(found, split)
        count = found["data"]["items"] if split == "all" else found["data"]["new"]
        what = "items" if split == "all" else "items whose text and code are both not in training"
        console.print("", f"{count:,} {what}; percent, with 95% intervals:", shown if shown else "none", sep="\n")
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
    named = {str(Path(path).expanduser().resolve()) for path in data["train"]}
    for column in found["columns"]:
        others = [path for path in column.get("trained_on", ()) if str(Path(path).expanduser().resolve()) not in named]
        if others:
            lines.append(f"{column['name']} was also trained on {', '.join(others)}, which --train does not name: items in them count as new.")
        if column.get("cut"):
            lines.append(f"{column['name']}: {column['cut']:,} texts are longer than it reads, and were cut.")
    return lines


def split_table(found: dict[str, Any], split: str):
    """A row a model: its scores at each k by the language's own metric, exact match, validity and diversity; None where no item is."""
    own, tops = found["own"], found["tops"]
    columns = [column for column in found["columns"] if column["splits"][split]["items"]]
    if not columns:
        return None
    others = [metric for metric in found["metrics"] if metric != own]
    heads = [f"{own} top-{k}" for k in tops] + [f"{metric} top-{k}" for metric in others for k in (tops[0], tops[-1])] + ["valid"]
    shown = table(*HEADS, *heads, *SHOWN)
    for column in columns:
        row = column["splits"][split]
        cells = [interval(row["scores"][own][str(k)]) for k in tops]
        cells += [percent(row["scores"][metric][str(k)]) for metric in others for k in (tops[0], tops[-1])]
        cells += [percent(row["valid"]["all"]), *(percent(row["diversity"].get(name)) for name in SHOWN)]
        shown.add_row(column["name"], str(column.get("settings", {}).get("steps") or ""), *cells)
    return shown


def interval(row: dict[str, Any]) -> str:
    """34.2 (31.0-37.5)."""
    return f"{100 * row['value']:.1f} ({100 * row['low']:.1f}-{100 * row['high']:.1f})"


def percent(row: dict[str, Any] | None) -> str:
    """34.2."""
    return f"{100 * row['value']:.1f}" if row else ""
