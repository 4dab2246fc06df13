"""A rule in English, in one of the many ways that people say it."""

import random
from collections.abc import Sequence

from tenfold.codefusion.rules.syntax import Argument, Call, Column, Date, Number, Text
from tenfold.codefusion.rules.words import (
    BEFORE,
    BEFORE_FIRST,
    COMPARED,
    DRAWN,
    FIRST,
    IF,
    NEGATED,
    STATED,
    THINGS,
    VERBS,
    WHICH,
)
from tenfold.codefusion.rules.write import number

BEFORE_SHARE = 0.4
"""Share of the descriptions that are said the short way round, where there is one."""


def describe(rule: Call, header: Sequence[str], rng: random.Random, silent: bool = False) -> str:
    """A sentence that asks for the rule. `header` names the columns that c[i] stands for; `silent`: the rule's own is not named."""
    column = None if silent or rule.calls() else rule.column
    if rule.name in DRAWN:
        where = ["", " to the column", " to cells"]
        if column is not None:
            name = _mention(column, header, rng)
            where = [f" to the {name} column", f" to {name}", f" on {name}"]
        there = rng.choice(where)
        return rng.choice(DRAWN[rule.name]) + there
    verb, said = rng.choice(VERBS), _before(rule, column, header, rng) if rng.random() < BEFORE_SHARE else None
    if said is not None:
        return f"{verb} {said}"
    if column is None:
        return f"{verb} {rng.choice(THINGS)} {_clause(rule, header, rng, named=rule.column is not None)}"
    name = _mention(column, header, rng)
    things = rng.choice([f"values in the {name} column", f"cells in {name}", f"{name} values", f"the {name} column for cells", name])
    return f"{verb} {things} {_clause(rule, header, rng, named=True)}"


def _before(rule: Call, column: Column | None, header: Sequence[str], rng: random.Random) -> str | None:
    """Said the short way round, "the 3 highest prices" or "cells where price is above 3"; None where the function has no such way."""
    given = [_said(argument, header, rng) for argument in rule.arguments]
    name = None if column is None else _mention(column, header, rng)
    if rule.name in BEFORE:
        ways = BEFORE_FIRST[rule.name] if rule.name in BEFORE_FIRST and given == ["1"] else BEFORE[rule.name]
        of = rng.choice(["values", "cells"]) if name is None else rng.choice([name, name, f"{name} values", f"values in {name}"])
        return rng.choice(ways).format(*given, of=of)
    things = "" if rng.random() < 0.3 else f"{rng.choice(THINGS)} "
    if rule.name in COMPARED:
        compared = rng.choice(COMPARED[rule.name]).format(*given)
        what = name or "value"
        return f"{things}{rng.choice(IF)} {what} {rng.choice(['is ', ''])}{compared}"
    if rule.name == "TextEquals":
        return f"{things}{rng.choice(IF)} {name or 'value'} {rng.choice(['is', 'equals', 'says', '='])} {given[0]}"
    return None


def _mention(column: Column, header: Sequence[str], rng: random.Random) -> str:
    """A column as people call it: by its name, in small letters, or by one of its words where no other column has that."""
    name = header[column.index]
    parts = own_words(name, header)
    ways = [name, name, name.lower()] + ([rng.choice(parts), rng.choice(parts).lower()] if len(name.split()) > 1 and parts else [])
    return rng.choice(ways)


def own_words(name: str, header: Sequence[str]) -> list[str]:
    """The words of a column's name that tell it from the others: three letters at least, and part of no other name."""
    return [word for word in name.split() if len(word) > 2 and sum(word.lower() in other.lower() for other in header) == 1]


def _clause(rule: Call, header: Sequence[str], rng: random.Random, named: bool) -> str:
    """What follows "cells": "that are blank". `named`: the column has been said."""
    if rule.name == "NOT":
        return _negated(rule.calls()[0], header, rng, named)
    if rule.name in ("AND", "OR"):
        parts = [_clause(inside, header, rng, named) for inside in rule.calls()]
        joined = f" {rule.name.lower()} ".join(
            f"({part})" if inside.calls() else part for part, inside in zip(parts, rule.calls(), strict=True)
        )
        return f"{'either ' if rule.name == 'OR' and rng.random() < 0.3 else ''}{joined}"
    said = _where(rule, header, rng, named)
    given = [_said(argument, header, rng) for argument in rule.arguments]
    if rule.name in COMPARED:
        return f"{said}{rng.choice(WHICH)} {rng.choice(COMPARED[rule.name]).format(*given)}"
    return said + rng.choice(FIRST[rule.name] if rule.name in FIRST and given == ["1"] else STATED[rule.name]).format(*given)


def _negated(rule: Call, header: Sequence[str], rng: random.Random, named: bool) -> str:
    """What follows "cells" where the rule is not to hold."""
    given = [_said(argument, header, rng) for argument in rule.arguments]
    if rule.name in NEGATED:
        return _where(rule, header, rng, named) + rng.choice(NEGATED[rule.name]).format(*given)
    if rule.name in COMPARED:
        return f"{_where(rule, header, rng, named)}that are not {rng.choice(COMPARED[rule.name]).format(*given)}"
    return f"other than those {_clause(rule, header, rng, named)}"


def _where(rule: Call, header: Sequence[str], rng: random.Random, named: bool) -> str:
    if named or rule.column is None:
        return ""
    name = _mention(rule.column, header, rng)
    return rng.choice([f"where {name} has values ", f"with {name} values ", f"whose {name} has values "])


def _said(argument: Argument, header: Sequence[str], rng: random.Random) -> str:
    match argument:
        case Number():
            grouped = argument.value == int(argument.value) and abs(argument.value) >= 1000 and rng.random() < 0.2
            return f"{int(argument.value):,}" if grouped else number(argument.value)
        case Date():
            return argument.value.isoformat()
        case Column():
            name = _mention(argument, header, rng)
            return rng.choice([f"the {name} column", name, f"the value of {name}"])
        case Text():
            return rng.choice([argument.value] * 3 + [f"'{argument.value}'", f'"{argument.value}"'])
    return str(argument)
