"""`evaluate`: a model, tasks and numbers of shots in; a pair of files for each out.

Everything that can be refused is refused first: tasks and their items are read, shots drawn and prompts made before the model is asked
anything. A result that is there already, of the same model, prompts and settings, is not measured again.
"""

import functools
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np

import tenfold
from tenfold.corpus.files import fingerprint
from tenfold.errors import UserError
from tenfold.evaluate.engine import Engine, TrainedModel
from tenfold.evaluate.loaded import Loaded, find_tasks, load
from tenfold.evaluate.prompts import Asked, program, requests
from tenfold.evaluate.requests import Continuation, Likelihood, Writing, Written
from tenfold.evaluate.results import Item, Result, already, check_writable, prompts_fingerprint, result_name, write_result
from tenfold.evaluate.rules import RULES, Rule
from tenfold.evaluate.scores import asked_item, chance_of, chosen, measured, own_name, task_scores
from tenfold.evaluate.settings import EvalSettings
from tenfold.evaluate.task import Task, read_task
from tenfold.evaluate.worth import may_run, written_items
from tenfold.generate.complete import check_decodes
from tenfold.model.config import ModelConfig
from tenfold.train.device import machine

SAMPLED = 65_536  # numbers of each weight that a model's fingerprint reads


class Answers(Protocol):
    """What is asked; an Engine is one."""

    def score(self, requests: Sequence[Continuation], progress: Callable[[int, int], None] | None = None) -> list[Likelihood]: ...
    def rolling(self, texts: Sequence[str], progress: Callable[[int, int], None] | None = None) -> list[Likelihood]: ...
    def write(self, requests: Sequence[Writing], progress: Callable[[int, int], None] | None = None) -> list[Written]: ...


class Watch:
    """Hears how an evaluation goes; says nothing itself."""

    def start(self, task: str, shots: int, number: int, of: int) -> None:
        """The `number`-th of `of` results begins."""

    def progress(self, what: str, done: int, total: int) -> None:
        """A part of it: what is done, of how much."""

    def result(self, result: Result, path: Path, fresh: bool) -> None:
        """It is there; `fresh` if it was measured now."""


def evaluate(
    model: TrainedModel,
    tasks: Sequence[str],
    settings: EvalSettings,
    out: Path,
    path: str = "",
    watch: Watch | None = None,
    engine: Answers | None = None,
) -> list[Result]:
    """The results of all tasks and numbers of shots, in order, each written to `out` as it is there. `path` is what the model is called;
    `engine` answers in place of a new Engine.

    Raises UserError, before anything is measured, for an unknown task, data that are not there, more shots than there are examples, a model
    without a tokenizer, and one that does not say what comes next.
    """
    check_model(model)
    return evaluate_loaded(model, [load(read_task(name), settings) for name in find_tasks(tasks)], settings, out, path, watch, engine)


def evaluate_loaded(
    model: TrainedModel,
    loaded: Sequence[Loaded],
    settings: EvalSettings,
    out: Path,
    path: str = "",
    watch: Watch | None = None,
    engine: Answers | None = None,
) -> list[Result]:
    """As `evaluate`, of tasks whose items and shots are there."""
    check_model(model)
    watch = watch or Watch()
    for each in loaded:
        may_run(each.task, settings.run_code)
        _check_can_be_asked(each, loaded, settings, model.config.context)
    check_writable(out)
    who = {"path": path, **describe(model)}
    asker = functools.cache(lambda: engine or Engine(model, weights=settings.weights))  # made where something is measured
    plans = [(each, k) for each in loaded for k in each.counts]
    found = []
    for number, (each, k) in enumerate(plans, start=1):
        watch.start(each.task.name, k, number, len(plans))
        found.append(_result(each, k, settings, out, who, asker, watch))
    return found


def check_model(model: TrainedModel) -> None:
    """Refuses models that cannot be asked how likely a text is."""
    check_decodes(model.config)
    if model.tokenizer is None:
        raise UserError("this model has no tokenizer, so it cannot be asked about texts.\n  Name a directory that has one.")


def _check_can_be_asked(each: Loaded, loaded: Sequence[Loaded], settings: EvalSettings, context: int) -> None:
    """Refuses what would otherwise be found when its turn comes: results of two tasks in one file, a text longer than the model's
    context."""
    task = each.task
    if alike := [str(other.task.file) for other in loaded if other.task.name == task.name and other is not each]:
        raise UserError(
            f"{task.file} and {alike[0]} are both called {task.name}, as their results would be.\n  Rename one, or measure each alone."
        )
    if task.kind in ("write", "code") and task.max_tokens >= context:
        raise UserError(
            f"{task.name} writes up to {task.max_tokens} tokens (max_tokens), but the model knows {context} positions (model.context), and "
            f"reads at least one.\n  Use at most {context - 1}, or leave the task out."
        )


def describe(model: TrainedModel) -> dict[str, Any]:
    """Who a model is: its size, and fingerprints of its weights and its tokenizer."""
    config = model.config
    return {
        "fingerprint": fingerprint(digests(model.params), _said(config)),
        "parameters": int(sum(leaf.size for leaf in jax.tree.leaves(model.params))),
        "context": config.context,
        "layers": config.layers,
        "embed": config.embed,
        "vocab": config.vocab,
        "tokenizer": getattr(model.tokenizer, "fingerprint", ""),
    }


