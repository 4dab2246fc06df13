"""A rule in English, in one of the many ways that people say it."""

import random
from collections.abc import Sequence

from tenfold.codefusion.rules.syntax import Argument, Call, Column, Date, Number, Text
from tenfold.codefusion.rules.words import COMPARED, DRAWN, FIRST, NEGATED, STATED, THINGS, VERBS, WHICH
from tenfold.codefusion.rules.write import number


def describe(rule: Call, header: Sequence[str], rng: random.Random) -> str:
    """A sentence that asks for the rule. `header` names the columns that c[i] stands for."""
    if rule.name in DRAWN:
        where = f" to the {_name(rule.column, header)} column" if rule.column else rng.choice(["", " to the column", " to cells"])
        return f"{rng.choice(DRAWN[rule.name])}{where}"
    verb = rng.choice(VERBS)
    column = rule.column if not rule.calls() else None
    if column is not None:
        name = _name(column, header)
        things = rng.choice([f"values in the {name} column", f"cells in {name}", f"{name} values", f"the {name} column for cells"])
        return f"{verb} {things} {_clause(rule, header, rng, named=True)}"
    return f"{verb} {rng.choice(THINGS)} {_clause(rule, header, rng, named=False)}"


def _name(column: Column, header: Sequence[str]) -> str:
    return header[column.index]


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
    said = _where(rule, header, named)
    given = [_said(argument, header, rng) for argument in rule.arguments]
    if rule.name in COMPARED:
        return f"{said}{rng.choice(WHICH)} {rng.choice(COMPARED[rule.name]).format(*given)}"
    return said + rng.choice(FIRST[rule.name] if rule.name in FIRST and given == ["1"] else STATED[rule.name]).format(*given)


def _negated(rule: Call, header: Sequence[str], rng: random.Random, named: bool) -> str:
    """What follows "cells" where the rule is not to hold."""
    given = [_said(argument, header, rng) for argument in rule.arguments]
    if rule.name in NEGATED:
        return _where(rule, header, named) + rng.choice(NEGATED[rule.name]).format(*given)
    if rule.name in COMPARED:
        return f"{_where(rule, header, named)}that are not {rng.choice(COMPARED[rule.name]).format(*given)}"
    return f"other than those {_clause(rule, header, rng, named)}"


def _where(rule: Call, header: Sequence[str], named: bool) -> str:
    return "" if named or rule.column is None else f"where {_name(rule.column, header)} has values "


def _said(argument: Argument, header: Sequence[str], rng: random.Random) -> str:
    match argument:
        case Number():
            grouped = argument.value == int(argument.value) and abs(argument.value) >= 1000 and rng.random() < 0.2
            return f"{int(argument.value):,}" if grouped else number(argument.value)
        case Date():
            return argument.value.isoformat()
        case Column():
            return rng.choice([f"the {_name(argument, header)} column", _name(argument, header), f"the value of {_name(argument, header)}"])
        case Text():
            return rng.choice([argument.value] * 3 + [f"'{argument.value}'", f'"{argument.value}"'])
    return str(argument)
