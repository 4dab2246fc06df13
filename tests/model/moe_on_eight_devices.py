"""Run by test_moe.py in a process with 8 virtual CPU devices; prints one JSON line a mesh. Not a test by itself.

How far the loss, the routers' statistics and the gradients of a mixture are from those of one device, each relative to its largest entry.
"""

import json
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.model.config import ModelConfig
from tenfold.model.params import init_params
from tenfold.model.transformer import forward
from tenfold.sharding.axes import make_mesh, sharding
from tenfold.sharding.config import MeshConfig
from tenfold.train.state import param_shardings

CONFIG = ModelConfig(
    vocab=776,
    context=12,
    layers=1,
    embed=32,
    heads=8,
    mlp=56,
    experts=4,
    gated=True,
    shared_experts=1,
    expert_capacity=1.1,
    dtype="float32",
)
MESHES = [{"fsdp": 8}, {"data": 2, "fsdp": 2, "tensor": 2}, {"data": 1, "tensor": 8}]
ROWS = 8


def objective(params, tokens_BT, targets_BTD):
    x_BTD, _, routing = forward(params, CONFIG, tokens_BT)
    return (x_BTD * targets_BTD).mean() + routing.balance_loss + 0.1 * routing.z_loss, routing


def on_mesh(mesh):
    random, shardings = np.random.default_rng(0), param_shardings(CONFIG, mesh)
    with jax.set_mesh(mesh):
        start = jax.jit(partial(init_params, config=CONFIG), out_shardings=shardings)(jax.random.key(3))
        params = jax.tree.map(lambda w: np.float32(w + random.normal(0, 0.2, w.shape)), jax.device_get(start))
        tokens_BT = jax.device_put(random.integers(0, CONFIG.vocab, (ROWS, 12)).astype(np.int32), sharding(mesh, ("batch", None)))
        targets_BTD = jnp.asarray(random.normal(0, 10, (ROWS, 12, 32)), jnp.float32)
        step = jax.jit(jax.value_and_grad(objective, has_aux=True), out_shardings=(None, shardings))
        compiled = step.lower(jax.device_put(params, shardings), tokens_BT, targets_BTD).compile()
        (loss, routing), gradients = compiled(jax.device_put(params, shardings), tokens_BT, targets_BTD)
        text = compiled.as_text()
    return jax.device_get({"loss": loss, "routing": routing._asdict(), "gradients": gradients}), text


def main() -> None:
    alone, _ = on_mesh(make_mesh(MeshConfig(), jax.devices()[:1]))
    for fields in MESHES:
        found, text = on_mesh(make_mesh(MeshConfig(**fields)))
        far = jax.tree.map(lambda a, b: float(np.abs(a - b).max() / np.abs(a).max()), alone, found)
        named = {jax.tree_util.keystr(path): value for path, value in jax.tree_util.tree_flatten_with_path(far)[0]}
        products = {int(rows) for rows in re.findall(rf"f32\[(\d+),{56 // fields.get('tensor', 1)}\]", text)}
        line = {"mesh": fields, "far": named, "dropped": float(found["routing"]["dropped"]), "rows": sorted(products)}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
