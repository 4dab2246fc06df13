"""The feed-forward layer and the norm against their formulas; their gradients are hand-written in part."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.model.layers import gelu_tanh, linear, mlp, norm, sub_norm


def weights(config, seed=0):
    random = np.random.default_rng(seed)
    D, F = config.embed, config.hidden
    shapes = {"up": (D, F), "up_bias": (F,), "down": (F, D), "down_bias": (D,)}
    return {name: jnp.float32(random.normal(0, 0.3, shape)) for name, shape in shapes.items()}


def plain_mlp(w, x):
    return jax.nn.gelu(x @ w["up"] + w["up_bias"], approximate=True) @ w["down"] + w["down_bias"]


@pytest.mark.parametrize("dtype, within", [("float32", 1e-5), ("bfloat16", 0.02)])
def test_the_feed_forward_layer_and_all_its_gradients(tiny, dtype, within):
    """Against jax.nn.gelu and jax.grad in f32, relative to the largest entry."""
    config = tiny(dtype=dtype)
    w, x = weights(config), 2 * jax.random.normal(jax.random.key(0), (2, 9, config.embed))
    g = jax.random.normal(jax.random.key(1), x.shape)
    ours, pull = jax.vjp(jax.jit(lambda w, x: mlp(w, x, config)), w, x)
    plain, plain_pull = jax.vjp(jax.jit(plain_mlp), w, x)

    def compare(found, wanted):
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, wanted, rtol=0, atol=within * float(jnp.abs(wanted).max()))

    jax.tree.map(compare, (ours, pull(g)), (plain, plain_pull(g)))


def test_gelu_far_from_zero_is_a_ramp(tiny):
    """Inputs of +-1e4 give themselves or zero, with slopes of exactly 1 and 0."""
    config = tiny()
    D, F = config.embed, config.hidden
    w = {"up": jnp.eye(D, F), "up_bias": jnp.zeros(F), "down": jnp.eye(F, D), "down_bias": jnp.zeros(D)}
    x = jnp.where(jnp.arange(D) % 2 == 0, 1e4, -1e4)[None, None].astype(jnp.float32)
    value, pull = jax.vjp(lambda x: mlp(w, x, config), x)
    np.testing.assert_array_equal(value, jnp.maximum(x, 0))
    np.testing.assert_array_equal(pull(jnp.ones_like(x))[0], (x > 0).astype(jnp.float32))


def test_the_norm_is_the_formula(tiny):
    """(x - mean) / sqrt(variance + eps) * scale + bias, against NumPy in f64, also for inputs far from zero."""
    config = tiny(norm_eps=1e-3)
    random = np.random.default_rng(0)
    x, scale, bias = random.normal(50, 2, (2, 3, 16)), random.normal(1, 1, 16), random.normal(0, 1, 16)
    wanted = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3) * scale + bias
    found = norm({"scale": jnp.float32(scale), "bias": jnp.float32(bias)}, jnp.float32(x), config)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)


def test_linear_contracts_the_axes_it_is_told(tiny):
    """[..., H, K] with w[H, K, D] and [..., D] with w[D, H, K]."""
    config = tiny()
    random = np.random.default_rng(0)
    x, w, b = (jnp.float32(random.normal(0, 1, shape)) for shape in ((2, 3, 4, 5), (4, 5, 6), (6,)))
    np.testing.assert_allclose(linear(x, w, b, config, contract=2), jnp.einsum("bthk,hkd->btd", x, w) + b, atol=1e-5)
    x, w, b = (jnp.float32(random.normal(0, 1, shape)) for shape in ((2, 3, 6), (6, 4, 5), (4, 5)))
    np.testing.assert_allclose(linear(x, w, b, config), jnp.einsum("btd,dhk->bthk", x, w) + b, atol=1e-5)


def test_sub_norms_stand_before_the_last_projections(tiny, noisy_params):
    """MAGNETO's: what `down` reads is of mean 0 and variance 1 over all hidden units, before gain and bias; for `out`, over all heads."""
    config = tiny(sub_norm=True)
    block = jax.tree.map(lambda w: w[0], noisy_params(config)["blocks"][0])
    w, x_BTD = block["mlp"], jax.random.normal(jax.random.key(0), (2, 3, config.embed))
    h_BTF = gelu_tanh(linear(x_BTD, w["up"], w["up_bias"], config))[0]
    h_BTF = (h_BTF - h_BTF.mean(-1, keepdims=True)) / jnp.sqrt(h_BTF.var(-1, keepdims=True) + config.norm_eps)
    wanted = linear(h_BTF * w["sub_scale"] + w["sub_bias"], w["down"], w["down_bias"], config)
    np.testing.assert_allclose(mlp(w, x_BTD, config), wanted, rtol=0, atol=1e-4)
    mixed_BTHK = 3 + jax.random.normal(jax.random.key(1), (2, 3, config.heads, config.width))
    plain = {"sub_scale": jnp.ones((config.heads, config.width)), "sub_bias": jnp.zeros((config.heads, config.width))}
    assert block["attention"]["sub_scale"].shape == plain["sub_scale"].shape
    normed = sub_norm(plain, mixed_BTHK, config)
    np.testing.assert_allclose(normed.mean((2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(normed.var((2, 3)), 1, atol=1e-3)
