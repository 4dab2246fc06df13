"""A run, or several beside each other, as one HTML file that opens anywhere: no network, no other files, plots without scripts.

Everything a run wrote is untrusted text (a model may write `<script>`): the template escapes all of it.
"""

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tenfold.errors import UserError
from tenfold.report import curves, reach, tables
from tenfold.report.plots import Figure, draw
from tenfold.report.read import RunFiles, read_run


def report(run_dirs: list[Path], out: Path | None = None) -> Path:
    """Writes the page and returns its path: `out`, else RUN/report.html, or for several runs comparison.html beside the first.

    A run in progress, or one that lacks files, gives a page that says what is not there. The page appears whole or not at all.
    Raises UserError when no run is given, a directory is not a run, a run is named twice, or a file is damaged.
    """
    if not run_dirs:
        raise UserError("no run to report on: give at least one run's directory, such as runs/demo")
    paths = [Path(path) for path in run_dirs]
    resolved = [path.resolve() for path in paths]
    for path, full in zip(paths, resolved, strict=True):
        if resolved.count(full) > 1:
            raise UserError(f"{path} is named twice: name each run once")
    runs = _tell_apart([read_run(path) for path in paths])
    if out is None:
        out = paths[0] / "report.html" if len(runs) == 1 else resolved[0].parent / "comparison.html"
    return write_page(Path(out), render(runs))


def render(runs: list[RunFiles]) -> str:
    """The page as text."""
    return template("template.html").render(
        script=Markup(own("pointer.js")),
        title=" · ".join(run.name for run in runs) if len(runs) < 5 else f"{len(runs)} runs compared",
        written=datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC"),
        several=len(runs) > 1,
        runs=[{"name": run.name, "state": tables.state(run), "colour": i, "figures": tables.headlines(run)} for i, run in enumerate(runs)],
        lede=tables.lede(runs[0]) if len(runs) == 1 else "",
        loss=_loss_by_axis(runs),
        bits=drawn(curves.bits_per_byte(runs)),
        bars=tables.bars(runs),
        pace=[figure for figure in (drawn(curves.throughput(runs)), drawn(curves.mfu(runs))) if figure],
        course=[box for f in (*curves.alignment(runs), curves.learning_rate(runs), curves.gradient_norm(runs)) if (box := drawn(f))],
        experts=_experts(runs),
        reach=_reach(runs),
        samples=[
            {"run": run.name, "colour": i, **tables.samples(run, 3 if len(runs) > 1 else tables.SAMPLE_STEPS)}
            for i, run in enumerate(runs)
            if run.samples
        ],
        documents=[{"run": run.name, "colour": i, **tables.documents(run)} for i, run in enumerate(runs) if run.documents],
        recipes=[{"run": run.name, "text": run.recipe_text, "groups": tables.recipe(run)} for run in runs if run.recipe],
        differing=tables.differing(runs),
        machines=[{"run": run.name, "fields": tables.machine(run)} for run in runs if tables.machine(run)],
        why=_why(runs),
        cut=[(run.name, name) for run in runs for name in run.cut],
    )


def _loss_by_axis(runs: list[RunFiles]) -> list[dict[str, Any]]:
    """The loss by step, by tokens and by time, where every run that has a loss has those."""
    with_loss = [run for run in runs if curves.measured(run.metrics, "loss")]
    choices = []
    for axis, label in (("step", "Steps"), ("tokens", "Tokens"), ("seconds", "Time")):
        figure = curves.loss(runs, axis)
        trained = [s for s in figure.series if s.kind == "line"]
        box = drawn(figure) if len(trained) == len(with_loss) else None
        if box:
            choices.append({"axis": axis, "button": label, "box": box})
    return choices


def _experts(runs: list[RunFiles]) -> list[dict[str, Any]]:
    """Of mixtures of experts alone: each run's load, and what was dropped."""
    boxes = []
    for run in runs:
        box = drawn(curves.expert_load(run))
        if box:
            boxes.append({**box, "title": f"{box['title']}, {run.name}"} if len(runs) > 1 else box)
    drops = drawn(curves.dropped(runs)) if boxes else None
    return [*boxes, drops] if drops else boxes


def _reach(runs: list[RunFiles]) -> list[dict[str, Any]]:
    """Of runs with layers that do not see all: who sees whom."""
    boxes = []
    for i, run in enumerate(runs):
        square, share = reach.picture(run), reach.share_by_layers(run)
        if square and share:
            boxes.append({"run": run.name, "colour": i, "square": square, "share": drawn(share)})
    return boxes


def drawn(figure: Figure) -> dict[str, Any] | None:
    """What the macro of plot.html draws; None for a figure without points."""
    box = draw(figure)
    return box and {**box, "pointer": Markup(json.dumps(box["pointer"], separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))}


def _why(runs: list[RunFiles]) -> dict[str, str]:
    """For each file that some run lacks, a sentence that says so."""
    said: dict[str, str] = {}
    for name in {name for run in runs for name in run.absent}:
        lacking = [run for run in runs if name in run.absent]
        who = "" if len(runs) == 1 else f" in {', '.join(run.name for run in lacking)}"
        said[name] = f"{name} is not there{who}: {lacking[0].absent[name]}."
    return said


def _tell_apart(runs: list[RunFiles]) -> list[RunFiles]:
    """Runs of the same directory name are called by as much of their path as tells them apart."""

    def called(depth: int) -> Callable[[RunFiles], str]:
        return lambda run: "/".join(run.path.resolve().parts[-depth:])

    names = [run.name for run in runs]
    depth = 1
    while len(set(names)) < len(names):
        depth += 1
        names = [called(depth)(run) for run in runs]
    return [replace(run, name=name) for run, name in zip(runs, names, strict=True)]


def template(name: str) -> jinja2.Template:
    """A page of this room. It escapes all it is given, and knows its style."""
    loader = jinja2.FunctionLoader(own)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals["style"] = Markup(own("style.css"))
    return environment.get_template(name)


def own(name: str) -> str:
    """The text of a file of this room."""
    return resources.files("tenfold.report").joinpath(name).read_text("utf-8")


def write_page(out: Path, text: str) -> Path:
    """Under a temporary name beside `out`, then renamed: a reader sees the old page or the new one."""
    if out.is_dir():
        raise UserError(f"{out} is a directory: give a file to write, such as {out / 'report.html'}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
    except OSError as error:
        raise UserError(f"cannot write {out} ({error.strerror}): give another file with --out") from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # mkstemp's 0600 would keep a shared page from its readers
        os.replace(temporary, out)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return out
