"""Positions by their defining properties and by the papers' formulas; parity with the library's models is in tests/convert."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.model.config import ModelConfig
from tenfold.model.positions import alibi_slopes, buckets, turn, turns


def config(**changes) -> ModelConfig:
    return ModelConfig(**(dict(vocab=8, context=64, layers=1, embed=16, heads=2, positions="rotary") | changes))


def score(c: ModelConfig, q, k, t: int, s: int) -> float:
    """The product of one query at t and one key at s."""

    def at(x, position, key):
        return turn(x[None, None, None], turns(c, jnp.array([[position]])), c, key=key)[0, 0, 0]

    return float(at(q, t, False) @ at(k, s, True))


@pytest.mark.parametrize("changes", [{}, {"rotary_pairs": "interleaved"}, {"rotary_dim": 4}, {"positions": "xpos"}, {"rotary_base": 1e6}])
def test_scores_depend_on_distance_alone(changes):
    c = config(**changes)
    q, k = jax.random.normal(jax.random.key(0), (2, 8))
    for t, s in ((9, 4), (40, 35), (63, 58)):
        assert score(c, q, k, t, s) == pytest.approx(score(c, q, k, 5, 0), rel=1e-4, abs=1e-4)
    assert score(c, q, k, 9, 4) != pytest.approx(score(c, q, k, 9, 8), rel=1e-2)


def test_rotary_is_eq_34():
    """Each pair turned by t base^(-2i/d), written out for both ways of pairing."""
    x = np.random.default_rng(0).normal(size=8)
    for pairs, couples in (("halves", [(i, i + 4) for i in range(4)]), ("interleaved", [(2 * i, 2 * i + 1) for i in range(4)])):
        c = config(rotary_pairs=pairs)
        found = turn(jnp.asarray(x, jnp.float32)[None, None, None], turns(c, jnp.array([[7]])), c)[0, 0, 0]
        for i, (a, b) in enumerate(couples):
            angle = 7 * 10000 ** (-2 * i / 8)
            assert float(found[a]) == pytest.approx(x[a] * math.cos(angle) - x[b] * math.sin(angle), abs=1e-5)
            assert float(found[b]) == pytest.approx(x[a] * math.sin(angle) + x[b] * math.cos(angle), abs=1e-5)


def test_xpos_decays_as_the_paper_says():
    """A pair's score of a query and an equal key falls by zeta^(distance / 512), zeta = (2i/d + 0.4) / 1.4, times rotary's cosine."""
    c = config(positions="xpos")
    for i in range(4):
        x = jnp.zeros(8).at[i].set(1.0)
        zeta, angle = (2 * i / 8 + 0.4) / 1.4, 30 * 10000 ** (-2 * i / 8)
        assert score(c, x, x, 45, 15) == pytest.approx(zeta ** (30 / 512) * math.cos(angle), abs=1e-5)


def test_alibi_slopes_are_the_papers():
    """8 heads: 1/2, 1/4 ... 1/256; 12 heads: those of 8, then every other one of 16."""
    eight = [2.0**-n for n in range(1, 9)]
    assert alibi_slopes(config(positions="alibi", heads=8)) == pytest.approx(eight)
    assert alibi_slopes(config(positions="alibi", heads=12, embed=96)) == pytest.approx(eight + [2.0**-n for n in (0.5, 1.5, 2.5, 3.5)])
    assert alibi_slopes(config(positions="alibi", heads=8, alibi_scaled=True)) == pytest.approx([s / math.sqrt(2) for s in eight])
    assert alibi_slopes(config()) is None


@given(st.integers(-500, 500), st.booleans())
def test_buckets_are_exact_near_and_shared_far(distance, causal):
    """Within range, never falling with distance, one a distance for the nearest, all the furthest in the last."""
    count, furthest = 32, 128
    bucket = int(buckets(jnp.array(distance), count, furthest, causal))
    assert 0 <= bucket < count
    if causal and distance <= 0:
        assert bucket == 0
        return
    half = count if causal else count // 2
    own = bucket - (half if distance < 0 else 0)
    assert own == abs(distance) if abs(distance) < half // 2 else own >= half // 2
    if abs(distance) >= furthest:
        assert own == half - 1
    nearer = int(buckets(jnp.array(distance - (1 if distance > 0 else -1) if distance else 0), count, furthest, causal))
    assert nearer <= bucket or distance in (0, -1)


def test_turns_are_exact_at_any_position():
    """Within 2e-6 of f64 up to 2^31, where a position times a frequency in f32 is an angle off by whole turns."""
    positions = np.array([0, 1, 255, 256, 65_537, 2**24 + 1, 2**30 + 3, 2**31 - 1])
    found = turns(config(context=2**30), jnp.asarray(positions[None], jnp.int32))
    angles = positions[:, None] * 10000.0 ** (-np.arange(0, 8, 2) / 8)
    np.testing.assert_allclose(found.cos_BTJ[0], np.cos(angles), rtol=0, atol=2e-6)
    np.testing.assert_allclose(found.sin_BTJ[0], np.sin(angles), rtol=0, atol=2e-6)
    assert np.abs(np.cos(positions.astype(np.float32)[:, None] * angles[1].astype(np.float32)) - np.cos(angles)).max() > 0.1
