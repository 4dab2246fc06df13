"""Text becomes the cells that Excel makes of it."""

import datetime
import math

import pytest

from tenfold.codefusion.rules.cells import ErrorValue, cell, read_table, serial, shown, target
from tenfold.codefusion.rules.check import read_rule
from tenfold.errors import UserError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", None),
        (None, None),
        ("144.69999999999999", 144.7),
        ("1,234.5", 1234.5),
        ("12,34", "12,34"),
        ("$55.00", 55.0),
        ("-7%", -0.07),
        ("1E-3", 0.001),
        (".5", 0.5),
        (".", "."),
        ("1E999", "1E999"),
        ("true", True),
        ("#N/A", ErrorValue("#N/A")),
        ("#ERR", ErrorValue("#ERR")),
        ("#1", "#1"),
        ("2022-11-15", datetime.datetime(2022, 11, 15)),
        ("2022-11-15 06:30", datetime.datetime(2022, 11, 15, 6, 30)),
        ("2022-13-15", "2022-13-15"),
        (datetime.date(2022, 1, 2), datetime.datetime(2022, 1, 2)),
        (3, 3.0),
        (True, True),
        (" x ", " x "),
    ],
)
def test_what_a_value_becomes(value, expected):
    made = cell(value)
    assert made == expected and type(made) is type(expected)


@pytest.mark.parametrize("value", [math.nan, math.inf, 10**400, [1], {"a": 1}])
def test_what_no_cell_can_hold(value):
    with pytest.raises(UserError, match="which no cell can hold"):
        cell(value)


def test_dates_with_slashes_are_read_the_way_the_table_tells():
    header = ["Date", "Other"]
    assert read_table([header, ["6/01/2020", "24/01/2020"]]).rows[0][0] == datetime.datetime(2020, 1, 6)
    assert read_table([header, ["6/01/2020", "1/24/2020"]]).rows[0][0] == datetime.datetime(2020, 6, 1)
    assert read_table([header, ["13/13/2020", "2/3/2020"]]).rows[0] == ("13/13/2020", datetime.datetime(2020, 3, 2))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "not a list of rows"),
        (["a", "b"], "not a list of rows"),
        ([["a", "b"], [1, 2], [1]], r"data, row 2 has 1 cells and the header 2 \(a, b\)"),
    ],
)
def test_what_is_no_table(data, words):
    with pytest.raises(UserError, match=words):
        read_table(data)


def test_what_a_formula_sees_of_a_cell():
    assert [shown(one) for one in (None, 5.0, 0.1, 1e20, True, "x")] == ["", "5", "0.1", "1E+20", "TRUE", "x"]
    assert serial(datetime.datetime(2022, 11, 15)) == 44880.0  # as Excel has it
    assert shown(datetime.datetime(2022, 11, 15)) == "44880"


def test_the_column_that_a_rule_paints():
    table = read_table([["City", "Temperature"], ["Haifa", 30]])
    assert target(read_rule("ColorScale()"), table) == 1
    assert target(read_rule("Blanks()"), table) == 0
    assert target(read_rule("AND(Blanks(), Blanks(c[1]))"), table) == 1
    assert target(read_rule("Blanks()"), read_table([["Index", "Value"]])) == 1
