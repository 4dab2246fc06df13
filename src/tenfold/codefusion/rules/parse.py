"""Text to rule. A recursive descent over the rules as people and CodeFusion's released data write them.

    rule      := NAME "(" [column ["," ...]] arguments ")"        AND, OR and NOT take rules, the others values
    column    := "c[" digits "]"                                  the column looked at, counted from 0
    value     := number ["%"] | yyyy-mm-dd | TRUE | FALSE | column | cell | text
    text      := "..." | '...' | bare words                       a quote inside quotes is doubled

A bare text may hold commas and parentheses, as the data's do: it ends at the ")" that closes its function, counting the
parentheses inside it, or where one stays open at the last ")" that leaves the functions around it theirs.
"""

import datetime
import difflib
import re

from tenfold.codefusion.rules.cells import LARGEST
from tenfold.codefusion.rules.functions import BY_SPELLING, FUNCTIONS, Function
from tenfold.codefusion.rules.syntax import (
    CELL,
    COLUMN,
    Argument,
    Boolean,
    Call,
    Column,
    Date,
    Number,
    Reference,
    RuleError,
    Text,
    Value,
    number_of,
)

MOST_TEXT = 255
"""Characters of a text in a formula, Excel's limit."""
MOST_RULE = 8192
"""Characters of a formula, Excel's limit."""
MOST_DEPTH = 64
"""Functions inside functions, Excel's limit."""

_NAME = re.compile(r"\s*([A-Za-z_][\w.]*)\s*\(")
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(%?)")
_DATE = re.compile(r"(\d{4})-(\d\d?)-(\d\d?)")
_QUOTED = re.compile(r"""\s*("(?:[^"]|"")*"|'(?:[^']|'')*')\s*(?=[,)])""")
_LED = re.compile(r"\s*" + COLUMN.pattern + r"\s*(?:,\s*|(?=\)))")


def parse(text: str) -> Call:
    """The rule that a text says. Raises RuleError with the place: what cannot be read, unknown functions, texts over Excel's limits."""
    if len(text) > MOST_RULE:
        raise RuleError(
            text, MOST_RULE, f"the rule has {len(text)} characters; Excel's limit is {MOST_RULE}.", "Split it into several rules."
        )
    reader = _Reader(text)
    rule = reader.call()
    if text[reader.at :].strip():
        raise reader.wrong("the rule has ended, and more follows.", "Join rules with AND(...) or OR(...), or remove what follows.")
    return rule


def plain_text(text: str) -> bool:
    """Whether a text reads back as itself without quotes, as the argument of a text function."""
    return (
        bool(text) and text == text.strip() and text[0] not in "\"'" and _balanced(text) and not _is_cell(text) and not COLUMN.match(text)
    )


def plain_value(text: str) -> bool:
    """Whether a text reads back as itself without quotes, as the argument of a comparison."""
    return bool(text) and text == text.strip() and isinstance(_word(text, 0), Text) and not set(text) & set(",()\"'")


