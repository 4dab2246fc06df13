"""Variants of Python's pairs for benchmarks/codefusion_data.py: names and numbers that text and code share are swapped for others in both.

A small model learns from them that these are to be copied; of two thousand pairs alone it would know them by heart. A variant is kept where
the code's tree has the same kinds of nodes as before.
"""

import ast
import builtins
import keyword
import random
import re
import sys
from collections.abc import Sequence

SHARED = r"`([^`]+)`|\"([^\"]+)\"|'([^']+)'|\b(\d+)\b"
"""What of a text may stand in the code too: what is in quotes, and numbers."""
KEPT_NAMES = {*keyword.kwlist, *dir(builtins), *sys.stdlib_module_names, "np", "pd", "plt", "numpy", "pandas", "self", "r", "s", "d", "f"}


def varied(line: dict, rng: random.Random, words: Sequence[str]) -> dict | None:
    """The pair with other names, or None where nothing is shared or the code would be another one."""
    text, code = line["text"], line["code"]
    for groups in dict.fromkeys(re.findall(SHARED, text)):
        old = next(group for group in groups if group)
        whole = rf"(?<![\w.]){re.escape(old)}(?!\w)"
        if not re.fullmatch(r"[\w\s-]+", old) or old in KEPT_NAMES or not re.search(whole, code):
            continue
        new = re.sub(r"[A-Za-z]+|\d+", lambda run: _swapped(run[0], rng, words), old)
        text, code = (re.sub(whole, lambda _: new, each) for each in (text, code))  # noqa: B023 - used at once
    alike = code != line["code"] and _kinds(code) is not None and _kinds(code) == _kinds(line["code"])
    return {"text": text, "code": code} if alike else None


def _swapped(run: str, rng: random.Random, words: Sequence[str]) -> str:
    """Another word, or number of as many digits, in the same case."""
    if run.isdigit():
        return str(rng.randint(10 ** (len(run) - 1) if len(run) > 1 else 0, 10 ** len(run) - 1))
    if len(run) == 1:
        return rng.choice("abcghijkmnpqtuvwxyz") if run.islower() else run
    word = rng.choice(words).lower()
    return word if run.islower() else word.upper() if run.isupper() else word.title()


def _kinds(code: str) -> list[type] | None:
    """Of the nodes of the code's tree; None where it does not parse."""
    try:
        return [type(node) for node in ast.walk(ast.parse(code))]
    except SyntaxError:
        return None