def _said(config: ModelConfig) -> str:
    """What a configuration says beyond its defaults: a field that a later Tenfold adds leaves the fingerprints of today's models alone."""
    return repr(sorted((each.name, value) for each in fields(config) if (value := getattr(config, each.name)) != each.default))


def digests(params: Any) -> list[list[Any]]:
    """Each weight's type, shape and a hash of at most so many of its numbers, evenly spread: what tells two models apart, in a second."""
    return [[str(leaf.dtype), leaf.shape, _digest(np.asarray(leaf).reshape(-1))] for leaf in jax.tree.leaves(params)]


def _digest(numbers: np.ndarray) -> str:
    sampled = numbers[:: max(1, numbers.size // SAMPLED)]
    return hashlib.blake2b(np.ascontiguousarray(sampled).tobytes(), digest_size=8).hexdigest()


def _result(
    each: Loaded, k: int, settings: EvalSettings, out: Path, who: dict[str, Any], asker: Callable[[], Answers], watch: Watch
) -> Result:
    task = each.task
    written = settings.written() | {"rules": ",".join(asked_rules(task, settings) or RULES)}
    asked, abouts = prompted(each, k)
    marked = [
        (about["id"], about["prompt"], about["gold"], about["answers"], *_judged_by(task, asks))
        for about, asks in zip(abouts, asked, strict=True)
    ]
    if task.kind == "code":
        marked += [(program(task, example, ""),) for example in each.test]  # the tests in it are the item's own
    how = (task.name, task.kind, task.metric, task.scoring, task.chance, k, written)
    key = fingerprint(who["fingerprint"], who["tokenizer"], *how, marked)
    name = result_name(task.name, k, written)
    if there := already(out, name, key):
        watch.result(there, out / f"{name}.json", False)
        return there
    began = time.perf_counter()
    items = list(answered(each, asked, abouts, settings, asker(), watch))
    chance = chance_of(task, each.test)
    result = Result(
        task.name,
        k,
        len(items),
        each.of,
        own_name(task),
        task_scores(items, chance),
        chance,
        sum(item.cut > 0 for item in items),
        key,
        prompts_fingerprint(items),
        who["tokenizer"],
        {name: value for name, value in who.items() if name != "tokenizer"},
        written,
        _shown(asked[0]),
        {"tenfold": tenfold.__version__, "jax": version("jax"), "numpy": version("numpy"), "tokenizers": version("tokenizers")},
        machine(),
        round(time.perf_counter() - began, 3),
        datetime.now(UTC).isoformat(timespec="seconds"),
        {"what": task.about, "source": task.source, "kind": task.kind, "metric": task.metric, "scoring": task.scoring},
    )
    watch.result(result, write_result(out, result, items), True)
    return result


def prompted(each: Loaded, k: int) -> tuple[list[Asked], list[dict[str, Any]]]:
    """What a task's items ask after k shots, and the fields of each result's item that are known before the model answers."""
    shots = [drawn[:k] for drawn in each.shots]
    asked = [requests(each.task, example, before) for example, before in zip(each.test, shots, strict=True)]
    return asked, [asked_item(example, before, asks) for example, before, asks in zip(each.test, shots, asked, strict=True)]


def _judged_by(task: Task, asks: Asked) -> tuple[str, ...]:
    """What an item's worth depends on beside its prompt and answers: the context of the rule "answer", the text that is counted."""
    return (task.answer_context,) if task.kind == "choice" else (asks.counted,)


def asked_rules(task: Task, settings: EvalSettings) -> tuple[Rule, ...]:
    """The rules that a task of choices is scored by: its own is always among them. Where one answer must be the likeliest, none."""
    return tuple(rule for rule in RULES if task.metric != "greedy" and (rule in settings.asked_rules() or rule == task.scoring))


def answered(
    each: Loaded, asked: Sequence[Asked], abouts: Sequence[dict], settings: EvalSettings, engine: Answers, watch: Watch
) -> Iterator[Item]:
    """What comes back for each example, marked. `asked` and `abouts` are what `prompted` gives."""
    task, rules = each.task, asked_rules(each.task, settings)

    def told(what: str) -> Callable[[int, int], None]:
        return lambda done, total: watch.progress(what, done, total)

    if task.kind == "choice":
        parts = [asks.scored + (asks.bare if "answer" in rules else ()) + (asks.empty if "empty" in rules else ()) for asks in asked]
        unique = list(dict.fromkeys(request for part in parts for request in part))
        likelihoods: Mapping[Continuation, Likelihood] = dict(zip(unique, engine.score(unique, told("tokens")), strict=True))
        yield from (chosen(about, asks, likelihoods, rules) for about, asks in zip(abouts, asked, strict=True))
    elif task.kind == "perplexity":
        found = engine.rolling([asks.rolling or "" for asks in asked], told("tokens"))
        yield from (measured(*row) for row in zip(abouts, asked, found, strict=True))
    else:
        texts = engine.write([asks.writing for asks in asked if asks.writing], told("texts"))
        yield from written_items(task, abouts, each.test, texts, told("programs"))


def _shown(asks: Asked) -> dict[str, Any]:
    """A prompt in full, and what was asked after it."""
    if asks.rolling is not None:
        return {"text": asks.rolling[:2000]}
    if asks.writing:
        return {"prompt": asks.writing.context, "writing": asdict(asks.writing)}
    return {"prompt": asks.scored[0].context, "continuations": [each.text for each in asks.scored]} | (
        {} if len({each.context for each in asks.scored}) == 1 else {"prompts": [each.context for each in asks.scored]}
    )
