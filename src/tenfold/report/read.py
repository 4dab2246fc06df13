"""The files of a run, read for a report: whole, in progress, or with pieces missing.

What each file holds is the run directory's format; nothing here imports the rooms that write them. A file that is not there is named
in `absent` with a word why and never stops a report; a file that is there and is damaged does, with a UserError that names the line.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tenfold.errors import UserError

LINES = ("metrics.jsonl", "timing.jsonl", "samples.jsonl")
WHY_ABSENT = {
    "recipe.yaml": "the run has not written its recipe",
    "metrics.jsonl": "no step has been logged yet",
    "timing.jsonl": "no step has been timed yet",
    "samples.jsonl": "the run has not written any text yet",
    "documents.json": "this run did not build its own corpus, or has not yet",
    "result.json": "the run is still going, or stopped before its end",
}


@dataclass(frozen=True)
class RunFiles:
    """What a run directory says. Lists are in step order; a missing file is an empty list or None, and a line in `absent`."""

    name: str
    path: Path
    recipe: dict[str, Any] | None
    recipe_text: str
    metrics: list[dict[str, Any]]
    timing: list[dict[str, Any]]
    samples: list[dict[str, Any]]
    documents: dict[str, Any] | None
    result: dict[str, Any] | None
    absent: dict[str, str] = field(default_factory=dict)  # file name -> why it is not there
    cut: tuple[str, ...] = ()  # files whose last line was cut short (killed mid-write) and left out


def read_run(path: Path) -> RunFiles:
    """Reads what a run directory holds.

    Raises UserError when `path` is not a directory, holds none of a run's files, or one of them is damaged anywhere but in its last line.
    """
    path = Path(path)
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise UserError(f"{path} {what}: give a run's directory, such as runs/demo")
    present = [name for name in WHY_ABSENT if (path / name).is_file()]
    if not present:
        raise UserError(f"{path} is not a run: none of {', '.join(WHY_ABSENT)} is in it. Give a directory that tenfold train or demo wrote")
    lines = {name: _read_lines(path / name) if name in present else ([], False) for name in LINES}
    recipe_text = _text(path / "recipe.yaml") if "recipe.yaml" in present else ""
    return RunFiles(
        name=path.resolve().name,
        path=path,
        recipe=_read_yaml(path / "recipe.yaml", recipe_text) if recipe_text else None,
        recipe_text=recipe_text,
        metrics=_by_step(lines["metrics.jsonl"][0]),
        timing=_by_step(lines["timing.jsonl"][0]),
        samples=sorted(lines["samples.jsonl"][0], key=lambda line: line.get("step", 0)),
        documents=_read_json(path / "documents.json") if "documents.json" in present else None,
        result=_read_json(path / "result.json") if "result.json" in present else None,
        absent={name: why for name, why in WHY_ABSENT.items() if name not in present},
        cut=tuple(name for name in LINES if lines[name][1]),
    )


def _read_lines(path: Path) -> tuple[list[dict[str, Any]], bool]:
    """The objects of a .jsonl file, and whether its last line was cut short."""
    raw = path.read_bytes().split(b"\n")
    numbered = [(number, line) for number, line in enumerate(raw, start=1) if line.strip()]
    rows: list[dict[str, Any]] = []
    for number, line in numbered:
        row = _object(line)
        if row is not None:
            rows.append(row)
        elif number == numbered[-1][0]:
            return rows, True
        else:
            start = line[:60].decode("utf-8", "replace")
            raise UserError(
                f"{path} line {number} is not a JSON object: {start!r}. Mend or delete that line; only a last line may be cut short"
            )
    return rows, False


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step", 0), int) else None


def _by_step(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a step, in order. A resumed run may log a step again: its later line wins, field by field."""
    steps: dict[int, dict[str, Any]] = {}
    for row in rows:
        steps.setdefault(row.get("step", 0), {}).update(row)
    return [steps[step] for step in sorted(steps)]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}): restore it, or delete it to report without it") from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}): restore it, or delete it to report without it") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a JSON {type(value).__name__}, not an object: restore it, or delete it to report without it")
    return value


def _read_yaml(path: Path, text: str) -> dict[str, Any]:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML ({' '.join(str(error).split())}): restore it, or delete it to report without it") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} holds {type(value).__name__}, not fields and values: restore it, or delete it to report without it")
    return value
