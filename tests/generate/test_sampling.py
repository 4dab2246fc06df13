"""Sampling against plain numpy, and against the probabilities themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tenfold.generate.sampling import first_largest, ordered_bits, position_keys, restrict, row_keys, sample, scale

V = 24
finite = st.floats(-30, 30, width=32, allow_subnormal=False)  # XLA takes the smallest numbers for 0
scores = hnp.arrays(np.float32, (3, V), elements=finite)
tied_scores = hnp.arrays(np.float32, (3, V), elements=st.sampled_from([-2.0, -1.0, 0.0, 0.5]))

jit_restrict = jax.jit(lambda score, k, p: restrict(score, jnp.broadcast_to(k, 3), jnp.broadcast_to(p, 3)))
jit_sample = jax.jit(sample)


def kept(score_BV, top_k, top_p):
    return np.isfinite(np.asarray(jit_restrict(np.asarray(score_BV), top_k, np.float32(top_p))))


def by_rank(score_V):
    """Ids from the likeliest to the least likely, of equals the first first."""
    return np.argsort(-score_V, kind="stable")


@given(scores | tied_scores, st.integers(1, V + 5))
def test_top_k_keeps_the_k_likeliest(score_BV, k):
    wanted = np.zeros_like(score_BV, bool)
    for row, score_V in enumerate(score_BV):
        wanted[row, by_rank(score_V)[:k]] = True
    np.testing.assert_array_equal(kept(score_BV, k, 1.0), wanted)


@given(tied_scores | scores, st.floats(0.01, 0.999))
def test_top_p_keeps_the_fewest_likeliest_that_reach_p(score_BV, p):
    """The token that crosses p is in. Sums in f32 may miss p by rounding, so the number kept may be what p a hair off would give."""
    score_BV = score_BV - score_BV.max(-1, keepdims=True)
    found = kept(score_BV, 0, p)
    for score_V, found_V in zip(score_BV.astype(np.float64), found, strict=True):
        mass = np.exp(score_V[by_rank(score_V)])
        below = np.cumsum(mass / mass.sum())
        low, high = (int(np.searchsorted(below, np.float32(p) + d)) + 1 for d in (-1e-5, 1e-5))
        assert low <= found_V.sum() <= high
        np.testing.assert_array_equal(np.flatnonzero(found_V), np.sort(by_rank(score_V)[: found_V.sum()]))


def test_top_p_on_exact_probabilities():
    """1/2, 1/4, 1/8, 1/8: sums are exact, so is the set."""
    score_BV = np.log(np.tile(np.float32([1 / 8, 1 / 2, 1 / 8, 1 / 4] + [1e-30] * (V - 4)), (3, 1)))
    score_BV -= score_BV.max()
    for p, ids in ((0.3, [1]), (0.49, [1]), (0.6, [1, 3]), (0.8, [0, 1, 3]), (0.9, [0, 1, 2, 3])):
        assert np.flatnonzero(kept(score_BV, 0, p)[0]).tolist() == ids, p


def test_top_p_is_of_what_top_k_left():
    """Of 1/2, 1/4, 1/8, 1/8, top-k 2 leaves 2/3 and 1/3: top-p 0.6 is reached by the first."""
    score_BV = np.log(np.tile(np.float32([1 / 8, 1 / 2, 1 / 8, 1 / 4] + [1e-30] * (V - 4)), (3, 1)))
    assert np.flatnonzero(kept(score_BV - score_BV.max(), 2, 0.6)[0]).tolist() == [1]
    assert np.flatnonzero(kept(score_BV - score_BV.max(), 0, 0.6)[0]).tolist() == [1, 3]


def test_rows_have_settings_of_their_own():
    logits_BV = jnp.tile(jnp.arange(V, dtype=jnp.float32), (4, 1))
    settings = jnp.array([0.0, 1.0, 5.0, 5.0]), jnp.array([0, 1, 2, 0]), jnp.array([1.0, 1.0, 1.0, 1e-6])
    drawn = np.stack([jit_sample(logits_BV, row_keys(seed, 4), *settings) for seed in range(40)])
    assert (drawn[:, [0, 1, 3]] == V - 1).all()
    assert set(drawn[:, 2]) == {V - 2, V - 1}


@pytest.mark.parametrize(("temperature", "top_k", "top_p"), [(1.0, 0, 1.0), (0.5, 0, 1.0), (1.0, 5, 1.0), (1.3, 0, 0.7), (1.0, 8, 0.8)])
def test_frequencies_are_the_probabilities(temperature, top_k, top_p):
    """20,000 draws: each token's count lies within 5 standard deviations of its expectation, and what is left out never comes."""
    logits_V, draws = np.random.default_rng(3).normal(0, 1.5, V).astype(np.float32), 20_000
    drawn = jit_sample(jnp.tile(logits_V, (draws, 1)), row_keys(0, draws), temperature, top_k, np.float32(top_p))
    score_V = logits_V.astype(np.float64) / temperature
    ranks = by_rank(score_V)[: top_k or V]
    mass = np.exp(score_V[ranks])
    ranks = ranks[: int(np.searchsorted(np.cumsum(mass / mass.sum()), top_p)) + 1] if top_p < 1 else ranks
    p_V = np.zeros(V)
    p_V[ranks] = np.exp(score_V[ranks]) / np.exp(score_V[ranks]).sum()
    counts = np.bincount(np.asarray(drawn), minlength=V)
    assert (counts[p_V == 0] == 0).all()
    assert (np.abs(counts - draws * p_V) <= 5 * np.sqrt(draws * p_V * (1 - p_V)) + 1e-9).all()


