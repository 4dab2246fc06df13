"""Rules made at random, with a description in English and a table that they make sense on: training data where the released is short.

A rule is drawn first, a table around it, and the description last, from the rule alone. The same seed gives the same items. The mix of
functions leans towards what people ask for (comparisons and texts) and away from the thousands of equal lines of the released snippets.
"""

import datetime
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tenfold.codefusion.rules.cells import Cell, ErrorValue, Table
from tenfold.codefusion.rules.functions import FUNCTIONS
from tenfold.codefusion.rules.match import TODAY
from tenfold.codefusion.rules.phrases import describe
from tenfold.codefusion.rules.syntax import Argument, Call, Column, Date, Number, Text
from tenfold.codefusion.rules.words import DATE_COLUMNS, NUMBER_COLUMNS, TEXT_COLUMNS, TEXTS
from tenfold.codefusion.rules.write import write

WEIGHTS = {"compare": 30, "text": 28, "logic": 14, "rank": 8, "draw": 6, "repeat": 4, "average": 4, "cells": 3, "date": 5}
COMMON = ("TextEquals", "TextContains", "GreaterThan", "LessThan", "Equals", "Between", "Top", "Bottom", "Duplicate", "Blanks")
"""Drawn six times as often as the others of their kind."""
DATE_SHARE = 0.06
"""Share of the comparisons that are with a date."""
TABLE_SHARE = 0.5
"""Share of the rules that name a column of a table, c[i]; the others look at one column called Value."""
COLUMNS = (1, 2, 2, 3, 3, 3, 4, 4, 5, 6, 7, 8)
"""Of a table."""
KINDS = {"number": 45, "text": 40, "date": 15}
SILENT_SHARE = 0.3
"""Share of the rules about the one column of their kind whose description does not name it, where names tell the kinds."""
WORD_SHARE = 0.6
"""Share of the texts and of the headers that are made of the caller's words, where there are any."""


@dataclass(frozen=True)
class Made:
    """A made-up item."""

    text: str
    code: str
    table: Table


def generate(count: int, seed: int, today: datetime.date = TODAY, words: Sequence[str] = ()) -> Iterator[Made]:
    """`count` items; item i depends on the seed, the words and i alone. `words`, a dictionary of any kind, make the texts and the names of
    columns so many that none can be known by heart."""
    for i in range(count):
        yield made(random.Random(f"{seed} {i}"), today, words)


def made(rng: random.Random, today: datetime.date, words: Sequence[str] = ()) -> Made:
    """One item."""
    named, own = rng.random() < TABLE_SHARE, bool(words) and rng.random() < WORD_SHARE
    kinds = rng.choices(list(KINDS), list(KINDS.values()), k=rng.choice(COLUMNS)) if named else ["text", "number"]
    header = _header(rng, kinds, words if own else ()) if named else ("Index", "Value")
    rule = _rule(rng, kinds if named else None, 0, words)
    rule = rule if rule is not None else Call("Duplicate", Column(rng.randrange(len(kinds))) if named else None)
    alone = rule.column is not None and not own and kinds.count(kinds[rule.column.index]) == 1
    text = describe(rule, header, rng, silent=alone and rng.random() < SILENT_SHARE)
    return Made(text, write(rule), _table(rng, rule, header, kinds if named else None, today))


def _header(rng: random.Random, kinds: list[str], words: Sequence[str]) -> tuple[str, ...]:
    """Different names, of one or two words where there are words to take."""
    pools = {"number": NUMBER_COLUMNS, "text": TEXT_COLUMNS, "date": DATE_COLUMNS}
    names: list[str] = []
    for kind in kinds:
        known = [name for name in pools[kind] if name not in names]
        new = " ".join(rng.choice(words).title() for _ in range(rng.choice([1, 1, 2]))) if words and rng.random() < 0.8 else ""
        names.append(new if new and new not in names else rng.choice(known))
    return tuple(names)


def _rule(rng: random.Random, kinds: list[str] | None, depth: int, words: Sequence[str], outer: str = "") -> Call | None:
    """A rule; `kinds` of the table's columns where it names one, `outer` the function around it. None where the table has no column that
    the drawn function could look at, or the rule would say a thing twice."""
    joinable = ("compare", "text", "cells", "logic") if depth < 2 else ("compare", "text", "cells")
    weights = {kind: weight for kind, weight in WEIGHTS.items() if depth == 0 or kind in joinable}
    kind = rng.choices(list(weights), list(weights.values()))[0]
    functions = [f for f in FUNCTIONS.values() if f.kind == kind and f.name != outer]
    name = rng.choices(functions, [6 if f.name in COMMON else 1 for f in functions])[0].name
    if kind == "logic":
        parts = [_rule(rng, kinds, depth + 1, words, name) for _ in range(1 if name == "NOT" else rng.choice([2, 2, 2, 3]))]
        inside = tuple(dict.fromkeys(part for part in parts if part is not None))
        return Call(name, None, inside) if len(inside) == len(parts) else None
    wanted = {"text": "text", "compare": "number", "rank": "number", "average": "number", "draw": "number", "date": "date"}.get(kind)
    if kind == "compare" and rng.random() < DATE_SHARE:
        wanted = "date"
    fitting = [i for i, one in enumerate(kinds or []) if wanted in (None, one)]
    if kinds is not None and not fitting:
        return None
    column = None if kinds is None else Column(rng.choice(fitting))
    others = [i for i in fitting if column is not None and i != column.index]
    return Call(name, column, _arguments(rng, name, wanted or "", others, words))


