"""Rules and cells at random, for properties of the rule language."""

import datetime

from hypothesis import strategies as st

from tenfold.codefusion.rules.cells import ErrorValue
from tenfold.codefusion.rules.functions import FUNCTIONS
from tenfold.codefusion.rules.syntax import Boolean, Call, Column, Date, Number, Reference, Text

words = st.text(alphabet=st.sampled_from("abcXYZ ()[],.\"'$%*?~#09-+/é適\n"), max_size=12)
tricky = st.sampled_from(
    ["c[1]", "$B$2", "B2", "TRUE", "5", "5%", "1e5", "2020-01-01", "a (b)", ":)", "((", "", " ", "AND(Blanks())", "x, y", "ß"]
)
numbers = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300) | st.integers(-(10**6), 10**6).map(float)
columns = st.builds(Column, st.integers(0, 4))
references = st.builds(Reference, st.integers(1, 800), st.integers(1, 60), st.booleans(), st.booleans())
fixed = st.builds(Reference, st.integers(1, 800), st.integers(1, 60), st.just(True), st.just(True))
constants = (
    st.builds(Number, numbers)
    | st.builds(Text, words | tricky)
    | st.builds(Boolean, st.booleans())
    | st.builds(Date, st.dates(datetime.date(1900, 3, 1), datetime.date(2100, 1, 1)))
    | references
)


@st.composite
def plain_rules(draw) -> Call:
    """A rule that is not joined of others."""
    function = draw(st.sampled_from([f for f in FUNCTIONS.values() if f.kind not in ("logic", "draw")]))
    column = draw(st.none() | columns)
    if function.kind == "text":
        return Call(function.name, column, (draw(st.builds(Text, words | tricky) | fixed | (columns if column else fixed)),))
    if function.kind == "rank":
        counts = st.builds(Number, st.integers(1, 100).map(float))
        return Call(function.name, column, (draw(counts),) if function.least or draw(st.booleans()) else ())
    values = constants | columns if column else constants
    return Call(function.name, column, tuple(draw(values) for _ in range(function.most)))


def joined(inside: st.SearchStrategy[Call]) -> st.SearchStrategy[Call]:
    """AND, OR or NOT of what `inside` draws."""
    several = st.builds(
        lambda name, rules: Call(name, None, tuple(rules)), st.sampled_from(["AND", "OR"]), st.lists(inside, min_size=1, max_size=3)
    )
    return several | st.builds(lambda rule: Call("NOT", None, (rule,)), inside)


conditions = st.recursive(plain_rules(), joined, max_leaves=5)
drawings = st.builds(Call, st.sampled_from(["ColorScale", "DataBar", "IconSet"]), st.none() | columns)
rules = conditions | drawings

cells = (
    st.none()
    | numbers
    | st.integers(-3, 3).map(float)
    | words
    | st.booleans()
    | st.sampled_from([ErrorValue("#N/A"), ErrorValue("#DIV/0!")])
    | st.datetimes(datetime.datetime(2022, 11, 1), datetime.datetime(2023, 3, 1))
)
