"""A rule run on a table: which of the column's cells get its format.

A function gives True, False or None for a cell; None is Excel's error, which formats nothing and which AND, OR and NOT hand on.
What each does with blanks, errors, texts among numbers and ties is in docs/conditional-formatting.md.
"""

import datetime
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tenfold.codefusion.rules.cells import Cell, ErrorValue, Table, is_number, serial, shown, target
from tenfold.codefusion.rules.excel import compare, contains
from tenfold.codefusion.rules.syntax import Argument, Call, Column, Date, Reference

Truth = bool | None


@dataclass(frozen=True)
class Outcome:
    """What a rule does to a table."""

    column: int
    cells: tuple[bool, ...]
    """A row of the table each: whether the rule formats it."""
    draws: str
    """"format", or "ColorScale", "DataBar" or "IconSet"."""


def evaluate(rule: Call, table: Table, today: datetime.date) -> Outcome:
    """What the rule does. `today` is what LastMonth and its kind count from. The rule must make sense alone (check.py); columns that the
    table has not are blank."""
    column = target(rule, table)
    return Outcome(column, tuple(bool(truth) for truth in _truths(rule, table, column, today)), rule.function.draws)


def _truths(rule: Call, table: Table, default: int, today: datetime.date) -> list[Truth]:
    """A truth a row."""
    function = rule.function
    cells = table.column(rule.column.index if rule.column else default)
    if function.kind == "logic":
        return _joined(rule.name, [_truths(inside, table, default, today) for inside in rule.calls()])
    if function.kind in ("compare", "text"):
        given = [[_value(argument, table, row) for row in range(len(cells))] for argument in rule.arguments]
        judge = COMPARE.get(rule.name) or TEXT[rule.name]
        return [judge(cell, *(values[row] for values in given)) for row, cell in enumerate(cells)]
    if function.kind == "date":
        return [None if _unlike_date(cell) else PERIODS[rule.name](_day(cell), today) for cell in cells]
    return _WHOLE[function.kind](rule, cells)


def _value(argument: Argument, table: Table, row: int) -> Cell:
    """What an argument is in a row of the table."""
    match argument:
        case Column():
            return table.column(argument.index)[row]
        case Reference():
            sheet_row = argument.row if argument.fixed_row else argument.row + row
            return _sheet(table, argument.column - 1, sheet_row)
        case Date():
            return datetime.datetime(argument.value.year, argument.value.month, argument.value.day)
        case Call():
            raise TypeError(f"{argument.name} is a rule, not a value")
    return argument.value


def _sheet(table: Table, column: int, row: int) -> Cell:
    """A cell of the sheet where the header is row 1; blank outside the table."""
    if row == 1:
        return table.header[column] if column < len(table.header) else None
    return table.column(column)[row - 2] if 2 <= row < 2 + len(table.rows) else None


def _joined(name: str, parts: list[list[Truth]]) -> list[Truth]:
    """AND, OR or NOT, row by row. Excel looks at every part: an error in one is the whole's, whatever the others are."""
    rows = list(zip(*parts, strict=True))
    if name == "NOT":
        return [None if row[0] is None else not row[0] for row in rows]
    join = all if name == "AND" else any
    return [None if None in row else join(row) for row in rows]


def _judge(test: Callable[..., bool]) -> Callable[..., Truth]:
    """A test of cells that is an error where one of them is."""
    return lambda *cells: None if any(isinstance(cell, ErrorValue) for cell in cells) else test(*cells)


def _between(cell: Cell, one: Cell, other: Cell) -> bool:
    """Bounds in either order."""
    low, high = (one, other) if compare(one, other) <= 0 else (other, one)
    return compare(low, cell) <= 0 <= compare(high, cell)


COMPARE: dict[str, Callable[..., Truth]] = {
    "Equals": _judge(lambda cell, value: compare(cell, value) == 0),
    "NotEquals": _judge(lambda cell, value: compare(cell, value) != 0),
    "GreaterThan": _judge(lambda cell, value: compare(cell, value) > 0),
    "GreaterThanEqual": _judge(lambda cell, value: compare(cell, value) >= 0),
    "LessThan": _judge(lambda cell, value: compare(cell, value) < 0),
    "LessThanEqual": _judge(lambda cell, value: compare(cell, value) <= 0),
    "Between": _judge(_between),
    "NotBetween": _judge(lambda cell, one, other: not _between(cell, one, other)),
}


def _contains(cell: Cell, part: Cell) -> Truth:
    """False of errors, as NOT(ISERROR(SEARCH())) is."""
    return not isinstance(cell, ErrorValue) and not isinstance(part, ErrorValue) and contains(shown(cell), shown(part))


