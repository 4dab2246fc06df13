"""The files of an evaluation: for each task and number of shots, NAME.json says what was done and found, and NAME.jsonl every item.

Both are written whole and then renamed, the items first: where NAME.json is, all is. `docs/evaluate.md` has every field.
"""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from tenfold.corpus.files import fingerprint, replacing, write_atomically
from tenfold.errors import UserError
from tenfold.evaluate.rules import RULES

FORMAT = 1
MAPPINGS = ("scores", "model", "settings", "example", "versions", "machine")  # of a result


@dataclass(frozen=True)
class Item:
    """One item: what was asked, what came back, and what that is worth. A line of NAME.jsonl."""

    id: str
    prompt: str
    """A fingerprint of every context and continuation that the model was given."""
    shots: tuple[str, ...] = ()
    """The ids of the worked examples before it, in order."""
    question: str = ""
    """Its own part of the prompt, without the shots."""
    choices: tuple[str, ...] = ()
    gold: int = 0
    continuation: str = ""
    """Partial scoring: what follows each of `choices`, which are then questions."""
    logprobs: tuple[float, ...] = ()
    """Natural log of the probability of each choice; of measured text, of all of it."""
    tokens: tuple[int, ...] = ()
    greedy: tuple[bool, ...] = ()
    """Whether each choice is what the model would write by itself."""
    answer: tuple[float, ...] = ()
    """The choices' log-probabilities under the bare context "Answer:"."""
    empty: tuple[float, ...] = ()
    """And at the start of a document."""
    answers: tuple[str, ...] = ()
    """Free-form: what counts as right."""
    written: tuple[str, ...] = ()
    """What the model wrote."""
    ran: tuple[str, ...] = ()
    """Of programs: what became of each."""
    picked: dict[str, int] = field(default_factory=dict)
    """Which choice each rule takes."""
    score: dict[str, float] = field(default_factory=dict)
    """What the item is worth by each rule or metric, from 0 to 1; of measured text, its `nats`, `bytes` and `words`."""
    cut: int = 0
    """Tokens of its prompts that the model's context had no room for."""

    @property
    def texts(self) -> tuple[str, ...]:
        """What each choice's log-probability is of."""
        return (self.continuation,) * len(self.choices) if self.continuation else self.choices


@dataclass(frozen=True)
class Result:
    """A task's scores, and all that they depend on. NAME.json."""

    task: str
    shots: int
    items: int
    of: int
    """How many items the task has; more than `items` where a limit was set."""
    own: str
    """The rule or metric that the task's published scores use: which of `scores` to quote."""
    scores: dict[str, dict[str, Any]]
    """By rule or metric: value, error (standard error), low and high (95% bootstrap interval), and centred where chance is known."""
    chance: float | None
    cut: int
    """Items some prompt of which was cut at the left to fit the model's context."""
    key: str
    """A fingerprint of model, task, data and settings; a result with the same one is not measured again."""
    prompts: str
    """A fingerprint of all prompts, in order."""
    tokenizer: str
    model: dict[str, Any]
    settings: dict[str, Any]
    example: dict[str, Any]
    """The first item's prompt in full."""
    versions: dict[str, str]
    machine: dict[str, Any]
    seconds: float
    written: str
    """When, in UTC."""
    about: dict[str, Any] = field(default_factory=dict)
    """The task: what it is, its source, its metric, where the items were read."""
    lines: str = field(default="", compare=False)
    """A fingerprint of NAME.jsonl: items of another run, or damaged, are not taken for this result's."""
    format: int = FORMAT

    @property
    def name(self) -> str:
        """Of its files."""
        return result_name(self.task, self.shots, self.settings)


def result_name(task: str, shots: int, settings: dict[str, Any]) -> str:
    """The name of a result's files: what differs from the defaults is in it, so that a trial of 100 items never replaces a whole run."""
    parts = [task, f"{shots}shot"]
    parts += [f"limit{settings['limit']}"] if settings.get("limit") else []
    parts += [f"seed{settings['seed']}"] if settings.get("seed") else []
    parts += [settings["weights"]] if settings.get("weights", "float32") != "float32" else []
    left_out = [rule for rule in RULES if rule not in settings.get("rules", ",".join(RULES)).split(",")]
    parts += ["without", *left_out] if left_out else []
    return "-".join(parts).replace(" ", "_")


def write_result(out: Path, result: Result, items: Sequence[Item]) -> Path:
    """Writes both files; returns NAME.json. Raises UserError where the folder cannot be written."""
    path = out / f"{result.name}.json"
    lines = "".join(json.dumps(_said(item)) + "\n" for item in items).encode()
    try:
        with replacing(path.with_suffix(".jsonl")) as file:
            file.write(lines)
        return write_atomically(path, json.dumps(asdict(replace(result, lines=_digest(lines))), indent=1) + "\n")
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}): name another folder with --out.") from None


