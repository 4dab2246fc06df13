"""Prompts to learn from: JSON lines, an object each, with `prompt` and whatever else the reward wants to know (`answer`, `test`).

A prompt is a text, or, where a policy is to answer as in a chat, a list of messages that ends with the user's. Such an example has the list
as `messages`, and as `prompt` what rewards and people read: the user's one message, or all of them with who wrote them.

Which prompts a step takes is a function of (seed, step): all of them in an order drawn anew each time through.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.align.conversations import read_messages
from tenfold.align.templates import Message
from tenfold.errors import UserError

Example = dict[str, Any]


def read_prompts(paths: Sequence[str | Path], chats: bool = False) -> list[Example]:
    """The lines of all files, in order; `chats`: prompts may be messages. Raises UserError naming the file and line for what is none."""
    if not paths:
        raise UserError(
            "data.paths is empty: there are no prompts.\n  Name .jsonl files with --data, an object with `prompt` in each line."
        )
    found = [example for path in paths for example in _read(Path(path).expanduser(), chats)]
    if not found:
        raise UserError(f"{', '.join(map(str, paths))} hold no prompts.\n  Put an object with `prompt` in each line.")
    return found


def _read(path: Path, chats: bool) -> list[Example]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}\n  Name a file of JSON lines with --data.") from error
    return [read_line(path, number, line, chats) for number, line in enumerate(lines, 1) if line.strip()]


def read_line(path: Path, number: int, line: str, chats: bool = False) -> Example:
    """One object with a `prompt`. Raises UserError naming the line."""
    try:
        example = json.loads(line)
    except ValueError as error:
        raise UserError(f"{path}, line {number}, is not JSON: {error}") from error
    if isinstance(example, dict) and isinstance(example.get("prompt"), list):
        return _of_messages(example, f"{path}, line {number}", chats)
    if not isinstance(example, dict) or not isinstance(example.get("prompt"), str):
        raise UserError(f"{path}, line {number}, is {line[:60]!r}, but must be an object whose `prompt` is a text.")
    return example


def messages_of(example: Example) -> tuple[Message, ...] | None:
    """The messages of a prompt that was given as such. JSON has no tuples, so a line's own `messages` are never taken for them."""
    found = example.get("messages")
    return found if isinstance(found, tuple) else None


def _of_messages(example: Example, where: str, chats: bool) -> Example:
    if not chats:
        raise UserError(f"{where}: prompt is a list of messages, which only grpo and ppo read.\n  Give the prompt as a text.")
    messages = read_messages(example["prompt"], where, "prompt")
    if messages[-1]["role"] != "user":
        raise UserError(f"{where}: prompt ends with the {messages[-1]['role']}'s message.\n  End it with the user's, to be answered.")
    alone = len(messages) == 1
    text = messages[0]["content"] if alone else "\n\n".join(f"{each['role']}: {each['content']}" for each in messages)
    return example | {"prompt": text, "messages": messages}


def chosen(count: int, wanted: int, step: int, seed: int) -> list[int]:
    """Which of `count` examples a step takes: those at places step x wanted and on of endless shuffles of all."""
    places = range(step * wanted, (step + 1) * wanted)
    orders = {turn: np.random.default_rng((seed, turn)).permutation(count) for turn in {place // count for place in places}}
    return [int(orders[place // count][place % count]) for place in places]
