"""A task: one plain YAML file that says where its items lie, how one is asked, and what an answer is worth.

docs/tasks.md lists the keys and the tasks that come with Tenfold (tasks/*.yaml). Every template is checked when the file is read.
"""

import difflib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from tenfold.errors import UserError
from tenfold.evaluate.rules import RULES
from tenfold.evaluate.sources import Source
from tenfold.evaluate.templates import check_expression, check_template

FOLDER = Path(__file__).parent / "tasks"
KINDS = ("choice", "write", "perplexity", "code")
METRICS = {
    "choice": ("accuracy", "greedy"),
    "write": ("exact", "normalised", "f1", "f1_coqa", "f1_drop", "number", "contains", "regex"),
    "perplexity": ("perplexity",),
    "code": ("pass@k",),
}
TEMPLATES = ("question", "answer", "header", "id", "program", "counted")
EXPRESSIONS = ("gold", "answers")


@dataclass(frozen=True)
class Form:
    """How shots and the question after them look, where that differs from the question alone. None: as the task says."""

    question: str | None = None
    answer: str | None = None
    header: str | None = None
    separator: str | None = None


@dataclass(frozen=True)
class Shots:
    """Where examples of the task are drawn from, to stand before the question."""

    sources: tuple[Source, ...] = ()
    """None, and `fixed` empty: from the test items themselves, never the item that is asked."""
    fixed: tuple[dict[str, Any], ...] = ()
    """Items written in the task's file: the first K of them, for every question."""
    first: bool = False
    """The first K instead of K at random."""
    same: str = ""
    """Only items that have this field's value in common with the one asked (MMLU: subject)."""
    apart: str = ""
    """Only items that have not (SQuAD: title), so that no shot shows what is asked about."""


@dataclass(frozen=True)
class Task:
    """What a task's file says. Raises UserError that names the field."""

    name: str
    about: str
    source: str
    """Paper and licence of the items, and where the prompt's form is from."""
    kind: str
    test: tuple[Source, ...]
    """The first that is there is used."""
    shots_from: Shots = Shots()
    question: str = ""
    """Template: what stands before the answer. Of perplexity: the text itself."""
    answer: str = ""
    """Template: the right answer as a shot shows it, with its leading space. Default: the gold choice, or a space and the first answer."""
    choices: tuple[str, ...] | str = ()
    """Templates, one a choice, or an expression that gives a list of texts; each with its leading space. None: the answer alone."""
    gold: str = "0"
    """Expression: the index of the right choice."""
    answers: str = ""
    """Expression: every text that counts as right, of tasks that write. Default: the answer."""
    contexts: tuple[str, ...] | str = ()
    """Partial scoring: templates of a question for each choice; then the continuation after each of them is the answer."""
    few_shot: Form = Form()
    header: str = ""
    """Template over the item asked: what stands before the first shot, or before the question where there is none."""
    separator: str = "\n\n"
    shots: int = 0
    """GPT-3's K."""
    scoring: str = "sum"
    """The rule that the task's own score goes by; the others are reported beside it."""
    answer_context: str = "Answer:"
    """What the rule "answer" puts before a choice instead of the question."""
    metric: str = "accuracy"
    stop: tuple[str, ...] = ("\n",)
    max_tokens: int = 64
    beams: int = 1
    length_penalty: float = 0.6
    samples: int = 1
    """Of code: texts written for each item."""
    temperature: float = 0.0
    program: str = ""
    """Of code: template of the program to run, over the item's fields and `written`. It ends well only if the answer is right."""
    counted: str = ""
    """Of perplexity: template of the text whose bytes and words are counted. Default: the question."""
    chance: float | None = None
    """The score of guessing. Default: of choices, the mean of one over their number; 0 of other tasks."""
    id: str = ""
    """Template: what the source calls an item. Default: the split and the number of its row."""
    file: Path | None = None
    """Where it was read from; relative paths are looked for beside it."""

    def __post_init__(self):
        if not self.name or Path(self.name).name != self.name:
            raise UserError(f"name is {self.name!r}: give a word without slashes, which files of results can be called by")
        _one_of("kind", self.kind, KINDS)
        _one_of("scoring", self.scoring, RULES)
        _one_of(f"metric of a task of kind {self.kind}", self.metric, METRICS[self.kind])
        for name in TEMPLATES:
            check_template(getattr(self, name))
        for name in EXPRESSIONS:
            if getattr(self, name):
                check_expression(getattr(self, name))
        for name in ("choices", "contexts"):
            _check_list(getattr(self, name))
        for part in fields(Form):
            check_template(getattr(self.few_shot, part.name) or "")
        self._check_whole()
        self._check_numbers()

    def _check_whole(self):
        if not self.test:
            raise UserError("test is missing: say where the items lie (path, wheel, hub, made or given)")
        if not self.question and not self.contexts:
            raise UserError("question is missing: a template of what stands before the answer")
        if self.contexts and (not self.answer or self.choices):
            raise UserError("contexts takes the place of choices and needs `answer`, the continuation after each of them")
        if self.kind == "choice" and not (self.choices or self.answer):
            raise UserError("a task of kind choice needs choices, or answer alone with metric greedy")
        if self.metric == "greedy" and self.choices or self.metric == "accuracy" and not (self.choices or self.contexts):
            raise UserError(f"metric is {self.metric}: greedy goes with answer alone, accuracy with choices or contexts")
        if self.kind == "write" and not (self.answer or self.answers):
            raise UserError("a task of kind write needs answers, or answer")
        if (self.kind == "code") != bool(self.program):
            raise UserError(f"program {'is missing from' if self.kind == 'code' else 'has no use in'} a task of kind {self.kind}")

    def _check_numbers(self):
        for name, least in (("shots", 0), ("max_tokens", 1), ("beams", 1), ("samples", 1), ("temperature", 0), ("length_penalty", 0)):
            if not least <= getattr(self, name) < float("inf"):  # nor NaN
                raise UserError(f"{name} is {getattr(self, name)}: give {least} or more")
        if self.beams > 1 and (self.temperature or self.samples > 1):
            raise UserError(f"beams is {self.beams}, which takes temperature 0 and one sample: set beams 1, or leave those out")
        if self.chance is not None and not 0 <= self.chance < 1:
            raise UserError(f"chance is {self.chance}: give a share, 0 to below 1")
        if self.shots_from.fixed and self.shots > len(self.shots_from.fixed):
            raise UserError(f"shots is {self.shots} but shots_from.fixed holds {len(self.shots_from.fixed)}: write more, or ask for fewer")


