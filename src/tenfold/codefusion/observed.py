"""What Python snippets do when they are run, compared: a program for the sandbox (evaluate/sandbox.py), of the standard library alone.

A snippet has names that it does not make (`x.sort()`), so it is run with values made up for them: each of VALUES for each name, or TRIED
of the ways where names are many. What is seen is the value of its last expression or assignment, what it prints, and what became of the
values. Ways in which the right snippet fails or does nothing that can be seen say nothing. A snippet that can be run in no way, or does not
do the same twice in some way, cannot be compared.
"""

import ast
import contextlib
import importlib
import io
import itertools
import random
import re
import signal
import time
import types
from collections.abc import Iterator

VALUES = (
    lambda: [3, 1, 2, 3],
    lambda: [7, 7],
    lambda: ["b", "a 1", "c", "b"],
    lambda: "Some words, [12] of them, and (a few) more é",
    lambda: 3,
    lambda: 10,
    lambda: {"b": 2, "a": 3, "c": 1},
    lambda: [[1, 2], [4, 3]],
    lambda: [{"a": 2, "b": 1}, {"a": 1, "b": 3}],
    lambda: "2024-05-17",
)
REFUSED = {"os": ("system", "popen"), "subprocess": ("call", "run", "Popen", "check_call", "check_output", "getoutput")}
TRIED, NAMES, MOST, SECONDS = 64, 6, 1000, 0.5
MODULES = frozenset(
    "ast base64 binascii bisect calendar codecs collections copy csv datetime decimal fractions functools glob hashlib heapq html inspect "
    "io itertools json locale logging math numbers operator os pprint random re shutil socket statistics string struct subprocess sys "
    "tempfile textwrap threading time types unicodedata urllib uuid zlib".split()
)
HOMES = ("collections", "itertools", "functools", "datetime", "math")
ADDRESS = re.compile(r" at 0x[0-9a-f]+")
EMPTY = ("[]", "{}", "''", "b''")
Ways = tuple[tuple[str, ...], list[tuple[int, ...]]]
"""Names that a snippet needs, and for each way to run it the number of the value of each."""


class Unseen(Exception):
    """Nothing that can be compared."""


def observe(code: str, values: dict) -> tuple:
    """What the snippet does with these values, which it may change; raises what it raises, NameError for names without a value."""
    tree, seen = ast.parse(code.strip()), dict(values)
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        tree.body[-1] = ast.copy_location(ast.Assign([ast.Name("_seen", ast.Store())], last.value), last)
    elif isinstance(last, ast.Assign):
        last.targets.append(ast.Name("_seen", ast.Store()))
    printed = io.StringIO()
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(ast.fix_missing_locations(tree), "snippet", "exec"), seen)
        result = _plain(seen.get("_seen"))
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return result, printed.getvalue(), _states(values)


def _plain(value: object) -> str:
    """The value as text, the same for the same: iterators as lists, sets and dicts in order, numbers to nine digits."""
    if isinstance(value, types.ModuleType | type):
        return value.__name__
    if isinstance(value, dict):
        return "{" + ", ".join(sorted(f"{_plain(key)}: {_plain(each)}" for key, each in value.items())) + "}"
    if isinstance(value, set | frozenset):
        return "{" + ", ".join(sorted(map(_plain, value))) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_plain, value)) + "]"
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, Iterator):
        return _plain(list(itertools.islice(value, MOST)))
    said = repr(value)
    if ADDRESS.search(said):
        raise Unseen(said)
    return said


def _states(values: dict) -> tuple[str, ...]:
    """What became of the values, but for modules and what they are known for."""
    return tuple(_plain(value) for value in values.values() if not callable(value) and not isinstance(value, types.ModuleType))


def _module(name: str, code: str) -> list:
    """What the name is without being made: a module, or a thing that modules are known for."""
    if name == "datetime" and not re.search(r"datetime\.(datetime|date|timedelta|time)\b", code):
        return [importlib.import_module(name).datetime]
    if name in MODULES:
        return [importlib.import_module(name)]
    homes = map(importlib.import_module, HOMES)
    return [getattr(home, name) for home in homes if hasattr(home, name)][:1]


def made_for(gold: str) -> list:
    """What makes values: VALUES, and a text, a list and a table of what the right snippet has in quotes and in numbers."""
    constants = [node.value for node in ast.walk(ast.parse(gold.strip())) if isinstance(node, ast.Constant)]
    said = [each for each in constants if type(each) in (str, int, float) and each not in ("", 0, 1)][:8]
    if not said:
        return [*VALUES]
    words = [word for each in said for word in (str(each), *re.findall(r"\w+", re.sub(r"\\[a-zA-Z]", " ", str(each))))]
    return [*VALUES, lambda: " x ".join(["a", *words, "b"]), lambda: ["a", *said, "b"], lambda: [["a", 1], *([each, 2] for each in said)]]


