"""Positions by their defining properties and by the papers' formulas; parity with the library's models is in tests/convert."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.model import positions
from tenfold.model.attention import tiles
from tenfold.model.attention.blocked import Pattern
from tenfold.model.attention.kinds import attend
from tenfold.model.config import Banded, Dense, Dilated, ModelConfig
from tenfold.model.positions import alibi_slopes, buckets, turn, turns, xpos_decay


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


@pytest.mark.parametrize(
    "kind", [*(pytest.param(k, marks=pytest.mark.slow) for k in (Dense(), Banded(9))), Dilated((9, 40), (1, 3))], ids=str
)
def test_long_xpos_is_xpos(monkeypatch, kind):
    """Decay counted from tiles, as at contexts beyond 65,536, gives values and gradients of decay counted from the row's middle."""
    T, short = 40, ModelConfig(vocab=8, context=40, layers=1, embed=24, heads=3, positions="xpos", rotary_dim=6, dtype="float32")
    q, k, v, g = np.random.default_rng(0).normal(0, 1, (4, 2, T, 3, 8)).astype(np.float32)
    by = turns(short, 100 * jnp.arange(T)[None])
    monkeypatch.setattr(tiles, "TILE", 16)

    def run(config, by):
        def attended(q, k, v):
            return attend(kind, config, turn(q, by, config), turn(k, by, config, key=True), v)

        def both(q, k, v):
            value, pull = jax.vjp(attended, q, k, v)
            return value, *pull(jnp.asarray(g))

        return jax.jit(both)(q, k, v)

    wanted = run(short, by)
    monkeypatch.setattr(positions, "XPOS_LONGEST", 0)
    monkeypatch.setattr(positions, "XPOS_BASE", 5.12)  # positions above stand 100 apart
    for ours, theirs in zip(run(short, by._replace(decay_BTJ=None)), wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5)


def test_long_xpos_neither_overflows_nor_is_clamped():
    """Around position 2^30 of rows 1, 1,000 and 2^19 positions apart, beside float64: what decays below float32 is 0."""
    decay = np.array(xpos_decay(ModelConfig(context=2**30, embed=16, heads=2, positions="xpos")))
    q, k, v = np.random.default_rng(0).normal(0, 1, (3, 1, 1, 24, 8)).astype(np.float32)
    pattern = Pattern(None, 1.0, "float32")
    for apart in (1, 1000, 2**19):
        places, distance = tiles.Places(2**30 // apart - 24 + jnp.arange(24), None), tiles.Distance(None, np.float32(apart * decay))
        found, _ = jax.jit(partial(tiles.mix_tiles, queries=places, keys=places, pattern=pattern, distance=distance))(q, k, v)
        before = np.arange(24)[:, None] - np.arange(24)
        scores = np.einsum("tk,sk,tsk->ts", *np.float64((q[0, 0], k[0, 0])), np.exp(np.maximum(before, 0)[..., None] * apart * decay))
        weights = np.where(before >= 0, np.exp(scores), 0)
        np.testing.assert_allclose(found[0, 0], weights / weights.sum(1, keepdims=True) @ v[0, 0], rtol=0, atol=1e-5)


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
