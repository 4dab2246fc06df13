"""`tenfold eval RUN TASKS`: load a model, measure it, show the tables, write the page."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from tenfold.evaluate.loaded import find_tasks
from tenfold.evaluate.results import Result
from tenfold.evaluate.run import Watch, evaluate
from tenfold.evaluate.samples import SamplesSettings
from tenfold.evaluate.samples import run as write_samples
from tenfold.evaluate.settings import EvalSettings
from tenfold.evaluate.task import read_task
from tenfold.recipes.evaluate_show import steps, table
from tenfold.report.evaluation import RULES, choice_row, evaluation_report, is_choice, other_rows

WHO = ("task", "shots", "items", "cut")


def measure(
    run: str,
    tasks: Sequence[str],
    settings: EvalSettings,
    out: Path | None = None,
    adapter: Path | None = None,
    console: Console | None = None,
) -> int:
    """Measures what `tenfold.load` takes, prints the tables, writes the results and their page. Returns the exit code."""
    from tenfold.api import load

    console = console or Console(highlight=False)
    out = out or place_of(str(adapter or run))  # another model's results: those of the model itself stay
    for name in find_tasks(tasks):  # refused before a model is read
        read_task(name)
    model = load(run, adapter)
    with Display(console) as display:
        results = evaluate(model, tasks, settings, out, str(run), display)
    for each in tables(results):
        console.print("", each, sep="\n")
    console.print()
    page = evaluation_report(out)
    console.print(
        f"*: the task's own way to score, whose standard error is ±; in percent.  {page} has the prompts and every interval.",
        soft_wrap=True,
    )
    return 0


def sampled(run: str, settings: SamplesSettings, out: Path | None = None, console: Console | None = None) -> int:
    """Measures what a model writes (no `run`: only the texts that the settings name), and writes the page. Returns the exit code."""
    from tenfold.api import load
    from tenfold.evaluate.engine import Engine

    console = console or Console(highlight=False)
    engine = Engine(load(run)) if run else None
    path = Path(run)
    name = path.stem if path.suffix == ".gguf" else path.name  # a run may be called v1.5
    with steps(console) as progress:
        page = write_samples(engine, out or place_of(run, "samples"), settings, name or "texts", progress)
    console.print(page, soft_wrap=True)
    return 0


def place_of(run: str, what: str = "eval") -> Path:
    """Where what is found of a model goes: RUN/eval; of a .gguf file, NAME-eval beside it."""
    path = Path(run).expanduser()
    return path.with_name(f"{path.stem}-{what}") if path.suffix == ".gguf" else path / what


class Display(Watch):
    """A bar with the time left in a terminal; a line for each result everywhere."""

    def __init__(self, console: Console):
        self.console = console
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[what]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            expand=True,
            transient=True,
            disable=not console.is_terminal or console.quiet,
        )
        self.task = self.bar.add_task("", total=None, what="")

    def __enter__(self) -> "Display":
        self.bar.start()
        return self

    def __exit__(self, *_) -> None:
        self.bar.stop()

    def start(self, task: str, shots: int, number: int, of: int) -> None:
        self.about = f"{number}/{of} {task}, {shots} shots"
        self.bar.reset(self.task, total=None, description=self.about, what="prompts")

    def progress(self, what: str, done: int, total: int) -> None:
        shown = self.bar.tasks[0]
        if shown.fields["what"] != what:  # another part begins, at a pace of its own
            self.bar.reset(self.task, total=total, description=self.about, what=what)
        self.bar.update(self.task, total=total, completed=done)

    def result(self, result: Result, path: Path, fresh: bool) -> None:
        said = f"{result.items:,} items in {result.seconds:.1f} s" if fresh else "was there already"
        self.console.print(f"  {self.about}: {said}  {path}", soft_wrap=True)


def tables(results: Sequence[Result]) -> list[Table]:
    """One of the tasks of choices, a column for each rule, and one of the others."""
    shown = [asdict(result) for result in results]
    choices = [choice_row(result) for result in shown if is_choice(result)]
    others = [row for result in shown if not is_choice(result) for row in other_rows(result)]
    who = WHO if any(result.cut for result in results) else WHO[:-1]  # a narrow terminal has no column to spare for zeros
    made = []
    if choices:
        made.append(table(*who, *RULES, "±", "centred"))
        for row in choices:
            made[-1].add_row(*(row[name] for name in who), *(value + mark for value, _, mark in row["rules"]), row["error"], row["centred"])
    if others:
        made.append(table(*who, "metric", "score", "±", "95% interval"))
        for row in others:
            made[-1].add_row(*(row[name] for name in (*who, "metric")), row["value"] + "*" * row["own"], row["error"], row["interval"])
    return made
