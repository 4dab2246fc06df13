"""A mesh changes where the numbers of a training lie, not what they are."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from tenfold.codefusion.run import read_fusion_run
from tenfold.codefusion.train import train_fusion
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tiny_fusion import AUTOREGRESSIVE, FUSION, MASKED, tiny_fusion
from tiny_reader import with_reader, write_gpt


def losses_of(file: Path) -> list[float]:
    return [line["loss"] for line in map(json.loads, file.read_text().splitlines()) if "loss" in line]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_kind_trains_the_same_over_data_fsdp_and_tensor(run_python, pairs, tokenizer, tmp_path):
    """f32: four steps on 2 x 2 x 2 devices give the losses of one device, and its weights; with a reader too."""
    program, gpt = Path(__file__).parent / "on_eight_devices.py", tmp_path / "gpt"
    write_gpt(gpt)
    tokenizer.save(gpt / "tokenizer")
    run_python(program, pairs, tmp_path / "cut", gpt, devices=8, timeout=550, env={"PYTHONPATH": str(Path(__file__).parents[1])})
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    recipes = {model.kind: tiny_fusion(pairs, model, steps=4) for model in (FUSION, MASKED, AUTOREGRESSIVE)}
    recipes |= {"read": with_reader(recipes["codefusion"], gpt)}
    for name, recipe in recipes.items():
        train_fusion(recipe, tmp_path / "one" / name)
        runs = [read_fusion_run(tmp_path / where / name) for where in ("one", "cut")]
        one, cut = (losses_of(run.path / "metrics.jsonl") for run in runs)
        assert len(one) == 4 and one[0] != one[-1] and cut == pytest.approx(one, rel=1e-5), name
        jax.tree.map(lambda a, b: np.testing.assert_allclose(b, a, atol=1e-4), *(run.params(mesh)[0] for run in runs))
