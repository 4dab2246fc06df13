"""A run with random weights, of any size and of a kind whose export puts tensors together, and the memory that the export takes.

Run as a program: `random_run.py FOLDER MEGABYTES KIND` prints what each form took, as JSON. MEGABYTES are those of bf16 weights; what is
written is f32. KIND is one of: scan, of stacked layers; lora and int8, adapters over a base; adapter, those of PEFT beside a model.
"""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from random_checkpoint import config_of, extra_memory, write_random

ALPHA, RANK, TARGETS = 16.0, 8, ("query", "out", "up")


def make(folder: Path, megabytes: float, kind: str) -> None:
    """Writes it, in a process of its own, whose memory does not count."""
    import jax
    import optax

    from tenfold.convert.peft import save_adapters
    from tenfold.model.params import map_params
    from tenfold.sharding.axes import make_mesh
    from tenfold.sharding.config import MeshConfig
    from tenfold.train.checkpoint import Checkpoints
    from tenfold.train.lora import trained_params
    from tenfold.train.recipe import LoraConfig, Recipe, save_recipe
    from tenfold.train.state import state_of

    config = replace(config_of(megabytes), scan=kind == "scan")
    lora = LoraConfig() if kind == "scan" else LoraConfig(RANK, ALPHA, TARGETS, base="int8" if kind == "int8" else "float32")
    some = np.random.default_rng(0).normal(0, 0.02, 2**20 + 7).astype(np.float32)
    weights = map_params(lambda p: np.resize(some, p.shape), trained_params(config, lora))
    source = None if kind == "scan" else write_random(folder / "source", megabytes)
    if kind == "adapter":
        save_adapters(folder / "peft", config, weights, ALPHA, "base")
        return
    with Checkpoints(folder / "run" / "checkpoints", keep=1) as checkpoints:
        checkpoints.save(state_of(weights, config, optax.sgd(0.1), make_mesh(MeshConfig(), jax.devices()[:1]), lora))
    save_recipe(Recipe(model=config, lora=lora, start=source and str(source)), folder / "run" / "recipe.yaml")


def main(folder: Path, megabytes: float, kind: str) -> None:
    from tenfold.api import export
    from tenfold.convert.tensor_files import open_tensors

    def took(place: Path, megabytes: float) -> dict:
        subprocess.run([sys.executable, __file__, "make", str(place), str(megabytes), kind], check=True)
        run, adapter = (place / "source", place / "peft") if kind == "adapter" else (place / "run", None)
        shard_bytes = int(megabytes * 2e6 / 5)
        found = {"export": extra_memory(lambda: export(run, place / "out", adapter=adapter, shard_bytes=shard_bytes))}
        return found | {"gguf": extra_memory(lambda: export(run, place / "out.gguf", adapter=adapter))}

    took(folder / "small", 1)  # what is imported and started once
    found = took(folder / "large", megabytes)
    bytes = [int(np.prod(tensor.shape)) * 4 for tensor in open_tensors(folder / "large" / "out").values()]
    shard = max(file.stat().st_size for file in (folder / "large" / "out").glob("*.safetensors"))
    print(json.dumps(found | {"largest": max(bytes), "total": sum(bytes), "shard": shard}))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4])
    else:
        main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
