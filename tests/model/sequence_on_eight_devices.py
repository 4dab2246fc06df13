"""Run by test_sequence.py in a process with virtual CPU devices; prints one JSON line a case. Not a test by itself.

`numbers MODELS`: how far loss and gradients on meshes that cut rows over their positions are from those of one device, where none goes
through its row in parts, relative to the largest entry of each weight's gradient; and the shapes that all-gathers make. `bytes`: what
collectives of one layer's attention, forward and backward, bring to each device, by kind, as the compiled program says; nothing is run, or
held.
"""

import json
import math
import re
import sys
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.model.attention.kinds import attend
from tenfold.model.config import Dense, Dilated, ModelConfig
from tenfold.model.params import init_params
from tenfold.objectives.causal import causal_loss
from tenfold.objectives.masked import masked_loss
from tenfold.sharding.axes import make_mesh, sharding
from tenfold.sharding.config import MeshConfig
from tenfold.train.state import param_shardings

T, VOCAB = 48, 136
SHORT = ModelConfig(
    vocab=VOCAB,
    context=T,
    layers=2,
    embed=24,
    heads=6,
    kv_heads=2,
    mlp=80,
    dtype="float32",
    attention=("dilated:6x1,24x5,48x7", "banded:9"),
    positions="rotary",
)
MODELS = {
    "mixed": SHORT,
    # Of segments within a shard, of a whole one, of several, and of all; no dilation but 1 divides heads or shards.
    "longnet": replace(SHORT, attention=("dilated:3x1,6x2,12x4,24x5,48x7", "geometric:6,2"), scan=True, remat="block"),
    "both ways": replace(SHORT, causal=False, attention=("dilated:6x1,24x4,48x5", "dense"), positions="alibi"),
    # Parts of 5, 5 and 2 positions of a shard.
    "in parts": replace(SHORT, attention=("dilated:6x1,12x5,48x7", "banded:9"), sub_norm=True, chunk=5, remat="rounded"),
    "dense": replace(SHORT, attention=("dense", "banded:9"), positions="learned", gated=True, sub_norm=True, tied=False),
}


def objective(config, params, tokens, targets, weights, segments):
    """As train/step.py has it."""
    loss = causal_loss if config.causal else partial(masked_loss, most=9)
    sums = loss(params, config, tokens, targets, weights, segments, z_loss=1e-3)
    return sums.loss / sums.weight


def batch(packed: bool):
    random = np.random.default_rng(0)
    tokens, targets = random.integers(0, VOCAB, (2, 2, T))
    weights = np.zeros((2, T))
    weights[:, random.permutation(T)[:9]] = 1
    segments = np.sort(random.integers(1, 4, (2, T)), axis=1)
    return np.int32(tokens), np.int32(targets), np.float32(weights), np.int32(segments) if packed else None


def on_mesh(config: ModelConfig, mesh, packed: bool) -> tuple:
    """(loss, gradients, compiled text) with everything placed as in training."""
    shardings, rows = param_shardings(config, mesh), sharding(mesh, ("batch", "positions"))
    with jax.set_mesh(mesh):
        random = np.random.default_rng(1)
        start = jax.device_get(jax.jit(partial(init_params, config=config))(jax.random.key(3)))
        params = jax.device_put(jax.tree.map(lambda w: np.float32(w + random.normal(0, 0.2, w.shape)), start), shardings)
        arrays = [array if array is None else jax.device_put(array, rows) for array in batch(packed)]
        step = jax.jit(jax.value_and_grad(partial(objective, config)), out_shardings=(None, shardings))
        compiled = step.lower(params, *arrays).compile()
        loss, gradients = compiled(params, *arrays)
        return float(loss), jax.device_get(gradients), compiled.as_text()


def numbers(models: dict) -> None:
    for name, meshes in models.items():
        for packed in (True, False) if name == "longnet" else (True,):
            loss, gradients, _ = on_mesh(replace(MODELS[name], chunk=0), make_mesh(MeshConfig(), jax.devices()[:1]), packed)
            for fields in meshes:
                mesh_loss, mesh_gradients, text = on_mesh(MODELS[name], make_mesh(MeshConfig(**fields)), packed)
                far = jax.tree.map(lambda a, b: float(np.abs(a - b).max() / np.abs(a).max()), gradients, mesh_gradients)
                line = {
                    "model": name,
                    "mesh": fields,
                    "loss": abs(mesh_loss - loss) / abs(loss),
                    "gradients": {jax.tree_util.keystr(path): value for path, value in jax.tree_util.tree_flatten_with_path(far)[0]},
                    "gathered": [shape for _, shape in results(text, "all-gather")],
                }
                print(json.dumps(line), flush=True)


def results(text: str, kind: str) -> list[tuple[int, list[int]]]:
    """(bytes, shape) of each array that collectives of a kind bring to a device; of a reduce-scatter's, what goes into it."""
    found = []
    for types, rest in re.findall(rf"= \(?(.*?)\)? {kind}(?:-start)?\((.*)", text):
        group = re.search(r"replica_groups=\{\{([\d,]+)\}|replica_groups=\[\d+,(\d+)\]", rest)
        times = (len(group[1].split(",")) if group[1] else int(group[2])) if kind == "reduce-scatter" else 1
        for width, dims in re.findall(r"[a-z]+(\d+)\[([\d,]*)\]", types):
            shape = [int(n) for n in dims.split(",") if n]
            found.append((times * int(width) // 8 * math.prod(shape), shape))
    return found


def count_bytes() -> None:
    """Segments of w / r = 1024 rows: within a shard, over two shards, and over all."""
    for devices, length in ((8, 2**16), (8, 2**20), (8, 2**24), (16, 2**24)):
        shard = length // devices
        longnet = Dilated((1024, 2 * shard, length), (1, 2 * shard // 1024, length // 1024))
        for name, kind in [("dilated", longnet), *([("ring", Dense())] if length < 2**24 else [])]:
            config = ModelConfig(vocab=8, context=length, layers=1, embed=16, heads=2, dtype="bfloat16")
            mesh = make_mesh(MeshConfig(data=1, sequence=devices), jax.devices()[:devices])
            with jax.set_mesh(mesh):
                where = sharding(mesh, ("batch", "positions", "heads", None))
                operand = jax.ShapeDtypeStruct((1, length, 2, 8), jnp.float32, sharding=where)

                def both(q, k, v, g, kind=kind, config=config):
                    value, pull = jax.vjp(lambda q, k, v: attend(kind, config, q, k, v), q, k, v)
                    return value, pull(g)

                text = jax.jit(both).lower(operand, operand, operand, operand).compile().as_text()
            kinds = ("all-gather", "reduce-scatter", "collective-permute", "all-reduce", "all-to-all")
            sums = {kind: sum(size for size, _ in results(text, kind)) for kind in kinds}
            print(json.dumps({"attention": name, "devices": devices, "length": length, "bytes": sums}), flush=True)


if __name__ == "__main__":
    numbers(json.loads(sys.argv[2])) if sys.argv[1] == "numbers" else count_bytes()
