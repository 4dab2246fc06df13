"""The planner's rows add up, whatever the weights, and it says when a source is seen too often."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.corpus.mixtures import GPT3
from tenfold.corpus.planner import Held, plan, weights_of_epochs
from tenfold.errors import UserError

held = st.builds(Held, st.integers(1, 10**6), st.integers(1, 10**12), st.floats(1e-3, 1e3))


@given(st.dictionaries(st.text(), held, min_size=1, max_size=6), st.floats(1, 1e13), st.floats(0.5, 10))
def test_rows_add_up(sources, planned, most):
    rows = plan(sources, planned, most)
    assert [row.source for row in rows] == list(sources)
    assert sum(row.weight for row in rows) == pytest.approx(1)
    assert sum(row.epochs * row.tokens for row in rows) == pytest.approx(planned)
    for row in rows:
        assert row.unique_tokens <= row.tokens and row.unique_tokens <= planned * row.weight * (1 + 1e-9) + 1
        assert bool(row.warning) == (row.epochs > most)
        assert row.unique_tokens + row.shortfall == pytest.approx(planned * row.weight, rel=1e-9, abs=1)


def test_gpt3_as_planned():
    """At 300 billion tokens no source passes four epochs; at ten times as many each does, and says so."""
    sources = {name: Held(1, int(source.tokens), source.weight) for name, source in GPT3.items()}
    rows = {row.source: row for row in plan(sources, 300e9)}
    assert rows["webtext2"].epochs == pytest.approx(0.22 / 1.01 * 300 / 19) and not any(row.warning for row in rows.values())
    assert rows["common_crawl"].unique_tokens == round(0.6 / 1.01 * 300e9) and rows["wikipedia"].unique_tokens == int(3e9)
    warned = [row for row in plan(sources, 3000e9) if row.warning]
    assert [row.source for row in warned] == ["common_crawl", "webtext2", "books1", "books2", "wikipedia"]
    assert warned[-1].warning.startswith("wikipedia is seen 29.7 times, over 4: add 19,277,227,723 tokens")


def test_epochs_make_weights():
    assert weights_of_epochs({"a": 10, "b": 10}, {"a": 1.0, "b": 3.0}) == {"a": 0.25, "b": 0.75}
    with pytest.raises(UserError, match="no tokens"):
        weights_of_epochs({"a": 0}, {"a": 1.0})


@pytest.mark.parametrize(
    "sources, planned, message",
    [
        ({}, 1e9, "no sources"),
        ({"a": Held(1, 1, 1.0)}, 0, "planned_tokens is 0"),
        ({"a": Held(1, 1, -1.0)}, 1e9, "weight of source 'a' is -1.0"),
        ({"a": Held(0, 0, 1.0)}, 1e9, "'a' has weight 1.0 but no tokens"),
        ({"a": Held(1, 1, 0.0)}, 1e9, "all sources are 0"),
    ],
)
def test_what_cannot_be_planned_is_refused(sources, planned, message):
    with pytest.raises(UserError, match=message):
        plan(sources, planned)
