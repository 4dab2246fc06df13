"""Weights in 8 bits, and adapters' dropout: how far they are from plain weights, by their own bounds."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.model.config import ModelConfig
from tenfold.model.forms import Adapted, Int8, bits, dense, dense_params, quantise, quantised_params, spelled
from tenfold.model.layers import linear, linear_many, lookup, low_rank
from tenfold.model.params import init_params
from tenfold.model.transformer import forward
from tenfold.objectives.causal import causal_loss

CONFIG = ModelConfig(vocab=256, context=8, layers=2, embed=64, heads=4, dtype="float32")


def random(*shape):
    return jnp.asarray(np.random.default_rng(sum(shape)).normal(0, 1, shape), jnp.float32)


def test_no_number_moves_by_more_than_half_its_outputs_scale():
    """And the largest of each output by none, or nearly; an output of zeros stays so."""
    w = random(16, 3, 5).at[:, 1, 2].set(0)
    q = quantise(w, (0,))
    assert q.values.dtype == jnp.int8 and q.scale.shape == (1, 3, 5)
    np.testing.assert_allclose(q.scale[0], np.where(np.abs(w).max(0) > 0, np.abs(w).max(0), 1) / 127, rtol=1e-6)
    assert (np.abs(dense(q) - w) <= 0.501 * q.scale).all() and (dense(q)[:, 1, 2] == 0).all()
    assert (np.abs(q.values).max(0) == np.where(np.abs(w).max(0) > 0, 127, 0)).all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_products_are_those_of_the_weight_it_stands_for(dtype):
    """With one axis or two to sum over, one weight or several; so is the gradient of the input."""
    config, x, far = replace(CONFIG, dtype=dtype), random(2, 3, 6), 3e-2 if dtype == "bfloat16" else 1e-4
    x = x.astype(dtype).astype(jnp.float32)
    into, out = quantise(random(6, 4, 5), (0,)), quantise(random(3, 6, 7), (0, 1))
    np.testing.assert_allclose(linear(x, into, None, config), np.einsum("btd,dhk->bthk", x, dense(into)), atol=1e-4)
    np.testing.assert_allclose(linear(x, out, None, config, 2), np.einsum("bhk,hkd->bd", x, dense(out)), atol=1e-4)
    for y, w in zip(linear_many({"a": into, "b": dense(into)}, ("a", "b"), x, config), (into, into), strict=True):
        np.testing.assert_allclose(y, linear(x, w, None, config), atol=0.2 if dtype == "bfloat16" else 1e-4)
    slopes = [jax.grad(lambda x, w=w: jnp.sin(linear(x, w, None, CONFIG)).sum())(x) for w in (into, dense(into))]
    np.testing.assert_allclose(*slopes, atol=far)


def test_rows_of_a_table_are_looked_up_in_it():
    table = quantise(random(9, 4), (1,))
    np.testing.assert_array_equal(lookup(table, jnp.array([[1, 8], [0, 1]])), dense(table)[np.array([[1, 8], [0, 1]])])


@pytest.mark.parametrize("changes", [dict(), dict(gated=True, kv_heads=2, experts=2, shared_experts=1, tied=False, scan=True)])
def test_a_model_in_8_bits_is_near_the_one_it_was(changes):
    """Its loss is that of the plain weights it stands for, and within 1% of the unquantised; it takes little over a quarter."""
    config = replace(CONFIG, **changes)
    params = jax.jit(init_params, static_argnums=1)(jax.random.key(0), config)
    small = jax.jit(quantised_params, static_argnums=0)(config, params)
    size, was = (sum(w.nbytes for w in jax.tree.leaves(tree)) for tree in (small, params))
    assert 0.25 < size / was < 0.3
    tokens = jnp.asarray(np.random.default_rng(2).integers(0, 256, (4, 9)), jnp.int32)
    loss = jax.jit(lambda params: causal_loss(params, config, tokens[:, :-1], tokens[:, 1:], jnp.ones((4, 8))).loss)
    quantised, dequantised, plain = (float(loss(tree)) for tree in (small, dense_params(small), params))
    assert quantised == pytest.approx(dequantised, rel=1e-6)
    assert 0 < abs(quantised - plain) < 0.01 * plain
    assert all(isinstance(small["blocks"][0]["attention"][name], Int8) for name in ("query", "key", "value", "out"))


def test_dropout_leaves_out_its_share_and_keeps_the_mean():
    """Of 20,000 draws: each row its own; what is kept is scaled so that the mean is the undropped adapter's, within 5 standard errors."""
    x, rows = random(5), 20_000
    w = Adapted(None, random(5, 3), random(3, 2), jax.random.split(jax.random.key(0), rows), 2.0, 0.3)
    found = np.asarray(jax.jit(lambda x: low_rank(x, w, CONFIG))(jnp.broadcast_to(x, (rows, 1, 5))))[:, 0]
    whole = 2 * x @ w.a @ w.b
    assert (np.abs(found.mean(0) - whole) < 5 * found.std(0) / rows**0.5).all() and found.std(0).min() > 0.1
    assert len(np.unique(found, axis=0)) == 2**5  # every subset of five inputs
    np.testing.assert_allclose(low_rank(x[None, None], replace(w, keys_B=None), CONFIG)[0, 0], whole, rtol=1e-5)


def test_dropout_is_of_the_adapters_input_only():
    """Beside a weight of zeros it drops; what the weight itself adds is whole."""
    x, keys = random(4, 6, 8), jax.random.split(jax.random.key(1), 4)
    w = Adapted(random(8, 5), jnp.zeros((8, 2)), random(2, 5), keys, 1.0, 0.5)
    np.testing.assert_allclose(linear(x, w, None, CONFIG), x @ w.weight, atol=1e-5)


def test_bits_are_the_weights_they_spell_and_whole_loops_read_them():
    config = ModelConfig(vocab=64, context=8, layers=3, embed=16, heads=2, dtype="bfloat16", scan=True)
    params = init_params(jax.random.key(0), config)
    params |= {"blocks": jax.tree.map(lambda w: w.astype(jnp.bfloat16), params["blocks"])}
    as_bits = params | {"blocks": jax.tree.map(bits, params["blocks"])}
    jax.tree.map(np.testing.assert_array_equal, spelled(as_bits), params)
    tokens_BT = jnp.arange(16).reshape(2, 8)
    states = [jax.jit(lambda params: forward(params, config, tokens_BT).x_BTD)(each) for each in (params, as_bits)]
    np.testing.assert_array_equal(*states)
