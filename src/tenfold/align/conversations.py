"""Conversations out of files of JSON lines: messages, or a question and its answer under the names that are usual.

Every line is read and checked before anything is done with one; what is wrong is said with file, line, field and value.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tenfold.align.templates import Message
from tenfold.corpus.documents import document_id
from tenfold.corpus.readers import is_lines, lines, walk
from tenfold.errors import UserError

PAIRS = (("instruction", "output"), ("instruction", "answer"), ("question", "answer"), ("prompt", "completion"), ("text", "code"))
"""Fields of a question and its answer; the first is Alpaca's, whose `input` is added to the instruction, the last are what
`tenfold codefusion` learns from."""
FORMS = 'messages [{"role", "content"}, ...], or ' + ", or ".join(" and ".join(pair) for pair in PAIRS)
ROLES = ("system", "user", "assistant")


class Conversation(NamedTuple):
    """Messages: perhaps one of the system, then the user and the assistant in turn; the last is the assistant's."""

    messages: tuple[Message, ...]
    where: str
    """The file and the line: conversations.jsonl:12."""

    @property
    def id(self) -> str:
        """The identity of what was asked first: conversations that begin alike have the same."""
        return document_id(next(message["content"] for message in self.messages if message["role"] == "user"))


def read_conversations(paths: Sequence[str]) -> list[Conversation]:
    """All conversations of .jsonl(.gz, .zst) files, or of all such files in a folder, in their order.

    Raises UserError for the first line that holds none, and where there are no files or no lines.
    """
    found = []
    for path in paths:
        for file in _files(Path(path).expanduser()):
            found += _read(file)
    return found


def parse_conversations(row: Any, where: str) -> list[Conversation]:
    """The conversations of a line's value: one, or in Self-Instruct's form (`instances`) one for each instance."""
    if not isinstance(row, dict):
        raise UserError(f"{where} is {_short(row)}, but must be an object with the fields {FORMS}.")
    if "messages" in row:
        return [Conversation(_messages(row["messages"], where), where)]
    if "instruction" in row and isinstance(row.get("instances"), list):
        return [_pair(row | instance, PAIRS[0], where) for instance in row["instances"] if isinstance(instance, dict)]
    for pair in PAIRS:
        if all(name in row for name in pair):
            return [_pair(row, pair, where)]
    raise UserError(f"{where} has the fields {', '.join(row) or 'none'}, and no conversation in them.\n  Give {FORMS}.")


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        if found := [file for file in walk(path) if is_lines(file)]:
            return found
        raise UserError(f"{path} holds no .jsonl file (.gz and .zst too).\n  Put the conversations there, one JSON object a line.")
    if not path.exists():
        raise UserError(f"There is no file {str(path)!r} of conversations.\n  Name a .jsonl with one JSON object a line.")
    if not is_lines(path):
        raise UserError(f"{path} is not a .jsonl (.gz and .zst too).\n  Conversations are one JSON object a line: {FORMS}.")
    return [path]


def _read(file: Path) -> list[Conversation]:
    found: list[Conversation] = []
    for where, line in _numbered(file):
        try:
            row = json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where} is not JSON: {error}.\n  Every line is one JSON object: {FORMS}.") from error
        found += parse_conversations(row, where)
    if not found:
        raise UserError(f"{file} holds no conversation.\n  Give one JSON object a line: {FORMS}.")
    return found


def _numbered(file: Path) -> Iterator[tuple[str, bytes]]:
    try:
        for number, line in enumerate(lines(file), 1):
            if line.strip():
                yield f"{file}:{number}", line
    except OSError as error:
        raise UserError(f"{file} cannot be read to its end: {error}.\n  Fetch it again.") from error


def _pair(row: dict, names: tuple[str, str], where: str) -> Conversation:
    question, answer = (_text(row[name], name, where) if name in row else "" for name in names)
    more = _text(row["input"], "input", where, may_be_empty=True) if row.get("input") is not None and names[0] == "instruction" else ""
    if not answer:
        raise UserError(f"{where}: {names[1]} is missing.\n  Give the answer, or leave the line out.")
    asked = f"{question}\n\n{more}" if more.strip() else question
    return Conversation(({"role": "user", "content": asked}, {"role": "assistant", "content": answer}), where)


def _messages(messages: Any, where: str) -> tuple[Message, ...]:
    found = read_messages(messages, where)
    if found[-1]["role"] != "assistant":
        raise UserError(
            f"{where}: messages ends with the {found[-1]['role']}'s, so there is no answer to learn.\n"
            "  Add the assistant's, or cut it there."
        )
    return found


def read_messages(messages: Any, where: str, name: str = "messages") -> tuple[Message, ...]:
    """The messages of a value, in turn, whoever writes the last. Raises UserError naming `where` and the place of what is none."""
    if not isinstance(messages, list) or not messages:
        raise UserError(f'{where}: {name} is {_short(messages)}, but must be a list of {{"role": ..., "content": ...}}.')
    found: list[Message] = []
    for number, message in enumerate(messages):
        place = f"{name}[{number}]"
        if not isinstance(message, dict) or "role" not in message or "content" not in message:
            raise UserError(f'{where}: {place} is {_short(message)}, but must be {{"role": ..., "content": ...}}.')
        role, due = message["role"], _due(found)
        if role not in ROLES:
            raise UserError(f"{where}: {place}.role is {_short(role)}, but must be one of {', '.join(ROLES)}.")
        if role not in due:
            raise UserError(
                f"{where}: {place}.role is {role!r}, where {' or '.join(due)} is due.\n"
                "  A conversation may begin with system; then user and assistant take turns, user first."
            )
        found.append({"role": role, "content": _text(message["content"], f"{place}.content", where, may_be_empty=role == "system")})
    return tuple(found)


def _due(before: list[Message]) -> tuple[str, ...]:
    if not before:
        return ("system", "user")
    return ("assistant",) if before[-1]["role"] == "user" else ("user",)


def _text(value: Any, name: str, where: str, may_be_empty: bool = False) -> str:
    if not isinstance(value, str):
        raise UserError(f"{where}: {name} is {_short(value)}, but must be a text.")
    if not value.strip() and not may_be_empty:
        raise UserError(f"{where}: {name} is {value!r}, which is empty.\n  Write it, or leave the line out.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(f"{where}: {name} holds half of a surrogate pair ({error.reason}), which is no text.\n  Mend it.") from error
    return value


def _short(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
