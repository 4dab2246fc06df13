"""Each kind learns four pairs by heart and writes them exactly, from nothing but their texts; the loss falls in both phases."""

import json
from dataclasses import replace

import pytest

from tenfold.codefusion.generate import load_fusion
from tenfold.codefusion.settings import Sampling
from tenfold.codefusion.train import train_fusion
from tenfold.train.recipe import OptimizerConfig
from tiny_fusion import AUTOREGRESSIVE, FUSION, MASKED, PAIRS

SHAPE: dict = dict(embed=32, mlp=64, denoiser_layers=2)
SETTINGS = {
    "codefusion": [Sampling(steps=5, eta=0.0), Sampling(steps=10, guidance=1.5), Sampling(steps=5, estimate="decoder")],
    "masked": [Sampling(temperature=0.5), Sampling(steps=4, order="confident", temperature=0.0)],
    "autoregressive": [Sampling(temperature=0.0)],
}


def losses(run, name: str) -> list[float]:
    return [line[name] for line in map(json.loads, (run.path / "metrics.jsonl").read_text().splitlines()) if name in line]


@pytest.mark.optimised
@pytest.mark.slow
@pytest.mark.parametrize(
    "model, steps",
    [
        (replace(FUSION, code_width=16, steps=50, **SHAPE), 400),
        (replace(MASKED, **SHAPE), 800),  # its tokens are drawn: after 400 steps one in some hundreds is still another
        (replace(AUTOREGRESSIVE, **SHAPE), 400),
    ],
)
def test_four_pairs_by_heart(recipe, model, steps, tmp_path):
    chosen = recipe(model, steps=steps, batch=16, log_every=20, evaluate_every=200, checkpoint_every=steps, drop_text=0.1, pad_weight=0.3)
    run = train_fusion(
        replace(chosen, optimizer=OptimizerConfig(learning_rate=1e-2, weight_decay=0.0, beta2=0.98, warmup_tokens=2560)), tmp_path / "run"
    )
    loaded = load_fusion(str(run.path))
    for how in SETTINGS[model.kind]:
        found = loaded.generate(list(PAIRS), replace(how, batch=4))
        assert [each.code for (each,) in found] == list(PAIRS.values())
    assert losses(run, "held_out_loss")[-1] < losses(run, "loss")[0] / 5


@pytest.mark.slow
def test_phase_1_learns(recipe, tmp_path):
    """Code alone and denoising: each part of the loss falls."""
    run = train_fusion(recipe(steps=60, batch=8, log_every=20, checkpoint_every=60, tasks=("code", "denoising")), tmp_path / "run")
    for name in ("held_out_loss", "held_out_noise", "held_out_tokens"):
        found = losses(run, name)
        assert found[-1] < 0.8 * found[0]
