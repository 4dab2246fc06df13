"""Log-probabilities of choices against all logits at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.model.config import ModelConfig
from tenfold.model.params import init_params
from tenfold.model.transformer import forward, logits
from tenfold.objectives import causal
from tenfold.objectives import chosen as objective
from tenfold.objectives.chosen import chosen_logprobs

CONFIG = ModelConfig(vocab=50, context=8, layers=1, embed=16, heads=2, dtype="float32")
PARAMS = jax.tree.map(lambda w: 5 * w, init_params(jax.random.key(0), CONFIG))
TOKENS, TARGETS = jax.random.randint(jax.random.key(1), (2, 3, 8), 0, 40)


def plain(params, temperature, vocab):
    scaled = logits(params, CONFIG, forward(params, CONFIG, TOKENS).x_BTD)[..., :vocab] / temperature
    logp = jax.nn.log_softmax(scaled)
    return jnp.take_along_axis(logp, TARGETS[..., None], -1)[..., 0], -(jnp.exp(logp) * logp).sum(-1)


@pytest.mark.parametrize("chunk, kept", [(2, 0), (8, 0), (8, 3 * 8 * 50)])
@pytest.mark.parametrize("temperature, vocab", [(1.0, 50), (0.7, 40)])
def test_it_is_the_distribution_that_is_drawn_from(monkeypatch, chunk, kept, temperature, vocab):
    """At a temperature, of the tokenizer's tokens only; values and gradients within 1e-5, for any chunk, and with logits that are kept."""
    monkeypatch.setattr(objective, "KEPT_ELEMENTS", kept)
    monkeypatch.setattr(causal, "CHUNK_ELEMENTS", 3 * 50 * chunk)

    def ours(params):
        return chosen_logprobs(params, CONFIG, TOKENS, TARGETS, jnp.ones(TARGETS.shape), temperature, vocab)

    for found, wanted in zip(ours(PARAMS), plain(PARAMS, temperature, vocab), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    weight = jnp.arange(24.0).reshape(3, 8) / 24
    slopes = [
        jax.jit(jax.grad(lambda p, f=f: sum((weight * x).sum() for x in f(p))))(PARAMS)
        for f in (ours, lambda p: plain(p, temperature, vocab))
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), *slopes)


@pytest.mark.optimised
@pytest.mark.parametrize("most", [3, 5, 8])
def test_the_head_is_asked_at_the_places_that_count_only(most):
    """Values and gradients are those of asking it everywhere, for as many places as count, for more, and for all."""
    mask = jnp.zeros((3, 8)).at[0, 2:5].set(1).at[1, 7].set(1)

    def found(params, most):
        chosen = chosen_logprobs(params, CONFIG, TOKENS, TARGETS, mask, 0.7, 40, most)
        return sum((jnp.where(mask > 0, x, 0.0) * jnp.arange(1.0, 25).reshape(3, 8)).sum() for x in chosen)

    few, whole = (jax.jit(jax.value_and_grad(found), static_argnums=1)(PARAMS, n) for n in (most, 0))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), few, whole)
    logits = jax.make_jaxpr(found, static_argnums=1)(PARAMS, most).pretty_print()
    assert (f"[3,8,{CONFIG.vocab}]" in logits) == (most == 8), "logits are made where they are not asked for"
