"""A rule as a tree. Equality looks at what is meant, not at where it stood: `at`, characters from 0 in the text it was read from."""

import datetime
import re
from dataclasses import dataclass, field
from typing import TypeAlias

from tenfold.codefusion.rules.functions import FUNCTIONS, Function
from tenfold.errors import UserError

SHOWN = 60
"""Characters of a rule that an error shows."""


class RuleError(UserError):
    """A rule that cannot be read or makes no sense. `at`: where, in characters from 0; `text`: the rule."""

    def __init__(self, text: str, at: int, wrong: str, mend: str):
        self.text, self.at = text, at
        first = max(0, min(at - SHOWN // 2, len(text) - SHOWN))
        shown = text[first : first + SHOWN].replace("\n", " ")
        super().__init__(f"rule, character {at + 1}: {wrong}\n    {shown}\n    {' ' * (at - first)}^\n  {mend}")


@dataclass(frozen=True)
class Number:
    value: float
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Text:
    value: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Boolean:
    value: bool
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Date:
    value: datetime.date
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Column:
    """c[index]: the cell of that column, counted from 0, in the row that is looked at."""

    index: int
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Reference:
    """A cell of the sheet, B2 or $B$2; both counted from 1. A row without $ moves along with the row that is looked at."""

    column: int
    row: int
    fixed_column: bool
    fixed_row: bool
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"{'$' * self.fixed_column}{letters(self.column)}{'$' * self.fixed_row}{self.row}"


@dataclass(frozen=True)
class Call:
    """A function with what it is given. `column` is the one it looks at, where the rule names one."""

    name: str
    column: Column | None = None
    arguments: tuple["Argument", ...] = ()
    at: int = field(default=0, compare=False)

    @property
    def function(self) -> Function:
        return FUNCTIONS[self.name]

    def calls(self) -> list["Call"]:
        """The rules inside AND, OR or NOT."""
        return [argument for argument in self.arguments if isinstance(argument, Call)]

    def rank(self) -> float:
        """What Top and its kind are given: how many, or what percentage. One where nothing is given."""
        return next((argument.value for argument in self.arguments if isinstance(argument, Number)), 1.0)


Value: TypeAlias = Number | Text | Boolean | Date | Column | Reference
Argument: TypeAlias = Value | Call

COLUMN = re.compile(r"c\[\s*(\d{1,5})\s*\]")
CELL = re.compile(r"(\$?)([A-Za-z]{1,3})(\$?)([1-9]\d{0,6})")


def letters(column: int) -> str:
    """1 -> A, 27 -> AA: how a sheet calls its columns."""
    name = ""
    while column:
        column, last = divmod(column - 1, 26)
        name = chr(ord("A") + last) + name
    return name


def number_of(column: str) -> int:
    """A -> 1, AA -> 27: what `letters` undoes."""
    number = 0
    for letter in column.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number
