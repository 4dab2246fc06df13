"""LibreOffice opens a workbook and paints what the evaluator picks: it writes a sheet as HTML with the colours of its rules."""

import datetime
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tenfold.codefusion.rules.cells import read_table
from tenfold.codefusion.rules.check import read_rule
from tenfold.codefusion.rules.evaluate import evaluate

pytest.importorskip("openpyxl", reason="of the extra `codefusion`")
from tenfold.codefusion.rules.export import export  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed: apt install libreoffice-calc"),
]

TODAY = datetime.date.today()  # LibreOffice's rules of dates look at the clock
DAYS = [-400, -45, -31, -20, -8, -7, -6, -5, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 31]
# No booleans: they are numbers to LibreOffice.
MIXED = [
    "5",
    "-3",
    "0",
    "7.5",
    "5",
    "",
    "abc",
    "ABC",
    "abcd",
    "xABCx",
    "#N/A",
    "5 days",
    "#DIV/0!",
    " ",
    "*",
    "z",
    "12",
    "100",
    "Zeta",
    "0.5",
    "3",
    "",
]
OTHER = ["1", "9", "", "7.5", "6", "abc", "abc", "x", "abcd", "A", "1", "9", "1", "1", "1", "1", "1", "1", "1", "1", "1", "1"]
NUMBERS = [5, 3, 8, 7.5, 5, 1, 2, 9, 4, 6, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]
TEXTS = [f"{word} {i % 7}" for i, word in enumerate(["abc", "xy", "ab c", "done", "not done"] * 5)][: len(MIXED)]
MIXED_COLUMNS = (MIXED, OTHER, [TODAY + datetime.timedelta(days) for days in DAYS])
PLAIN_COLUMNS = (NUMBERS, TEXTS, MIXED_COLUMNS[2])

PERIODS = "Yesterday(D)|Today(D)|Tomorrow(D)|Last7Days(D)|LastWeek(D)|ThisWeek(D)|NextWeek(D)|LastMonth(D)|ThisMonth(D)|NextMonth(D)"
# V, O and D stand for three columns of a rule's own; $A$2 and A3 are cells of the first rule's.
AS_FORMULAS = f"""Equals(V, 0)|NotEquals(V, 5)|GreaterThan(V, 5)|LessThanEqual(V, 0)|Between(V, 7.5, 0)|NotBetween(V, 0, 7.5)|Equals(V, abc)
LessThan(V, abc)|TextEquals(V, abc)|TextEquals(V, 5)|TextEquals(V, "")|TextContains(V, a?c)|TextContains(V, ~*)|TextContains(V, 5)
TextStartsWith(V, ab)|TextEndsWith(V, bcx)|Blanks(V)|Errors(V)|Duplicate(V)|Unique(V)|Top(V, 3)|Bottom(V)|Top(V, 50%)|Bottom(V, 10%)
Top(V, 100)|AboveAverage(V)|BelowAverage(V)|NOT(Equals(V, 5))|NOT(TextContains(V, abc))|NOT(TextEquals(V, abc))|NOT(Blanks(V))
OR(Errors(V), LessThan(V, 5))|NOT(Top(V, 3))|NOT(Duplicate(V))|AND(GreaterThan(V, 0), LessThan(V, 10))|NOT(AboveAverage(V))
AND(NOT(TextEquals(V, "")), GreaterThan(V, 4))|AND(Top(V, 50%), Bottom(V, 90%))|GreaterThan(V, O)|Equals(V, O)|TextEquals(V, O)
TextStartsWith(V, O)|GreaterThan(V, $A$2)|Equals(V, A3)|{PERIODS}|NOT(ThisWeek(D))|GreaterThan(D, {TODAY.isoformat()})
AND(GreaterThan(V, 0), LessThan(O, 2))""".replace("\n", "|").split("|")
AS_EXCELS_OWN = f"""Equals(V, 5)|NotEquals(V, 5)|GreaterThan(V, 5)|LessThanEqual(V, 5)|Between(V, 3, 8)|NotBetween(V, 3, 8)|Top(V, 3)
Bottom(V, 25%)|AboveAverage(V)|BelowAverage(V)|Duplicate(V)|Unique(V)|Errors(V)|TextContains(O, AB)|TextStartsWith(O, ab)
TextEndsWith(O, 3)|TextEquals(O, ABC 0)|Duplicate(O)|Blanks(O)|AND(GreaterThan(V, 5), TextContains(O, done))
OR(LessThan(V, 2), Top(V, 2))|{PERIODS}""".replace("\n", "|").split("|")


class Colours(HTMLParser):
    """The background of each cell of each row, None where there is none."""

    def __init__(self):
        super().__init__()
        self.rows: list[list[str | None]] = []

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append(dict(attributes).get("bgcolor"))


def painted(book: Path) -> list[list[str | None]]:
    """The colours of a workbook's cells under the header."""
    profile = f"-env:UserInstallation=file://{book.parent}/profile"
    command = ["soffice", "--headless", profile, "--convert-to", "html", "--outdir", str(book.parent), str(book)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=250)
    colours = Colours()
    colours.feed(book.with_suffix(".html").read_text(encoding="utf-8", errors="replace"))
    return colours.rows[1:]


@pytest.mark.parametrize(
    ("codes", "columns", "formulas"),
    [(AS_FORMULAS, MIXED_COLUMNS, True), (AS_EXCELS_OWN, PLAIN_COLUMNS, False)],
    ids=["formulas on a column of everything", "Excel's own rules on columns of one kind"],
)
def test_libreoffice_paints_what_the_evaluator_picks(codes, columns, formulas, tmp_path):
    """Each rule has copies of the columns to itself, as a cell shows one colour."""
    rules = [read_rule(re.sub(r"\b[VOD]\b", lambda m, i=i: f"c[{3 * i + 'VOD'.index(m[0])}]", code)) for i, code in enumerate(codes)]
    table = read_table([[f"{letter} {code}" for code in codes for letter in "VOD"], *zip(*columns * len(codes), strict=True)])
    rows = painted(export(rules, table, tmp_path / "rules.xlsx", formulas))
    picked = {code: list(evaluate(rule, table, TODAY).cells) for code, rule in zip(codes, rules, strict=True)}
    columns_of = [evaluate(rule, table, TODAY).column for rule in rules]
    assert {code: [row[column] is not None for row in rows] for code, column in zip(codes, columns_of, strict=True)} == picked
    assert sum(any(cells) and not all(cells) for cells in picked.values()) > 0.8 * len(picked)
