"""Rows in parts and rounded residuals: the same numbers, and what is no longer held."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.model.parts import in_parts
from tenfold.objectives.causal import causal_loss
from tenfold.objectives.spans import span_loss

SHAPES = {
    "before": dict(attention=("dense", "banded:3"), positions="rotary"),
    "after, gated": dict(norm_place="after", gated=True),
    "shared": dict(residual="shared", positions="rotary"),
    "parallel, LongNet's": dict(residual="parallel", sub_norm=True, attention=("dilated:4x1,16x3",)),
    "T5's": dict(encoder_layers=2, positions="relative", norm="rms", activation="relu"),
}


@pytest.mark.parametrize("chunk", [1, 5, 6, 40])
def test_parts_put_together_are_the_whole(chunk):
    """Values, and gradients of what is cut and of what is not; with a last part that is shorter, and arrays that all rows share."""
    random = np.random.default_rng(0)
    w, x_BTD, y_1TD = (jnp.asarray(random.normal(size=shape), jnp.float32) for shape in ((4, 6), (3, 12, 4), (1, 12, 4)))
    weigh = jnp.asarray(random.normal(size=(3, 12, 6)), jnp.float32)

    def some(w, cut):
        x_BCD, y_1CD = cut
        return jnp.tanh((x_BCD * y_1CD) @ w), x_BCD.sum(-1)

    def total(chunk, w, cut):
        a, b = in_parts(some, chunk, w, cut)
        return (a * weigh).sum() + (b * weigh[..., 0]).sum(), (a, b)

    (_, expected), gradients = jax.value_and_grad(partial(total, 0), (0, 1), has_aux=True)(w, (x_BTD, y_1TD))
    (_, found), found_gradients = jax.value_and_grad(partial(total, chunk), (0, 1), has_aux=True)(w, (x_BTD, y_1TD))
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    jax.tree.map(close, (expected, gradients), (found, found_gradients))


def _gradient(config, tokens_BT):
    def loss(params):
        if not config.encoder_layers:
            return causal_loss(params, config, tokens_BT, tokens_BT, jnp.ones(tokens_BT.shape)).loss
        return span_loss(params, config, tokens_BT, tokens_BT[:, :9], tokens_BT[:, 1:10], jnp.ones((2, 9)), None).loss

    return jax.value_and_grad(loss)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_model_in_parts_has_the_same_loss_and_gradients(tiny, noisy_params, tokens, shape):
    """f32, whose residuals rounding leaves as they are: within 1e-5."""
    whole = tiny(layers=2, scan=True, remat="block", dtype="float32", **shape)
    params, tokens_BT = noisy_params(whole), tokens(whole)
    expected = jax.jit(_gradient(whole, tokens_BT))(params)
    found = jax.jit(_gradient(replace(whole, chunk=5, remat="rounded"), tokens_BT))(params)
    far = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max() / jnp.maximum(jnp.abs(a).max(), 1e-2)), expected, found)
    assert max(jax.tree.leaves(far)) < 1e-5


def test_no_part_s_arrays_are_as_long_as_the_row(tiny, noisy_params, tokens):
    """Of T positions, no array of the feed-forward layer's width is in the program, forward or backward."""
    config = tiny(layers=4, scan=True, remat="block", mlp=56)
    params, tokens_BT = noisy_params(config), tokens(config)

    def wide(config):
        program = str(jax.make_jaxpr(_gradient(config, tokens_BT))(params))
        return [f"[2,{length},56]" in program for length in (16, 4)]

    assert wide(config) == [True, False]
    assert wide(replace(config, chunk=4)) == [False, True]


def test_rounded_residuals_leave_the_loss_and_change_gradients_by_their_rounding(tiny, noisy_params, tokens):
    """bf16: the loss to the last bit, gradients within 2^-5 of the largest of each weight, and what is kept of all layers is bf16."""
    config = tiny(layers=4, scan=True, remat="block", dtype="bfloat16")
    params, tokens_BT = noisy_params(config), tokens(config)
    rounded = replace(config, remat="rounded")
    (loss, expected), (rounded_loss, found) = (jax.jit(_gradient(c, tokens_BT))(params) for c in (config, rounded))
    assert loss == rounded_loss
    far = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max() / jnp.abs(a).max()), expected, found)
    del far["blocks"][0]["attention"]["key_bias"]  # truly zero
    assert 0 < max(jax.tree.leaves(far)) < 2**-5, far
    kept = [f"{kind}[4,2,16,{config.embed}]" for kind in ("f32", "bf16")]
    for one, expected in ((config, [True, False]), (rounded, [False, True])):
        program = str(jax.make_jaxpr(_gradient(one, tokens_BT))(params))
        assert [array in program for array in kept] == expected
