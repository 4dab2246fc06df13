"""The count of operations, against XLA's own and against counting by hand."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

from tenfold.model.config import Banded, Dense, ModelConfig
from tenfold.model.flops import forward_flops_per_token, mean_positions_seen, train_flops_per_token
from tenfold.model.params import init_params
from tenfold.model.transformer import encode, forward, logits
from tenfold.recipes.gpt3 import TABLE, gpt3

LLAMA = ModelConfig(
    vocab=500, context=16, layers=2, embed=256, heads=8, kv_heads=2, mlp=400, gated=True, activation="silu", norm="rms", norm_bias=False,
    positions="rotary", qkv_bias=False, out_bias=False, mlp_bias=False, tied=False, dtype="float32",
)  # fmt: skip


def xla_count(config: ModelConfig, score) -> float:
    """Operations of `score(params, tokens_BT)` on one row, before any optimisation."""
    params = jax.eval_shape(lambda: init_params(jax.random.key(0), config))
    return jax.jit(score).lower(params, jax.ShapeDtypeStruct((1, config.context), jnp.int32)).cost_analysis()["flops"]


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(vocab=1000, context=16, layers=2, embed=256, heads=4, dtype="float32"),
        ModelConfig(vocab=4000, context=16, layers=3, embed=128, heads=2, dtype="float32"),
        ModelConfig(vocab=500, context=16, layers=2, embed=192, heads=2, head_dim=64, mlp=1024, dtype="float32"),
        LLAMA,
        replace(LLAMA, kv_heads=1, residual="parallel", norm="layer"),
        ModelConfig(
            vocab=500, context=16, layers=2, embed=192, heads=3, causal=False, norm_place="after", head_transform=True, dtype="float32"
        ),
    ],
    ids=["usual", "mostly head", "odd widths", "grouped and gated", "one key head, parallel", "sees all, head transform"],
)
def test_the_formula_is_what_xla_counts(config):
    """XLA's count of the forward and the head, before any optimisation, within 4% above: it also counts sums, gelu and norms.

    The context is short, so that attention's share (which XLA counts whole, the formula causally) is under 1%.
    """
    counted = xla_count(config, lambda p, t: logits(p, config, forward(p, config, t).x_BTD))
    assert 1.0 <= counted / (16 * forward_flops_per_token(config)) < 1.04


def test_where_all_is_seen_attention_counts_every_position():
    """A long row of narrow layers, where attention is most of it: XLA's count is near T positions a query, far from (T + 1) / 2."""
    config = ModelConfig(vocab=64, context=512, layers=2, embed=32, heads=1, mlp=32, causal=False, dtype="float32")
    counted = xla_count(config, lambda p, t: logits(p, config, forward(p, config, t).x_BTD))
    assert 1.0 <= counted / (512 * forward_flops_per_token(config)) < 1.2
    assert 4 * 2 * 32 * 512 > 0.6 * forward_flops_per_token(config)


def test_an_encoder_counts_with_its_decoder():
    """T encoded for T decoded: both towers, and the attention between them."""
    config = replace(LLAMA, encoder_layers=3, positions="relative")
    counted = xla_count(config, lambda p, t: logits(p, config, forward(p, config, t, encoded=encode(p, config, t)).x_BTD))
    assert 1.0 <= counted / (16 * forward_flops_per_token(config)) < 1.04


@pytest.mark.parametrize("gated", [False, True])
def test_of_a_mixture_what_a_token_meets_is_counted(gated):
    """As a dense model with a feed-forward layer as wide as the chosen and shared experts together, and the router; not the others."""
    mixture = ModelConfig(layers=3, embed=64, heads=2, mlp=96, gated=gated, experts=8, experts_per_token=2, shared_experts=1)
    wide = replace(mixture, experts=0, shared_experts=0, mlp=3 * 96)
    assert forward_flops_per_token(mixture) == forward_flops_per_token(wide) + 2 * 3 * 64 * 8
    more = replace(mixture, experts=16)
    assert forward_flops_per_token(more) - forward_flops_per_token(mixture) == 2 * 3 * 64 * 8


@pytest.mark.parametrize("T", [1, 2, 7, 16])
@pytest.mark.parametrize("kind", [Dense(), Banded(1), Banded(3), Banded(16), Banded(99)], ids=str)
def test_positions_seen_are_counted_one_by_one(kind, T):
    window = kind.window if isinstance(kind, Banded) else T
    counted = sum(1 for t in range(T) for s in range(T) if 0 <= t - s < window)
    assert mean_positions_seen(kind, T) == pytest.approx(counted / T)


def test_attention_is_counted_by_layer_kind():
    """Dense and banded layers alternate: the count lies midway between all dense and all banded."""
    dense, banded, both = (
        forward_flops_per_token(ModelConfig(context=512, attention=kinds)) for kinds in (("dense",), ("banded:64",), ("dense", "banded:64"))
    )
    assert both == pytest.approx((dense + banded) / 2)
    assert banded < both < dense


def test_training_takes_six_operations_a_weight_and_token():
    """The usual 6 N, for the sizes where weights of products are nearly all there is (175B: within 3%)."""
    model = gpt3("175b").model
    assert train_flops_per_token(model) == pytest.approx(6 * TABLE["175b"].parameters, rel=0.03)


def test_what_is_not_done_is_not_counted():
    """The head at positions nobody reads, and gradients of weights that stay."""
    config = ModelConfig(vocab=512, context=64, layers=2, embed=64, heads=4)
    weights = 2 * (4 * 64 * 64 + 2 * 64 * 256) + 512 * 64
    assert forward_flops_per_token(config) - forward_flops_per_token(config, read=16) == 2 * 512 * 64 * 48 / 64
    assert train_flops_per_token(config) - train_flops_per_token(config, still=True) == 2 * weights


def test_an_encoder_decoder_is_what_xla_counts():
    """With fewer positions decoded than encoded: 64 and 16; what XLA counts besides products is little."""
    config = ModelConfig(
        vocab=512, context=64, layers=2, encoder_layers=3, embed=64, heads=4, positions="relative", norm="rms", dtype="float32"
    )  # fmt: skip
    params = jax.eval_shape(lambda: init_params(jax.random.key(0), config))

    def score(params, tokens, decoder):
        return logits(params, config, forward(params, config, decoder, encoded=encode(params, config, tokens)).x_BTD)

    shapes = [jax.ShapeDtypeStruct((1, n), jnp.int32) for n in (64, 16)]
    counted = jax.jit(score).lower(params, *shapes).cost_analysis()["flops"]
    # Causal attention over the 16 is computed whole.
    whole = 4 * 64 * 2 * (16 - 17 / 2) * 16
    assert 1.0 <= counted / (64 * forward_flops_per_token(config, decoded=16) + whole) < 1.1
