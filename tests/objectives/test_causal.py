"""The loss in chunks, against the loss as the textbook writes it: all logits at once, `jax.nn.log_softmax`, `jax.grad`."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.model.config import ModelConfig
from tenfold.model.params import map_params, model_params
from tenfold.objectives import causal
from tenfold.objectives.causal import causal_loss, chunk_length, token_logprobs, token_losses

B, T, D, V = 2, 20, 8, 300  # more than two slabs of 128 columns, and a rest; chunks of 1 make more than are unrolled


def plain_loss(x_BTD, table_VD, targets_BT, weights_BT, z_loss=0.0):
    """(objective, nll): sums over tokens, with every logit in memory."""
    logits_BTV = jnp.einsum("btd,vd->btv", x_BTD, table_VD)
    nll_BT = -jnp.take_along_axis(jax.nn.log_softmax(logits_BTV), targets_BT[..., None], -1)[..., 0]
    log_z_BT = jax.nn.logsumexp(logits_BTV, -1)
    return ((nll_BT + z_loss * log_z_BT**2) * weights_BT).sum(), (nll_BT * weights_BT).sum()


def inputs(seed=0, spread=3.0):
    random = np.random.default_rng(seed)
    x_BTD, table_VD = random.normal(0, spread, (B, T, D)), random.normal(0, 1, (V, D))
    weights_BT = random.choice([0.0, 1.0, 0.5], (B, T))
    return jnp.float32(x_BTD), jnp.float32(table_VD), jnp.asarray(random.integers(0, V, (B, T)), jnp.int32), jnp.float32(weights_BT)


@pytest.mark.parametrize("chunk, z_loss", [(1, 0.0), (4, 0.0), (20, 0.0), (1, 1e-2), (10, 1e-2)])
def test_any_chunk_size_gives_the_plain_loss_and_gradients(monkeypatch, chunk, z_loss):
    """Sums within 1e-5 relative; gradients of states and table within 1e-5 of their largest."""
    monkeypatch.setattr(causal, "CHUNK_ELEMENTS", B * V * chunk)
    assert chunk_length(B, T, V) == chunk
    x, table, targets, weights = inputs()
    found = jax.jit(lambda x, table: token_losses(x, table, targets, weights, "float32", z_loss))(x, table)
    wanted = plain_loss(x, table, targets, weights, z_loss)
    np.testing.assert_allclose([found.loss, found.nll, found.weight], [*wanted, weights.sum()], rtol=1e-5)
    scale = 0.37  # a gradient that is not 1 reaches the loss from outside, as it does from a mean
    ours = jax.jit(jax.grad(lambda x, t: scale * token_losses(x, t, targets, weights, "float32", z_loss).loss, (0, 1)))(x, table)
    plain = jax.jit(jax.grad(lambda x, t: scale * plain_loss(x, t, targets, weights, z_loss)[0], (0, 1)))(x, table)
    for gradient, wanted in zip(ours, plain, strict=True):
        np.testing.assert_allclose(gradient, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_the_value_is_the_same_with_and_without_a_gradient():
    """The forward pass alone and the one that makes gradients on the spot are two programs."""
    x, table, targets, weights = inputs()
    loss = jax.jit(lambda x: token_losses(x, table, targets, weights, "float32", 1e-3).loss)
    value, _ = jax.jit(jax.value_and_grad(lambda x: token_losses(x, table, targets, weights, "float32", 1e-3).loss))(x)
    assert float(loss(x)) == pytest.approx(float(value), rel=1e-6)


@settings(max_examples=200)
@given(st.integers(1, 64), st.integers(1, 4096), st.integers(1, 200_000))
def test_a_chunk_divides_the_row_and_keeps_within_its_bound(rows, context, vocab):
    chunk = chunk_length(rows, context, vocab)
    assert context % chunk == 0
    assert chunk == 1 or rows * chunk * vocab <= causal.CHUNK_ELEMENTS
    larger = [n for n in range(chunk + 1, context + 1) if context % n == 0]
    assert not larger or rows * larger[0] * vocab > causal.CHUNK_ELEMENTS


def test_tokens_of_no_weight_do_not_count():
    """Neither their targets nor their states change the loss, and their states get no gradient; the weight counts the others."""
    x, table, targets, _ = inputs()
    weights = jnp.ones((B, T)).at[0, 3:7].set(0)
    run = jax.jit(jax.value_and_grad(lambda x, targets: token_losses(x, table, targets, weights, "float32").loss))
    loss, gradient = run(x, targets)
    other, _ = run(x.at[0, 3:7].add(1.0), targets.at[0, 3:7].set(0))
    assert float(loss) == float(other)
    assert (gradient[0, 3:7] == 0).all() and (jnp.abs(gradient).max(-1)[weights > 0] > 0).all()
    assert float(token_losses(x, table, targets, weights, "float32").weight) == B * T - 4


def test_parts_of_a_batch_add_up_to_the_whole():
    """Means by the true number of tokens come from sums: uneven parts need no care."""
    x, table, targets, weights = inputs()
    whole = token_losses(x, table, targets, weights, "float32")
    parts = [token_losses(x[b : b + 1], table, targets[b : b + 1], weights[b : b + 1], "float32") for b in range(B)]
    np.testing.assert_allclose(jax.tree.leaves(whole), sum(jnp.stack(jax.tree.leaves(part)) for part in parts), rtol=1e-6)


def test_logits_far_apart_do_not_overflow():
    """Logits of about +-1e4: a finite loss, finite gradients, and the f64 value."""
    x, table, targets, weights = inputs(spread=2000.0)
    loss, gradient = jax.jit(jax.value_and_grad(lambda x: token_losses(x, table, targets, weights, "float32").loss))(x)
    logits = np.einsum("btd,vd->btv", np.float64(x), np.float64(table))
    highest = logits.max(-1, keepdims=True)
    log_z = np.log(np.exp(logits - highest).sum(-1)) + highest[..., 0]
    wanted = ((log_z - np.take_along_axis(logits, np.asarray(targets)[..., None], -1)[..., 0]) * np.asarray(weights)).sum()
    assert jnp.isfinite(gradient).all()
    assert float(loss) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("vocab", [1, 5, 127, 128, 129])
def test_vocabularies_of_any_size(vocab):
    """Also those narrower than the slabs that a CPU adds up at once."""
    x, table, targets, weights = inputs()
    table, targets = table[:vocab], targets % vocab
    loss, gradient = jax.jit(jax.value_and_grad(lambda x: token_losses(x, table, targets, weights, "float32").loss))(x)
    wanted, plain = jax.jit(jax.value_and_grad(lambda x: plain_loss(x, table, targets, weights)[0]))(x)
    np.testing.assert_allclose(loss, wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradient, plain, rtol=0, atol=1e-5 * max(1.0, np.abs(plain).max()))


def test_equal_logits_cost_the_log_of_the_vocabulary():
    x, table, targets, _ = inputs()
    sums = token_losses(x * 0, table, targets, jnp.ones((B, T)), "float32", z_loss=0.5)
    assert float(sums.nll / sums.weight) == pytest.approx(np.log(V), rel=1e-6)
    assert float(sums.loss / sums.weight) == pytest.approx(np.log(V) + 0.5 * np.log(V) ** 2, rel=1e-6)


def test_bf16_is_close_to_f32():
    """Products of bf16 with f32 sums: the loss within 1%, gradients within 3% of their largest."""
    x, table, targets, weights = inputs(spread=1.0)

    @partial(jax.jit, static_argnums=2)
    def run(x, table, dtype):
        return jax.value_and_grad(lambda x, t: token_losses(x, t, targets, weights, dtype).loss, (0, 1))(x, table)

    (loss, gradients), (loss_16, gradients_16) = run(x, table, "float32"), run(x, table, "bfloat16")
    assert float(loss_16) == pytest.approx(float(loss), rel=0.01)
    for plain, rounded in zip(gradients, gradients_16, strict=True):
        assert rounded.dtype == jnp.float32
        np.testing.assert_allclose(rounded, plain, rtol=0, atol=0.03 * np.abs(plain).max())


def test_log_probabilities_of_tokens(monkeypatch):
    monkeypatch.setattr(causal, "CHUNK_ELEMENTS", B * V * 4)
    x, table, targets, _ = inputs()
    found = jax.jit(lambda x: token_logprobs(x, table, targets, "float32"))(x)
    wanted = np.take_along_axis(np.asarray(jax.nn.log_softmax(x @ table.T)), np.asarray(targets)[..., None], -1)[..., 0]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_logits_never_exist_whole(monkeypatch, dtype):
    """In the compiled loss and gradient of a model of 997 tokens, no array of the vocabulary's width has more than one chunk's rows."""
    monkeypatch.setattr(causal, "CHUNK_ELEMENTS", 2 * 4 * 997)
    config = ModelConfig(vocab=997, context=16, layers=1, embed=8, heads=2, dtype=dtype)
    params = map_params(lambda p: jax.ShapeDtypeStruct(p.shape, jnp.float32), model_params(config))
    batch = jax.ShapeDtypeStruct((2, 16), jnp.int32)
    step = jax.jit(jax.grad(lambda p, t: causal_loss(p, config, t, t, jnp.ones((2, 16)), z_loss=1e-4).loss))
    compiled = step.lower(params, batch).compile().as_text()
    shapes = {tuple(map(int, dims.split(","))) for dims in re.findall(r"\w+\[([\d,]+)\]", compiled)}
    wide = {shape for shape in shapes if 997 in shape}
    assert (2, 4, 997) in wide or (8, 997) in wide or (997, 8) in wide, "the chunk's logits are there, so this test sees what it looks for"
    assert max(int(np.prod(shape)) for shape in wide) <= max(2 * 4, config.embed) * 997