TEXT: dict[str, Callable[..., Truth]] = {
    "TextEquals": _judge(lambda cell, text: shown(cell).casefold() == shown(text).casefold()),
    "TextContains": _contains,
    "TextStartsWith": _judge(lambda cell, text: shown(cell).casefold().startswith(shown(text).casefold())),
    "TextEndsWith": _judge(lambda cell, text: shown(cell).casefold().endswith(shown(text).casefold())),
}


def _kinds(rule: Call, cells: Sequence[Cell]) -> list[Truth]:
    if rule.name == "Errors":
        return [isinstance(cell, ErrorValue) for cell in cells]
    return [None if isinstance(cell, ErrorValue) else not shown(cell).strip(" ") for cell in cells]


def _repeats(rule: Call, cells: Sequence[Cell]) -> list[Truth]:
    """Blanks and errors are neither duplicate nor unique."""
    keys = [None if cell is None or isinstance(cell, ErrorValue) else _key(cell) for cell in cells]
    counts = Counter(keys)
    return [key is not None and (counts[key] == 1) == (rule.name == "Unique") for key in keys]


def _key(cell: Cell) -> tuple[str, str | float]:
    if isinstance(cell, str):
        return "text", cell.casefold()
    return ("boolean", float(cell)) if isinstance(cell, bool) else ("number", _number(cell))


def _number(cell: Cell) -> float:
    return serial(cell) if isinstance(cell, datetime.datetime) else float(cell)  # type: ignore[arg-type]  # the caller has seen that it is one


def _ranks(rule: Call, cells: Sequence[Cell]) -> list[Truth]:
    """Numbers only; all that tie with the last one are in. A percentage of them is rounded down, and is at least one of them."""
    numbers = sorted((_number(cell) for cell in cells if is_number(cell)), reverse=rule.name.startswith("Top"))
    if not numbers:
        return [False] * len(cells)
    count = int(len(numbers) * rule.rank() / 100) if rule.name.endswith("Percent") else int(rule.rank())
    last = numbers[min(max(count, 1), len(numbers)) - 1]
    inside = (lambda x: x >= last) if rule.name.startswith("Top") else (lambda x: x <= last)
    return [is_number(cell) and inside(_number(cell)) for cell in cells]


def _averages(rule: Call, cells: Sequence[Cell]) -> list[Truth]:
    numbers = [_number(cell) for cell in cells if is_number(cell)]
    if not numbers:
        return [False] * len(cells)
    mean, above = sum(numbers) / len(numbers), rule.name == "AboveAverage"
    return [is_number(cell) and (_number(cell) > mean if above else _number(cell) < mean) for cell in cells]


_WHOLE: dict[str, Callable[[Call, Sequence[Cell]], list[Truth]]] = {
    "cells": _kinds,
    "repeat": _repeats,
    "rank": _ranks,
    "average": _averages,
    "draw": lambda rule, cells: [is_number(cell) for cell in cells],
}


def _unlike_date(cell: Cell) -> bool:
    """What FLOOR fails on. A number is a date to Excel."""
    return isinstance(cell, str | ErrorValue)


def _day(cell: Cell) -> datetime.date:
    """The day of a date, of a number the day that it is the number of; of a blank or a boolean the first there is."""
    if isinstance(cell, datetime.datetime):
        return cell.date()
    days = int(cell) if isinstance(cell, float) and 0 <= cell < 2_900_000 else 0  # year 9999 ends at 2,958,465
    return datetime.date(1899, 12, 30) + datetime.timedelta(days=days)


def _sunday(day: datetime.date) -> datetime.date:
    return day - datetime.timedelta(days=(day.weekday() + 1) % 7)


def _within_days(first: int, last: int) -> Callable[[datetime.date, datetime.date], bool]:
    return lambda day, today: first <= (day - today).days <= last


def _in_week(weeks: int) -> Callable[[datetime.date, datetime.date], bool]:
    """Weeks begin on Sunday, as in Excel's own formula for them."""
    return lambda day, today: (_sunday(day) - _sunday(today)).days == 7 * weeks


def _in_month(months: int) -> Callable[[datetime.date, datetime.date], bool]:
    return lambda day, today: (day.year - today.year) * 12 + day.month - today.month == months


PERIODS: dict[str, Callable[[datetime.date, datetime.date], bool]] = {
    "Yesterday": _within_days(-1, -1),
    "Today": _within_days(0, 0),
    "Tomorrow": _within_days(1, 1),
    "Last7Days": _within_days(-6, 0),
    "LastWeek": _in_week(-1),
    "ThisWeek": _in_week(0),
    "NextWeek": _in_week(1),
    "LastMonth": _in_month(-1),
    "ThisMonth": _in_month(0),
    "NextMonth": _in_month(1),
}
