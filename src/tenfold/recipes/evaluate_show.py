"""What `tenfold eval tasks`, `diff`, `contamination` and `practice` print. Imports no JAX: no model is asked."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column, Table

from tenfold.corpus.documents import Progress
from tenfold.evaluate.contamination import RESULT, ContaminationSettings
from tenfold.evaluate.contamination import run as look_for
from tenfold.evaluate.diff import Diff, diff
from tenfold.evaluate.loaded import find_tasks
from tenfold.evaluate.practice import write_practice
from tenfold.evaluate.prompts import choose_shots, examples, requests
from tenfold.evaluate.scores import own_name
from tenfold.evaluate.task import read_task, task_names
from tenfold.report.evaluation import is_share

WORDS = 300  # letters of an item's question that a terminal shows


def show_tasks(name: str, data: tuple[Path, ...], console: Console | None = None) -> int:
    """Prints the tasks, or one task's file and its first prompt."""
    console = console or Console(highlight=False)
    if not name:
        rows = table("task", "kind", "own score", "K", "what")
        for task in map(read_task, task_names()):
            rows.add_row(task.name, task.kind, own_name(task), str(task.shots), task.about)
        console.print(rows)
        return 0
    task = read_task(name)
    if task.file:
        console.print(task.file.read_text("utf-8"), markup=False, soft_wrap=True)
    first, pool = examples(task, data)[0], examples(task, data, "shots") if task.shots else []
    k = min(1, len(pool))
    asked = requests(task, first, choose_shots(task, first, pool, k))
    context = asked.rolling if asked.rolling is not None else asked.writing.context if asked.writing else asked.scored[0].context
    console.print(f"--- {first.id} with {k} shots\n{context}", markup=False, soft_wrap=True)
    for each in asked.scored:
        console.print(f"-> {each.text}", markup=False, soft_wrap=True)
    return 0


def show_diff(first: Path, second: Path, items: int = 5, console: Console | None = None) -> int:
    """Prints what differs between two results, or all that two folders share."""
    console = console or Console(highlight=False)
    for found in diff(first, second):
        for line in told(found, items):
            console.print(line, markup=False, soft_wrap=True)
    return 0


def told(found: Diff, items: int) -> list[str]:
    """A difference in words: causes, steps, each rule with its paired bootstrap, and the items whose margin changed most."""
    share = is_share(found.second.own)
    lines = [f"{found.name}", "", "what was done otherwise:"]
    lines += [f"  {cause.what}: {cause.first} -> {cause.second}" if cause.first else f"  {cause.what}" for cause in found.causes]
    lines += [] if found.causes else ["  nothing that is written down"]
    lines += ["", "from the first score to the second:"]
    lines += [f"  {_figure(step.score, share)}  {_change(step.change, share)}  {step.what}" for step in found.steps]
    lines += [f"  {_figure(found.steps[0].score, share)}  {_change(0.0, share)}  the second"] if len(found.steps) == 1 else []
    if found.paired:
        count = next(iter(found.paired.values())).items
        lines += ["", f"on the {count:,} items that both have, the second less the first (95% interval; p of no difference):"]
    for name, each in found.paired.items():
        bounds = " to ".join(_change(end, is_share(name)).strip() for end in (each.low, each.high))
        won = f"{each.better:,} better, {each.worse:,} worse"
        lines.append(f"  {name:<10} {_change(each.value, is_share(name))}  ({bounds}; p {each.p:.2g})  {won}")
    if found.flips:
        asked = f"{found.other_prompts:,} of all items were asked otherwise"
        lines += ["", f"{len(found.flips):,} items flipped by {found.second.own}, of which the largest changes; {asked}:"]
    for flip in found.flips[:items]:
        margins = "" if flip.first_margin is None else f", margin {flip.first_margin:+.3f} -> {flip.second_margin:+.3f}"
        prompt = "the same prompt" if flip.same_prompt else "another prompt"
        lines.append(f"  {flip.id}: {'lost -> won' if flip.won else 'won -> lost'}{margins}, {prompt}")
        lines.append(f"    {' '.join(flip.question.split())[-WORDS:]}")
        lines.append(f"    right: {flip.gold!r}; first: {flip.first!r}; second: {flip.second!r}")
    return [*lines, ""]


def _figure(value: float, share: bool) -> str:
    return f"{100 * value:6.2f}" if share else f"{value:8.4f}"


def _change(value: float, share: bool) -> str:
    return f"{100 * value:+6.2f}" if share else f"{value:+8.4f}"


def contaminated(
    corpus: Path,
    tasks: Sequence[str],
    data: Sequence[Path],
    results: Sequence[Path],
    out: Path | None,
    settings: ContaminationSettings,
    console: Console | None = None,
) -> int:
    """Looks for the items of tasks in a corpus, prints how many are dirty and where the page is. Returns the exit code."""
    console = console or Console(highlight=False)
    with steps(console) as progress:
        page = look_for(corpus, find_tasks(tasks), data, results, out, settings, progress)
    rows = table("task", "N", "items", "dirty", "clean", "clean %")
    for row in json.loads((page.parent / RESULT).read_text("utf-8"))["tasks"]:
        counts = (f"{row[name]:,}" for name in ("n", "items", "dirty", "clean"))
        rows.add_row(row["task"], *counts, f"{100 * row['clean_share']:.1f}")
    console.print(rows)
    console.print(f"{page} shows the overlaps, and scores on all, clean and dirty items.", soft_wrap=True)
    return 0


def show_practice(
    documents: str, tasks: Sequence[str], share: float, out: Path, seed: int, data: Sequence[Path], console: Console | None = None
) -> int:
    """Writes text to practise tasks with, and says how much. Returns the exit code."""
    console = console or Console(highlight=False)
    found = write_practice(documents, tasks, share, out, seed, data)
    console.print(
        f"{out / 'practice.jsonl'}: {found['practice']['documents']:,} documents, {found['practice']['bytes']:,} bytes, "
        f"{100 * found['share']:.1f}% beside {documents}. Train with --data {documents} {out / 'practice.jsonl'}.",
        soft_wrap=True,
    )
    return 0


@contextmanager
def steps(console: Console) -> Iterator[Progress]:
    """A bar that hears `progress(what, done, total)`: in a terminal as it goes, elsewhere a line for each thing begun."""
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
        expand=True,
        transient=True,
        disable=not console.is_terminal or console.quiet,
    )
    number, begun = bar.add_task("", total=None), [""]

    def hear(what: str, done: int, total: int | None) -> None:
        if what != begun[0]:
            begun[0] = what
            bar.reset(number, total=total, description=what)
            if not console.is_terminal:
                console.print(f"  {what}")
        bar.update(number, total=total, completed=done)

    with bar:
        yield hear


def table(*names: str) -> Table:
    """Of columns that are wrapped where the terminal is narrow: nothing is cut off."""
    return Table(*(Column(name, overflow="fold") for name in names), box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
