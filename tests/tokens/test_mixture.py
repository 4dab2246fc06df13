"""Sources interleave evenly, to the row."""

from hypothesis import given
from hypothesis import strategies as st

from tenfold.tokens.mixture import RESOLUTION, Mixture

WEIGHTS = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=6)


@given(WEIGHTS, st.integers(0, 10**12))
def test_each_row_is_the_next_of_one_source(weights, row):
    mixture = Mixture(weights, 2**62)
    before, after = mixture.counts(row), mixture.counts(row + 1)
    source, index = mixture[row]
    assert index == before[source]
    assert [b - a for a, b in zip(before, after, strict=True)] == [number == source for number in range(len(weights))]
    assert sum(before) == row


@given(WEIGHTS, st.integers(0, 10**7))
def test_shares_are_within_a_row_or_so(weights, rows):
    """Each of the few floors on the way costs less than one row, and the weights are rounded to 2^-30."""
    for weight, count in zip(weights, Mixture(weights, 2**62).counts(rows), strict=True):
        assert abs(count - rows * weight / sum(weights)) < len(weights) + rows * len(weights) / RESOLUTION


def test_a_weight_too_small_to_round_is_not_lost():
    assert Mixture([1.0, 1e-12], 100).parts[1] == 1
