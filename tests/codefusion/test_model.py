"""Weights and passes: what each part may see, and how large what it gives may be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.codefusion.config import FusionConfig
from tenfold.codefusion.losses import noisy
from tenfold.codefusion.model import Text, code_table, denoise, fusion_count, fusion_params, layer_count, noise_for, read_text
from tenfold.errors import UserError
from tenfold.model.params import model_params
from tenfold.recipes.codefusion import small
from tiny_fusion import FUSION, PUBLISHED, TINY


def test_the_recipes_have_the_sizes_we_say():
    """docs/codefusion-model.md and the recipe's notes give these counts; the three kinds are within 2% of each other without tables."""
    published = FusionConfig()
    assert round(layer_count(published) / 1e6, 1) == 87.7 and round(fusion_count(published) / 1e6, 1) == 137.1
    assert round(layer_count(small().model) / 1e6, 1) == 1.1 and round(fusion_count(small().model) / 1e6, 1) == 1.2
    for kind in ("masked", "autoregressive"):
        assert layer_count(FusionConfig(kind=kind)) == pytest.approx(layer_count(published), rel=0.02)


def test_the_encoder_is_that_of_an_encoder_decoder():
    """Name by name and shape by shape, so that CodeT5's can take its place."""
    theirs = jax.tree.map(lambda p: p.shape, model_params(FUSION.encoder)["encoder"], is_leaf=lambda p: hasattr(p, "axes"))
    ours = jax.tree.map(lambda p: p.shape, fusion_params(FUSION)["encoder"], is_leaf=lambda p: hasattr(p, "axes"))
    assert theirs == ours


def test_normalised_embeddings_have_one_length(params):
    table = code_table(params | {"code": 1e-3 * params["code"]}, FUSION)
    np.testing.assert_allclose(jnp.square(table).sum(-1), FUSION.width, rtol=1e-3)


@pytest.fixture(scope="module")
def passes(params):
    """Estimates from two texts, f32[2, T, W], and from the same with other padding, with noise for the first, and noise under it."""
    text = jnp.array([[5, 6, 7, 0], [8, 9, 0, 0]])
    real = jnp.array([[True, True, True, False], [True, True, False, False]])
    x = jax.random.normal(jax.random.key(1), (2, FUSION.length, FUSION.width))
    memory_noise = jax.random.normal(jax.random.key(2), (2, 4, FUSION.embed))

    @jax.jit
    def estimate(text, alone):
        encoded = noise_for(read_text(params, FUSION, Text(text, real)), memory_noise, alone)
        return denoise(params, FUSION, x, jnp.array([20, 3]), encoded).x0_BTW

    neither, first = jnp.array([False, False]), jnp.array([True, False])
    other = text.at[0, 3].set(77)
    return {
        "plain": estimate(text, neither),
        "padded": estimate(other, neither),
        "alone": estimate(text, first),
        "other text": estimate(text.at[0, 0].set(99), first),
        "text": estimate(text.at[0, 0].set(99), neither),
    }


def test_padding_of_a_text_is_not_seen_and_its_tokens_are(passes):
    np.testing.assert_array_equal(passes["plain"], passes["padded"])
    assert (passes["plain"][0] != passes["text"][0]).any()
    np.testing.assert_array_equal(passes["plain"][1], passes["text"][1])


def test_code_that_stands_alone_sees_noise_and_no_text(passes):
    assert (passes["alone"][0] != passes["plain"][0]).any()
    np.testing.assert_array_equal(passes["alone"], passes["other text"])


def test_an_estimate_is_no_longer_than_the_longest_embedding(params):
    """At the last step, where a network that predicts noise would be off by thousands."""
    x = jax.random.normal(jax.random.key(0), (1, PUBLISHED.length, PUBLISHED.width))

    @jax.jit
    def estimate(params, x):
        encoded = read_text(params, PUBLISHED, Text(jnp.array([[5, 6]]), jnp.ones((1, 2), bool)))
        return denoise(params, PUBLISHED, x, jnp.array([PUBLISHED.steps]), encoded)

    found = estimate(params, x)
    longest = jnp.sqrt(jnp.square(params["code"]).sum(-1).max())
    lengths = jnp.sqrt(jnp.square(found.x0_BTW).sum(-1))
    assert (lengths <= longest * 1.0001).all() and (lengths > longest * 0.9).any()


def test_given_tokens_have_no_noise():
    code, held = jnp.ones((1, 3, 2)), jnp.array([[True, False, True]])
    x = noisy(FUSION, code, held, jnp.array([20]), 5 * jnp.ones((1, 3, 2)))
    assert (x[0, 0] == 1).all() and (x[0, 2] == 1).all() and (x[0, 1] > 4).all()


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"steps": 1}, "model.steps is 1"),
        ({"embed": 15}, "model.heads is 2, which does not divide model.embed 15"),
        ({"text_length": 8}, "model.text_length is 8 and model.length 16"),
        ({"kind": "masked", "normalised": True}, "model.kind is 'masked', which denoises no embedding"),
        ({"decoder_layers": 0}, "model.decoder_layers is 0"),
    ],
)
def test_shapes_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(UserError, match=message):
        FusionConfig(**(TINY | wrong))
