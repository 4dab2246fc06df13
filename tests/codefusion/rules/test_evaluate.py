"""What rules pick, as Excel's formulas would: laws over any cells, then cases."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from random_rule import cells, conditions, rules
from tenfold.codefusion.rules.cells import ErrorValue, Table, read_table
from tenfold.codefusion.rules.check import read_rule
from tenfold.codefusion.rules.evaluate import evaluate
from tenfold.codefusion.rules.excel import compare
from tenfold.codefusion.rules.parse import parse
from tenfold.codefusion.rules.syntax import Call
from tenfold.codefusion.rules.write import write

TODAY = datetime.date(2023, 1, 4)  # a Wednesday
tables = st.lists(st.tuples(cells, cells, cells, cells, cells), min_size=1, max_size=6).map(lambda rows: Table(tuple("ABCDE"), tuple(rows)))


def picks(code: str, *column) -> list[bool]:
    """What a rule picks in one column."""
    return list(evaluate(read_rule(code), read_table([["Value"], *([cell] for cell in column)]), TODAY).cells)


def sound(table: Table) -> Table:
    """The table with blanks for its errors."""
    return Table(table.header, tuple(tuple(None if isinstance(cell, ErrorValue) else cell for cell in row) for row in table.rows))


@given(rules, tables)
def test_every_rule_runs_on_every_table(rule, table):
    outcome = evaluate(rule, table, TODAY)
    assert len(outcome.cells) == len(table.rows)
    assert outcome == evaluate(parse(write(rule)), table, TODAY)


@given(conditions, conditions, tables)
def test_de_morgan(one, other, table):
    """NOT(AND(a, b)) is OR(NOT(a), NOT(b)), errors and all. The column is named, as it would be looked for in another order."""

    def run(rule):
        return evaluate(rule, table, TODAY).cells

    negated = [Call("NOT", None, (rule,)) for rule in (one, other)]
    assert run(Call("NOT", None, (Call("AND", None, (one, other)),))) == run(Call("OR", None, tuple(negated)))


@given(cells, cells, cells)
def test_comparison_is_an_order(a, b, c):
    """Of cells that are neither blank (which is equal to 0, "" and FALSE at once) nor errors."""
    a, b, c = (0.0 if cell is None or isinstance(cell, ErrorValue) else cell for cell in (a, b, c))
    assert compare(a, a) == 0
    assert compare(a, b) == -compare(b, a)
    if compare(a, b) <= 0 and compare(b, c) <= 0:
        assert compare(a, c) <= 0


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=30), st.integers(1, 30))
def test_top_takes_the_nth_and_its_ties(numbers, count):
    expected = [sum(other > number for other in numbers) < count for number in numbers]
    assert picks(f"Top({count})", *numbers) == expected
    assert picks(f"Bottom({count})", *(-number for number in numbers)) == expected


@given(st.lists(st.sampled_from(["a", "A", "b", "", 1, "1.0", "c"]), max_size=10))
def test_a_cell_with_something_in_it_is_duplicate_or_unique(column):
    filled = [cell != "" for cell in column]
    duplicate, unique = picks("Duplicate()", *column), picks("Unique()", *column)
    assert [a != b for a, b in zip(duplicate, unique, strict=True)] == filled


NUMBERS = [5, -3, 0, 7.5, "", "abc", "#N/A", True]
TEXTS = ["abc", "ABC", "xabcx", "", 5, "#N/A", True, "abcd"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("Equals(0)", [0, 0, 1, 0, 1, 0, 0, 0]),  # a blank is 0
        ("NotEquals(0)", [1, 1, 0, 1, 0, 1, 0, 1]),
        ("GreaterThan(0)", [1, 0, 0, 1, 0, 1, 0, 1]),  # texts and booleans are above all numbers
        ("LessThan(5)", [0, 1, 1, 0, 1, 0, 0, 0]),
        ("LessThanEqual(5)", [1, 1, 1, 0, 1, 0, 0, 0]),
        ("Between(5, 0)", [1, 0, 1, 0, 1, 0, 0, 0]),  # in either order
        ("NotBetween(0, 5)", [0, 1, 0, 1, 0, 1, 0, 1]),
        ("GreaterThan(abb)", [0, 0, 0, 0, 0, 1, 0, 1]),
        ("Equals(TRUE)", [0, 0, 0, 0, 0, 0, 0, 1]),
        ("NOT(GreaterThan(0))", [0, 1, 1, 0, 1, 0, 0, 0]),  # an error is an error still
        ("Top(2)", [1, 0, 0, 1, 0, 0, 0, 0]),
        ("Top()", [0, 0, 0, 1, 0, 0, 0, 0]),
        ("Top(50%)", [1, 0, 0, 1, 0, 0, 0, 0]),
        ("Bottom(1%)", [0, 1, 0, 0, 0, 0, 0, 0]),  # at least one
        ("Top(99%)", [1, 0, 1, 1, 0, 0, 0, 0]),  # 3.96 of 4, rounded down
        ("AboveAverage()", [1, 0, 0, 1, 0, 0, 0, 0]),
        ("BelowAverage()", [0, 1, 1, 0, 0, 0, 0, 0]),
        ("Errors()", [0, 0, 0, 0, 0, 0, 1, 0]),
        ("Blanks()", [0, 0, 0, 0, 1, 0, 0, 0]),
        ("NOT(Blanks())", [1, 1, 1, 1, 0, 1, 0, 1]),
        ("OR(Errors(), LessThan(5))", [0, 1, 1, 0, 1, 0, 0, 0]),  # OR looks at every part
        ("DataBar()", [1, 1, 1, 1, 0, 0, 0, 0]),
    ],
)
def test_numbers_among_others(code, expected):
    assert picks(code, *NUMBERS) == list(map(bool, expected))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("TextEquals(abc)", [1, 1, 0, 0, 0, 0, 0, 0]),
        ("TextContains(abc)", [1, 1, 1, 0, 0, 0, 0, 1]),
        ("NOT(TextContains(abc))", [0, 0, 0, 1, 1, 1, 1, 0]),  # errors too
        ("TextContains(a?c)", [1, 1, 1, 0, 0, 0, 0, 1]),
        ("TextContains(~?)", [0, 0, 0, 0, 0, 0, 0, 0]),
        ("TextContains(r*e)", [0, 0, 0, 0, 0, 0, 1, 0]),
        ("TextStartsWith(AB)", [1, 1, 0, 0, 0, 0, 0, 1]),
        ("TextEndsWith(C)", [1, 1, 0, 0, 0, 0, 0, 0]),
        ("TextEquals(5)", [0, 0, 0, 0, 1, 0, 0, 0]),
        ("TextEquals()", [0, 0, 0, 1, 0, 0, 0, 0]),
        ("TextEquals(true)", [0, 0, 0, 0, 0, 0, 1, 0]),
    ],
)
def test_texts_among_others(code, expected):
    assert picks(code, *TEXTS) == list(map(bool, expected))


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("Yesterday", "2023-01-03", "2023-01-03"),
        ("Today", "2023-01-04", "2023-01-04"),
        ("Tomorrow", "2023-01-05", "2023-01-05"),
        ("Last7Days", "2022-12-29", "2023-01-04"),
        ("LastWeek", "2022-12-25", "2022-12-31"),  # weeks begin on Sunday
        ("ThisWeek", "2023-01-01", "2023-01-07"),
        ("NextWeek", "2023-01-08", "2023-01-14"),
        ("LastMonth", "2022-12-01", "2022-12-31"),
        ("ThisMonth", "2023-01-01", "2023-01-31"),
        ("NextMonth", "2023-02-01", "2023-02-28"),
    ],
)
def test_dates(name, first, last):
    one, other = map(datetime.date.fromisoformat, (first, last))
    day = datetime.timedelta(days=1)
    assert picks(f"{name}()", one - day, one, other, other + day, "text", "") == [False, True, True, False, False, False]


def test_columns_and_cells_of_the_sheet():
    table = read_table([["Product", "2019", "2020"], ["A", 5, 4], ["B", 6, 9], ["C", 5, 5]])

    def run(code):
        outcome = evaluate(read_rule(code), table, TODAY)
        return outcome.column, [int(cell) for cell in outcome.cells]

    assert run("LessThan(c[2], c[1])") == (2, [1, 0, 0])
    assert run("GreaterThan(c[2], $B$2)") == (2, [0, 1, 0])
    assert run("Equals(c[1], B3)") == (1, [0, 0, 0])  # B3, B4, B5: the row below
    assert run("Equals(c[1], $B$9)") == (1, [0, 0, 0])  # outside: blank
    assert run("AND(GreaterThan(c[2], 4), TextEquals(c[0], b))") == (2, [0, 1, 0])
    assert run("Equals(c[1], Z1)") == (1, [0, 0, 0])
    assert run("TextEquals(c[0], $B$1)") == (0, [0, 0, 0])
