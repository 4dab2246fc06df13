"""An experiment: one small YAML file that says what a model should be able to do, why the last one could not, and how to see it.

It asks a task of `tenfold eval`, prompts that stand in the file, or prompts that are made (skills.py). All of them become a Task, so that
the engine, the shots, the rules and the sandbox are those of every evaluation. docs/ledger.md lists the keys.
"""

import difflib
import json
import re
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tenfold.corpus.files import fingerprint, write_atomically
from tenfold.errors import UserError
from tenfold.evaluate.ledger import skills
from tenfold.evaluate.rules import RULES
from tenfold.evaluate.scores import own_name
from tenfold.evaluate.settings import EvalSettings
from tenfold.evaluate.sources import Source
from tenfold.evaluate.task import Task, read_task

STARTER = Path(__file__).parent / "starter"
CHECKS = ("exact", "contains", "regex", "likeliest", "choice", "code")
ITEMS = 32
"""Prompts that are made, where nothing is said."""
CODE_STOP = ("\ndef ", "\nclass ", "\n#", "\nif ", "\nprint", "\nassert", "\n```", "\n>>>")
FALLING = ("perplexity", "bits_per_byte", "word_perplexity", "token_perplexity", "gold_bits_per_byte")
"""Metrics of which less is better: a threshold on them is a ceiling."""