def task_names() -> list[str]:
    """The tasks that come with Tenfold."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_task(name: str | Path) -> Task:
    """A task by its name, or from a .yaml of one's own. Raises UserError that names the file and the field."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        near = difflib.get_close_matches(str(name), task_names(), 3, cutoff=0.5)
        path = FOLDER / f"{name}.yaml"
        if not path.is_file():
            raise UserError(
                f"there is no task {str(name)!r}"
                + (f": did you mean {' or '.join(near)}?" if near else ".")
                + "\n  `tenfold eval tasks` lists them; a file of your own ends in .yaml."
            )
    return _task(_read(path), path)


def _read(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The keys of a file over those of the task that it is `like`."""
    try:
        raw = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{path} could not be read: {error}\n  A task's file is YAML.") from error
    if not isinstance(raw, dict):
        raise UserError(f"{path} holds {type(raw).__name__}: a task's file holds `key: value` lines")
    base = raw.pop("like", None)
    if base is None:
        return raw
    if not isinstance(base, str) or Path(base).name != base:
        raise UserError(f"{path} says like: {base!r}\n  Name another task, in the same folder or one of Tenfold's.")
    below = path.with_name(f"{base}.yaml")
    below = below if below.is_file() else FOLDER / f"{base}.yaml"
    if below in seen or not below.is_file():
        what = "is like itself" if below in seen else f"says like: {base}, and there is no such task"
        raise UserError(f"{path} {what}\n  Name another task, in the same folder or one of Tenfold's.")
    return _read(below, (*seen, path)) | {"name": path.stem} | raw


def _task(raw: dict[str, Any], path: Path) -> Task:
    try:
        raw = {"name": path.stem} | raw
        _known(raw, [part.name for part in fields(Task) if part.name != "file"] + ["like"], "")
        for name in ("about", "source", "kind", "test"):
            if not raw.get(name):
                raise UserError(f"{name} is missing")
        converted = {key: _convert(key, found) for key, found in raw.items()}
        return Task(**converted, file=path)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _convert(key: str, found: Any) -> Any:
    if key == "test":
        return _sources(found, "test")
    if key == "shots_from":
        return _shots(found)
    if key == "few_shot":
        return Form(
            **{name: _text(f"few_shot.{name}", part) for name, part in _mapping(found, Form, "few_shot").items() if part is not None}
        )
    if key in ("choices", "contexts", "stop") and isinstance(found, list):
        return tuple(_text(f"{key}[{place}]", part) for place, part in enumerate(found))
    if key == "stop":
        raise UserError(f"stop is {found!r}: give a list of texts")
    if key in ("shots", "max_tokens", "beams", "samples"):
        if isinstance(found, bool) or not isinstance(found, int):
            raise UserError(f"{key} is {found!r}: give a whole number")
        return found
    if key in ("length_penalty", "temperature", "chance"):
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise UserError(f"{key} is {found!r}: give a number")
        return float(found)
    return str(found) if key == "gold" else _text(key, found)


def _shots(found: Any) -> Shots:
    if found == "test":
        return Shots()
    if isinstance(found, list):
        return Shots(sources=_sources(found, "shots_from"))
    if not isinstance(found, dict):
        raise UserError(f"shots_from is {found!r}: say `test`, a source, a list of them, or fixed: and a list of items")
    rules = {key: found[key] for key in ("first", "same", "apart") if key in found}
    for key, part in rules.items():
        if key == "first" and not isinstance(part, bool):
            raise UserError(f"shots_from.first is {part!r}: give true or false")
        if key != "first":
            _text(f"shots_from.{key}", part)
    left = {key: part for key, part in found.items() if key not in rules}
    if "fixed" in left:
        _known(left, ["fixed", "first", "same", "apart"], "shots_from.")
        if not isinstance(left["fixed"], list) or not all(isinstance(item, dict) for item in left["fixed"]):
            raise UserError("shots_from.fixed is no list of items: each is `field: value` lines")
        return Shots(fixed=tuple(left["fixed"]), **rules)
    if left.get("from"):
        _known(left, ["from"], "shots_from.")
        left = left["from"]
    return Shots(sources=_sources(left, "shots_from") if left and left != "test" else (), **rules)


def _sources(found: Any, key: str) -> tuple[Source, ...]:
    if isinstance(found, dict):
        found = [found]
    if not isinstance(found, list) or not found:
        raise UserError(f"{key} is {found!r}: give a source (path:, wheel:, hub:, made: or given:), or a list of them")
    return tuple(_source(part, key) for part in found)


def _source(found: Any, key: str) -> Source:
    parts = _mapping(found, Source, key)
    if "words" in parts:
        parts["words"] = _source(parts["words"], f"{key}.words")
    for name in ("where", "fields"):
        if not isinstance(parts.get(name, {}), dict):
            raise UserError(f"{key}.{name} is {parts[name]!r}: give `field: value` lines")
    if "fields" in parts:
        parts["fields"] = {str(name): str(expression) for name, expression in parts["fields"].items()}
    if "given" in parts:
        if not isinstance(parts["given"], list) or not all(isinstance(item, dict) for item in parts["given"]):
            raise UserError(f"{key}.given is no list of items: each is `field: value` lines")
        parts["given"] = tuple(parts["given"])
    return Source(**parts)


def _mapping(found: Any, kind: type, key: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise UserError(f"{key} is {found!r}: give `key: value` lines")
    _known(found, [part.name for part in fields(kind)], f"{key}.")
    return dict(found)


def _known(found: dict[str, Any], known: list[str], where: str) -> None:
    for key in found:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1, cutoff=0)
            raise UserError(f"{where}{key} is no key of a task's file; the nearest is {where}{near[0]}\n  The keys are {', '.join(known)}.")


def _text(key: str, found: Any) -> str:
    if not isinstance(found, str):
        raise UserError(f"{key} is {found!r}: give a text (in quotes, if YAML takes it for something else)")
    return found


def _one_of(name: str, found: str, allowed: tuple[str, ...]) -> None:
    if found not in allowed:
        raise UserError(f"{name} is {found!r}: give one of {', '.join(allowed)}")


def _check_list(found: tuple[str, ...] | str) -> None:
    if isinstance(found, str):
        check_expression(found)
    for template in found if isinstance(found, tuple) else ():
        check_template(template)
