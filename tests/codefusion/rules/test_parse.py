"""What is written is read back, whatever it is; what cannot be read is refused in words, with the place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from random_rule import rules
from tenfold.codefusion.rules.parse import MOST_DEPTH, MOST_TEXT, parse
from tenfold.codefusion.rules.syntax import Boolean, Call, Column, Number, Reference, RuleError, Text, letters, number_of
from tenfold.codefusion.rules.write import write


@given(rules)
def test_what_is_written_is_read_back(rule):
    assert parse(write(rule)) == rule


@given(rules)
def test_writing_is_settled(rule):
    """The written form is the only one: what is read from it is written as it."""
    assert write(parse(write(rule))) == write(rule)


@given(st.text(max_size=60) | st.text(alphabet="ANDORTextEquals(),\"'c[]0123456789%$ ", max_size=60))
def test_any_text_is_read_or_refused_with_a_place_in_it(text):
    try:
        parse(text)
    except RuleError as wrong:
        assert 0 <= wrong.at <= len(text)
        assert "\n  " in str(wrong)


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("GreaterThan(5)", Call("GreaterThan", None, (Number(5.0),))),
        (" greaterthan( 5 ) ", Call("GreaterThan", None, (Number(5.0),))),
        ("top(10%)", Call("TopPercent", None, (Number(10.0),))),
        ("TopPercent(c[1], 20)", Call("TopPercent", Column(1), (Number(20.0),))),
        ("TopPercent(c[1], 7%)", Call("TopPercent", Column(1), (Number(7.0),))),
        ("Equals(50%)", Call("Equals", None, (Number(0.5),))),
        ("Duplicates(c[0])", Call("Duplicate", Column(0))),
        ("TextContains(Non-pooled, en)", Call("TextContains", None, (Text("Non-pooled, en"),))),
        ("TextContains(()", Call("TextContains", None, (Text("("),))),
        ("TextEquals(TRAFFIC SIGNALS (Multi-Way))", Call("TextEquals", None, (Text("TRAFFIC SIGNALS (Multi-Way)"),))),
        ("TextContains(f'k{kk)", Call("TextContains", None, (Text("f'k{kk"),))),
        ("TextContains(c[1], 'L compatible')", Call("TextContains", Column(1), (Text("L compatible"),))),
        ('TextEquals("say ""hi""")', Call("TextEquals", None, (Text('say "hi"'),))),
        ("TextEquals()", Call("TextEquals", None, (Text(""),))),
        ("TextEquals( )", Call("TextEquals", None, (Text(" "),))),
        ("TextEquals( a b )", Call("TextEquals", None, (Text("a b"),))),
        ("TextEquals( 'a ')", Call("TextEquals", None, (Text("a "),))),
        ("TextEquals(165)", Call("TextEquals", None, (Text("165"),))),
        ("TextEquals(F316)", Call("TextEquals", None, (Text("F316"),))),
        ("TextEquals($B$6)", Call("TextEquals", None, (Reference(2, 6, True, True),))),
        ("GreaterThan(B6)", Call("GreaterThan", None, (Reference(2, 6, False, False),))),
        ("GreaterThan(c[2], c[1])", Call("GreaterThan", Column(2), (Column(1),))),
        ("GreaterThan(13 Days)", Call("GreaterThan", None, (Text("13 Days"),))),
        ("Equals(true)", Call("Equals", None, (Boolean(True),))),
        ("NOT(TextEquals(a))", Call("NOT", None, (Call("TextEquals", None, (Text("a"),)),))),
        ("StartsWith(c[0], 'A')", Call("TextStartsWith", Column(0), (Text("A"),))),
    ],
)
def test_the_forms_that_people_write(code, rule):
    assert parse(code) == rule


@pytest.mark.parametrize(
    ("code", "at", "words"),
    [
        ("", 0, "a function and its . were expected"),
        ("AND(GreaterThan(5), GreatThan(3))", 20, "GreatThan is not a function .*\n.*\n.*\n  Did you mean GreaterThan"),
        ("Colour(5)", 0, "Colour is not a function"),
        ("Zzzz(5)", 0, "The functions are Equals"),
        ("GreaterThan(5", 13, "ends before its"),
        ("GreaterThan(5))", 14, "has ended, and more follows"),
        ("TextEquals(a", 12, "ends before its"),
        ("AND(TextEquals(a),TextEquals(b)", 31, "ends before its"),
        ("AND(Blanks() Errors())", 13, "a , or a \\) was expected"),
        ("Between(1,,2)", 10, "a value is missing"),
        ('GreaterThan(12",x:1)', 14, "cannot stand inside a bare value"),
        ("GreaterThan(1E999)", 12, "too large for a cell"),
        (f"TextEquals({'x' * (MOST_TEXT + 1)})", 11, "256 characters; Excel's limit inside a rule is 255"),
        (f"AND({'Blanks(),' * 1000}Blanks())", 8192, "Excel's limit is 8192"),
        ("NOT(" * (MOST_DEPTH + 1) + "Blanks()" + ")" * (MOST_DEPTH + 1), 260, "more than 64 deep"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(code, at, words):
    with pytest.raises(RuleError, match=words) as wrong:
        parse(code)
    assert wrong.value.at == at


def test_the_caret_stands_under_the_place():
    with pytest.raises(RuleError) as wrong:
        parse("OR(" + "Blanks(), " * 30 + "Nothing(4))")
    shown, caret = str(wrong.value).split("\n")[1:3]
    assert shown[caret.index("^") :].startswith("Nothing(")


@given(st.integers(1, 16384))
def test_columns_have_letters(column):
    assert number_of(letters(column)) == column
    assert (letters(1), letters(26), letters(27), letters(703)) == ("A", "Z", "AA", "AAA")