def _arguments(rng: random.Random, name: str, wanted: str, others: list[int], words: Sequence[str]) -> tuple[Argument, ...]:
    """What the function is given; `others`: columns of the kind `wanted` that a comparison may be with."""
    kind, two = FUNCTIONS[name].kind, name in ("Between", "NotBetween")
    if kind == "text":
        return (Text(_text(rng, words)),)
    if kind == "rank":
        return (Number(float(rng.choice([5, 10, 20, 25, 50] if name.endswith("Percent") else [1, 1, 2, 3, 5, 10]))),)
    if kind != "compare":
        return ()
    if wanted == "date":
        days = sorted(datetime.date(2022, rng.randint(1, 12), rng.randint(1, 28)) for _ in range(1 + two))
        return tuple(Date(day) for day in days)
    if two:
        low = _number(rng)
        return (Number(low), Number(round(low + abs(_number(rng)) + 1, 4)))
    if others and rng.random() < 0.3:
        return (Column(rng.choice(others)),)
    return (Number(_number(rng)),)


def _text(rng: random.Random, words: Sequence[str]) -> str:
    """A word, two of them, a number or a code: what is copied from the description must not be known by heart."""
    if words and rng.random() < WORD_SHARE:
        found = " ".join(rng.choice(words) for _ in range(rng.choice([1, 1, 1, 2])))
        found = rng.choice([found, found.title(), found.title(), found.upper()])
        return found if rng.random() < 0.85 else found[: rng.randint(1, 4)].strip()
    code = "".join(rng.choice("ABCDEFGHKLMNPRSTVXYZ") for _ in range(rng.randint(1, 3))) + str(rng.randint(1, 999)) * rng.randint(0, 1)
    two = f"{rng.choice(TEXTS)} {rng.choice(TEXTS)}"
    return rng.choices([rng.choice(TEXTS), two, str(rng.randint(0, 2030)), code], [70, 8, 7, 15])[0]


def _number(rng: random.Random) -> float:
    """Sizes as people type them: mostly small and whole."""
    size = rng.choice([10, 100, 100, 1000, 10_000, 100_000])
    value = float(rng.randint(0, size))
    if rng.random() < 0.2:
        value = round(rng.random() * size, rng.choice([1, 2]))
    elif size > 100 and rng.random() < 0.5:
        value = float(round(value, -2))
    return -value if value and rng.random() < 0.08 else value


def _table(rng: random.Random, rule: Call, header: tuple[str, ...], kinds: list[str] | None, today: datetime.date) -> Table:
    """Rows of what the columns are called, with the rule's own constants among them, and a few blanks and errors."""
    rows = rng.randint(6, 24)
    if kinds is None:
        kinds = ["index", _looks_at(rule)]
    columns = [_column(rng, rule, kind, rows, today) for kind in kinds]
    return Table(header, tuple(zip(*columns, strict=True)))


def _looks_at(rule: Call) -> str:
    """What a column called Value holds, so that the rule says something about it."""
    if inside := rule.calls():
        return _looks_at(inside[0])
    if rule.arguments and isinstance(rule.arguments[0], Date):
        return "date"
    return {"text": "text", "date": "date", "repeat": "text"}.get(rule.function.kind, "number")


def _column(rng: random.Random, rule: Call, kind: str, rows: int, today: datetime.date) -> list[Cell]:
    if kind == "index":
        return [float(i) for i in range(rows)]
    own = [argument for argument in _given(rule) if isinstance(argument, Number | Text)]
    pool: list[Cell]
    if kind == "date":
        midnight = datetime.datetime(today.year, today.month, today.day)
        pool = [midnight + datetime.timedelta(days=rng.randint(-45, 45)) for _ in range(rows)]
        for day in (argument.value for argument in _given(rule) if isinstance(argument, Date)):
            pool += [datetime.datetime(day.year, day.month, day.day) + datetime.timedelta(days=shift) for shift in (0, -1, 1)] * 3
    elif kind == "text":
        texts = [argument.value for argument in own if isinstance(argument, Text) and argument.value]
        pool = [
            *rng.sample(TEXTS, 6),
            *texts,
            *(f"{text} {rng.choice(TEXTS)}" for text in texts),
            *(f"{rng.choice(TEXTS)} {text}" for text in texts),
        ]
    else:
        numbers = [argument.value for argument in own if isinstance(argument, Number)] or [50.0]
        pool = [
            value
            for one in numbers
            for value in (one, one, round(one * rng.random(), 2), round(one * 2 * rng.random(), 2), one + 1.0, one - 1.0)
        ]
    cells = [rng.choice(pool) for _ in range(rows)]
    for i in range(1, rows):  # the first stays, so that no column is blank from top to end
        if rng.random() < 0.06:
            cells[i] = rng.choice([None, None, ErrorValue("#N/A")])
    return cells


def _given(rule: Call) -> list[Argument]:
    return [*rule.arguments, *(argument for inside in rule.calls() for argument in _given(inside))]
