"""Run by test_meshes.py in a process with 8 virtual CPU devices; prints one JSON line a mesh. Not a test by itself.

For each mesh: how far loss and gradients are from those of one device, relative to the largest entry of each weight's gradient; whether
the first weights are the same bits; and the shapes that all-gathers of the compiled loss and gradient make.
"""

import json
import re
import sys
from dataclasses import replace
from functools import partial

import jax
import numpy as np

from tenfold.model.config import ModelConfig
from tenfold.model.params import init_params
from tenfold.objectives.causal import causal_loss
from tenfold.sharding.axes import make_mesh, sharding
from tenfold.sharding.config import MeshConfig
from tenfold.train.state import param_shardings

VOCAB = 8 * 97  # 776: no other size in the model, and no product of two, comes near it
SCANNED = ModelConfig(
    vocab=VOCAB, context=12, layers=4, embed=32, heads=4, attention=("dense", "banded:5"), dtype="float32", scan=True, remat="block"
)
LLAMA = dict(positions="rotary", norm="rms", norm_bias=False, gated=True, activation="silu", tied=False, kv_heads=2)
CONFIGS = {
    "scanned": SCANNED,
    "unrolled": replace(SCANNED, layers=2, scan=False, remat="none"),
    "llama": replace(SCANNED, layers=2, scan=False, attention=("dense",), qkv_bias=False, out_bias=False, mlp_bias=False, **LLAMA),
}


def batch():
    random = np.random.default_rng(0)
    tokens, targets = random.integers(0, VOCAB, (2, 8, 12))
    weights = random.choice([0.0, 1.0], (8, 12), p=[0.2, 0.8])
    segments = np.sort(random.integers(1, 4, (8, 12)), axis=1)
    return np.int32(tokens), np.int32(targets), np.float32(weights), np.int32(segments)


def objective(config, params, tokens, targets, weights, segments):
    sums = causal_loss(params, config, tokens, targets, weights, segments, z_loss=1e-3)
    return sums.loss / sums.weight


def on_mesh(config: ModelConfig, mesh) -> tuple:
    """(loss, gradients, first weights, compiled text) with everything placed as in training."""
    shardings = param_shardings(config, mesh)
    rows = sharding(mesh, ("batch", None))
    with jax.set_mesh(mesh):
        params = jax.jit(partial(init_params, config=config), out_shardings=shardings)(jax.random.key(3))
        noisy = jax.device_put(spread(jax.device_get(params)), shardings)
        step = jax.jit(jax.value_and_grad(partial(objective, config)), out_shardings=(None, shardings))
        arrays = [jax.device_put(a, rows) for a in batch()]
        compiled = step.lower(noisy, *arrays).compile()
        loss, gradients = compiled(noisy, *arrays)
        return float(loss), jax.device_get(gradients), jax.device_get(params), compiled.as_text()


def spread(params):
    """Weights away from their start, so that biases and gains matter too."""
    random = np.random.default_rng(1)
    return jax.tree.map(lambda w: np.float32(w + random.normal(0, 0.2, w.shape)), params)


def gathered(text: str) -> list[list[int]]:
    """Shapes that all-gathers make."""
    found = re.findall(r"= \(?(.*?)\)? all-gather(?:-start)?\(", text)
    return [[int(n) for n in dims.split(",") if n] for line in found for dims in re.findall(r"\w+\[([\d,]*)\]", line)]


def main() -> None:
    for name, meshes in json.loads(sys.argv[1]).items():
        config = CONFIGS[name]
        loss, gradients, params, _ = on_mesh(config, make_mesh(MeshConfig(), jax.devices()[:1]))
        for fields in meshes:
            mesh_loss, mesh_gradients, mesh_params, text = on_mesh(config, make_mesh(MeshConfig(**fields)))
            far = jax.tree.map(lambda a, b: float(np.abs(a - b).max() / np.abs(a).max()), gradients, mesh_gradients)
            same = jax.tree.map(lambda a, b: bool((a == b).all()), params, mesh_params)
            line = {
                "model": name,
                "mesh": fields,
                "loss": abs(mesh_loss - loss) / abs(loss),
                "gradients": {jax.tree_util.keystr(path): value for path, value in jax.tree_util.tree_flatten_with_path(far)[0]},
                "same_start": all(jax.tree.leaves(same)),
                "gathered": gathered(text),
                "reduced": len(re.findall(r" (?:all-reduce|reduce-scatter)(?:-start)?\(", text)),
                "devices": len(jax.devices()),
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
