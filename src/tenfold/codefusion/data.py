"""Pairs of description and code from files, or code alone: a user's own, and CodeFusion's released ones at a path that the user gives.

    own lines        {"text": "count the lines of a file", "code": "wc -l FILE"}     "language" beside them as one pleases
    released lines   {"ID": 7, "NL Utterance": "...", "Code": "...", "Data": [[...]], "Labels": [...]}     Data and Labels of rules only
    released file    {"train": [...], "test": [...]} of such

Source of the released form: microsoft/prose-benchmarks, CodeFusion.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenfold.errors import UserError


@dataclass(frozen=True)
class Example:
    """A description and its code."""

    text: str | None
    """None where only the code is known."""
    code: str
    name: str = ""
    """The released ID, or the number of the line."""
    data: tuple[tuple[Any, ...], ...] = ()
    """Of rules: header and rows."""
    labels: tuple[int, ...] = ()
    """Of rules, as released; not to be scored by (docs/conditional-formatting.md)."""
    language: str | None = None


@dataclass(frozen=True)
class Loaded:
    """What a file held."""

    examples: tuple[Example, ...]
    without_text: int
    """Released items whose description is null, left out where pairs were asked for."""


def read_examples(path: str | Path, part: str = "", alone: bool = False) -> Loaded:
    """The pairs in a file of lines, or in the part ("train" or "test") of a whole released file; with `alone`, code without a description
    too. Raises UserError with file and line."""
    path = Path(path).expanduser()
    try:
        raw = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f'{path} cannot be read: {error}.\n  Give a file of lines such as {{"text": "list files", "code": "ls"}}.'
        ) from error
    items = _whole(raw, path, part) if path.suffix == ".json" else _lines(raw, path)
    examples = [_example(item, where, alone) for item, where in items]
    kept = tuple(example for example in examples if example is not None)
    if not kept:
        what, fields = ("code", "code") if alone else ("pair of description and code", "text and code")
        raise UserError(f"{path} holds no {what}.\n  Give at least one line with {fields}.")
    return Loaded(kept, len(examples) - len(kept))


def _lines(raw: str, path: Path) -> list[tuple[Any, str]]:
    found = []
    for number, line in enumerate(raw.split("\n"), start=1):
        if line.strip():
            found.append((_json(line, f"{path}, line {number}"), f"{path}, line {number}"))
    return found


def _whole(raw: str, path: Path, part: str) -> list[tuple[Any, str]]:
    whole = _json(raw, str(path))
    if isinstance(whole, dict):
        if part not in whole:
            raise UserError(f"{path} has parts {', '.join(whole) or 'none'}, and part is {part!r}.\n  Give one of them.")
        whole = whole[part]
    if not isinstance(whole, list):
        raise UserError(f"{path} holds a {type(whole).__name__} where a list of items was expected.\n  Give a list, or an object of lists.")
    return [(item, f"{path}, item {i}") for i, item in enumerate(whole)]


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as wrong:
        raise UserError(f"{where} is not JSON: {wrong}.\n  Write an object a line, as json.dumps does.") from wrong


def _example(item: Any, where: str, alone: bool) -> Example | None:
    """The pair in an item, or its code alone; None where a released one has no description and pairs are asked for."""
    if not isinstance(item, dict):
        raise UserError(f"{where} is {str(item)[:40]}.\n  Give an object with text and code.")
    released = "NL Utterance" in item or "Code" in item
    text_field, code_field = ("NL Utterance", "Code") if released else ("text", "code")
    described = item.get(text_field) is not None
    if released and not described and not alone:
        return None
    for name in (text_field, code_field) if described or not alone else (code_field,):
        if not isinstance(item.get(name), str) or not item[name].strip():
            raise UserError(f"{where}: {name} is {item.get(name)!r}.\n  Give a text that is not empty.")
    if not isinstance(item.get("language"), str | None):
        raise UserError(f"{where}: language is {item['language']!r}.\n  Give its name, or leave it out.")
    name, text = str(item.get("ID", where.rsplit(" ", 1)[1])), item[text_field].strip() if described else None
    data, labels = item.get("Data") or [], item.get("Labels") or []
    if not isinstance(data, list) or not isinstance(labels, list) or not all(isinstance(row, list) for row in data):
        raise UserError(f"{where}: Data is {str(data)[:40]} and Labels {str(labels)[:40]}.\n  Give a list of rows, and a list of labels.")
    return Example(text, item[code_field].strip(), name, tuple(map(tuple, data)), tuple(labels), item.get("language"))


@dataclass(frozen=True)
class Split:
    """Test items, and those of them whose text and code are both new."""

    all: tuple[Example, ...]
    new: tuple[Example, ...]
    same_pair: int
    """Test items whose text and code both stand in one training item."""
    same_code: int
    same_text: int


def deduplicated(train: Sequence[Example], test: Sequence[Example], form: Callable[[str], str] = str) -> Split:
    """The test items whose code and whose text do not occur in training, and how many do. White space between words does not count;
    codes of the same `form` are the same."""
    pairs = {(plain(e.text), plain(form(e.code))) for e in train}
    texts, codes = {text for text, _ in pairs}, {code for _, code in pairs}
    keys = [(plain(e.text), plain(form(e.code))) for e in test]
    new = tuple(e for e, (text, code) in zip(test, keys, strict=True) if text not in texts and code not in codes)
    same_code, same_text = sum(code in codes for _, code in keys), sum(text in texts for text, _ in keys)
    return Split(tuple(test), new, sum(key in pairs for key in keys), same_code, same_text)


def plain(text: str | None) -> str:
    """A text or a code with one space wherever it has white space, by which it is compared with others; None is empty."""
    return " ".join((text or "").split())
