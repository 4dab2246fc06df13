"""Run by test_fusion_meshes.py in a process with 8 virtual CPU devices; prints one JSON line a kind. Not a test by itself.

A kind's first steps over data, fsdp and tensor axes, by the trainer itself, beside those of one device: the losses, and how far the
weights are from each other.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

from tenfold.codefusion.run import read_fusion_run
from tenfold.codefusion.train import train_fusion
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tiny_fusion import AUTOREGRESSIVE, FUSION, MASKED, tiny_fusion, write_pairs

CUT = MeshConfig(data=2, fsdp=2, tensor=2)


def losses_of(file: Path) -> list[float]:
    return [line["loss"] for line in map(json.loads, file.read_text().splitlines()) if "loss" in line]


def main(folder: Path) -> None:
    pairs, devices = write_pairs(folder), jax.devices
    for model in (FUSION, MASKED, AUTOREGRESSIVE):
        recipe = tiny_fusion(pairs, model, steps=4, batch=4, log_every=1)
        cut = train_fusion(replace(recipe, mesh=CUT), folder / f"{model.kind}-cut")
        jax.devices = lambda *_: devices()[:1]
        one = train_fusion(recipe, folder / f"{model.kind}-one")
        mesh = make_mesh(MeshConfig())
        weights = [read_fusion_run(run.path).params(mesh)[0] for run in (one, cut)]
        jax.devices = devices
        far = jax.tree.map(lambda a, b: float(np.abs(np.asarray(a) - np.asarray(b)).max()), *weights)
        losses = [losses_of(run.path / "metrics.jsonl") for run in (one, cut)]
        print(json.dumps({"kind": model.kind, "losses": losses, "far": max(jax.tree.leaves(far)), "devices": len(devices())}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
