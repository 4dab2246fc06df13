"""Variants of a pair for benchmarks/codefusion_data.py: names, paths and numbers that text and code share are swapped for others in both.

A small model learns from them that these are to be copied; with ten thousand pairs alone it learns them by heart. A variant is kept where
the code's structure is as before: the same template in Bash, the same kinds of nodes in Python's tree.
"""

import ast
import builtins
import keyword
import random
import re
import sys
from collections.abc import Sequence

from tenfold.codefusion.bash import template

SHARED = {
    "bash": r"\"([^\"]+)\"|'([^']+)'|([^\s\"',;()]*[/*_~\d.-][^\s\"',;()]*[^\s\"',;().])",
    "python": r"`([^`]+)`|\"([^\"]+)\"|'([^']+)'|\b(\d+)\b",
}
"""What of a text may stand in the code too: what is in quotes, and in Bash what looks like a path, a pattern or a number."""
RUNS = {"bash": r"[A-Za-z]{4,}|\d{2,}", "python": r"[A-Za-z]+|\d+"}
"""What is swapped inside of it; shorter ones in Bash are endings that say what a file is."""
KEPT_NAMES = {*keyword.kwlist, *dir(builtins), *sys.stdlib_module_names, "np", "pd", "plt", "numpy", "pandas", "self", "r", "s", "d", "f"}


def varied(language: str, line: dict, rng: random.Random, words: Sequence[str]) -> dict | None:
    """The pair with other names, or None where nothing is shared or the code would be another one."""
    text, code = line["text"], line["code"]
    for groups in dict.fromkeys(re.findall(SHARED[language], text)):
        old = next(group for group in groups if group)
        whole = rf"(?<![\w.]){re.escape(old)}(?!\w)"
        if language == "python" and (not re.fullmatch(r"[\w\s-]+", old) or old in KEPT_NAMES) or not re.search(whole, code):
            continue
        new = re.sub(RUNS[language], lambda run: _swapped(run[0], rng, words), old)
        text, code = (re.sub(whole, lambda _: new, each) for each in (text, code))  # noqa: B023 - used at once
    return {"text": text, "code": code} if code != line["code"] and _alike(language, code, line["code"]) else None


def _swapped(run: str, rng: random.Random, words: Sequence[str]) -> str:
    """Another word, or number of as many digits, in the same case."""
    if run.isdigit():
        return str(rng.randint(10 ** (len(run) - 1) if len(run) > 1 else 0, 10 ** len(run) - 1))
    if len(run) == 1:
        return rng.choice("abcghijkmnpqtuvwxyz") if run.islower() else run
    word = rng.choice(words).lower()
    return word if run.islower() else word.upper() if run.isupper() else word.title()


def _alike(language: str, code: str, other: str) -> bool:
    if language == "bash":
        return (found := template(code)) is not None and found == template(other)
    try:
        first, second = ([type(node) for node in ast.walk(ast.parse(each))] for each in (code, other))
    except SyntaxError:
        return False
    return first == second
