"""What `longnet.py plan` does: LongNet's whole training step compiled for TPU pods that are not there, and what each chip would hold.

The step is the one that `tenfold train` runs: loss, backward pass, clipping, AdamW. Its context is cut over the mesh's sequence axis. XLA's
TPU compiler (libtpu, the extra `tenfold[plan]`) needs no TPU for that; so the figures are the compiler's, and nothing has run.
"""

import re
import time
from collections import defaultdict
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp

GENERATION = "v5p"
TOPOLOGIES = {8: "2x2x2", 64: "4x4x4", 256: "4x8x8", 512: "8x8x8", 1024: "8x8x16", 2048: "8x16x16", 4096: "16x16x16"}
CHIP_GB = 95
BYTES = {"f32": 4, "bf16": 2, "s32": 4, "u32": 4, "pred": 1, "s8": 1, "u8": 1, "f16": 2}


def plan(chips: list[int], context: int, attention: str, layers: int) -> None:
    """Prints a line for each pod, and the collectives of the last."""
    for count in chips:
        start = time.perf_counter()
        compiled = compile_step(count, context, attention, layers)
        memory = compiled.memory_analysis()
        held = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes + memory.temp_size_in_bytes
        print(
            f"{GENERATION} x {count:,}: {context:,} positions, {context // count:,} a chip, {attention}: {held / 1e9:.1f} GB a chip "
            f"(state and batch {memory.argument_size_in_bytes / 1e9:.1f}, temporaries {memory.temp_size_in_bytes / 1e9:.1f}; the chip has "
            f"{CHIP_GB}); compiled in {time.perf_counter() - start:.0f} s",
            flush=True,
        )
        for kind, (number, size) in sorted(collectives(compiled.as_text()).items()):
            print(f"  {kind:<20} {number:4} in the program, of {size / 1e6:,.1f} MB together a device", flush=True)


def compile_step(chips: int, context: int, attention: str, layers: int):
    from jax.experimental import topologies

    jax.default_backend = lambda: "tpu"  # type: ignore[assignment]  # the code asks for what it is compiled on
    from tenfold.recipes.longnet import longnet
    from tenfold.sharding.axes import make_mesh, sharding
    from tenfold.sharding.config import MeshConfig
    from tenfold.train.optimizer import make_optimizer
    from tenfold.train.state import abstract_state, state_shardings
    from tenfold.train.step import DeviceBatch, train_step

    recipe = longnet("125m")
    config = replace(recipe.model, context=context, attention=(attention,), layers=layers, positions="rotary")
    devices = topologies.get_topology_desc(f"{GENERATION}:{TOPOLOGIES[chips]}", platform="tpu").devices
    mesh = make_mesh(MeshConfig(data=1, sequence=chips), devices)
    optimizer = make_optimizer(replace(recipe, model=config))
    place = sharding(mesh, (None, "batch", "positions"))
    tokens, targets, weights = (jax.ShapeDtypeStruct((1, 1, context), t, sharding=place) for t in (jnp.int32, jnp.int32, jnp.float32))
    shardings, state = state_shardings(config, optimizer, mesh), abstract_state(config, optimizer, mesh)
    step = jax.jit(partial(train_step, config, optimizer, 0.0), donate_argnums=0, out_shardings=(shardings, None))
    with jax.set_mesh(mesh):
        return step.lower(state, DeviceBatch(tokens, targets, weights, None)).compile()


def collectives(text: str) -> dict[str, tuple[int, int]]:
    """By kind: how many the program has (those of a loop once) and the bytes of their results on a device."""
    found: dict[str, list[int]] = defaultdict(list)
    for shape, kind in re.findall(r"= (\S.*?) (all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute)(?:-start)?\(", text):
        sizes = [BYTES.get(t, 4) * _elements(dims) for t, dims in re.findall(r"(\w+)\[([\d,]*)\]", shape)]
        found[kind].append(max(sizes, default=0))
    return {kind: (len(sizes), sum(sizes)) for kind, sizes in found.items()}


def _elements(dims: str) -> int:
    count = 1
    for size in dims.split(","):
        count *= int(size or 1)
    return count
