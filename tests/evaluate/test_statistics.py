"""Errors and intervals beside closed forms and scipy's own bootstrap."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tenfold.errors import UserError
from tenfold.evaluate import statistics

RIGHT = np.random.default_rng(1).random(400) < 0.3
LENGTHS = np.random.default_rng(2).gamma(2.0, 3.0, 300)


def test_the_error_of_right_and_wrong_is_the_binomials():
    p, n = RIGHT.mean(), len(RIGHT)
    assert statistics.standard_error(RIGHT) == pytest.approx(math.sqrt(p * (1 - p) / (n - 1)), rel=1e-12)
    assert statistics.standard_error(RIGHT) == pytest.approx(stats.sem(RIGHT.astype(float)), rel=1e-12)
    assert math.isnan(statistics.standard_error([1.0]))


def test_the_interval_of_right_and_wrong_is_the_binomials():
    """The bootstrap of N answers of which a share p is right is Binomial(N, p) / N."""
    found = statistics.mean(RIGHT, repeats=200_000)
    low, high = stats.binom.ppf([0.025, 0.975], len(RIGHT), RIGHT.mean()) / len(RIGHT)
    assert abs(found.low - low) <= 1 / len(RIGHT) and abs(found.high - high) <= 1 / len(RIGHT)


@pytest.mark.parametrize("values", [RIGHT.astype(float), LENGTHS], ids=["two values", "as many values as items"])
def test_the_interval_agrees_with_scipys_bootstrap(values):
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(0))
    ours = statistics.mean(values, repeats=20_000)
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ours.value == pytest.approx(values.mean())
    assert abs(ours.low - theirs.confidence_interval.low) < 0.03 * width
    assert abs(ours.high - theirs.confidence_interval.high) < 0.03 * width


def test_both_ways_to_draw_have_the_same_spread():
    """Drawing counts of distinct values, or items: noise too small to matter makes the second of the first."""
    rows = RIGHT.astype(float)[:, None]
    noisy = rows + np.linspace(0, 1e-9, len(rows))[:, None]
    ours, theirs = (statistics.bootstrap_means(each, repeats=20_000) for each in (rows, noisy))
    assert np.quantile(ours, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(theirs, [0.1, 0.5, 0.9]), abs=2 / len(rows))


def test_a_ratios_error_and_interval_agree_with_scipy():
    over = LENGTHS * np.random.default_rng(3).normal(1.0, 0.2, len(LENGTHS))
    theirs = stats.bootstrap(
        (over, LENGTHS), lambda x, y, axis: x.sum(axis) / y.sum(axis), paired=True, n_resamples=10_000, method="percentile", rng=0
    )
    ours = statistics.ratio(over, LENGTHS)
    assert ours.value == pytest.approx(over.sum() / LENGTHS.sum())
    assert ours.error == pytest.approx(theirs.standard_error, rel=0.05)
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.1 * ours.error)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.1 * ours.error)


def test_a_perplexitys_error_follows_the_slope_of_the_exponential():
    nats = LENGTHS / 10
    ours = statistics.ratio(nats, np.ones_like(nats), scale=math.exp)
    assert ours.value == pytest.approx(math.exp(nats.mean()))
    assert ours.error == pytest.approx(math.exp(nats.mean()) * stats.sem(nats), rel=1e-6)
    assert ours.low < ours.value < ours.high


def test_two_models_on_the_same_items_are_told_apart_better_than_on_different_ones():
    """A second model that is right wherever the first is, and on 12 items more, is better beyond doubt; unpaired it would not be."""
    better = RIGHT.copy()
    better[np.flatnonzero(~RIGHT)[:12]] = True
    found = statistics.paired(RIGHT, better)
    assert (found.better, found.worse, found.items) == (12, 0, 400)
    assert found.value == pytest.approx(12 / 400) and found.p < 0.01 and found.low > 0
    assert math.hypot(statistics.standard_error(RIGHT), statistics.standard_error(better)) > 2 * found.error


def test_the_paired_bootstrap_agrees_with_the_exact_sign_test():
    """On items that flip, the p of a bootstrap is near that of McNemar's exact test with half of the tie counted."""
    second = RIGHT.copy()
    flips = np.random.default_rng(4).choice(len(RIGHT), 60, replace=False)
    second[flips] = ~second[flips]
    found = statistics.paired(RIGHT, second, repeats=50_000)
    exact = stats.binomtest(found.better, found.better + found.worse).pvalue
    assert found.p == pytest.approx(exact, abs=0.07)


def test_a_model_does_not_differ_from_itself():
    found = statistics.paired(LENGTHS, LENGTHS)
    assert (found.value, found.low, found.high, found.p, found.better, found.worse) == (0, 0, 0, 1, 0, 0)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=80), st.integers(0, 5))
def test_an_interval_repeats_with_its_seed_and_lies_among_the_values(values, seed):
    ours, again = (statistics.mean(values, seed, repeats=200) for _ in range(2))
    assert ours == again
    assert min(values) - 1e-12 <= ours.low <= ours.high <= max(values) + 1e-12


def test_chance_is_0_and_perfect_is_1():
    assert statistics.centred(0.25, 0.25) == 0 and statistics.centred(1, 0.25) == 1 and statistics.centred(0, 0.5) == -1
    with pytest.raises(UserError, match="chance is 1"):
        statistics.centred(1, 1)


def test_no_items_are_no_score():
    with pytest.raises(UserError, match="no items"):
        statistics.mean([])
    with pytest.raises(UserError, match="400 items and the other 300"):
        statistics.paired(RIGHT, LENGTHS)
    with pytest.raises(UserError, match="ratio over nothing"):
        statistics.ratio([1.0], [0.0])


@pytest.mark.filterwarnings("error")
def test_a_sample_without_text_leaves_an_interval_of_numbers():
    """Of two items one is empty: a quarter of the samples draw it twice."""
    found = statistics.ratio([3.0, 8.0], [0.0, 4.0])
    assert found.value == 2.75 and 2.0 <= found.low <= found.high < math.inf
