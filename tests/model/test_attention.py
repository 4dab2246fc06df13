"""Which positions see which, read off gradients; and attention's values and gradients against the textbook, for every kind.

T is 200 where the code works in blocks of 64 queries: three whole blocks and a rest.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.model.attention.kinds import attend
from tenfold.model.config import Banded, Dense, ModelConfig
from tenfold.model.transformer import Around, blocks

LONG = 200
KINDS = [Dense(), Banded(1), Banded(3), Banded(64), Banded(65), Banded(300)]
H, K = 2, 4
CONFIG = ModelConfig(vocab=8, context=LONG, layers=1, embed=H * K, heads=H, dtype="float32")


def seen(kind, T: int) -> np.ndarray:
    """bool[T, S]: what a kind promises, written out by hand."""
    window = kind.window if isinstance(kind, Banded) else T
    return np.array([[0 <= t - s < window for s in range(T)] for t in range(T)])


def textbook(kind, q, k, v, segments=None):
    """softmax(q k^T / sqrt(K), hidden positions left out) v, with the whole T x T matrix; NumPy or JAX arrays, any precision."""
    visible = jnp.asarray(seen(kind, q.shape[1]))[None, None]
    if segments is not None:
        visible &= (segments[:, :, None] == segments[:, None, :])[:, None]
    scores = jnp.where(visible, jnp.einsum("bthk,bshk->bhts", q, k) * K**-0.5, -jnp.inf)
    return jnp.einsum("bhts,bshk->bthk", jax.nn.softmax(scores, axis=-1), v)


def documents(B: int, T: int):
    """int32[B, T]: documents of uneven lengths, borders at and beside the borders of blocks."""
    borders = [[5, 64, 65, 130], [63, 128, 199], []]
    return jnp.asarray([1 + np.searchsorted(borders[b % 3], np.arange(T), side="right") for b in range(B)], jnp.int32)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_position_sees_itself_and_its_band_and_nothing_else(kind):
    """The gradient of an output with respect to keys and values after its position, or outside the band, is exactly zero; inside, not."""
    q, k, v = jax.random.normal(jax.random.key(0), (3, 1, LONG, H, K))
    places = np.array([0, 1, 63, 64, 65, 127, 128, 199])

    @jax.jit
    def gradients(k, v):
        mixed, pull = jax.vjp(lambda k, v: attend(kind, CONFIG, q, k, v), k, v)
        one_place = jnp.zeros((len(places), *mixed.shape)).at[jnp.arange(len(places)), 0, places].set(1 + jnp.arange(K))
        return jax.vmap(pull)(one_place)

    of_keys, of_values = gradients(k, v)
    for gradient in (of_keys, of_values):
        reached = np.abs(gradient).max((1, 3, 4)) > 0
        wanted = seen(kind, LONG)[places]
        if gradient is of_keys:  # a softmax over one position does not depend on its score, but for rounding
            reached = np.where(wanted.sum(1, keepdims=True) == 1, reached | wanted, reached)
        np.testing.assert_array_equal(reached, wanted)


@pytest.mark.parametrize("attention, scan", [(("banded:3",), False), (("dense", "banded:3"), True), (("banded:2", "banded:3"), True)])
def test_a_stack_of_blocks_reaches_as_far_as_its_kinds_allow(tiny, noisy_params, attention, scan):
    """Through 4 layers a position sees what chains of the layers' patterns reach: all before it, or the bands' widths added up."""
    config = tiny(layers=4, attention=attention, scan=scan)
    params = noisy_params(config)
    chain = np.eye(16, dtype=bool)
    for kind in config.kinds:
        chain = seen(kind, 16) @ chain

    @jax.jit
    @jax.jacrev
    def jacobian(x_BTD):
        out_BTD = blocks(params["blocks"], config, x_BTD, None, Around(jnp.zeros(1, jnp.int32)))[0]
        return (out_BTD * jnp.sin(1 + jnp.arange(config.embed))).sum((0, 2))

    influence_TS = np.abs(jacobian(jax.random.normal(jax.random.key(1), (1, 16, config.embed)))).max((1, 3)) > 0
    np.testing.assert_array_equal(influence_TS, chain)


@pytest.mark.parametrize(
    "kind, packed, dtype, within",
    [
        (Dense(), False, "float32", 1e-5),
        (Dense(), True, "float32", 1e-5),
        (Banded(1), False, "float32", 1e-5),
        (Banded(64), True, "float32", 1e-5),
        (Banded(100), False, "float32", 1e-5),
        (Banded(100), True, "bfloat16", 0.03),
        (Dense(), True, "bfloat16", 0.03),
    ],
    ids=str,
)
def test_values_and_gradients_are_the_textbooks(kind, packed, dtype, within):
    """Relative to the largest: 1e-5 in f32; 3% in bf16, which keeps 8 bits of each operand."""
    q, k, v, g = jax.random.normal(jax.random.key(0), (4, 3, LONG, H, K)) * (2 if dtype == "float32" else 1)
    segments = documents(3, LONG) if packed else None
    config = replace(CONFIG, dtype=dtype)

    def both(attention):
        value, pull = jax.vjp(attention, q, k, v)
        return value, *pull(g)

    ours = jax.jit(lambda: both(lambda q, k, v: attend(kind, config, q, k, v, segments)))()
    plain = jax.jit(lambda: both(lambda q, k, v: textbook(kind, q, k, v, segments)))()
    for found, wanted in zip(ours, plain, strict=True):
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, wanted, rtol=0, atol=within * max(1.0, float(jnp.abs(wanted).max())))


@pytest.mark.parametrize("kind", [Dense(), Banded(5)], ids=str)
def test_gradients_match_finite_differences(kind):
    """f32: the derivative along random directions, against central differences, within 0.3%."""
    qkv = jax.random.normal(jax.random.key(0), (3, 1, 12, H, K))
    weights = jax.random.normal(jax.random.key(1), (1, 12, H, K))
    segments = jnp.array([[1] * 4 + [2] * 8])

    @jax.jit
    def scalar(qkv):
        return (attend(kind, CONFIG, *qkv, segments) * weights).sum()

    gradient = jax.grad(scalar)(qkv)
    for number in range(6):
        way = jax.random.normal(jax.random.key(2 + number), qkv.shape)
        difference = (scalar(qkv + 1e-2 * way) - scalar(qkv - 1e-2 * way)) / 2e-2
        assert float((gradient * way).sum()) == pytest.approx(float(difference), rel=3e-3, abs=3e-3)


@pytest.mark.parametrize("kind", [Dense(), Banded(2)], ids=str)
def test_scores_far_apart_do_not_overflow(kind):
    """Softmax of scores of +-1e4 is finite, and so are its gradients."""
    q = 100 * jax.random.normal(jax.random.key(0), (1, 6, H, K))
    found, gradient = jax.jit(jax.value_and_grad(lambda q: attend(kind, CONFIG, q, -q, q).sum()))(q)
    assert jnp.isfinite(found) and jnp.isfinite(gradient).all()
