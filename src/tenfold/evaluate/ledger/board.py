"""The board: what works and since when, what does not yet, and what worked once and does not any more.

Model B comes after model A if it has more than 1.1 times A's parameters, or at least 0.9 times as many and was first measured later. B is
a regression from A, in an experiment, if B comes after A, A passes, B does not, and B's score is worse by more than two standard errors of
their difference: a smaller model that fails is none, nor is a score just below the threshold. An experiment

- works if some model passes, and every regression has a model after it that passes;
- is regressed if some model passes, and a regression has none;
- does not work yet if models were asked and none passes;
- was not run if no model was asked what its file says now.

It works since the date of the first result that passes.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.corpus.files import write_atomically
from tenfold.evaluate.ledger.experiment import Experiment
from tenfold.evaluate.ledger.record import Record, Who, experiments, records

LARGER, AS_LARGE = 1.1, 0.9
ERRORS = 2.0  # standard errors of a difference that chance may have made
STATES = ("regressed", "not yet", "works", "not run")

First = dict[str, str]
"""By model's fingerprint, the date of its first result in the ledger."""


def write_board(ledger: Path) -> dict[str, Any]:
    """Reads the ledger and writes LEDGER/board.json, which is returned. Raises UserError where a file is wrong or damaged."""
    found = board(ledger)
    write_atomically(ledger / "board.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return found


def board(ledger: Path) -> dict[str, Any]:
    """The ledger in one piece that JSON can hold: models, smallest first, and experiments, by state."""
    asked = experiments(ledger)
    read = [(each, *records(ledger, each)) for each in asked]
    every = [record for _, found, _ in read for record in found]
    first: First = {}
    for record in every:
        who = record.model.fingerprint
        first[who] = min(record.date, first.get(who, record.date))
    rows = [judge(each, found, first) for each, found, _ in read]
    return {
        "ledger": ledger.resolve().name,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "models": _models(every, first, rows),
        "experiments": sorted(rows, key=lambda row: (STATES.index(row["state"]), row["name"])),
        "earlier": sum(stale for _, _, stale in read),
    }


def judge(experiment: Experiment, found: Sequence[Record], first: First) -> dict[str, Any]:
    """An experiment's row of the board."""
    found = sorted(found, key=lambda record: (record.date, record.model.parameters))
    passing = [record for record in found if experiment.passes(record.score)]
    regressions = [pair for pair in _regressions(experiment, found, first) if not any(after(p, pair[0], first) for p in passing)]
    state = "not run" if not found else "not yet" if not passing else "regressed" if regressions else "works"
    return {
        "name": experiment.name,
        "claim": experiment.claim,
        "failed": experiment.failed,
        "asks": _asks(experiment),
        "check": experiment.judged,
        "shots": experiment.shots,
        "metric": experiment.score,
        "threshold": experiment.threshold,
        "falls": experiment.falls,
        "state": state,
        "since": _since(passing[0]) if passing else None,
        "smallest": _since(min(passing, key=lambda record: record.model.parameters)) if passing else None,
        "regressions": [{"model": b.model.name, "score": b.score, "from": a.model.name, "had": a.score} for b, a in regressions],
        "slope": slope(found),
        "results": [_result(experiment, record) for record in found],
    }


def after(b: Record, a: Record, first: First) -> bool:
    """Whether B's model comes after A's: larger, or as large and first measured later."""
    larger = b.model.parameters / max(a.model.parameters, 1)
    return larger > LARGER or larger >= AS_LARGE and first[b.model.fingerprint] > first[a.model.fingerprint]


def worse(b: Record, a: Record, falls: bool) -> bool:
    """Whether B's score is worse than A's by more than chance makes of the same model's."""
    gap = b.score - a.score if falls else a.score - b.score
    return gap > ERRORS * math.hypot(a.error or 0.0, b.error or 0.0)


def slope(found: Sequence[Record]) -> float | None:
    """What ten times the parameters add to the score, by least squares; None where all models are of one size."""
    x = np.log10([max(record.model.parameters, 1) for record in found])
    if len(found) < 2 or np.ptp(x) < 1e-6:
        return None
    return float(np.polyfit(x, [record.score for record in found], 1)[0])


def _regressions(experiment: Experiment, found: Sequence[Record], first: First) -> list[tuple[Record, Record]]:
    """(B, A) for each model that fails: A is the best of those that passed and that it falls behind."""
    pairs = []
    for b in found:
        if experiment.passes(b.score):
            continue
        before = [a for a in found if experiment.passes(a.score) and after(b, a, first) and worse(b, a, experiment.falls)]
        if before:
            pairs.append((b, (min if experiment.falls else max)(before, key=lambda record: record.score)))
    return pairs


def _since(record: Record) -> dict[str, Any]:
    return {"date": record.date, "model": record.model.name, "parameters": record.model.parameters}


def _asks(experiment: Experiment) -> str:
    if experiment.task:
        return f"task {experiment.task}"
    return f"made: {experiment.made}" if experiment.made else f"{len(experiment.prompts)} prompts"


def _result(experiment: Experiment, record: Record) -> dict[str, Any]:
    kept = ("score", "error", "low", "high", "chance", "items", "cut", "date", "examples")
    said = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(record).items() if name in kept}
    return said | {"model": record.model.fingerprint, "passes": experiment.passes(record.score)}


def _models(every: Sequence[Record], first: First, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every model that has a result, smallest first, as its latest one describes it; what it passes, and what nothing had passed before."""
    latest: dict[str, Who] = {record.model.fingerprint: record.model for record in sorted(every, key=lambda record: record.date)}
    found = []
    for who, model in latest.items():
        passes = [row["name"] for row in rows if any(r["model"] == who and r["passes"] for r in row["results"])]
        new = [row["name"] for row in rows if (p := next((r for r in row["results"] if r["passes"]), None)) and p["model"] == who]
        measured = sum(any(r["model"] == who for r in row["results"]) for row in rows)
        found.append(asdict(model) | {"first": first[who], "measured": measured, "passes": len(passes), "new": len(new)})
    return sorted(found, key=lambda model: (model["parameters"], model["first"]))
