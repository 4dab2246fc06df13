"""Adapters in PEFT's form: those that the library wrote (golden/adapters.py) give its logits, and ours give back ours.

benchmarks/parity/peft_adapter.py has the library read ours.
"""

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

import tenfold
from tenfold import api
from tenfold.api import export
from tenfold.convert.hugging_face import open_checkpoint
from tenfold.convert.peft import read_adapters, save_adapters
from tenfold.errors import UserError
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.train.lora import init_adapters, merge, unmerge
from tenfold.train.recipe import LORA_TARGETS, LoraConfig

GOLDEN = Path(__file__).parent.parent / "golden" / "families"
ADAPTERS = GOLDEN.parent / "adapters"


def noisy(adapters):
    random = np.random.default_rng(0)
    return jax.tree.map(lambda w: jnp.asarray(random.normal(0, 1, w.shape), jnp.float32), adapters)


def saved(family: str, lora: LoraConfig, out: Path):
    """(what is in the files, the change of each of the checkpoint's tensors by the adapters)."""
    checkpoint = open_checkpoint(GOLDEN / family, "float32")
    config, names = checkpoint.config, checkpoint.names
    adapters = noisy(init_adapters(jax.random.key(0), config, lora))
    save_adapters(out, config, adapters, lora.alpha, "base")
    before = checkpoint.params(make_mesh(MeshConfig(), jax.devices()[:1]))
    after = merge(before, adapters, lora)
    change = {
        theirs: names.write(row, place, layer, after) - names.write(row, place, layer, before)
        for theirs, row, place, layer in names.tensors()
    }
    return load_file(out / "adapter_model.safetensors"), json.loads((out / "adapter_config.json").read_text()), change


@pytest.mark.parametrize(
    ("family", "targets", "found", "turned"),
    [
        ("llama_gqa", LORA_TARGETS, ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"], True),
        ("gpt2", ("out", "up"), ["attn.c_proj", "c_fc"], False),
    ],
)
def test_the_files_change_the_layers_as_we_do(family, targets, found, turned, tmp_path):
    """alpha / r B A, as PEFT forms it, is what merging adds to each tensor, and to no other; names find the adapted layers only."""
    lora = LoraConfig(rank=3, alpha=7.0, targets=targets)
    tensors, said, change = saved(family, lora, tmp_path)
    assert said["target_modules"] == found and said["fan_in_fan_out"] is not turned and said["r"] == 3 and said["lora_alpha"] == 7
    adapted = {name for name, delta in change.items() if np.abs(delta).max() > 0}
    ends = tuple(f".{module}.weight" for module in found)
    assert adapted == {name for name in change if name.endswith(ends)} and len(tensors) == 2 * len(adapted)
    for name in adapted:
        layer = "base_model.model." + name.removesuffix(".weight")
        product = 7 / 3 * tensors[f"{layer}.lora_B.weight"] @ tensors[f"{layer}.lora_A.weight"]
        np.testing.assert_allclose(product if turned else product.T, change[name], rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", sorted(path.name for path in ADAPTERS.iterdir()))
def test_the_librarys_adapters_give_its_logits(family):
    """Linear and fused layers, another rank, alpha or scaling for some, layers without, an encoder, cross-attention."""
    model = tenfold.load(GOLDEN / family, adapter=ADAPTERS / family)
    with np.load(GOLDEN / family / "expected.npz") as base, np.load(ADAPTERS / family / "expected.npz") as adapted:
        tokens = [base[name] for name in ("tokens", "decoder_tokens") if name in base]
        without, expected = base["logits"], adapted["logits"]
    logits = np.asarray(replace(model, config=replace(model.config, dtype="float32")).logits(*tokens))
    assert np.abs(logits - expected).max() < 1e-4 < 0.1 < np.abs(expected - without).max()
    assert (logits.argmax(-1) == expected.argmax(-1)).all()


@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_an_export_merges_them_without_loading_the_model(family, tmp_path, monkeypatch):
    """The tensors of the model that `load` merges, of fused layers and of an encoder-decoder."""
    loaded = tenfold.load(GOLDEN / family, adapter=ADAPTERS / family)
    monkeypatch.setattr(api, "adapted", None)
    export(GOLDEN / family, tmp_path / "out", adapter=ADAPTERS / family)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=0, atol=1e-6), tenfold.load(tmp_path / "out").params, loaded.params)


@pytest.mark.parametrize(("family", "targets"), [("gpt2", ("query", "value", "down")), ("t5_gated", LORA_TARGETS)])
def test_what_is_written_is_read_back(family, targets, tmp_path):
    """Merged, and of layers that hold one of our weights the same A and B; unmerged, the base."""
    config = open_checkpoint(GOLDEN / family, "float32").config
    params = open_checkpoint(GOLDEN / family, "float32").params(make_mesh(MeshConfig(), jax.devices()[:1]))
    lora = LoraConfig(rank=2, alpha=5.0, targets=targets)
    adapters = noisy(init_adapters(jax.random.key(0), config, lora))
    save_adapters(tmp_path, config, adapters, lora.alpha, "base")
    found = read_adapters(tmp_path, config)
    read = LoraConfig(found.rank, found.alpha, found.targets)
    assert set(found.targets) >= set(targets)
    ours, theirs = merge(params, adapters, lora), merge(params, found.tree, read)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=0, atol=1e-5), theirs, ours)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=0, atol=1e-5), unmerge(theirs, found.tree, read), params)
    if family == "t5_gated":
        assert (found.rank, found.alpha) == (2, 5.0)
        jax.tree.map(np.testing.assert_array_equal, found.tree, adapters)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(use_dora=True), "says use_dora True, which is not known here"),
        (dict(bias="all"), "says bias 'all'"),
        (dict(modules_to_save=["lm_head"]), "says modules_to_save"),
        (dict(init_lora_weights="pissa"), "'pissa', which changes the model under"),
        (dict(something_new={"a": 1}), "says something_new"),
        (dict(peft_type="LOHA"), "peft_type 'LOHA'"),
        (dict(r=2), r"lora_A \[3, 28\] and lora_B \[16, 3\] of .*; with rank 2 .* \[2, 28\]"),
    ],
)
def test_options_that_would_not_be_exact_are_refused_by_name(change, message, tmp_path):
    shutil.copytree(ADAPTERS / "llama_gqa", tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UserError, match=message):
        read_adapters(tmp_path / "adapter", open_checkpoint(GOLDEN / "llama_gqa").config)


@pytest.mark.parametrize(
    ("family", "adapter", "message"),
    [
        ("mixtral", "llama_gqa", "_proj', which is no layer of this model that takes one"),
        ("llama", "llama_gqa", "They are not of the same model"),
        ("llama", "none", "is no configuration of adapters"),
    ],
)
def test_adapters_of_another_model_are_refused(family, adapter, message):
    with pytest.raises(UserError, match=message):
        read_adapters(ADAPTERS / adapter, open_checkpoint(GOLDEN / family).config)
