"""Properties of the forward pass."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.model.params import restack
from tenfold.model.transformer import forward
from tenfold.objectives.causal import causal_loss

PATTERNS = [("dense",), ("banded:3",), ("dense", "banded:3")]


def test_tokens_after_do_not_matter_and_tokens_before_do(tiny, noisy_params, score, tokens):
    """Changing token 9 leaves the logits of positions before it as they are, to the last bit, and changes its own and all later ones."""
    config = tiny()
    params, tokens_BT = noisy_params(config), tokens(config)
    changed = tokens_BT.at[:, 9].set((tokens_BT[:, 9] + 1) % config.vocab)
    before, after = np.asarray(score(params, config, tokens_BT)), np.asarray(score(params, config, changed))
    np.testing.assert_array_equal(before[:, :9], after[:, :9])
    assert (np.abs(before - after)[:, 9:].max(-1) > 1e-4).all()


@pytest.mark.parametrize("attention", [("dense",), ("dense", "banded:3")], ids=" ".join)
def test_a_scanned_model_is_the_unrolled_one(tiny, noisy_params, tokens, attention):
    """The same layers, stacked otherwise: the same loss and gradients; restacking there and back changes nothing."""
    scanned, unrolled = tiny(attention=attention, scan=True, layers=4), tiny(attention=attention, layers=4)
    params = noisy_params(scanned)
    spread = params | {"blocks": restack(params["blocks"], unrolled.period)}
    inputs = tokens(scanned), (tokens(scanned) + 1) % 61, jnp.ones((2, 16))
    gradient = jax.jit(jax.value_and_grad(lambda p, c: causal_loss(p, c, *inputs).loss), static_argnums=1)
    (loss_a, grads_a), (loss_b, grads_b) = gradient(params, scanned), gradient(spread, unrolled)
    grads_b = grads_b | {"blocks": restack(grads_b["blocks"], scanned.period)}
    assert float(loss_a) == pytest.approx(float(loss_b), rel=1e-6)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), grads_a, grads_b)
    jax.tree.map(np.testing.assert_array_equal, params["blocks"], restack(spread["blocks"], scanned.period))


def test_restacking_keeps_the_order_of_the_layers():
    """Layer l is blocks[l % period][l // period], for every period."""
    for period in (1, 2, 3, 6):
        blocks = [{"w": jnp.arange(first, 6, period)} for first in range(period)]
        for other in (1, 2, 3, 6):
            for first, stack in enumerate(restack(blocks, other)):
                assert stack["w"].tolist() == list(range(first, 6, other))
    with pytest.raises(ValueError, match="6 layers do not make 4 equal stacks"):
        restack(blocks, 4)


@pytest.mark.parametrize("scan", [False, True], ids=["unrolled", "scanned"])
def test_rematerialisation_changes_no_number(tiny, noisy_params, tokens, scan):
    """What is computed again instead of kept gives the same gradients."""
    plain = tiny(scan=scan, layers=4, attention=("dense", "banded:3"))
    saving = replace(plain, remat="block")
    params, tokens_BT = noisy_params(plain), tokens(plain)
    gradient = jax.jit(jax.grad(lambda p, c: causal_loss(p, c, tokens_BT, tokens_BT, jnp.ones((2, 16))).loss), static_argnums=1)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), gradient(params, plain), gradient(params, saving))


@pytest.mark.parametrize("attention", PATTERNS, ids=" ".join)
def test_a_document_does_not_see_the_one_packed_before_it(tiny, noisy_params, score, tokens, attention):
    """Two documents in a row. With segments, the second's logits do not depend on the first's tokens; without, they do (unless a band
    is too narrow). Positions stay those of the row, so the second is compared with itself behind another first document."""
    config = tiny(attention=attention)
    params, tokens_BT = noisy_params(config), tokens(config)
    other = tokens_BT.at[:, :7].set((tokens_BT[:, :7] + 5) % config.vocab)
    segments_BT = jnp.broadcast_to(jnp.where(jnp.arange(16) < 7, 1, 2), (2, 16))
    np.testing.assert_array_equal(score(params, config, tokens_BT, segments_BT)[:, 7:], score(params, config, other, segments_BT)[:, 7:])
    assert (np.abs(score(params, config, tokens_BT) - score(params, config, other))[:, 7].max(-1) > 1e-4).all()


def test_one_document_in_a_row_is_as_if_unmasked(tiny, noisy_params, score, tokens):
    config = tiny(attention=("dense", "banded:3"))
    params, tokens_BT = noisy_params(config), tokens(config)
    masked = score(params, config, tokens_BT, jnp.ones_like(tokens_BT))
    np.testing.assert_allclose(masked, score(params, config, tokens_BT), rtol=0, atol=1e-5)


def test_a_first_document_is_as_if_alone(tiny, noisy_params, score, tokens):
    """The first document of a packed row scores as it does in a row of its own."""
    config = tiny()
    params, tokens_BT = noisy_params(config), tokens(config)
    segments_BT = jnp.broadcast_to(jnp.where(jnp.arange(16) < 7, 1, 2), (2, 16))
    alone = score(params, config, tokens_BT[:, :7])
    np.testing.assert_allclose(score(params, config, tokens_BT, segments_BT)[:, :7], alone, rtol=0, atol=1e-5)


def test_rows_do_not_mix(tiny, noisy_params, score, tokens):
    config = tiny(attention=("dense", "banded:3"))
    params, tokens_BT = noisy_params(config), tokens(config, 3)
    changed = tokens_BT.at[1].set(0)
    before, after = score(params, config, tokens_BT), score(params, config, changed)
    np.testing.assert_array_equal(before[jnp.array([0, 2])], after[jnp.array([0, 2])])


def test_bf16_rounds_only_the_products(tiny, noisy_params, tokens):
    """The residual stream and the result are f32, and close to the f32 model's: within 3% of its spread."""
    plain, rounded = tiny(embed=64), tiny(embed=64, dtype="bfloat16")
    params, tokens_BT = noisy_params(plain), tokens(plain)
    a, b = (jax.jit(lambda p, c=c: forward(p, c, tokens_BT)[0])(params) for c in (plain, rounded))
    assert a.dtype == b.dtype == jnp.float32
    assert 0 < float(jnp.abs(a - b).max()) < 0.03 * float(a.std())


def test_a_row_longer_than_the_learned_positions_is_refused(tiny, noisy_params):
    config = tiny()
    with pytest.raises(ValueError, match="17 tokens in a row, but the model knows 16 positions"):
        forward(noisy_params(config), config, jnp.zeros((1, 17), jnp.int32))