@dataclass(frozen=True)
class Experiment:
    """What an experiment's file says. Raises UserError that names the field."""

    name: str
    claim: str
    """What a model that passes can do, in a line."""
    failed: str
    """Why it failed last time: which model, by how much, what it did instead."""
    threshold: float
    """The score from which on it works; of metrics of which less is better, up to which."""
    task: str = ""
    """A task of `tenfold eval`, or the .yaml of one, beside this file."""
    made: str = ""
    """A skill whose prompts are made by the seed."""
    prompts: tuple[dict[str, Any], ...] = ()
    """Prompts: each `prompt` with `expect` (a text, or a list of those that count), `choices`, or `tests`."""
    check: str = ""
    """Of prompts: how an answer is judged. Default: choice where there are choices, code where there are tests, else exact."""
    shots: int = 0
    """Worked examples before each prompt, drawn from the others by the seed."""
    items: int | None = None
    """Of a task: how many of its items, drawn by the seed. Of made ones: how many are made."""
    metric: str = ""
    """The score that the threshold is for. Default: the task's own."""
    seed: int = 0
    header: str = ""
    """What stands before everything."""
    separator: str = "\n\n"
    """What stands between shots."""
    stop: tuple[str, ...] | None = None
    """Where an answer in writing ends. Default: at the end of the line; of code, where the function ends."""
    max_tokens: int | None = None
    """Default: 32, and 96 of code."""
    file: Path | None = None

    def __post_init__(self):
        if not re.fullmatch(r"[\w-]+", self.name):
            raise UserError(f"name is {self.name!r}: give letters, digits and hyphens, as in two-digit-sums")
        for name in ("claim", "failed"):
            if not getattr(self, name).strip():
                raise UserError(f"{name} is missing: {'what a model that passes can do' if name == 'claim' else 'why it failed last time'}")
        kinds = [kind for kind in ("task", "made", "prompts") if getattr(self, kind)]
        if len(kinds) != 1:
            raise UserError(f"an experiment says exactly one of task, made and prompts; this one says {' and '.join(kinds) or 'none'}")
        if self.check and self.check not in CHECKS:
            raise UserError(f"check is {self.check!r}: give one of {', '.join(CHECKS)}")
        if self.items is not None and self.items < 1:
            raise UserError(f"items is {self.items}: give 1 or more")
        if not 0 <= self.seed < 2**32:
            raise UserError(f"seed is {self.seed}: give 0 or more, below 2^32")
        if self.shots < 0:
            raise UserError(f"shots is {self.shots}: give 0 or more")
        self._check_fit()
        if self.metric not in ("", *metrics_of(self.asks)):
            raise UserError(f"metric is {self.metric!r}: this experiment has {', '.join(metrics_of(self.asks))}")
        if not self.threshold > 0 or not self.falls and self.threshold > 1:
            raise UserError(f"threshold is {self.threshold}: give {'more than 0' if self.falls else 'a share, above 0 and at most 1'}")

    def _check_fit(self):
        """What goes with prompts does not go with a task, and some checks allow no shots."""
        if self.task:
            for name in ("check", "header", "stop", "max_tokens"):
                if getattr(self, name):
                    raise UserError(f"{name} is {getattr(self, name)!r}, but the task's own file says how it is asked: leave {name} out")
        if self.prompts and self.items is not None:
            raise UserError(f"items is {self.items}, but all of prompts are asked: leave items out")
        if self.shots and self.judged in ("regex", "code"):
            raise UserError(f"shots is {self.shots}, but no answer can be shown where check is {self.judged}: write examples into header")
        if self.prompts and self.shots >= len(self.prompts):
            raise UserError(
                f"shots is {self.shots}, but there are {len(self.prompts)} prompts, and none stands before itself: ask for fewer"
            )

    @cached_property
    def judged(self) -> str:
        """The check, where there is one to be had from the prompts."""
        if self.check or self.task:
            return self.check
        if self.made:
            return "choice" if "choices" in self._items[0] else "exact"
        first = self.prompts[0] if isinstance(self.prompts[0], dict) else {}
        return "choice" if "choices" in first else "code" if "tests" in first else "exact"

    @property
    def score(self) -> str:
        """The name of the score that the threshold is for."""
        return self.metric or own_name(self.asks)

    @property
    def falls(self) -> bool:
        """Whether less of the score is better."""
        return self.score in FALLING

    def passes(self, score: float) -> bool:
        """Whether it works with such a score."""
        return score <= self.threshold if self.falls else score >= self.threshold

    @cached_property
    def asks(self) -> Task:
        """The task that it asks. Raises UserError where that is none, or a prompt lacks something."""
        if self.task:
            beside = self.file.parent / self.task if self.file and self.task.endswith((".yaml", ".yml")) else self.task
            return read_task(beside)
        check = self.judged
        kind = {"choice": "choice", "likeliest": "choice", "code": "code"}.get(check, "write")
        metric = {"choice": "accuracy", "likeliest": "greedy", "code": "pass@k"}.get(check, check)
        forms: dict[str, dict[str, Any]] = {
            "choice": {"choices": "choices", "gold": "gold", "scoring": self.metric if self.metric in RULES else "sum"},
            "likeliest": {"answer": "{{answer}}"},
            "code": {"program": "{{prompt}}{{written}}\n\n{{tests}}\n", "stop": CODE_STOP, "max_tokens": 96},
        }
        how = forms.get(check, {"answer": "{{answer}}", "answers": "answers", "max_tokens": 32})
        how |= {} if self.stop is None else {"stop": self.stop}
        how |= {} if self.max_tokens is None else {"max_tokens": self.max_tokens}
        items = tuple(_item(row, place, check) for place, row in enumerate(self._items))
        return Task(
            self.name,
            self.claim,
            "the ledger",
            kind,
            (Source(given=items, split="prompts"),),
            question="{{prompt}}",
            header=_literal(self.header),
            separator=self.separator,
            metric=metric,
            **how,
        )

    @cached_property
    def _items(self) -> tuple[dict[str, Any], ...]:
        if not self.made:
            return self.prompts
        found = skills.prompts(self.made, self.items or ITEMS, self.seed)
        if self.check in ("", "choice"):
            return tuple(found)
        return tuple({"prompt": row["prompt"], "expect": row["expect"]} for row in found)  # the answer itself, without the others

    def settings(self, data: tuple[Path, ...] = (), run_code: bool = False) -> EvalSettings:
        """How it is measured: few rules, as each of the others asks for every answer once more."""
        limit = self.items if self.task else None
        return EvalSettings(str(self.shots), limit, self.seed, self.metric if self.metric in RULES else "sum", data=data, run_code=run_code)

    @property
    def fingerprint(self) -> str:
        """Of all that a score depends on: what is asked, of how many, how it is judged. Not of the claim, the reason, or the threshold."""
        task = {name: value for name, value in _told(self.asks).items() if name not in ("about", "source", "file")}
        how = [self.shots, self.items if self.task else None, self.seed, self.metric]
        return fingerprint(task, how)


def metrics_of(task: Task) -> tuple[str, ...]:
    """The scores that a task has, its own first."""
    own = own_name(task)
    if task.kind == "choice":
        more: tuple[str, ...] = ("perplexity",) if task.metric == "greedy" else (*RULES, "gold_bits_per_byte")
    elif task.kind == "perplexity":
        more = ("word_perplexity", "token_perplexity")
    else:
        more = ("exact",) if own == "f1" else ()
    return own, *(name for name in more if name != own)


