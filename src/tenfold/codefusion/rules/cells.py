"""Cells as Excel types them, and tables of them.

A cell is None (blank), a float, a text, a bool, a datetime, or an ErrorValue. Data that comes as text is read as Excel reads what is
typed into a cell: numbers, percentages and dollars are numbers, TRUE and FALSE booleans, dates dates, #N/A and its kind errors.
"""

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from tenfold.codefusion.rules.syntax import Call
from tenfold.errors import UserError


@dataclass(frozen=True)
class ErrorValue:
    """What a formula gives that fails, such as #DIV/0!."""

    name: str


Cell: TypeAlias = None | float | str | bool | datetime.datetime | ErrorValue

LARGEST = 9.99999999999999e307
"""Excel's largest number."""
ERRORS = ("#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A")
_ERROR = re.compile(r"#(?:NULL!|DIV/0!|VALUE!|REF!|NAME\?|NUM!|N/A|ERR)")
_NUMBER = re.compile(r"([+-]?)(\$?)((?:\d+|\d{1,3}(?:,\d{3})+)?(?:\.\d*)?)((?:[eE][+-]?\d+)?)(%?)")
_ISO = re.compile(r"(\d{4})-(\d\d?)-(\d\d?)(?:[ T](\d\d?):(\d\d)(?::(\d\d)(?:\.\d+)?)?)?")
_SLASHED = re.compile(r"(\d\d?)/(\d\d?)/(\d{4})")
_FIRST_DAY = datetime.datetime(1899, 12, 30)
"""Day 0 of Excel's dates from 1 March 1900 on; before that Excel counts a day that never was."""


@dataclass(frozen=True)
class Table:
    """Columns with names. In a sheet the header is row 1 and the first column is A."""

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def column(self, index: int) -> tuple[Cell, ...]:
        """The cells of a column under its name, blank where the table has no such column."""
        return tuple(row[index] if index < len(row) else None for row in self.rows)


def read_table(data: Sequence[Sequence[Any]], where: str = "data") -> Table:
    """A table of rows, the first of them the header, as JSON or spreadsheets give them. Raises UserError that names the row.

    Dates with slashes are day first if any of the table's says so by a number above 12, else month first, as American Excel reads them.
    """
    if not data or not isinstance(data[0], list | tuple):
        raise UserError(f"{where} is {str(data)[:40]!r}, not a list of rows.\n  Give the header as its first row and a list a row.")
    header = tuple(str(name) for name in data[0])
    slashed = [match for row in data[1:] for value in row if isinstance(value, str) and (match := _SLASHED.fullmatch(value.strip()))]
    day_first = any(int(match[1]) > 12 for match in slashed)
    for i, row in enumerate(data[1:]):
        if len(row) != len(header):
            what = f"{where}, row {i + 1} has {len(row)} cells and the header {len(header)} ({', '.join(header)})"
            raise UserError(f"{what}.\n  Give a cell a column, null where blank.")
    return Table(header, tuple(tuple(cell(value, day_first) for value in row) for row in data[1:]))


def cell(value: Any, day_first: bool = False) -> Cell:
    """A value of JSON or Python as a cell. Raises UserError for what no cell can hold."""
    if value is None or isinstance(value, bool | ErrorValue):
        return value
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None)  # a workbook's times have no zone
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day)
    if isinstance(value, int | float) and abs(value) <= LARGEST:
        return float(value)
    if isinstance(value, str):
        return _typed(value, day_first)
    what = f"a cell is {str(value)[:40]}, of type {type(value).__name__}, which no cell can hold"
    raise UserError(f"{what}.\n  Give a number up to {LARGEST}, a text, true, false or null.")


def _typed(text: str, day_first: bool) -> Cell:
    word = text.strip()
    if not text:
        return None
    if _ERROR.fullmatch(word.upper()):
        return ErrorValue(word.upper())
    if word.upper() in ("TRUE", "FALSE"):
        return word.upper() == "TRUE"
    if (number := _NUMBER.fullmatch(word)) and any(letter.isdigit() for letter in number[3]):
        value = float(number[1] + number[3].replace(",", "") + number[4])
        return text if abs(value) > LARGEST else value / 100 if number[5] else value
    if iso := _ISO.fullmatch(word):
        return _date(*(int(part or 0) for part in iso.groups())) or text
    if slashed := _SLASHED.fullmatch(word):
        first, second, year = map(int, slashed.groups())
        return _date(year, *((second, first) if day_first else (first, second))) or text
    return text


def _date(*parts: int) -> datetime.datetime | None:
    try:
        found = datetime.datetime(*parts)  # type: ignore[arg-type]  # year, month, day and perhaps a time
    except ValueError:
        return None
    return found if found.year >= 1900 else None


def is_number(cell: Cell) -> bool:
    """Whether Excel counts a cell as a number: dates are, TRUE and FALSE are not."""
    return isinstance(cell, float | datetime.datetime)


def serial(date: datetime.datetime) -> float:
    """The number that Excel keeps for a date: days since 30 December 1899, a time as a fraction."""
    return (date - _FIRST_DAY) / datetime.timedelta(days=1)


def shown(cell: Cell) -> str:
    """The text of a cell, as a formula sees it (A1&""): 15 digits of a number, and of a date its number. Not for errors."""
    if isinstance(cell, datetime.datetime):
        cell = serial(cell)
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float):
        digits = f"{cell:.15g}".upper()
        return str(int(cell)) if cell == int(cell) and abs(cell) < 1e15 else digits
    return cell if isinstance(cell, str) else ""


def target(rule: Call, table: Table) -> int:
    """The column that a rule paints, and looks at where it names none: the first that it names, else the one called Value, else of rules
    about numbers the first that holds any, else the first."""
    named = _named(rule)
    if named is not None:
        return named
    if "Value" in table.header:
        return table.header.index("Value")
    numeric = (i for i in range(len(table.header)) if any(map(is_number, table.column(i))))
    return next(numeric, 0) if rule.function.kind in ("rank", "average", "draw") else 0


def _named(rule: Call) -> int | None:
    if rule.column is not None:
        return rule.column.index
    return next((index for inside in rule.calls() if (index := _named(inside)) is not None), None)
