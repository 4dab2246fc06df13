"""A rule as a formula of Excel, true in a cell that the rule formats: what goes into a workbook where Excel has no ready rule for it.

The header of the table is row 1 of the sheet and its first column A, so the formula stands for row 2 and moves with the row.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tenfold.codefusion.rules.cells import Table
from tenfold.codefusion.rules.syntax import Argument, Boolean, Call, Column, Date, Number, Reference, Text, letters
from tenfold.codefusion.rules.write import number

FIRST_ROW = 2


@dataclass(frozen=True)
class Frame:
    """Where the cells are."""

    column: int
    """Looked at by functions that name none, counted from 0."""
    rows: int

    @classmethod
    def of(cls, column: int, table: Table) -> "Frame":
        """The frame of a rule that looks at a column of a table. At least one row, or there would be no range."""
        return cls(column, max(1, len(table.rows)))

    def cell(self, column: int | None = None) -> str:
        """A column's cell in the row looked at."""
        return f"${letters((self.column if column is None else column) + 1)}{FIRST_ROW}"

    def range(self, column: int | None = None) -> str:
        """A column's cells."""
        letter = letters((self.column if column is None else column) + 1)
        return f"${letter}${FIRST_ROW}:${letter}${FIRST_ROW + self.rows - 1}"


def formula(rule: Call, frame: Frame) -> str:
    """The formula, without = before it. Rules that draw into every cell have none (check.py refuses them inside others)."""
    kind = rule.function.kind
    if kind == "logic":
        return f"{rule.name}({','.join(formula(inside, frame) for inside in rule.calls())})"
    index = rule.column.index if rule.column else frame.column
    cell, given = frame.cell(index), [value(argument, frame) for argument in rule.arguments]
    if kind in ("compare", "text"):
        return _TEMPLATES[rule.name](cell, *given)
    if kind == "date":
        return period(rule.name, cell)
    if kind == "cells":
        return f"ISERROR({cell})" if rule.name == "Errors" else f"LEN(TRIM({cell}))=0"
    return _whole(rule, cell, frame.range(index))


def value(argument: Argument, frame: Frame) -> str:
    """An argument as it stands in a formula."""
    match argument:
        case Number():
            return number(argument.value)
        case Text():
            return '"' + argument.value.replace('"', '""') + '"'
        case Boolean():
            return str(argument.value).upper()
        case Date():
            day = argument.value
            return f"DATE({day.year},{day.month},{day.day})"
        case Column():
            return frame.cell(argument.index)
        case Reference():
            return str(argument)
    raise TypeError(f"{argument.name} is a rule, not a value")


def _between(cell: str, one: str, other: str) -> str:
    return f"OR(AND({cell}>={one},{cell}<={other}),AND({cell}>={other},{cell}<={one}))"


_TEMPLATES: dict[str, Callable[..., str]] = {
    "Equals": lambda cell, x: f"{cell}={x}",
    "NotEquals": lambda cell, x: f"{cell}<>{x}",
    "GreaterThan": lambda cell, x: f"{cell}>{x}",
    "GreaterThanEqual": lambda cell, x: f"{cell}>={x}",
    "LessThan": lambda cell, x: f"{cell}<{x}",
    "LessThanEqual": lambda cell, x: f"{cell}<={x}",
    "Between": _between,
    "NotBetween": lambda cell, one, other: f"NOT({_between(cell, one, other)})",
    "TextEquals": lambda cell, x: f'({cell}&"")=({x}&"")',
    "TextContains": lambda cell, x: f"NOT(ISERROR(SEARCH({x},{cell})))",
    "TextStartsWith": lambda cell, x: f'LEFT({cell},LEN({x}))=({x}&"")',
    "TextEndsWith": lambda cell, x: f'RIGHT({cell},LEN({x}))=({x}&"")',
}


def _whole(rule: Call, cell: str, cells: str) -> str:
    """Functions of the whole column. AGGREGATE's 6 leaves errors out, as the rules do."""
    if rule.function.kind == "repeat":
        same = f'SUMPRODUCT(IFERROR(({cells}={cell})*({cells}<>""),0))'  # COUNTIF would see wildcards in texts
        return f"IF(OR(ISBLANK({cell}),ISERROR({cell})),FALSE,{same}{'=1' if rule.name == 'Unique' else '>1'})"
    if rule.function.kind == "average":
        sign = ">" if rule.name == "AboveAverage" else "<"
        return f"IF(ISNUMBER({cell}),{cell}{sign}_xlfn.AGGREGATE(1,6,{cells}),FALSE)"
    given, percent, top = number(rule.rank()), rule.name.endswith("Percent"), rule.name.startswith("Top")
    count = f"MAX(1,INT(COUNT({cells})*{given}/100))" if percent else f"MIN({given},COUNT({cells}))"
    return f"IF(ISNUMBER({cell}),{cell}{'>=' if top else '<='}_xlfn.AGGREGATE({14 if top else 15},6,{cells},{count}),FALSE)"


def period(name: str, cell: str) -> str:
    """The formula that Excel itself keeps with a rule of dates."""
    day = f"ROUNDDOWN({cell},0)"
    months = {"LastMonth": "-1", "ThisMonth": "0", "NextMonth": "1"}
    if name in months:
        other = f"EDATE(TODAY(),{months[name]})"
        return f"AND(MONTH({cell})=MONTH({other}),YEAR({cell})=YEAR({other}))"
    return {
        "Yesterday": f"FLOOR({cell},1)=TODAY()-1",
        "Today": f"FLOOR({cell},1)=TODAY()",
        "Tomorrow": f"FLOOR({cell},1)=TODAY()+1",
        "Last7Days": f"AND(TODAY()-FLOOR({cell},1)<=6,FLOOR({cell},1)<=TODAY())",
        "LastWeek": f"AND(TODAY()-{day}>=WEEKDAY(TODAY()),TODAY()-{day}<WEEKDAY(TODAY())+7)",
        "ThisWeek": f"AND(TODAY()-{day}<=WEEKDAY(TODAY())-1,{day}-TODAY()<=7-WEEKDAY(TODAY()))",
        "NextWeek": f"AND({day}-TODAY()>7-WEEKDAY(TODAY()),{day}-TODAY()<15-WEEKDAY(TODAY()))",
    }[name]
