"""A model against every experiment of a ledger. Each result is written as it is there; one that is there already is not measured again."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tenfold
from tenfold.corpus.files import fingerprint
from tenfold.errors import UserError
from tenfold.evaluate.engine import Engine, TrainedModel
from tenfold.evaluate.ledger.experiment import Experiment
from tenfold.evaluate.ledger.record import Record, Who, place_of, read_record, write_record
from tenfold.evaluate.loaded import load
from tenfold.evaluate.results import Item, check_writable, prompts_fingerprint
from tenfold.evaluate.run import Answers, Watch, answered, check_model, describe, prompted
from tenfold.evaluate.scores import chance_of, task_scores

SHOWN = 4
"""Items kept as examples: half of them right, where there are so many."""
LETTERS = 600  # of a text of an example
BY_COST = ("choice", "perplexity", "write", "code")
"""Kinds of tasks, those that take the least time first."""


class LedgerWatch(Watch):
    """Hears how a run goes; says nothing itself."""

    def measured(self, experiment: Experiment, record: Record, fresh: bool) -> None:
        """A result is there; `fresh` if it was measured now."""

    def left_out(self, experiment: Experiment, why: str) -> None:
        """An experiment cannot be run with this model, or on this machine."""


@dataclass(frozen=True)
class Went:
    """What became of a run."""

    records: list[Record]
    left_out: dict[str, str]
    """By experiment, why it was not measured."""
    code: list[str]
    """Experiments that would run programs, which was not allowed."""


def who_is(model: TrainedModel, name: str, tokens: int | None = None, flops: float | None = None) -> Who:
    """A model as the ledger knows it, by its numbers: in another place, or under another name, it is the same."""
    found = describe(model)
    return Who(name, fingerprint(found["fingerprint"], found["tokenizer"]), found["parameters"], tokens, flops)


def run(
    model: TrainedModel,
    who: Who,
    ledger: Path,
    asked: Sequence[Experiment],
    data: tuple[Path, ...] = (),
    run_code: bool = False,
    watch: LedgerWatch | None = None,
    engine: Answers | None = None,
) -> Went:
    """Measures a model in the experiments, quick ones first, and writes what is new into the ledger. What cannot be run (its data are not
    there, the model is too small for it) is left out with the reason, and the others go on. Raises UserError for a model that cannot be
    asked at all."""
    check_model(model)
    check_writable(ledger)
    watch, went = watch or LedgerWatch(), Went([], {}, [])
    engine = engine or Engine(model)
    for number, experiment in enumerate(sorted(asked, key=lambda each: BY_COST.index(each.asks.kind)), start=1):
        if experiment.asks.kind == "code" and not run_code:
            went.code.append(experiment.name)
            continue
        watch.start(experiment.name, experiment.shots, number, len(asked))
        try:
            record, fresh = _record(experiment, who, place_of(ledger, experiment, who.fingerprint), data, engine, watch)
        except UserError as error:
            went.left_out[experiment.name] = str(error)
            watch.left_out(experiment, str(error))
        else:
            went.records.append(record)
            watch.measured(experiment, record, fresh)
    return went


def _record(experiment: Experiment, who: Who, path: Path, data: tuple[Path, ...], engine: Answers, watch: Watch) -> tuple[Record, bool]:
    """The result, and whether it was measured now. Where a task's data are not there, a result that is stands."""
    there = read_record(path) if path.exists() else None
    settings = experiment.settings(data, run_code=True)
    try:
        loaded = load(experiment.asks, settings)
    except UserError:
        if there:
            return there, False
        raise
    asked, abouts = prompted(loaded, experiment.shots if loaded.task.kind != "perplexity" else 0)
    if there and there.prompts == fingerprint([about["prompt"] for about in abouts]):
        return there, False
    began = time.perf_counter()
    items = list(answered(loaded, asked, abouts, settings, engine, watch))
    chance = chance_of(loaded.task, loaded.test)
    score = task_scores(items, chance)[experiment.score]
    record = Record(
        experiment.name,
        experiment.fingerprint,
        who,
        experiment.score,
        float(score["value"] or 0.0),
        score["error"],
        float(score["low"] or 0.0),
        float(score["high"] or 0.0),
        chance,
        len(items),
        sum(item.cut > 0 for item in items),
        prompts_fingerprint(items),
        datetime.now(UTC).isoformat(timespec="seconds"),
        round(time.perf_counter() - began, 3),
        tenfold.__version__,
        _examples(items, experiment.score),
    )
    write_record(path, record)
    return record, True


def _examples(items: Sequence[Item], score: str) -> tuple[dict[str, Any], ...]:
    """The first items that were right and the first that were wrong; of whole texts none."""
    marked = [item for item in items if score in item.score]
    right, wrong = ([item for item in marked if (item.score[score] >= 0.5) is which] for which in (True, False))
    few = min(len(right), max(SHOWN // 2, SHOWN - len(wrong)))
    return tuple(_example(item, score) for item in (*right[:few], *wrong[: SHOWN - few]))


def _example(item: Item, score: str) -> dict[str, Any]:
    said: dict[str, Any] = {"asked": item.question[-LETTERS:], "worth": item.score[score]}
    if item.choices:
        said |= {"right": item.choices[item.gold].strip()}
        picked = item.picked.get(score, item.picked.get("sum"))
        return said if picked is None else said | {"said": item.choices[picked].strip()}
    said |= {"right": item.answers[0][:LETTERS]} if item.answers else {"ran": "; ".join(item.ran)}
    return said | {"said": (item.written[0] if item.written else "")[:LETTERS]}