def read_experiment(path: Path) -> Experiment:
    """An experiment from its file. Raises UserError that names the file and the field."""
    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{path} could not be read: {error}\n  An experiment's file is YAML.") from error
    if not isinstance(raw, dict):
        raise UserError(f"{path} holds {type(raw).__name__}: an experiment's file holds `key: value` lines")
    try:
        return from_words(path.stem, raw, path)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def from_words(name: str, raw: dict[str, Any], file: Path | None = None) -> Experiment:
    """An experiment from the keys of its file. Raises UserError that names the field."""
    known = [each.name for each in fields(Experiment) if each.name not in ("name", "file")]
    for key in raw:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1, cutoff=0)
            raise UserError(f"{key} is no key of an experiment; the nearest is {near[0]}\n  The keys are {', '.join(known)}.")
    for needed in ("claim", "failed", "threshold"):
        if raw.get(needed) is None:
            raise UserError(f"{needed} is missing")
    return Experiment(name=name, **{key: _convert(key, found) for key, found in raw.items()}, file=file)


def write_experiment(experiment: Experiment, path: Path) -> Path:
    """Writes its file, whole or not at all: the keys that say something."""
    said = {name: value for name, value in _told(experiment).items() if name not in ("name", "file")}
    return write_atomically(path, yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=120))


def _convert(key: str, found: Any) -> Any:
    if key in ("shots", "items", "seed", "max_tokens"):
        if isinstance(found, bool) or not isinstance(found, int):
            raise UserError(f"{key} is {found!r}: give a whole number")
    elif key == "threshold":
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise UserError(f"threshold is {found!r}: give a number")
        return float(found)
    elif key == "stop":
        if not isinstance(found, list) or not all(isinstance(each, str) and each for each in found):
            raise UserError(f"stop is {found!r}: give a list of texts")
        return tuple(found)
    elif key == "prompts":
        if not isinstance(found, list) or not found:
            raise UserError(f"prompts is {found!r}: give a list, each with `prompt` and `expect`")
        return tuple(found)
    elif not isinstance(found, str):
        raise UserError(f"{key} is {found!r}: give a text (in quotes, if YAML takes it for something else)")
    return found


def _item(row: Any, place: int, check: str) -> dict[str, Any]:
    """A prompt as the task's templates read it. A space stands before an answer unless the prompt ends in one, or in a line's end."""
    where = f"prompts[{place}]"
    if not isinstance(row, dict) or not isinstance(row.get("prompt"), str) or not row["prompt"]:
        raise UserError(f"{where} is {row!r}: give `prompt`, a text, and what it expects")
    needed = {"choice": ("choices", "expect"), "code": ("tests",)}.get(check, ("expect",))
    for name in row:
        if name not in ("prompt", *needed):
            raise UserError(f"{where}.{name} has no use where check is {check}: leave it out\n  It takes prompt, {', '.join(needed)}.")
    for name in needed:
        if not row.get(name):
            raise UserError(f"{where}.{name} is missing, which check {check} needs")
    prompt = row["prompt"]
    if check == "code":
        return {"prompt": prompt, "tests": _text(where, "tests", row["tests"])}
    space = "" if prompt[-1].isspace() else " "
    if check == "choice":
        choices = [_text(where, "choices", each) for each in row["choices"]] if isinstance(row["choices"], list) else []
        if len(set(choices)) < 2 or row["expect"] not in choices:
            raise UserError(f"{where}.choices is {row['choices']!r} and expect {row['expect']!r}: give two or more texts, and one of them")
        return {"prompt": prompt, "choices": [space + each for each in choices], "gold": choices.index(row["expect"])}
    answers = [_text(where, "expect", each) for each in (row["expect"] if isinstance(row["expect"], list) else [row["expect"]])]
    for each in answers if check == "regex" else ():
        try:
            re.compile(each)
        except re.error as error:
            raise UserError(f"{where}.expect is {each!r}, no regular expression: {error}") from error
    return {"prompt": prompt, "answers": answers, "answer": space + answers[0]}


def _text(where: str, name: str, found: Any) -> str:
    if not isinstance(found, str) or not found:
        raise UserError(f"{where}.{name} is {found!r}: give a text (in quotes, if YAML takes it for something else)")
    return found


def _literal(text: str) -> str:
    """A template that gives this text, braces and all."""
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if text else ""


def _told(what: Any) -> Any:
    """What JSON and YAML can hold of it. Of a dataclass the fields that are not their defaults, so that one that a later Tenfold adds
    changes no fingerprint."""
    if is_dataclass(what):
        return {each.name: _told(getattr(what, each.name)) for each in fields(what) if getattr(what, each.name) != each.default}
    if isinstance(what, list | tuple):
        return [_told(each) for each in what]
    if isinstance(what, dict):
        return {str(name): _told(each) for name, each in what.items()}
    return what if isinstance(what, str | int | float | None) else str(what)