def check_writable(out: Path) -> None:
    """Raises UserError where results cannot be written to the folder, before hours are spent on them."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise UserError(f"cannot write to {out} ({error.strerror}): name another folder with --out.") from None


def read_result(path: Path) -> Result:
    """A result from its NAME.json. Raises UserError where it is none, is damaged, or is of a later Tenfold."""
    found = _json(path)
    if not isinstance(found, dict) or not {"task", "shots", "scores", "own"} <= found.keys():
        raise UserError(f"{path} is no result of an evaluation.\n  Name a .json that `tenfold eval` wrote, or the folder of several.")
    if found.get("format") != FORMAT:
        raise UserError(f"{path} is of format {found.get('format')}, and we read {FORMAT}.\n  Say the same `tenfold eval` again.")
    known = {each.name for each in fields(Result)}
    missing = [
        each.name for each in fields(Result) if each.default is MISSING and each.default_factory is MISSING and each.name not in found
    ]
    missing += [name for name in MAPPINGS if name not in missing and not isinstance(found[name], dict)]
    if missing or found["own"] not in found["scores"]:
        what = missing[0] if missing else f"scores.{found['own']}"
        raise UserError(f"{path} is damaged: {what} is missing.\n  Say the same `tenfold eval` again.")
    return Result(**{name: value for name, value in found.items() if name in known})


def read_items(path: Path) -> list[Item]:
    """The items of the result at NAME.json, in the task's order. Raises UserError where they are missing or damaged."""
    file = path.with_suffix(".jsonl")
    if not file.exists():
        raise UserError(f"{file} is missing: it holds the items of {path.name}.\n  Copy both, or say the same `tenfold eval` again.")
    lines, items = file.read_bytes(), []
    for number, line in enumerate(lines.splitlines(), start=1):
        if line:
            try:
                items.append(_item(json.loads(line)))
            except (ValueError, TypeError, AttributeError) as error:
                raise UserError(f"{file}:{number} is damaged: {error}.\n  Say the same `tenfold eval` again.") from error
    if path.exists() and not _are_of(lines, read_result(path)):
        raise UserError(
            f"{file} is damaged, or of another run: its items are not those of {path.name}.\n  Say the same `tenfold eval` again."
        )
    return items


def find_results(place: Path) -> dict[str, Path]:
    """Every result in a folder (or RUN/eval, where `place` is a run), by name; of one file, that. Raises UserError where there is none."""
    if place.is_file():
        return {read_result(place).name: place}
    folder = place / "eval" if (place / "eval").is_dir() else place
    found = {path.stem: path for path in sorted(folder.glob("*.json")) if path.with_suffix(".jsonl").exists()}
    if not found:
        raise UserError(f"{place} holds no results of an evaluation.\n  Name a run, or a folder that `tenfold eval RUN TASKS` wrote.")
    return found


def already(out: Path, name: str, key: str) -> Result | None:
    """The result that is there, if it is of the same model, task, data and settings and its items are its own: nothing has to be measured
    again. A process that died between the two files, or two that wrote them at once, leave items of another."""
    path = out / f"{name}.json"
    if not path.exists() or not path.with_suffix(".jsonl").exists():
        return None
    try:
        found = read_result(path)
    except UserError:  # damaged, or of another format: measured again
        return None
    return found if found.key == key and _are_of(path.with_suffix(".jsonl").read_bytes(), found) else None


def own_scores(result: Result, items: Sequence[Item]) -> dict[str, float]:
    """Each item's worth by the task's own rule or metric, by its id; empty where that is of the whole text (bits per byte)."""
    return {item.id: item.score[result.own] for item in items if result.own in item.score}


def prompts_fingerprint(items: Sequence[Item]) -> str:
    """Of all prompts, in order."""
    return fingerprint([item.prompt for item in items])


def _digest(lines: bytes) -> str:
    return hashlib.blake2b(lines, digest_size=8).hexdigest()


def _are_of(lines: bytes, result: Result) -> bool:
    """Whether these are the lines of its items."""
    return result.lines == _digest(lines)


def _said(item: Item) -> dict[str, Any]:
    """The fields that say something."""
    return {name: value for name, value in asdict(item).items() if name in ("id", "prompt", "score") or value not in ((), {}, "", 0)} | (
        {"gold": item.gold} if item.choices else {}
    )


def _item(found: dict[str, Any]) -> Item:
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    return Item(**fields)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is not there.\n  Name a .json that `tenfold eval` wrote, or the folder of several.") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged: {error}.\n  Say the same `tenfold eval` again.") from error
