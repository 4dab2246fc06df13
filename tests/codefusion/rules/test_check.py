"""Rules that make no sense are refused, with the place."""

import pytest
from hypothesis import given

from random_rule import rules
from tenfold.codefusion.rules.cells import read_table
from tenfold.codefusion.rules.check import check_table, read_rule
from tenfold.codefusion.rules.syntax import RuleError
from tenfold.codefusion.rules.write import write

TABLE = read_table([["City", "Price", "When"], ["Oslo", "$5", "2022-11-15"], ["Rome", 7, "2022-11-16"]])


@given(rules)
def test_rules_that_make_sense_pass(rule):
    assert read_rule(write(rule)) == rule


@pytest.mark.parametrize(
    ("code", "at", "words"),
    [
        ("Between(5)", 0, "Between takes 2 arguments and has 1.*\n.*\n.*\n  For example: Between\\(1, 10\\)"),
        ("GreaterThan(c[1])", 0, "takes 1 arguments beside its column and has 0"),
        ("TextContains(c[1])", 0, "beside its column and has 0"),
        ("OR(TextEquals(0),OR())", 17, "OR takes 1 to 255"),
        ("NOT(Blanks(), Errors())", 0, "NOT takes 1"),
        ("Blanks(3)", 0, "Blanks takes 0"),
        ("Top(ten)", 4, "whole number from 1 to 1000; here stands a text"),
        ("Top(2.5)", 4, "here stands 2.5"),
        ("Top(0)", 4, "here stands 0"),
        ("Top(150%)", 4, "from 1 to 100; here stands 150"),
        ("Top(ten%)", 4, "here stands a text"),
        ("AND(Blanks(), ColorScale())", 14, "draws into every cell"),
        ("AND(c[1], Blanks())", 4, "looks at no column itself"),
    ],
)
def test_what_makes_no_sense_alone(code, at, words):
    with pytest.raises(RuleError, match=words) as wrong:
        read_rule(code)
    assert wrong.value.at == at


@pytest.mark.parametrize(
    ("code", "at", "words"),
    [
        ("GreaterThan(c[7], 1)", 12, r"no column c\[7\].*\n.*\n.*\n  The data has c\[0\] City, c\[1\] Price, c\[2\] When"),
        ("LessThan(c[1], c[9])", 15, r"no column c\[9\]"),
        (
            "AND(Blanks(c[0]), AboveAverage(c[0]))",
            18,
            r"AboveAverage looks at numbers, and column c\[0\] 'City' holds none(.*\n)+.*c\[1\] Price",
        ),
        ("LastMonth(c[1])", 0, r"looks at dates, and column c\[1\] 'Price' holds none(.*\n)+.*c\[2\] When"),
    ],
)
def test_what_makes_no_sense_on_a_table(code, at, words):
    with pytest.raises(RuleError, match=words) as wrong:
        check_table(read_rule(code), TABLE, code)
    assert wrong.value.at == at


@pytest.mark.parametrize(
    "code", ["AboveAverage()", "ColorScale(c[2])", "TextContains(c[1], 5)", "LastMonth(c[2])", "GreaterThan(c[2], c[1])"]
)
def test_what_makes_sense_on_a_table(code):
    check_table(read_rule(code), TABLE, code)
