"""A ledger is a folder of plain files: experiments/NAME.yaml, and results/NAME/EXPERIMENT-MODEL.json, each of one experiment and one model.

EXPERIMENT and MODEL are fingerprints, so that two people's results never meet in one file unless they measured the same, and git merges
them. What `ledger show` makes of them is written beside, and left out of git.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from tenfold.corpus.files import write_atomically
from tenfold.errors import UserError
from tenfold.evaluate.ledger.experiment import STARTER, Experiment, read_experiment, write_experiment

FORMAT = 1
IGNORED = "# Made by `tenfold ledger show` from the other files.\nboard.json\nboard.html\n"


@dataclass(frozen=True)
class Who:
    """The model that was asked."""

    name: str
    fingerprint: str
    """Of its weights, the form of its network, and its tokenizer."""
    parameters: int
    tokens: int | None = None
    """That it was trained on; None where nobody wrote it down."""
    flops: float | None = None
    """Of its training."""


@dataclass(frozen=True)
class Record:
    """What a model scored in an experiment. A file of the ledger."""

    experiment: str
    fingerprint: str
    """The experiment's."""
    model: Who
    metric: str
    score: float
    error: float | None
    """Standard error; None of one item."""
    low: float
    high: float
    chance: float | None
    items: int
    cut: int
    """Items whose prompt the model's context had no room for, and lost its beginning."""
    prompts: str
    """A fingerprint of every prompt: a task's data may change where its file does not."""
    date: str
    """When, in UTC."""
    seconds: float
    tenfold: str
    examples: tuple[dict[str, Any], ...] = ()
    """Some items: what was asked, what is right, what the model said, and what that is worth."""
    format: int = FORMAT


def experiments(ledger: Path, names: Sequence[str] = ()) -> list[Experiment]:
    """The ledger's experiments, by name, or those of the names. Raises UserError where there are none, or a file is wrong."""
    found = {path.stem: path for path in sorted((ledger / "experiments").glob("*.yaml"))}
    if not found:
        raise UserError(f"{ledger} holds no experiments.\n  `tenfold ledger add --starter` puts those there that come with Tenfold.")
    if unknown := [name for name in names if name not in found]:
        raise UserError(f"{ledger} has no experiment {unknown[0]!r}.\n  It has {', '.join(found)}.")
    return [read_experiment(path) for name, path in found.items() if not names or name in names]


def add(ledger: Path, made: Sequence[Experiment], keep: bool = False) -> list[Path]:
    """Puts experiments into a ledger, which is made where there is none. Returns the files that are new. Raises UserError, before any is
    written, where one of the name says something else; `keep` leaves that one as it is."""
    paths = [ledger / "experiments" / f"{each.name}.yaml" for each in made]
    for each, path in zip(made, paths, strict=True):
        if path.exists() and not keep and _words(read_experiment(path)) != _words(each):
            raise UserError(f"{path} is there already, and says something else.\n  Change that file, or give the new one another name.")
    new = [(each, path) for each, path in zip(made, paths, strict=True) if not path.exists()]
    try:
        for each, path in new:
            path.parent.mkdir(parents=True, exist_ok=True)
            _place(each, path)
        if not (ledger / ".gitignore").exists():
            write_atomically(ledger / ".gitignore", IGNORED)
    except OSError as error:
        raise UserError(f"cannot write to {ledger} ({error.strerror}): name another folder with --ledger.") from None
    return [path for _, path in new]


def starter() -> list[Experiment]:
    """The experiments that come with Tenfold."""
    return [read_experiment(path) for path in sorted(STARTER.glob("*.yaml"))]


def place_of(ledger: Path, experiment: Experiment, model: str) -> Path:
    """Where a result lies; `model` is the fingerprint."""
    return ledger / "results" / experiment.name / f"{experiment.fingerprint}-{model}.json"


def write_record(path: Path, record: Record) -> Path:
    """Writes a result, whole or not at all. Raises UserError where it cannot be written."""
    try:
        return write_atomically(path, json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}): name another folder with --ledger.") from None


def read_record(path: Path) -> Record:
    """A result. Raises UserError where the file is damaged, half merged, or of a later Tenfold."""
    again = "Remove it, and say the same `tenfold ledger run` again."
    try:
        found = json.loads(path.read_text("utf-8"))
        if found.get("format") != FORMAT:
            raise UserError(f"{path} is of format {found.get('format')}, and we read {FORMAT}.\n  {again}")
        who = Who(**{each.name: found["model"][each.name] for each in fields(Who) if each.name in found["model"]})
        needed = {each.name: found[each.name] for each in fields(Record) if each.default is MISSING or each.name in found}
        record = Record(**needed | {"model": who, "examples": tuple(found.get("examples", ()))})
        if not all(isinstance(number, int | float) for number in (record.score, record.items, who.parameters)):
            raise ValueError("score, items and parameters are no numbers")
        return record
    except UserError:
        raise
    except KeyError as error:
        raise UserError(f"{path} is damaged: {error.args[0]} is missing.\n  {again}") from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged: {error}.\n  {again}") from error


def records(ledger: Path, experiment: Experiment) -> tuple[list[Record], int]:
    """The results of an experiment as its file stands, and how many there are of what the file said before."""
    folder = ledger / "results" / experiment.name
    found = sorted(folder.glob("*.json"))
    current = [path for path in found if path.stem.startswith(f"{experiment.fingerprint}-")]
    return [read_record(path) for path in current], len(found) - len(current)


def _place(experiment: Experiment, path: Path) -> None:
    """As its own file has it, comments and all, or written. A task's file of one's own stays where it is, and is named from here."""
    own = experiment.asks.file if experiment.task.endswith((".yaml", ".yml")) else None
    if own:
        task = os.path.relpath(own.resolve(), path.parent.resolve())
        write_experiment(replace(experiment, task=task, file=path), path)
    elif experiment.file:
        write_atomically(path, experiment.file.read_text("utf-8"))
    else:
        write_experiment(experiment, path)


def _words(experiment: Experiment) -> tuple[Any, ...]:
    return experiment.claim, experiment.failed, experiment.threshold, experiment.fingerprint
