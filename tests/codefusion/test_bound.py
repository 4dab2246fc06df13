"""The bound that samples are ranked by, against closed forms: of a model that knows nothing it can be worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.codefusion.bound import bound
from tenfold.codefusion.losses import masked_loss
from tenfold.codefusion.model import Text, init_fusion
from tenfold.codefusion.noise import signal_shares
from tenfold.codefusion.rows import Rows
from tiny_fusion import AUTOREGRESSIVE, FUSION, MASKED

CODE = jnp.array([[5, 6, 7, 8, *[0] * 12], [9, 5, *[0] * 14]])  # 4 and 2 tokens, then pads
TEXT, REAL = jnp.array([[3, 4], [3, 4]]), jnp.ones((2, 2), bool)
T, UNIFORM = FUSION.length, np.log(FUSION.vocab)


def found(params, config, passes: int, seed: int = 0, code=CODE) -> np.ndarray:
    rows = len(code)
    return np.asarray(bound(params, config, Text(TEXT[:rows], REAL[:rows]), code, jnp.uint32(seed), jnp.int32(0), passes))


@pytest.fixture(scope="module")
def ignorant(params) -> dict:
    """A model whose estimate is always 0 and whose head finds all tokens as likely."""
    nothing = {"denoiser": params["denoiser"] | {"out": 0 * params["denoiser"]["out"]}, "head": 0 * params["head"]}
    return params | nothing


def test_fusions_bound_is_the_sum_over_all_steps(ignorant):
    """With an estimate of 0 the squared error is T W at each step, so the sum telescopes; then T log V, and the divergence at step n."""
    share, size = signal_shares(FUSION.steps), FUSION.length * FUSION.width
    snr = share[1:] / (1 - share[1:])
    last = 0.5 * size * (share[-1] - share[-1] - np.log1p(-share[-1]))
    expected = T * UNIFORM + size * (snr[0] - snr[-1]) / 2 + last
    np.testing.assert_allclose(found(ignorant, FUSION, 64), expected, rtol=0.05)


def test_candidates_share_their_noise(params):
    """The same snippet twice has the same bound twice, alone or beside another, and another seed another."""
    twice = found(params, FUSION, 3, code=jnp.stack([CODE[0], CODE[0]]))
    assert twice[0] == twice[1]
    np.testing.assert_allclose(found(params, FUSION, 3), [twice[0], found(params, FUSION, 3)[1]], rtol=1e-5)
    assert abs(found(params, FUSION, 3, seed=1)[0] - twice[0]) > 1e-3


@pytest.mark.slow
def test_a_masked_models_bound_is_uniform_over_all_places():
    """All pads counted: T log V, whatever was masked, but for the estimate's scatter."""
    params = jax.jit(init_fusion, static_argnums=1)(jax.random.key(0), MASKED)
    np.testing.assert_allclose(found(params | {"head": 0 * params["head"]}, MASKED, 128), T * UNIFORM, rtol=0.1)


def test_a_masked_models_bound_is_the_mean_of_its_losses():
    """At times that lie evenly, each under its own masks, whatever else is asked."""
    params = jax.jit(init_fusion, static_argnums=1)(jax.random.key(0), MASKED)
    key, passes = jax.random.key(0), 3
    times = (jax.random.uniform(jax.random.fold_in(key, passes)) + jnp.arange(passes)) / passes

    def loss(row, number):
        one, none = slice(row, row + 1), jnp.zeros((1, T), bool)
        text, key_B = Text(TEXT[one], REAL[one]), jax.random.fold_in(key, number)[None]
        rows = Rows(text, CODE[one], none, jnp.ones((1, T)), none[:, 0], times[number][None])
        return float(masked_loss(params, MASKED, rows, key_B).loss)

    wanted = [np.mean([loss(row, number) for number in range(passes)]) for row in range(2)]
    np.testing.assert_allclose(found(params, MASKED, passes), wanted, rtol=1e-5)
    assert found(params, MASKED, passes)[0] == found(params, MASKED, passes, code=CODE[:1])[0]


@pytest.mark.slow
def test_an_autoregressive_models_is_exact_to_the_first_pad():
    params = jax.jit(init_fusion, static_argnums=1)(jax.random.key(0), AUTOREGRESSIVE)
    np.testing.assert_allclose(found(params | {"head": 0 * params["head"]}, AUTOREGRESSIVE, 1), [5 * UNIFORM, 3 * UNIFORM], rtol=1e-5)
