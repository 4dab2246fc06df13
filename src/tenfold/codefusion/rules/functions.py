"""The functions of the rule language: every one that the released CodeFusion rules use, and the rest of Excel's own families of them.

Names are looked up without regard to case, as Excel does; `spellings` are the other names that the released rules give to a function.
Source: the conditional formatting of ECMA-376 part 1, 18.18.12 (ST_CfType), and microsoft/prose-benchmarks, CodeFusion.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["compare", "text", "cells", "repeat", "rank", "average", "date", "draw", "logic"]


@dataclass(frozen=True)
class Function:
    """What is known of a function before it is called."""

    name: str
    kind: Kind
    least: int
    most: int
    """Bounds of the number of arguments, a leading column c[i] not counted."""
    excel: str
    """What Excel's files call it: a type of rule, of compare its operator, of date its period."""
    spellings: tuple[str, ...] = ()

    @property
    def draws(self) -> str:
        """What a cell that the rule picks gets: "format", or of rules that draw into every number, the function's own name."""
        return self.name if self.kind == "draw" else "format"


MOST_RULES = 255
"""Arguments of one AND or OR, Excel's limit."""

_COMPARE = {
    "Equals": "equal",
    "NotEquals": "notEqual",
    "GreaterThan": "greaterThan",
    "GreaterThanEqual": "greaterThanOrEqual",
    "LessThan": "lessThan",
    "LessThanEqual": "lessThanOrEqual",
}
_DATES = ("Yesterday", "Today", "Tomorrow", "Last7Days", "LastWeek", "ThisWeek", "NextWeek", "LastMonth", "ThisMonth", "NextMonth")

_ALL = (
    *(Function(name, "compare", 1, 1, excel) for name, excel in _COMPARE.items()),
    Function("Between", "compare", 2, 2, "between"),
    Function("NotBetween", "compare", 2, 2, "notBetween"),
    Function("TextEquals", "text", 1, 1, "expression"),
    Function("TextContains", "text", 1, 1, "containsText"),
    Function("TextStartsWith", "text", 1, 1, "beginsWith", ("StartsWith",)),
    Function("TextEndsWith", "text", 1, 1, "endsWith", ("EndsWith",)),
    Function("Blanks", "cells", 0, 0, "containsBlanks"),
    Function("Errors", "cells", 0, 0, "containsErrors"),
    Function("Duplicate", "repeat", 0, 0, "duplicateValues", ("Duplicates",)),
    Function("Unique", "repeat", 0, 0, "uniqueValues"),
    Function("Top", "rank", 0, 1, "top10"),
    Function("Bottom", "rank", 0, 1, "top10"),
    Function("TopPercent", "rank", 1, 1, "top10"),
    Function("BottomPercent", "rank", 1, 1, "top10"),
    Function("AboveAverage", "average", 0, 0, "aboveAverage"),
    Function("BelowAverage", "average", 0, 0, "aboveAverage"),
    *(Function(name, "date", 0, 0, name[0].lower() + name[1:]) for name in _DATES),
    Function("ColorScale", "draw", 0, 0, "colorScale"),
    Function("DataBar", "draw", 0, 0, "dataBar"),
    Function("IconSet", "draw", 0, 0, "iconSet"),
    Function("AND", "logic", 1, MOST_RULES, "expression"),
    Function("OR", "logic", 1, MOST_RULES, "expression"),
    Function("NOT", "logic", 1, 1, "expression"),
)

FUNCTIONS: dict[str, Function] = {function.name: function for function in _ALL}
BY_SPELLING: dict[str, Function] = {name.casefold(): f for f in _ALL for name in (f.name, *f.spellings)}
