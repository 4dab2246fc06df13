"""Rules match where they do the same."""

import pytest

from tenfold.codefusion.rules.check import read_rule
from tenfold.codefusion.rules.generate import generate
from tenfold.codefusion.rules.match import MADE_TABLES, execution_match, made_tables
from tenfold.codefusion.rules.syntax import RuleError

HEADER = [["Index", "Value"]]
ROWS = [*HEADER, [0, 3], [1, 6], [2, 9]]


@pytest.mark.parametrize(
    ("gold", "candidate"),
    [
        ("GreaterThan(5)", "greaterthan( 5.0 )"),
        ("AND(GreaterThan(5), LessThan(9))", "AND(LessThan(9), GreaterThan(5))"),
        ("NOT(GreaterThan(5))", "LessThanEqual(5)"),
        ("TextEquals(abc)", "TextEquals('ABC')"),
        ("Top(10%)", "TopPercent(10)"),
        ("Duplicates(c[1])", "Duplicate()"),
        ("Between(1, 5)", "AND(GreaterThanEqual(1), LessThanEqual(5))"),
    ],
)
def test_rules_that_do_the_same(gold, candidate):
    match = execution_match(gold, candidate, HEADER)
    assert match.on_data is None and match.on_made and match.matches


@pytest.mark.parametrize(
    ("gold", "candidate"),
    [
        ("GreaterThan(5)", "GreaterThanEqual(5)"),
        ("GreaterThan(100)", "GreaterThan(101)"),
        ("GreaterThan(900000)", "GreaterThan(90000)"),
        ("TextContains(abc)", "TextStartsWith(abc)"),
        ("TextContains(abc)", "TextContains(abcd)"),
        ("TextEquals(5)", "Equals(5)"),
        ("Top(10)", "Top(11)"),
        ("Top(10)", "TopPercent(10)"),
        ("Top(200)", "Top(150)"),
        ("AboveAverage()", "BelowAverage()"),
        ("LastMonth()", "LastWeek()"),
        ("ColorScale()", "DataBar()"),
        ("Blanks()", "Errors()"),
        ("Duplicate()", "Unique()"),
        ("GreaterThan(c[2], 5)", "GreaterThan(c[3], 5)"),
        ("OR(LessThan(0), Blanks())", "LessThan(0)"),
    ],
)
def test_rules_that_do_not(gold, candidate):
    assert not execution_match(gold, candidate, HEADER).matches


def test_on_data_rules_may_agree_by_chance():
    match = execution_match("GreaterThan(5)", "GreaterThan(4)", ROWS)
    assert match.on_data and match.matches and not match.on_made


def test_different_rules_made_at_random_seldom_match():
    codes = [item.code for item in generate(25, seed=1)]
    pairs = list(zip(codes, codes[1:], strict=False))
    assert sum(execution_match(a, b, HEADER).on_made for a, b in pairs if a != b) <= 1
    assert all(execution_match(code, code, HEADER).on_made for code in codes)


def test_a_candidate_that_cannot_be_read_is_a_miss_and_a_gold_rule_an_error():
    match = execution_match("GreaterThan(5)", "GreaterThan(5", ROWS)
    assert not match.matches and not match.on_made and "ends before its )" in match.wrong
    with pytest.raises(RuleError):
        execution_match("GreaterThan(5", "GreaterThan(5)", ROWS)


def test_rules_of_huge_numbers_run():
    assert execution_match("GreaterThan(9E307)", "GreaterThan(9E307)", HEADER).matches
    assert not execution_match("GreaterThan(9E307)", "GreaterThan(c[99999], 9E307)", HEADER).matches


def test_made_tables_are_the_same_each_time():
    rules = [read_rule("GreaterThan(c[3], 5)")]
    tables = made_tables(rules, ["a", "b"])
    assert tables == made_tables(rules, ["a", "b"]) != made_tables(rules, ["a", "b"], seed=1)
    assert len(tables) == MADE_TABLES and all(len(table.header) == 4 for table in tables)
