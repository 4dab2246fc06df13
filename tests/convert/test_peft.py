"""Adapters in PEFT's form; benchmarks/parity/peft_adapter.py compares them with the library itself."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from tenfold.convert.hugging_face import open_checkpoint
from tenfold.convert.peft import save_adapters
from tenfold.errors import UserError
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.train.lora import init_adapters, merge
from tenfold.train.recipe import LORA_TARGETS, LoraConfig

GOLDEN = Path(__file__).parent.parent / "golden" / "families"


def saved(family: str, lora: LoraConfig, out: Path):
    """(what is in the files, the change of each of the checkpoint's tensors by the adapters)."""
    checkpoint = open_checkpoint(GOLDEN / family, "float32")
    config, names = checkpoint.config, checkpoint.names
    random = np.random.default_rng(0)
    adapters = init_adapters(jax.random.key(0), config, lora)
    adapters = jax.tree.map(lambda w: jnp.asarray(random.normal(0, 1, w.shape), jnp.float32), adapters)
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


def test_layers_that_hold_several_weights_are_refused(tmp_path):
    with pytest.raises(UserError, match="c_attn.weight' holds our .*query, .*value in one layer"):
        saved("gpt2", LoraConfig(rank=2), tmp_path / "out")
    assert not (tmp_path / "out").exists()
