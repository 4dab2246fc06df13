"""What `longnet.py plan` does: LongNet's whole training step compiled for TPU pods that are not there, and what each chip would hold.

The step is the one that `tenfold train` runs: loss, backward pass, clipping, AdamW. Its context is cut over the mesh's sequence axis. XLA's
TPU compiler (libtpu, the extra `tenfold[plan]`) needs no TPU for that; so the figures are the compiler's, and nothing has run.

Memory is the total of the compiler's buffer assignment, which it compares with what a chip has: arrays that do not live at the same time
share bytes. `memory_analysis().temp_size_in_bytes` counts some of those twice, and was up to half as much again.
"""

import math
import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

GENERATION = "v5p"
TOPOLOGIES = {8: "2x2x2", 64: "4x4x4", 256: "4x8x8", 512: "8x8x8", 1024: "8x8x16", 2048: "8x16x16", 4096: "16x16x16"}
CHIP_GIB = 95.74
"""What libtpu says a chip has for programs."""
KINDS = "all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute"
BYTES = {"f32": 4, "bf16": 2, "s32": 4, "u32": 4, "pred": 1, "s8": 1, "u8": 1, "f16": 2}


class Collective(NamedTuple):
    kind: str
    results: list[str]
    """What it brings to a device, such as bf16[1,12,2048,64]."""
    devices: int
    """Among how many."""
    name: str
    """The operation that it stands for."""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(BYTES.get(kind, 4) * _elements(dims) for kind, dims in (result[:-1].split("[") for result in self.results))


def plan(chips: list[int], context: int, attention: str, layers: int, chunk: int, remat: str) -> None:
    """Prints a line for each pod, and its collectives."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_dump_to={folder} --xla_dump_hlo_module_re=train_step"
        for count in chips:
            start = time.perf_counter()
            what = f"{GENERATION} x {count:,}: {context:,} positions, {context // count:,} a chip, {attention}, chunk {chunk}, {remat}"
            try:
                compiled = compile_step(count, context, attention, layers, chunk=chunk, remat=remat)
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                print(f"{what}: does not fit. {str(error).splitlines()[0]}", flush=True)
                continue
            held, state = assigned_bytes(Path(folder)), compiled.memory_analysis().argument_size_in_bytes
            print(
                f"{what}: {held / 1e9:.1f} GB ({held / 2**30:.1f} GiB) a chip, of which state and batch {state / 1e9:.1f}; the chip has "
                f"{CHIP_GIB} GiB; compiled in {time.perf_counter() - start:.0f} s",
                flush=True,
            )
            show(list(collectives(compiled.as_text())))


def show(found: list[Collective]) -> None:
    for kind in sorted({c.kind for c in found}):
        of_kind = [c for c in found if c.kind == kind]
        together = sum(c.size for c in of_kind) / 1e6
        print(f"  {kind}: {len(of_kind)} in the program, those of a loop once, of {together:,.1f} MB together", flush=True)
        for c in of_kind:
            shown = ", ".join(c.results[:3]) + (f" and {len(c.results) - 3} more" if len(c.results) > 3 else "")
            print(f"    {c.size / 1e6:9,.1f} MB among {c.devices:,}: {shown}: {c.name}", flush=True)


def compile_step(chips: int, context: int, attention: str, layers: int, **fields):
    """`fields`: of ModelConfig, other than the recipe's."""
    from jax.experimental import topologies

    jax.default_backend = lambda: "tpu"  # type: ignore[assignment]  # the code asks for what it is compiled on
    from tenfold.recipes.longnet import longnet
    from tenfold.sharding.axes import make_mesh, sharding
    from tenfold.sharding.config import MeshConfig
    from tenfold.train.optimizer import make_optimizer
    from tenfold.train.state import abstract_state, state_shardings
    from tenfold.train.step import DeviceBatch, train_step

    recipe = longnet("125m")
    config = replace(recipe.model, context=context, attention=(attention,), layers=layers, positions="rotary", **fields)
    devices = topologies.get_topology_desc(f"{GENERATION}:{TOPOLOGIES[chips]}", platform="tpu").devices
    mesh = make_mesh(MeshConfig(data=1, sequence=chips), devices)
    optimizer = make_optimizer(replace(recipe, model=config))
    place = sharding(mesh, (None, "batch", "positions"))
    tokens, targets, weights = (jax.ShapeDtypeStruct((1, 1, context), t, sharding=place) for t in (jnp.int32, jnp.int32, jnp.float32))
    shardings, state = state_shardings(config, optimizer, mesh), abstract_state(config, optimizer, mesh)
    step = jax.jit(partial(train_step, config, optimizer, 0.0), donate_argnums=0, out_shardings=(shardings, None))
    with jax.set_mesh(mesh):
        return step.lower(state, DeviceBatch(tokens, targets, weights, None)).compile()


def assigned_bytes(folder: Path) -> int:
    """The total of the newest buffer assignment that the compiler has written to a folder."""
    reports = sorted(folder.glob("*train_step*memory-usage-report.txt"), key=lambda path: path.stat().st_mtime_ns)
    if not reports:
        raise RuntimeError("the compiler wrote no report of memory: XLA_FLAGS must be set before JAX first compiles in a process")
    return int(re.search(r"Total bytes: (\d+)", reports[-1].read_text())[1])  # type: ignore[index]


def collectives(text: str) -> Iterator[Collective]:
    """Those of a compiled program's text."""
    for shape, kind, started, rest in re.findall(rf"= (\S.*?) ({KINDS})(-start)?\((.*)", text):
        results = re.findall(r"\w+\[[\d,]*\]", shape)
        name = re.search(r'op_name="([^"]*)"', rest)
        yield Collective(kind, results[len(results) // 2 :] if started else results, _devices(rest), name[1] if name else "unnamed")


def _devices(text: str) -> int:
    """Of how many devices a collective's groups are, in any of the three ways that XLA writes them."""
    if listed := re.search(r"(?:replica_groups|source_target_pairs)=\{\{([\d,]*)\}", text):
        return listed[1].count(",") + 1
    if counted := re.search(r"replica_groups=\[\d+,(\d+)\]<=", text):
        return int(counted[1])
    if over := re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", text):
        sizes = dict(re.findall(r"('\w+')=(\d+)", over[1]))
        return math.prod(int(sizes[axis.strip()]) for axis in over[2].split(","))
    return 0


def _elements(dims: str) -> int:
    return math.prod(int(size or 1) for size in dims.split(","))
