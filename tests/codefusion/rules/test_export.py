"""A workbook holds the table as it is and the rules as Excel has them."""

import datetime

import pytest
from hypothesis import given

from random_rule import conditions
from tenfold.codefusion.rules.cells import ErrorValue, Table, read_table
from tenfold.codefusion.rules.check import read_rule
from tenfold.codefusion.rules.formulas import Frame, formula
from tenfold.codefusion.rules.syntax import RuleError
from tenfold.errors import UserError

openpyxl = pytest.importorskip("openpyxl", reason="of the extra `codefusion`")
from tenfold.codefusion.rules.export import export  # noqa: E402

TABLE = read_table([["Name", "Value", "When"], ["=a", 5, "2022-11-15"], ["007x", "#N/A", ""], ["", True, "2022-11-16"]])


def ready(code: str, path, formulas: bool = False):
    """The one rule of the workbook that a rule becomes, and the cells that it is for."""
    sheet = openpyxl.load_workbook(export([read_rule(code)], TABLE, path / "book.xlsx", formulas)).active
    (where,) = sheet.conditional_formatting
    (rule,) = where.rules
    return rule, str(where.sqref)


def test_cells_come_back_as_they_went(tmp_path):
    sheet = openpyxl.load_workbook(export([], TABLE, tmp_path / "book.xlsx")).active
    rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert rows[0] == ["Name", "Value", "When"]
    assert rows[1] == ["=a", 5, datetime.datetime(2022, 11, 15)]
    assert rows[2] == ["007x", "#N/A", None]
    assert rows[3] == [None, True, datetime.datetime(2022, 11, 16)]
    assert sheet["A2"].data_type == "s" and sheet["B3"].data_type == "e"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("GreaterThan(3)", {"type": "cellIs", "operator": "greaterThan", "formula": ["3"]}),
        ("Between(1, 2)", {"type": "cellIs", "operator": "between", "formula": ["1", "2"]}),
        ('Equals(say "x")', None),
        ('Equals("say ""x""")', {"type": "cellIs", "formula": ['"say ""x"""']}),
        ("GreaterThan(c[1], c[0])", {"type": "cellIs", "formula": ["$A2"]}),
        ("GreaterThan(c[2], 2022-11-15)", {"type": "cellIs", "formula": ["DATE(2022,11,15)"]}),
        ("TextContains(a)", {"type": "containsText", "text": "a", "formula": ['NOT(ISERROR(SEARCH("a",$B2)))']}),
        ("TextStartsWith(a)", {"type": "beginsWith", "operator": "beginsWith", "text": "a"}),
        ("TextEquals(a)", {"type": "expression", "formula": ['($B2&"")=("a"&"")']}),
        ("Blanks()", {"type": "containsBlanks", "formula": ["LEN(TRIM($B2))=0"]}),
        ("Errors()", {"type": "containsErrors"}),
        ("Duplicate()", {"type": "duplicateValues"}),
        ("Top(3)", {"type": "top10", "rank": 3, "percent": False, "bottom": False}),
        ("Bottom(20%)", {"type": "top10", "rank": 20, "percent": True, "bottom": True}),
        ("BelowAverage()", {"type": "aboveAverage", "aboveAverage": False}),
        ("LastMonth(c[2])", {"type": "timePeriod", "timePeriod": "lastMonth"}),
        ("Last7Days(c[2])", {"type": "timePeriod", "timePeriod": "last7Days"}),
        ("ColorScale()", {"type": "colorScale"}),
        ("DataBar()", {"type": "dataBar"}),
        ("IconSet()", {"type": "iconSet"}),
        ("AND(GreaterThan(c[1], 3), NOT(Blanks(c[0])))", {"type": "expression", "formula": ["AND($B2>3,NOT(LEN(TRIM($A2))=0))"]}),
    ],
)
def test_rules_become_excels_own(code, expected, tmp_path):
    if expected is None:
        with pytest.raises(RuleError, match="cannot stand inside"):
            read_rule(code)
        return
    rule, where = ready(code, tmp_path)
    assert {name: getattr(rule, name) for name in expected} == expected or expected["type"] == rule.type == "top10"
    if rule.type == "top10":  # openpyxl writes no attribute that is false
        assert (rule.rank, bool(rule.percent), bool(rule.bottom)) == (expected["rank"], expected["percent"], expected["bottom"])
    assert where == ("C2:C4" if "c[2]" in code else "B2:B4")


def test_every_rule_as_a_formula(tmp_path):
    rule, _ = ready("Top(3)", tmp_path, formulas=True)
    assert rule.type == "expression"
    assert rule.formula == ["IF(ISNUMBER($B2),$B2>=_xlfn.AGGREGATE(14,6,$B$2:$B$4,MIN(3,COUNT($B$2:$B$4))),FALSE)"]


@given(conditions)
def test_formulas_are_formulas(rule):
    """Every condition has one, which openpyxl's tokenizer reads with each ( closed."""
    from openpyxl.formula import Tokenizer

    tokens = Tokenizer("=" + formula(rule, Frame(1, 3))).items
    assert sum(token.subtype == "OPEN" for token in tokens) == sum(token.subtype == "CLOSE" for token in tokens) > -1


def test_no_half_of_a_workbook_stays(tmp_path):
    with pytest.raises(RuleError, match="no column"):
        export([read_rule("Blanks(c[8])")], TABLE, tmp_path / "book.xlsx")
    with pytest.raises(UserError, match=r"cell A2 holds 'a\\x01', with a control character"):
        export([], Table(("Value",), (("a\x01",),)), tmp_path / "book.xlsx")
    assert not list(tmp_path.iterdir())


def test_errors_that_excel_does_not_know(tmp_path):
    sheet = openpyxl.load_workbook(export([], Table(("Value",), ((ErrorValue("#ERR"),),)), tmp_path / "book.xlsx")).active
    assert sheet["A2"].value == "#VALUE!"
