"""Run by test_lora.py in a process with 8 virtual CPU devices; prints one JSON line. Not a test by itself.

How far an update of adapters, with dropout and over a base in int8, is from that of one device, and how the base is cut.
"""

import json
from functools import partial

import jax
import numpy as np
import optax

from tenfold.model.config import ModelConfig
from tenfold.model.forms import quantised_axes, quantised_params
from tenfold.model.params import init_params
from tenfold.sharding.axes import make_mesh, sharding
from tenfold.sharding.config import MeshConfig
from tenfold.tokens.loader import Batch
from tenfold.train.batches import place_batch
from tenfold.train.lora import beside, init_adapters
from tenfold.train.recipe import LoraConfig
from tenfold.train.state import state_of, state_shardings
from tenfold.train.step import jit_train_step

CONFIG = ModelConfig(vocab=64, context=8, layers=1, embed=16, heads=4, kv_heads=2, dtype="float32")
LORA = LoraConfig(rank=2, targets=("query", "out", "up", "down"), dropout=0.3, base="int8")


def on_mesh(mesh):
    random, optimizer = np.random.default_rng(0), optax.sgd(1.0)
    with jax.set_mesh(mesh):
        shardings = state_shardings(CONFIG, optimizer, mesh, LORA)
        start = jax.jit(lambda key: (init_params(key, CONFIG), init_adapters(key, CONFIG, LORA)))
        params, adapters = jax.device_get(start(jax.random.key(0)))
        adapters = jax.tree.map(lambda w, s: jax.device_put(np.float32(random.normal(0, 0.3, w.shape)), s), adapters, shardings.params)
        base = jax.jit(partial(quantised_params, CONFIG), out_shardings=quantised_axes(CONFIG, partial(sharding, mesh)))(params)
        tokens = random.integers(0, 64, (8, 9)).astype(np.int32)
        batch = Batch(tokens[:, :-1], tokens[:, 1:], np.ones((8, 8), np.int32), np.ones((8, 8), np.float32))
        step = jit_train_step(CONFIG, optimizer, 0.0, shardings, weights=lambda a, b, keys_B: beside(b, a, LORA, keys_B), seed=3)
        state, metrics = step(state_of(adapters, CONFIG, optimizer, mesh, LORA), place_batch(batch, mesh, False), base)
        up = base["blocks"][0]["mlp"]["up"]
        return jax.device_get((metrics.loss, state.params)), [list(w.addressable_shards[0].data.shape) for w in (up.values, up.scale)]


def main() -> None:
    (loss, params), _ = on_mesh(make_mesh(MeshConfig(), jax.devices()[:1]))
    (other, others), shapes = on_mesh(make_mesh(MeshConfig(data=2, fsdp=2, tensor=2)))
    far = jax.tree.leaves(jax.tree.map(lambda a, b: float(np.abs(a - b).max()), params, others))
    print(json.dumps({"loss": [float(loss), float(other)], "far": max(far), "shards": shapes}))


if __name__ == "__main__":
    main()
