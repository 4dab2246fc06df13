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


def losses_of(file: Path) -> list[float]:
    return [line["loss"] for line in map(json.loads, file.read_text().splitlines()) if "loss" in line]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_kind_trains_the_same_over_data_fsdp_and_tensor(run_python, pairs, tmp_path):
    """f32: four steps on 2 x 2 x 2 devices give the losses of one device, and its weights."""
    program = Path(__file__).parent / "on_eight_devices.py"
    run_python(program, pairs, tmp_path / "cut", devices=8, timeout=550, env={"PYTHONPATH": str(Path(__file__).parents[1])})
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    for model in (FUSION, MASKED, AUTOREGRESSIVE):
        train_fusion(tiny_fusion(pairs, model, steps=4), tmp_path / "one" / model.kind)
        runs = [read_fusion_run(tmp_path / where / model.kind) for where in ("one", "cut")]
        one, cut = (losses_of(run.path / "metrics.jsonl") for run in runs)
        assert len(one) == 4 and one[0] != one[-1] and cut == pytest.approx(one, rel=1e-5), model.kind
        jax.tree.map(lambda a, b: np.testing.assert_allclose(b, a, atol=1e-4), *(run.params(mesh)[0] for run in runs))
