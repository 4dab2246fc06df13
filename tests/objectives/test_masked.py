"""BERT's noise by its fractions and its determinism; the loss by whose gradient it is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.model.config import ModelConfig
from tenfold.model.params import init_params
from tenfold.objectives.masked import chosen_count, mask_row, masked_loss

VOCAB = 1000


def many(rows: int = 400, length: int = 200):
    """Tokens, noisy tokens and choices of many rows."""
    tokens = np.random.default_rng(0).integers(0, VOCAB, (rows, length))
    masked = [mask_row((7, number), row, np.ones(length, bool), VOCAB) for number, row in enumerate(tokens)]
    return tokens, np.stack([row.tokens_T for row in masked]), np.stack([row.chosen_T for row in masked])


def test_fractions_are_the_papers():
    """15% chosen, exactly; of those 80% masked, 10% random, 10% as they were, within 4 standard deviations; the rest untouched."""
    tokens, read, chosen = many()
    assert (chosen.sum(1) == 30).all()
    n, masked = chosen.sum(), read[chosen] == VOCAB
    same = (read == tokens)[chosen]
    assert abs(masked.sum() - 0.8 * n) < 4 * (0.16 * n) ** 0.5
    assert abs(same.sum() - 0.1 * n * (1 + 1 / VOCAB)) < 4 * (0.09 * n) ** 0.5
    swapped = read[chosen][~masked & ~same]
    assert abs(swapped.mean() - VOCAB / 2) < 4 * VOCAB / (12 * len(swapped)) ** 0.5 and swapped.min() >= 0 and swapped.max() < VOCAB
    assert (read == tokens)[~chosen].all()
    assert abs(chosen.mean(0) - 0.15).max() < 4.5 * (0.15 * 0.85 / 400) ** 0.5  # every position alike


@given(st.integers(0, 2**32), st.lists(st.booleans(), min_size=1, max_size=80))
def test_only_what_may_be_chosen_is(seed, may):
    """15% of it, at least one where there is any."""
    tokens = np.arange(len(may))
    row = mask_row((seed,), tokens, np.array(may), VOCAB)
    assert not row.chosen_T[~np.array(may)].any()
    assert row.chosen_T.sum() == (max(1, round(0.15 * sum(may))) if any(may) else 0)
    assert (row.tokens_T == tokens)[~row.chosen_T].all()


def test_noise_is_a_function_of_the_seed_and_the_row():
    tokens, may = np.arange(64), np.ones(64, bool)
    first = mask_row((1, 5), tokens, may, VOCAB)
    for a, b in zip(first, mask_row((1, 5), tokens, may, VOCAB), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((first.chosen_T != mask_row(seed, tokens, may, VOCAB).chosen_T).any() for seed in ((1, 6), (2, 5)))
    assert (tokens == np.arange(64)).all()


CONFIG = ModelConfig(
    vocab=67, context=8, layers=1, embed=16, heads=2, causal=False, norm_place="after", embedding_norm=True, head_transform=True,
    head_bias=True, token_types=2, dtype="float32",
)  # fmt: skip


@pytest.mark.slow
def test_the_loss_is_that_of_the_chosen_positions():
    """Other targets change nothing; a chosen position's gradient reaches both sides of it; the weight is the chosen ones' count."""
    params = init_params(jax.random.key(0), CONFIG)
    tokens, targets = np.random.default_rng(0).integers(0, 67, (2, 2, 8))
    weights = np.zeros((2, 8), np.float32)
    weights[:, 3] = 1
    sums = masked_loss(params, CONFIG, tokens, targets, weights)
    elsewhere = np.where(weights == 1, targets, 0)
    assert sums.loss == masked_loss(params, CONFIG, tokens, elsewhere, weights).loss and sums.weight == 2
    grads = [jax.grad(lambda p, t=t: masked_loss(p, CONFIG, tokens, t, weights).loss)(params) for t in (targets, elsewhere)]
    jax.tree.map(np.testing.assert_array_equal, *grads)
    reached = jnp.abs(grads[0]["position"]).max(1)
    assert (reached > 0).all()
    nothing = jax.grad(lambda p: masked_loss(p, CONFIG, tokens, targets, 0 * weights).loss)(params)
    assert all((g == 0).all() for g in jax.tree.leaves(nothing))


@pytest.mark.parametrize("most", [chosen_count(8), 3, 8])
def test_the_head_reads_the_chosen_positions_only(most):
    """The same loss and gradients as with all, for rows with as many chosen as fit, fewer, and none."""
    params = init_params(jax.random.key(0), CONFIG)
    tokens, targets = np.random.default_rng(0).integers(0, 67, (2, 3, 8))
    weights = np.zeros((3, 8), np.float32)
    weights[0, [6, 1, 4][:most]] = weights[1, 7] = 1

    def found(most):
        sums = jax.jit(jax.value_and_grad(lambda p: masked_loss(p, CONFIG, tokens, targets, jnp.asarray(weights), None, 1e-2, most).loss))
        return sums(params)

    (one, ones), (whole, all_of_them) = found(most), found(0)
    assert float(one) == pytest.approx(float(whole), rel=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-5), ones, all_of_them)


@given(st.integers(1, 600), st.integers(0, 600))
def test_no_row_has_more_chosen_positions_than_the_bound(length, real):
    may = np.arange(length) < real
    assert mask_row((1,), np.zeros(length, int), may, VOCAB).chosen_T.sum() <= min(chosen_count(length), length)


def test_a_causal_model_is_refused():
    with pytest.raises(ValueError, match="looks both ways"):
        masked_loss({}, ModelConfig(), None, None, None)