def _options(name: str, pool: list, code: str) -> int:
    return len(pool) + len(_module(name, code))


def _value(name: str, number: int, pool: list, code: str) -> object:
    return pool[number]() if number < len(pool) else _module(name, code)[0]


def _tried(code: str, values: dict) -> tuple | None:
    """What is seen; None where it fails, and where its value is empty or one that it was given and nothing else is seen. A name without a
    value is raised."""
    before = _states(values)
    try:
        found = observe(code, values)
    except NameError:
        raise
    except (Exception, SystemExit):
        return None
    result, printed, after = found
    return None if not printed and after == before and result in ("None", *EMPTY, *before) else found


def names_of(code: str, pool: list) -> tuple[str, ...]:
    """The names that the snippet has not made when it needs them, as far as it runs with one value or another."""
    found: list[str] = []
    for _ in range(TRIED):
        missing = None
        for number in range(len(pool) + 1 if found else 1):
            values = {name: _value(name, min(number, _options(name, pool, code) - 1), pool, code) for name in found}
            try:
                _tried(code, values)
            except NameError as error:
                missing = error.name
                if missing not in found:
                    break
        if missing is None or missing in found or len(found) == NAMES:
            break
        found.append(missing)
    return tuple(found)


def ways(code: str) -> Ways:
    """In which ways the right snippet can be run and says something; an empty list where it cannot."""
    try:
        pool = made_for(code)
        names = names_of(code, pool)
        options = [range(_options(name, pool, code)) for name in names]
        every = [*itertools.product(*options)] if len(names) <= 2 else []
        random.seed(0)
        tried = every or [tuple(random.choice(each) for each in options) for _ in range(TRIED)]
        seen = {way: [_way(code, names, way, pool) for _ in range(2)] for way in dict.fromkeys(tried)}
        if any(first != second for first, second in seen.values()):
            return (), []
        return names, [way for way, (first, _) in seen.items() if first is not None]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return (), []


def _values(names: tuple[str, ...], way: tuple[int, ...], pool: list, code: str) -> dict:
    return {name: _value(name, number, pool, code) for name, number in zip(names, way, strict=True)}


def _way(code: str, names: tuple[str, ...], way: tuple[int, ...], pool: list) -> tuple | None:
    try:
        return _tried(code, _values(names, way, pool, code))
    except NameError:
        return None


def does_the_same(gold: str, candidate: str) -> bool:
    """Whether the candidate does what the right snippet does, wherever it runs, and whether it runs in half of the ways that say something.
    Names that the right one has not are modules or, in order, those of its variables that the candidate leaves out."""
    names, found = ways(gold)
    if not found:
        return False
    pool = made_for(gold)
    variables = [name for place, name in enumerate(names) if any(way[place] < len(pool) for way in found)]
    left = [name for name in variables if not re.search(rf"\b{re.escape(name)}\b", candidate)]
    stands_for: dict[str, str | None] = {}
    """Of the candidate's own names, which of the right one's it stands for; None: for a module."""
    failed = 0
    for way in found:
        expected = _tried(gold, _values(names, way, pool, gold))
        while True:
            given = _values(names, way, pool, candidate)
            own = {name: _module(name, candidate)[0] if other is None else given[other] for name, other in stands_for.items()}
            try:
                seen = _seen(candidate, given, own)
                break
            except NameError as error:
                name = error.name or ""
                if name in stands_for or not (_module(name, candidate) or left):
                    return False
                stands_for[name] = None if _module(name, candidate) else left.pop(0)
        if seen is not None and seen != expected:
            return False
        failed += seen is None
        if 2 * failed > len(found):
            return False
    return True


def _seen(candidate: str, given: dict, own: dict) -> tuple | None:
    """What the candidate does with the right one's values, and with its own names for them; None where it fails."""
    try:
        result, printed, _ = observe(candidate, given | own)
        return result, printed, _states(given)
    except NameError:
        raise
    except (Exception, SystemExit):
        return None


def _stop(number: int, frame: object) -> None:
    raise TimeoutError


def _refuse(*args: object, **options: object) -> None:
    raise Unseen("programs are not run")


def main(gold: str, candidate: str | None) -> None:
    """Ends where the candidate does the same or, without one, where the right snippet can be run; raises elsewhere."""
    signal.signal(signal.SIGVTALRM, _stop)
    time.sleep = lambda seconds: None
    for module, names in REFUSED.items():
        for name in names:
            setattr(importlib.import_module(module), name, _refuse)
    assert does_the_same(gold, candidate) if candidate is not None else ways(gold)[1]