@given(scores | tied_scores)
def test_temperature_0_and_top_k_1_take_the_likeliest(score_BV):
    keys = row_keys(1, 3)
    wanted = score_BV.argmax(-1)
    np.testing.assert_array_equal(jit_sample(score_BV, keys, 0.0, 0, 1.0), wanted)
    np.testing.assert_array_equal(jit_sample(score_BV, keys, 0.9, 1, 1.0), wanted)
    coldest = np.asarray(jit_sample(score_BV, keys, np.float32(1e-30), 0, 1.0))
    np.testing.assert_array_equal(np.take_along_axis(score_BV, coldest[:, None], 1)[:, 0], score_BV.max(-1))


def test_a_row_draws_with_its_own_key_alone():
    """The same logits and key give the same token in any row of any call."""
    logits_BV = np.random.default_rng(0).normal(0, 1, (6, V)).astype(np.float32)
    keys = row_keys(5, 6)
    together = np.asarray(jit_sample(logits_BV, keys, 1.0, 0, np.float32(0.9)))
    alone = [int(jit_sample(logits_BV[b : b + 1], keys[b : b + 1], 1.0, 0, np.float32(0.9))[0]) for b in range(6)]
    assert together.tolist() == alone


def test_keys_differ_between_rows_positions_and_seeds():
    keys = [position_keys(row_keys(seed, 3), jnp.full(3, position)) for seed in range(3) for position in range(3)]
    data = np.concatenate([jax.random.key_data(k) for k in keys])
    assert len(np.unique(data, axis=0)) == 27


@given(hnp.arrays(np.float32, 20, elements=st.floats(width=32, allow_nan=False, allow_subnormal=False)))
def test_ordered_bits_keep_the_order(x):
    found = np.asarray(jax.jit(ordered_bits)(x)).astype(np.int64)
    np.testing.assert_array_equal(order(found), order(x))


def order(x):
    return (x[:, None] > x).astype(int) - (x[:, None] < x)


def test_no_number_gives_no_token():
    """A NaN among a row's logits gives V; its neighbours draw as ever."""
    logits_BV = np.zeros((2, V), np.float32)
    logits_BV[0, 7], logits_BV[1, 3] = np.nan, 1
    assert jit_sample(logits_BV, row_keys(0, 2), 0.0, 0, 1.0).tolist() == [V, 3]
    assert int(jit_sample(logits_BV, row_keys(0, 2), 1.0, 0, 1.0)[0]) == V


def test_scaling_never_overflows():
    found = scale(jnp.array([[3e38, -3e38, 0.0]]), jnp.array([1e-38]))
    assert found[0, 0] == 0 and not np.isnan(found).any()
    assert first_largest(found).tolist() == [0]


@pytest.mark.parametrize("V", [7, 256, 384])
def test_the_first_of_equals_is_found_in_any_block(V):
    rng = np.random.default_rng(V)
    x_BV = rng.integers(0, 3, (64, V)).astype(np.float32)
    x_BV[0], x_BV[1] = -np.inf, 0
    assert (first_largest(jnp.asarray(x_BV)) == x_BV.argmax(-1)).all()
    x_BV[:, V // 2] = np.nan
    assert (first_largest(jnp.asarray(x_BV)) == V).all()