class _Reader:
    """The text, how far it is read and how deep that is; each method reads one thing of the grammar, or raises RuleError."""

    def __init__(self, text: str):
        self.text, self.at, self.depth = text, 0, 0

    def wrong(self, what: str, mend: str, at: int | None = None) -> RuleError:
        return RuleError(self.text, min(self.at if at is None else at, len(self.text)), what, mend)

    def call(self) -> Call:
        if self.depth > MOST_DEPTH:
            raise self.wrong(f"functions lie more than {MOST_DEPTH} deep.", "Excel takes no more: write it flatter.")
        name = _NAME.match(self.text, self.at)
        if not name:
            self.skip()
            raise self.wrong("a function and its ( were expected here.", "A rule looks like GreaterThan(5) or AND(Blanks(), Top(3)).")
        function, at = self.function(name[1], name.start(1)), name.start(1)
        self.at = name.end()
        column = self.column()
        if function.kind == "logic":
            arguments: tuple[Argument, ...] = self.rules()
        elif function.kind == "text":
            arguments = self.words(column is not None)
        else:
            arguments = self.values()
            if "%" in self.text[at : self.at] and function.kind == "rank":
                function, arguments = _percent(function, arguments)
        return Call(function.name, column, arguments, at)

    def function(self, name: str, at: int) -> Function:
        function = BY_SPELLING.get(name.casefold())
        if function is None:
            near = difflib.get_close_matches(name.casefold(), BY_SPELLING, n=1)
            mend = f"Did you mean {BY_SPELLING[near[0]].name}?" if near else f"The functions are {', '.join(FUNCTIONS)}."
            raise self.wrong(f"{name} is not a function of the rule language.", mend, at)
        return function

    def column(self) -> Column | None:
        """A column at the head of the arguments, and its comma."""
        led = _LED.match(self.text, self.at)
        if not led:
            return None
        self.at = led.end()
        return Column(int(led[1]), led.start() + len(led[0]) - len(led[0].lstrip()))

    def skip(self) -> int:
        """Reads white space. Returns where it ends."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.at

    def closed(self) -> bool:
        """Whether a ) stands here; it is read."""
        closed = self.text.startswith(")", self.skip())
        self.at += closed
        return closed

    def comma(self) -> None:
        if not self.text.startswith(",", self.skip()):
            what = "a , or a ) was expected here." if self.at < len(self.text) else "the rule ends before its )."
            raise self.wrong(what, "Close every ( with a ).")
        self.at += 1

    def rules(self) -> tuple[Call, ...]:
        found: list[Call] = []
        self.depth += 1
        while not self.closed():
            if found:
                self.comma()
            found.append(self.call())
        self.depth -= 1
        return tuple(found)

    def values(self) -> tuple[Value, ...]:
        found: list[Value] = []
        while not self.closed():
            if found:
                self.comma()
            found.append(self.value())
        return tuple(found)

    def value(self) -> Value:
        """One argument of a comparison or a rank."""
        start = self.skip()
        if quoted := _QUOTED.match(self.text, self.at):
            self.at = quoted.end()
            return self.quoted(quoted[1], start)
        end = next((i for i in range(start, len(self.text)) if self.text[i] in ",()\"'"), len(self.text))
        if end == len(self.text) or self.text[end] not in ",)":
            what = "the rule ends before its )." if end == len(self.text) else f"{self.text[end]} cannot stand inside a bare value."
            raise self.wrong(
                what, 'Put text that holds , ( ) or quotes between double quotes, "like this", and close every ( with a ).', end
            )
        word = self.text[start:end].strip()
        if not word:
            raise self.wrong(
                "a value is missing here.", "Give a number, a text, a date as 2024-01-31, a column c[1] or a cell $B$2.", start
            )
        self.at = end
        return self.kept(_word(word, start))

    def words(self, led: bool) -> tuple[Value, ...]:
        """The one argument of a text function, and its )."""
        if led and not self.text[: self.at].rstrip().endswith(","):
            self.closed()
            return ()
        spaces = self.at
        quoted = _QUOTED.match(self.text, self.skip())
        if quoted and self.text[quoted.end()] == ")":
            self.at = quoted.end() + 1
            return (self.quoted(quoted[1], quoted.start(1)),)
        start, end = self.at, self.bare_end()
        self.at = end + 1
        bare = self.text[start:end].strip() or self.text[spaces:end]  # a text of spaces alone is one
        if (column := COLUMN.fullmatch(bare)) and led:
            return (Column(int(column[1]), start),)
        return (_cell(bare, start) if _is_cell(bare) else self.kept(Text(bare, start)),)

    def bare_end(self) -> int:
        """Where the ) that closes a text function stands."""
        open_inside = 0
        for i in range(self.at, len(self.text)):
            open_inside += {"(": 1, ")": -1}.get(self.text[i], 0)
            if open_inside < 0:
                return i
        closing, end = 0, len(self.text)
        while closing <= self.depth and end > self.at:
            end -= 1
            if self.text[end] == ")":
                closing += 1
            elif not self.text[end].isspace():
                break
        if closing <= self.depth:
            mend = 'Close every ( with a ), and put text that holds them between double quotes, "like )".'
            raise self.wrong("the rule ends before its ).", mend, len(self.text))
        return end

    def quoted(self, quoted: str, at: int) -> Text:
        return self.kept(Text(quoted[1:-1].replace(quoted[0] * 2, quoted[0]), at))

    def kept(self, value):
        """The value, if Excel has room for it."""
        if isinstance(value, Text) and len(value.value) > MOST_TEXT:
            wrong = f"this text has {len(value.value)} characters; Excel's limit inside a rule is {MOST_TEXT}."
            raise self.wrong(wrong, "Give a shorter part of it to TextContains.", value.at)
        if isinstance(value, Number) and abs(value.value) > LARGEST:
            raise self.wrong("this number is too large for a cell.", f"Excel's numbers end at {LARGEST}.", value.at)
        return value


def _word(word: str, at: int) -> Value:
    """What a bare word in a comparison is: the first of number, date, boolean, column, cell that it can be, or text."""
    if number := _NUMBER.fullmatch(word):
        return Number(float(number[1]) / (100 if number[2] else 1), at)
    if date := _DATE.fullmatch(word):
        try:
            return Date(datetime.date(*map(int, date.groups())), at)
        except ValueError:
            return Text(word, at)
    if word.upper() in ("TRUE", "FALSE"):
        return Boolean(word.upper() == "TRUE", at)
    if column := COLUMN.fullmatch(word):
        return Column(int(column[1]), at)
    return _cell(word, at) if CELL.fullmatch(word) else Text(word, at)


def _percent(function: Function, arguments: tuple) -> tuple[Function, tuple]:
    """Top(10%) is TopPercent(10), and so is TopPercent(10%). (A text with a % is left for the check of types.)"""
    percents = tuple(Number(round(a.value * 100, 9), a.at) if isinstance(a, Number) else a for a in arguments)
    return FUNCTIONS[function.name.removesuffix("Percent") + "Percent"], percents


def _cell(word: str, at: int) -> Reference:
    cell = CELL.fullmatch(word)
    assert cell is not None  # the caller looked
    return Reference(number_of(cell[2]), int(cell[4]), bool(cell[1]), bool(cell[3]), at)


def _is_cell(text: str) -> bool:
    """In a text function B2 is a text and $B$2 a cell, as in the released rules."""
    return "$" in text and CELL.fullmatch(text) is not None


def _balanced(text: str) -> bool:
    depth = 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth < 0:
            return False
    return depth == 0
