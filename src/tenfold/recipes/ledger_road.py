"""`tenfold ledger add`, `run` and `show`: experiments into a folder, models against them, the board in the terminal and as a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from tenfold.errors import UserError
from tenfold.evaluate.ledger.board import write_board
from tenfold.evaluate.ledger.experiment import Experiment, from_words, read_experiment
from tenfold.evaluate.ledger.record import add, experiments, starter
from tenfold.recipes.evaluate_show import table
from tenfold.report.ledger import ledger_report, score_said

COLOURS = {"works": "green", "regressed": "red", "not yet": "yellow", "not run": "bright_black"}


def add_files(ledger: Path, files: Sequence[Path], with_starter: bool, new: Experiment | None, console: Console | None = None) -> int:
    """Puts experiments into a ledger: files, a new one, those that come with Tenfold. Returns the exit code."""
    console = console or Console(highlight=False)
    made = [read_experiment(path) for path in files] + ([new] if new else [])
    paths = add(ledger, made) + (add(ledger, starter(), keep=True) if with_starter else [])
    for path in paths:
        console.print(f"  {path}", soft_wrap=True)
    console.print(f"{len(paths)} new, {len(experiments(ledger))} in all.\n  next: tenfold ledger run --model RUN", soft_wrap=True)
    return 0


def new_experiment(name: str, prompt: Sequence[str], expect: Sequence[str], choices: Sequence[str], **said: Any) -> Experiment:
    """An experiment from the words of a command line. Raises UserError that names what is wrong or missing."""
    if len(prompt) != len(expect):
        raise UserError(f"{len(prompt)} texts follow --prompt and {len(expect)} --expect: give an answer for each prompt, in order.")
    more: dict[str, Any] = {"choices": list(choices)} if choices else {}
    rows = [{"prompt": asked.replace("\\n", "\n"), "expect": right, **more} for asked, right in zip(prompt, expect, strict=True)]
    keys = {key: value for key, value in said.items() if value not in ("", None)} | ({"prompts": rows} if rows else {})
    return from_words(name, keys)


def run_models(
    ledger: Path,
    models: Sequence[str],
    names: Sequence[str] = (),
    data: tuple[Path, ...] = (),
    run_code: bool = False,
    console: Console | None = None,
) -> int:
    """Runs the experiments against each model, writes the board. Returns the exit code: 1 where some could not be run."""
    console = console or Console(highlight=False)
    asked = experiments(ledger, names)  # refused before a model is read
    if missing := [name for name in models if not Path(name).expanduser().exists()]:
        raise UserError(f"--model names {missing[0]}, which is not there.\n  Name a run, a Hugging Face directory or a .gguf file.")
    from tenfold.recipes.ledger_models import measure

    ended = [measure(ledger, asked, model, data, run_code, console) for model in models]
    show(ledger, console)
    return max(ended)


def show(ledger: Path, console: Console | None = None) -> int:
    """Prints the board, and writes its page. Returns the exit code."""
    console = console or Console(highlight=False)
    found = write_board(ledger)
    page = ledger_report(ledger)
    models = found["models"]
    rows = table("experiment", "", *(model["name"] for model in models), "from")
    for row in found["experiments"]:
        by_model = {result["model"]: result for result in row["results"]}
        cells = [_cell(by_model.get(model["fingerprint"]), row) for model in models]
        limit = ("up to " if row["falls"] else "") + score_said(row["threshold"], row["metric"])
        rows.add_row(row["name"], Text(row["state"], COLOURS[row["state"]]), *cells, limit)
    console.print(rows)
    counts = {state: sum(row["state"] == state for row in found["experiments"]) for state in COLOURS}
    console.print(", ".join(f"{count} {state}" for state, count in counts.items() if count) + f"  {page}", soft_wrap=True)
    return 0


def _cell(result: dict[str, Any] | None, row: dict[str, Any]) -> Text:
    if result is None:
        return Text("")
    return Text(score_said(result["score"], row["metric"]), "green" if result["passes"] else "")
