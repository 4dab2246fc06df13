"""The count of operations, against XLA's own and against counting by hand."""

import jax
import jax.numpy as jnp
import pytest

from tenfold.model.config import Banded, Dense, ModelConfig
from tenfold.model.flops import forward_flops_per_token, mean_positions_seen, train_flops_per_token
from tenfold.model.params import init_params
from tenfold.model.transformer import forward, logits
from tenfold.recipes.gpt3 import TABLE, gpt3


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(vocab=1000, context=16, layers=2, embed=256, heads=4, dtype="float32"),
        ModelConfig(vocab=4000, context=16, layers=3, embed=128, heads=2, dtype="float32"),
        ModelConfig(vocab=500, context=16, layers=2, embed=192, heads=2, head_dim=64, mlp=1024, dtype="float32"),
    ],
    ids=["usual", "mostly head", "odd widths"],
)
def test_the_formula_is_what_xla_counts(config):
    """XLA's count of the forward and the head, before any optimisation, within 4% above: it also counts sums, gelu and norms.

    The context is short, so that attention's share (which XLA counts whole, the formula causally) is under 1%.
    """
    params = jax.eval_shape(lambda: init_params(jax.random.key(0), config))
    tokens_BT = jax.ShapeDtypeStruct((2, config.context), jnp.int32)
    counted = jax.jit(lambda p, t: logits(p, config, forward(p, config, t)[0])).lower(params, tokens_BT).cost_analysis()["flops"]
    assert 1.0 <= counted / (2 * config.context * forward_flops_per_token(config)) < 1.04


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
