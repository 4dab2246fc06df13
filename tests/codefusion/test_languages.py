"""Code is judged by its own parser, and names are found where they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.codefusion.languages import form, problem, spans, valid
from tenfold.errors import UserError

CODE = st.text(alphabet=st.sampled_from("ab1 ('\"):\n\t=é#\\\x00x,.[]{}"), max_size=30) | st.text(max_size=20)
LANGUAGES = ["python", "cf"]


def words(language: str, code: str) -> list[tuple[str, str]]:
    return [(code[span.start : span.end], span.kind) for span in spans(language, code)]


@pytest.mark.parametrize("language", LANGUAGES)
@given(code=CODE)
def test_any_code_is_judged(language, code):
    """Nothing raises; places lie in the code; spans are in order and apart."""
    wrong = problem(language, code)
    assert wrong is None or 0 <= wrong.at <= len(code)
    found = spans(language, code)
    assert all(0 <= span.start < span.end <= len(code) for span in found)
    assert all(a.end <= b.start for a, b in zip(found, found[1:], strict=False))


@pytest.mark.parametrize("language", LANGUAGES)
@given(code=CODE)
def test_the_form_of_a_form_is_itself(language, code):
    assert form(language, form(language, code)) == form(language, code)
    assert valid(language, form(language, code)) == valid(language, code)


def test_codes_that_differ_in_spelling_alone_have_one_form():
    assert form("python", 'f ( "a" , ( b ) )') == form("python", "f('a', b)") == "f('a', b)"
    assert form("cf", "top( c[1],3 )") == form("cf", "Top(c[1], 3)") == "Top(c[1], 3)"
    assert form("cf", "Duplicates( )") == "Duplicate()" and form("cf", "TextEquals( 'a')") == "TextEquals(a)"
    assert form("python", "# no more") == "# no more"
    assert form("bash", "ls  -l") == "ls  -l" and form("python", "x = (") == "x = ("


def test_python():
    assert valid("python", "x = [y for y in z]")
    assert problem("python", "x = (1,\nprint(") is not None
    assert problem("python", "a = 1\nb = = 2").at == 10
    assert problem("python", "  ").message == "nothing stands here"
    assert words("python", "x = len(é)\nfor i in x: 'no'") == [
        ("x", "identifier"),
        ("len", "keyword"),
        ("é", "identifier"),
        ("for", "keyword"),
        ("i", "identifier"),
        ("in", "keyword"),
        ("x", "identifier"),
    ]
    assert words("python", "f(a, 'open")[0] == ("f", "identifier")


def test_conditional_formatting():
    assert valid("cf", "AND(GreaterThan(5), Blanks())")
    wrong = problem("cf", "AND(GreaterThan(5), Blank())")
    assert wrong.at == 20 and wrong.message == "Blank is not a function of the rule language."
    assert words("cf", "AND(GreaterThan(c[2], 0), TextEquals(c[3], Equals x))") == [
        ("AND", "keyword"),
        ("GreaterThan", "keyword"),
        ("c[2]", "identifier"),
        ("TextEquals", "keyword"),
        ("c[3]", "identifier"),
    ]


def test_an_unknown_language_is_refused():
    with pytest.raises(UserError, match="language is 'perl'"):
        valid("perl", "1")
    with pytest.raises(UserError, match="language is 'perl'"):
        form("perl", "1")
