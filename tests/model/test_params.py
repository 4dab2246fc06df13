"""Weights: how many, how they start, and that the start depends on the key alone."""

import math
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.model.config import ModelConfig
from tenfold.model.params import Param, init_params, map_params, model_params, normal, parameter_count, restack
from tenfold.recipes.gpt3 import TABLE, gpt3


@partial(jax.jit, static_argnums=1)
def start(seed, config):
    return init_params(jax.random.key(seed), config)


@pytest.mark.parametrize("size", TABLE)
def test_gpt3_sizes_count_as_printed(size):
    """Brown et al. 2020, table 2.1: each size's parameters, as built here, within 2% of the printed number."""
    assert parameter_count(gpt3(size).model) == pytest.approx(TABLE[size].parameters, rel=0.02)


@pytest.mark.parametrize("scan", [False, True])
def test_the_count_is_the_textbook_sum(scan):
    """V D + T D + L (4 D^2 + 4 D + 2 D F + F + D + 4 D) + 2 D, in any layout, and the arrays made are that many."""
    config = ModelConfig(vocab=97, context=24, layers=6, embed=20, heads=5, mlp=48, scan=scan, attention=("dense", "banded:4"))
    D, F = 20, 48
    block = 4 * D * D + 4 * D + 2 * D * F + F + D + 4 * D
    wanted = 97 * D + 24 * D + 6 * block + 2 * D
    assert parameter_count(config) == wanted
    assert sum(w.size for w in jax.tree.leaves(jax.eval_shape(lambda key: init_params(key, config), jax.random.key(0)))) == wanted


def test_heads_wider_than_their_share_are_counted(tiny):
    """head_dim is free of embed / heads: 4 D H K weights of attention a layer."""
    narrow, wide = tiny(head_dim=8), tiny(head_dim=24)
    assert parameter_count(wide) - parameter_count(narrow) == 2 * (4 * 16 * 2 * 16 + 3 * 2 * 16)


@pytest.mark.parametrize("layers", [2, 8])
def test_the_start_is_gpt2s(layers):
    """N(0, 0.02); what writes to the residual stream 0.02 / sqrt(2 layers); gains 1, biases 0. Each within 5 standard errors."""
    config = ModelConfig(vocab=512, context=128, layers=layers, embed=64, heads=4, scan=True)
    params = start(3, config)
    residual = 0.02 / math.sqrt(2 * layers)
    stds = {"query": 0.02, "key": 0.02, "value": 0.02, "out": residual, "up": 0.02, "down": residual, "embedding": 0.02, "position": 0.02}
    for path, w in jax.tree_util.tree_flatten_with_path(params)[0]:
        name = path[-1].key
        assert w.dtype == jnp.float32
        if name in stds:
            std = stds[name]
            assert float(w.std()) == pytest.approx(std, rel=5 / math.sqrt(2 * w.size)), name
            assert abs(float(w.mean())) < 5 * std / math.sqrt(w.size), name
        else:
            assert (w == (1 if name == "scale" else 0)).all(), name


def test_the_start_can_be_magnetos():
    """Wang et al. 2022, figure 2: Xavier's normal, gain 1 on queries and keys and sqrt(log(2 layers)) on the other matrices of a block."""
    config = ModelConfig(vocab=512, context=128, layers=8, embed=64, heads=4, kv_heads=2, mlp=96, scan=True, init="magneto")
    blocks, gain = start(3, config)["blocks"][0], math.sqrt(math.log(16))
    stds = {"query": math.sqrt(2 / 128), "key": math.sqrt(2 / 96), "value": gain * math.sqrt(2 / 96), "out": gain * math.sqrt(2 / 128)}
    stds |= dict.fromkeys(("up", "down"), gain * math.sqrt(2 / 160))
    for name, std in stds.items():
        w = (blocks["attention"] | blocks["mlp"])[name]
        assert float(w.std()) == pytest.approx(std, rel=5 / math.sqrt(2 * w.size)), name


def test_every_weight_starts_from_a_key_of_its_own(tiny):
    """No two matrices, and no two layers of one, hold the same numbers."""
    params = start(0, tiny())
    matrices = [np.ravel(w[layer]) for w in jax.tree.leaves(params["blocks"]) for layer in range(w.shape[0]) if np.ptp(w[layer])]
    firsts = [round(float(m[0] / m.std()), 6) for m in matrices]
    assert len(matrices) == 2 * 6 and len(set(firsts)) == len(firsts)


def test_the_start_does_not_depend_on_the_layout(tiny):
    """Scanned or unrolled, the same key gives the same numbers to the last bit; another key gives others."""
    scanned = tiny(layers=4, scan=True, attention=("dense", "banded:3"))
    unrolled = replace(scanned, scan=False)
    a, b = start(5, scanned), start(5, unrolled)
    jax.tree.map(np.testing.assert_array_equal, a | {"blocks": restack(a["blocks"], unrolled.period)}, b)
    assert (start(6, scanned)["embedding"] != b["embedding"]).any()


def test_a_layer_starts_the_same_however_many_there_are(tiny):
    """Up to the residual scale, a deeper model begins with a shallower one's layers: depth can be studied alone."""
    shallow, deep = start(0, tiny(scan=True)), start(0, tiny(layers=4, scan=True))
    np.testing.assert_array_equal(shallow["blocks"][0]["mlp"]["up"], deep["blocks"][0]["mlp"]["up"][:2])


def test_decay_falls_on_matrices_alone(tiny):
    """Products and embeddings are decayed; gains and biases are not."""
    decayed = map_params(lambda p: p.is_matrix, model_params(tiny()))
    names = {path[-1].key: is_matrix for path, is_matrix in jax.tree_util.tree_flatten_with_path(decayed)[0]}
    assert {name for name, yes in names.items() if yes} == {"query", "key", "value", "out", "up", "down", "embedding", "position"}


def test_a_weight_names_every_axis():
    with pytest.raises(ValueError, match=r"\(2, 3\) names 1 axes"):
        Param((2, 3), ("embed",), normal(1))
