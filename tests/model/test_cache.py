"""Decoding with a cache and scoring without one are the same forward pass, so they must give the same numbers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.model.cache import Cache, empty_cache, extend
from tenfold.model.config import Dense
from tenfold.model.transformer import forward, logits

PATTERNS = [("dense",), ("banded:3",), ("dense", "banded:3")]


@partial(jax.jit, static_argnums=1)
def advance(params, config, tokens_BT, cache, real_B=None):
    x_BTD, cache, _ = forward(params, config, tokens_BT, cache=cache, real_B=real_B)
    return logits(params, config, x_BTD), cache


@pytest.mark.parametrize("scan", [False, True], ids=["unrolled", "scanned"])
@pytest.mark.parametrize("attention", PATTERNS, ids=" ".join)
class TestCachedDecoding:
    """Logits within 1e-5 in f32, whatever way the tokens came in."""

    def test_one_token_at_a_time(self, tiny, noisy_params, score, tokens, attention, scan):
        config = tiny(attention=attention, scan=scan, layers=4 if scan else 2)
        params, tokens_BT = noisy_params(config), tokens(config, 3)
        cache, found = empty_cache(config, 3, config.context), []
        for t in range(config.context):
            logits_B1V, cache = advance(params, config, tokens_BT[:, t : t + 1], cache)
            found.append(logits_B1V)
        np.testing.assert_allclose(jnp.concatenate(found, 1), score(params, config, tokens_BT), rtol=0, atol=1e-5)

    def test_rows_of_different_lengths(self, tiny, noisy_params, score, tokens, attention, scan):
        """Prompts of 2, 7 and 5 tokens are read padded to 7, then each row goes on from its own end; the padding leaves no trace."""
        config = tiny(attention=attention, scan=scan, layers=4 if scan else 2)
        params, tokens_BT = noisy_params(config), tokens(config, 3)
        length_B = np.array([2, 7, 5])
        padded = jnp.where(jnp.arange(7) < length_B[:, None], tokens_BT[:, :7], 60)
        wanted = np.asarray(score(params, config, tokens_BT))
        logits_BTV, cache = advance(params, config, padded, empty_cache(config, 3, config.context), length_B)
        for row, length in enumerate(length_B):
            np.testing.assert_allclose(logits_BTV[row, :length], wanted[row, :length], rtol=0, atol=1e-5)
        cache = Cache(cache.layers, jnp.asarray(length_B, jnp.int32))
        for _ in range(config.context - 7):
            place = np.asarray(cache.length_B)[:, None]
            logits_B1V, cache = advance(params, config, jnp.take_along_axis(tokens_BT, place, 1), cache)
            np.testing.assert_allclose(logits_B1V[:, 0], np.take_along_axis(wanted, place[..., None], 1)[:, 0], rtol=0, atol=1e-5)
        np.testing.assert_array_equal(cache.length_B, length_B + config.context - 7)

    def test_several_tokens_after_others(self, tiny, noisy_params, score, tokens, attention, scan):
        """Pieces of 7, 1, 7 and 1 tokens: a later piece sees the earlier ones and itself, causally."""
        config = tiny(attention=attention, scan=scan, layers=4 if scan else 2)
        params, tokens_BT = noisy_params(config), tokens(config, 3)
        cache, found, start = empty_cache(config, 3, config.context), [], 0
        for size in (7, 1, 7, 1):
            logits_BTV, cache = advance(params, config, tokens_BT[:, start : start + size], cache)
            found.append(logits_BTV)
            start += size
        np.testing.assert_allclose(jnp.concatenate(found, 1), score(params, config, tokens_BT), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_dilated_layers_decode_across_their_segments(tiny, noisy_params, score, tokens):
    """Segments of 3 and 8 in a row of 16, none of whose dilations divides them: rows of different lengths, and pieces of several tokens."""
    shared = (tiny, noisy_params, score, tokens, ("dilated:3x1,8x2,16x5",))
    TestCachedDecoding().test_rows_of_different_lengths(*shared, False)
    TestCachedDecoding().test_several_tokens_after_others(*shared, True)


def test_a_cache_larger_than_the_model_is_refused(tiny):
    with pytest.raises(ValueError, match="17 positions, but the model knows 16"):
        empty_cache(tiny(), 1, 17)


@pytest.mark.parametrize("scan", [False, True])
def test_the_cache_is_as_large_as_it_says(tiny, scan):
    """2 L B S H K numbers, whether layers are looped over or not."""
    config = tiny(dtype="bfloat16", scan=scan)
    cache = empty_cache(config, 3, 10)
    size = sum(a.size for layer in cache.layers for a in (layer.k_BGSK, layer.v_BGSK))
    assert size == 2 * config.layers * 3 * 10 * config.heads * config.width


def test_a_dilated_layers_cache_does_not_grow_with_the_context(tiny):
    """2 B H K numbers for each of the w / r of its branches, for any number of positions beyond the segments."""
    schedule = "dilated:64x1,128x2,100000x1000"
    config = tiny(context=100_000, attention=(schedule,))
    cache = jax.eval_shape(lambda: empty_cache(config, 3, 100_000))
    assert sum(a.size for a in jax.tree.leaves(cache.layers)) == 2 * config.layers * 3 * config.heads * config.width * (64 + 64 + 100)


@pytest.mark.parametrize("rows", [1, 3, 20])
def test_each_row_is_written_from_its_own_index(tiny, rows):
    """In place row by row, or all at once when there are many; what is written is rounded to the compute type."""
    config = tiny(dtype="bfloat16")
    start_B = jnp.arange(rows) % 7
    k_BTHK, v_BTHK = np.random.default_rng(0).normal(0, 1, (2, rows, 3, config.heads, config.width)).astype(np.float32)
    found = extend(empty_cache(config, rows, 10).layers[0], Dense(), config, jnp.asarray(k_BTHK), jnp.asarray(v_BTHK), start_B)
    for array, new in ((found.k_BGSK, k_BTHK), (found.v_BGSK, v_BTHK)):
        wanted = np.zeros((rows, config.heads, 10, config.width), np.float32)
        for row, start in enumerate(np.asarray(start_B)):
            wanted[row, :, start : start + 3] = np.asarray(new[row].swapaxes(0, 1).astype(jnp.bfloat16), np.float32)
        np.testing.assert_array_equal(np.asarray(array, np.float32).reshape(wanted.shape), wanted)
