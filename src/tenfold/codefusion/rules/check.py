"""Whether a rule makes sense: alone (numbers and kinds of arguments), and on a table (columns that are there and hold what it asks for)."""

import datetime

from tenfold.codefusion.rules.cells import Table, is_number, target
from tenfold.codefusion.rules.functions import FUNCTIONS
from tenfold.codefusion.rules.parse import parse
from tenfold.codefusion.rules.syntax import Argument, Boolean, Call, Column, Date, Number, Reference, RuleError, Text
from tenfold.codefusion.rules.write import number

MOST_RANK = 1000
"""Excel's limit of Top 10 rules."""
KINDS = {
    Number: "a number",
    Text: "a text",
    Boolean: "TRUE or FALSE",
    Date: "a date",
    Column: "a column",
    Reference: "a cell",
    Call: "a rule",
}
WANTS = {"rank": "numbers", "average": "numbers", "draw": "numbers", "date": "dates"}
"""What a column must hold some of, by the kind of function that looks at it."""


def read_rule(text: str) -> Call:
    """A rule that makes sense alone. Raises RuleError with the place: cannot be read, or arguments of a wrong number or kind."""
    rule = parse(text)
    check(rule, text)
    return rule


def check(rule: Call, text: str) -> None:
    """Raises RuleError where a function has arguments of a wrong number or kind. `text` is what the rule was read from."""
    function, given = rule.function, len(rule.arguments)
    if not function.least <= given <= function.most:
        bounds = str(function.least) if function.least == function.most else f"{function.least} to {function.most}"
        beside = " beside its column" if rule.column else ""
        raise RuleError(text, rule.at, f"{rule.name} takes {bounds} arguments{beside} and has {given}.", _example(rule.name))
    if rule.column and function.kind == "logic":
        raise RuleError(text, rule.column.at, f"{rule.name} looks at no column itself.", "Give the column to each rule inside it.")
    for argument in rule.arguments:
        _check_argument(rule, argument, text)


def _check_argument(rule: Call, argument: Argument, text: str) -> None:
    kind = rule.function.kind
    if isinstance(argument, Call):
        if argument.function.kind == "draw":
            wrong = f"{argument.name} draws into every cell and is neither true nor false, so {rule.name} cannot join it."
            raise RuleError(text, argument.at, wrong, "Make it a rule of its own.")
        check(argument, text)
    elif kind == "rank" and not (isinstance(argument, Number) and _is_rank(rule.name, argument.value)):
        wants = f"a whole number from 1 to {100 if rule.name.endswith('Percent') else MOST_RANK}"
        given = number(argument.value) if isinstance(argument, Number) else KINDS[type(argument)]
        raise RuleError(text, argument.at, f"{rule.name} takes {wants}; here stands {given}.", _example(rule.name))


def _is_rank(name: str, value: float) -> bool:
    return value == int(value) and 1 <= value <= (100 if name.endswith("Percent") else MOST_RANK)


def check_table(rule: Call, table: Table, text: str, default: int | None = None) -> None:
    """Raises RuleError where a rule names a column that the table has not, or one with nothing in it that the function can look at.

    `text` is what the rule was read from; `default` the column of functions that name none (the rule's own target).
    """
    default = target(rule, table) if default is None else default
    for column in [rule.column, *(a for a in rule.arguments if isinstance(a, Column))]:
        if column and column.index >= len(table.header):
            have = ", ".join(f"c[{i}] {name}" for i, name in enumerate(table.header))
            raise RuleError(text, column.at, f"there is no column c[{column.index}].", f"The data has {have}.")
    for inside in rule.calls():
        check_table(inside, table, text, default)
    wants = WANTS.get(rule.function.kind)
    index = rule.column.index if rule.column else default
    if wants and not any(_holds(wants, cell) for cell in table.column(index)):
        wrong = f"{rule.name} looks at {wants}, and column c[{index}] {table.header[index]!r} holds none."
        others = [i for i in range(len(table.header)) if any(_holds(wants, cell) for cell in table.column(i))]
        mend = f"Columns with {wants}: {', '.join(f'c[{i}] {table.header[i]}' for i in others) or 'none'}."
        raise RuleError(text, rule.at, wrong, mend)


def _holds(wants: str, cell) -> bool:
    return isinstance(cell, datetime.datetime) if wants == "dates" else is_number(cell)


def _example(name: str) -> str:
    examples = {"compare": f"{name}(5)", "text": f"{name}(done)", "logic": f"{name}(GreaterThan(5), LessThan(1))", "rank": f"{name}(10)"}
    special = {"Between": "Between(1, 10)", "NotBetween": "NotBetween(1, 10)", "NOT": "NOT(Blanks())"}
    return f"For example: {special.get(name) or examples.get(FUNCTIONS[name].kind, f'{name}()')}"
