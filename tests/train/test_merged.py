"""Weights merged one at a time are those that are merged all at once."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest

from tenfold.convert.weights import weight
from tenfold.model.config import ModelConfig
from tenfold.model.forms import quantised_params
from tenfold.model.params import map_params, model_params, restack
from tenfold.train.lora import merge, trained_params
from tenfold.train.merged import merged_lazily
from tenfold.train.recipe import LoraConfig

CONFIG = ModelConfig(vocab=67, context=8, layers=4, embed=16, heads=4, attention=("dense", "banded:4"), tied=False)
BOTH = dict(attention=("dense",), encoder_layers=2, positions="relative")
LORA = LoraConfig(rank=3, alpha=6.0, targets=("query", "out", "up"))


def noise(tree):
    random = np.random.default_rng(1)
    return map_params(lambda p: random.normal(0, 0.3, p.shape).astype(np.float32), tree)


@pytest.mark.parametrize("base", ["float32", "int8"])
@pytest.mark.parametrize("changes, targets", [({}, LORA.targets), (BOTH, LORA.targets), (dict(experts=2), ("query", "out"))])
def test_each_is_that_of_the_whole(base, changes, targets):
    """Of a base whose layers are stacked and that has more positions than the run; to the last bit where there is no adapter."""
    config = replace(CONFIG, **changes)
    lora = replace(LORA, targets=targets, base=base)
    params, adapters = (noise(tree) for tree in (model_params(config), trained_params(config, lora)))
    held = jax.jit(partial(quantised_params, config))(params) if base == "int8" else params
    wanted = jax.jit(partial(merge, lora=lora))(held, adapters)
    scanned = replace(config, scan=True, context=12)
    lying = params | {"blocks": restack(params["blocks"], scanned.period)}
    if "position" in lying:
        lying["position"] = np.concatenate([params["position"], np.ones((4, config.embed), np.float32)])
    found = merged_lazily(lying, scanned, adapters, lora, config)

    def compare(path, leaf, whole):
        parts = np.asarray(leaf) if not leaf.period else np.stack([leaf[n] for n in range(len(whole))])
        np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-6, err_msg=str(path))
        assert leaf.pair or (parts == whole).all(), path

    jax.tree_util.tree_map_with_path(compare, found, wanted)
    assert sum(leaf.pair is not None for leaf in jax.tree.leaves(found)) == len(jax.tree.leaves(adapters)) / 2 > 3
    if config.experts:
        one = weight(found, config, "blocks.moe.up", 3, slice(1, 2))
        np.testing.assert_array_equal(one, wanted["blocks"][3]["moe"]["up"][0, 1:2])
    assert not np.array_equal(wanted["embedding"], params["embedding"]) or base == "float32"
