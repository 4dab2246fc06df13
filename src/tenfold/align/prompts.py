"""Prompts to learn from: JSON lines, an object each, with `prompt` and whatever else the reward wants to know (`answer`, `test`).

Which prompts a step takes is a function of (seed, step): all of them in an order drawn anew each time through.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.errors import UserError

Example = dict[str, Any]


def read_prompts(paths: Sequence[str | Path]) -> list[Example]:
    """The lines of all files, in order. Raises UserError naming the file and line for what is none."""
    if not paths:
        raise UserError(
            "data.paths is empty: there are no prompts.\n  Name .jsonl files with --data, an object with `prompt` in each line."
        )
    found = [example for path in paths for example in _read(Path(path).expanduser())]
    if not found:
        raise UserError(f"{', '.join(map(str, paths))} hold no prompts.\n  Put an object with `prompt` in each line.")
    return found


def _read(path: Path) -> list[Example]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}\n  Name a file of JSON lines with --data.") from error
    return [read_line(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def read_line(path: Path, number: int, line: str) -> Example:
    """One object with a `prompt`. Raises UserError naming the line."""
    try:
        example = json.loads(line)
    except ValueError as error:
        raise UserError(f"{path}, line {number}, is not JSON: {error}") from error
    if not isinstance(example, dict) or not isinstance(example.get("prompt"), str):
        raise UserError(f"{path}, line {number}, is {line[:60]!r}, but must be an object whose `prompt` is a text.")
    return example


def chosen(count: int, wanted: int, step: int, seed: int) -> list[int]:
    """Which of `count` examples a step takes: those at places step x wanted and on of endless shuffles of all."""
    places = range(step * wanted, (step + 1) * wanted)
    orders = {turn: np.random.default_rng((seed, turn)).permutation(count) for turn in {place // count for place in places}}
    return [int(orders[place // count][place % count]) for place in places]
