"""What `longnet.py stream` does: one dilated layer's attention, forward, over more tokens than memory holds.

The layer is the model's own: embeddings, projections and rotary turns, made for the positions at hand from their token ids, which are a
hash of the position; nothing of the input is stored. Of branches whose segments are longer than a chunk, a chunk needs few rows. Those are
attended to first, segment by segment, and their results kept. Then each chunk adds its own branches to them and goes to disk.

    OUT/outputs.f16   [tokens, heads, width], as far as it is written
    OUT/state.json    the settings and the number of chunks that are

Killed and started again it goes on after the last chunk that was written whole, and gives the same bytes.

Shapes: as src/tenfold/model/config.py; C positions of a chunk, N segments of a branch, M positions that a head takes of each.
"""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from functools import cache, cached_property, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import Progress

from tenfold.model.attention.blocked import HIDDEN, mix
from tenfold.model.attention.dilated import Branch, Parts, add_branches, joined, lay, read, scaled, write
from tenfold.model.attention.kinds import pattern
from tenfold.model.config import ModelConfig
from tenfold.model.positions import turn, turns

VOCAB = 256


@dataclass(frozen=True)
class Layer:
    """Settings; what they make is drawn from the seed."""

    tokens: int = 2**30
    chunk: int = 2**20
    heads: int = 1
    width: int = 8
    segment: int = 1024
    ratio: int = 4
    seed: int = 0

    def __post_init__(self):
        lengths = [self.segment * self.ratio**i for i in range(40)]
        if self.chunk not in lengths or self.tokens not in lengths or self.chunk > self.tokens:
            sys.exit(
                f"--tokens {self.tokens} and --chunk {self.chunk} must be segments of the schedule, --segment {self.segment} times a power "
                f"of --ratio {self.ratio}, and a chunk no longer than the tokens."
            )
        if self.tokens // self.segment > self.chunk:
            sys.exit(
                f"--chunk {self.chunk} is shorter than the largest dilation, --tokens {self.tokens} / --segment {self.segment} = "
                f"{self.tokens // self.segment}: a chunk must hold a row of each branch. Use a longer chunk or a longer segment."
            )

    @cached_property
    def config(self) -> ModelConfig:
        how = dict(layers=1, embed=self.heads * self.width, heads=self.heads, positions="rotary", dtype="float32")
        return ModelConfig(vocab=VOCAB, context=self.tokens, attention=(f"geometric:{self.segment},{self.ratio}",), **how)

    @cached_property
    def branches(self) -> list[tuple[int, int]]:
        kind = self.config.kinds[0]
        return list(zip(kind.segments, kind.dilations, strict=True))

    @cached_property
    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """f32 embeddings [V, D], and projections [3, D, H, K] whose scores have a standard deviation of about 1.5."""
        random, D = np.random.default_rng(self.seed), self.config.embed
        projections = random.normal(0, D**-0.5, (3, D, self.heads, self.width)) * np.array([1.5, 1, 1])[:, None, None, None]
        return random.normal(0, 1, (VOCAB, D)).astype(np.float32), projections.astype(np.float32)


def token_ids(positions, seed: int):
    """int[...]: a hash of each position (the finaliser of MurmurHash3), in NumPy or JAX as the positions are."""
    x = positions.astype(np.uint32) ^ np.uint32(seed * 2654435761 % 2**32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return ((x ^ (x >> np.uint32(16))) >> np.uint32(24)).astype(np.int32)


def operands(layer: Layer, positions_T: jax.Array, heads=slice(None)) -> list[jax.Array]:
    """q, k and v of these positions: f32[1, T, H, K] each."""
    table_VD, projections = layer.weights
    x_BTD = jnp.asarray(table_VD)[token_ids(positions_T, layer.seed)][None]
    q, k, v = (jnp.einsum("btd,dhk->bthk", x_BTD, w[:, heads], precision="highest") for w in projections)
    by = turns(layer.config, positions_T[None])
    return [turn(q, by, layer.config), turn(k, by, layer.config, key=True), v]


@cache
def far_program(layer: Layer, w: int, r: int, head: int):
    """A segment's number -> a head's results [M, K] and log-sum-exps [M] in a branch whose segments are longer than a chunk."""
    how = pattern(layer.config.kinds[0], layer.config)

    @jax.jit
    def of_segment(number):
        rows = operands(layer, number * w + head % r + r * jnp.arange(w // r), slice(head, head + 1))
        q, k, v = (x.transpose(0, 2, 1, 3) for x in rows)
        part, logsumexp = mix(scaled(q, how), k, v, None, how)
        return part[0, 0], logsumexp[0, 0]

    return of_segment


def far_results(layer: Layer, w: int, r: int, head: int) -> tuple[np.ndarray, np.ndarray]:
    """Those of all segments: [N M, K] and [N M]."""
    found = [far_program(layer, w, r, head)(np.int32(number)) for number in range(layer.tokens // w)]
    part, logsumexp = (np.concatenate([np.asarray(x) for x in parts]) for parts in zip(*found, strict=True))
    return part, logsumexp


def chunk_results(layer: Layer, first, far: list[tuple[jax.Array, jax.Array]]) -> jax.Array:
    """f16[C, H, K]: the layer's output from position `first` on; `far` has these positions' results of each longer branch and head."""
    C, H = layer.chunk, layer.heads
    qkv = operands(layer, first + jnp.arange(C))
    mixed, total = jnp.zeros((1, C, H, layer.width)), jnp.full((1, C, H), HIDDEN)
    longer = [(r, head) for w, r in layer.branches if w > C for head in range(H)]
    for (r, head), (part, logsumexp) in zip(longer, far, strict=True):
        branch = Branch(C, C, r)
        parts = Parts(branch, 0, 1, head, H)
        laid = [lay(x, branch) for x in (mixed, total)]
        both = joined(*(read(x, parts) for x in laid), part[None, None], logsumexp[None, None])
        shapes = mixed.shape, total.shape
        mixed, total = (write(x, y, parts).reshape(shape) for x, y, shape in zip(laid, both, shapes, strict=True))
    own = [Branch(C, w, r) for w, r in layer.branches if w <= C]
    mixed, _ = add_branches(qkv, None, own, pattern(layer.config.kinds[0], layer.config), [mixed, total])
    return mixed[0].astype(jnp.float16)


@cache
def chunk_program(layer: Layer):
    return jax.jit(partial(chunk_results, layer))


def run(layer: Layer, out: Path, stop_after: int | None = None) -> None:
    """Writes the outputs, or what is missing of them; `stop_after` chunks it ends as if killed."""
    out.mkdir(parents=True, exist_ok=True)
    done = chunks_done(layer, out)
    if done == layer.tokens // layer.chunk:
        return
    longer = [(w, r, head) for w, r in layer.branches if w > layer.chunk for head in range(layer.heads)]
    far = [far_results(layer, *branch) for branch in longer]
    row = layer.heads * layer.width * 2
    with open(out / "outputs.f16", "r+b" if done else "wb") as file, Progress() as progress:
        task = progress.add_task("positions", total=layer.tokens, completed=done * layer.chunk)
        file.seek(done * layer.chunk * row)
        for number in range(done, layer.tokens // layer.chunk):
            if stop_after is not None and number - done == stop_after:
                file.write(b"half a chunk")
                return
            first = number * layer.chunk
            here = [tuple(x[first // r : (first + layer.chunk) // r] for x in found) for (_, r, _), found in zip(longer, far, strict=True)]
            file.write(np.asarray(chunk_program(layer)(np.int32(first), here)).data)
            file.flush()
            os.fsync(file.fileno())
            write_state(layer, out, number + 1)
            progress.update(task, completed=first + layer.chunk)


def chunks_done(layer: Layer, out: Path) -> int:
    state = out / "state.json"
    if not state.exists():
        return 0
    said = json.loads(state.read_text())
    if said["layer"] != asdict(layer):
        sys.exit(f"{state} is of other settings, {said['layer']}: name another folder, or those settings.")
    return said["chunks"]


def write_state(layer: Layer, out: Path, chunks: int) -> None:
    """Whole or not at all."""
    temporary = out / ".state.json"
    temporary.write_text(json.dumps({"layer": asdict(layer), "chunks": chunks}))
    os.replace(temporary, out / "state.json")


def check(layer: Layer, out: Path, rows: int, seed: int = 1) -> tuple[float, float]:
    """The largest difference of so many rows of the file, and the largest number among them, from the paper's equations in NumPy and f64.

    Half of the rows are anywhere, and half where the branches of long segments take them.
    """
    random = np.random.default_rng(seed)
    places = [0, layer.tokens - 1, *random.integers(0, layer.tokens, max(0, rows // 2 - 2))]
    for number in range(rows - len(places)):
        _, r = layer.branches[number % len(layer.branches)]
        places.append(random.integers(0, layer.tokens // r) * r + number % layer.heads % r)
    outputs = np.memmap(out / "outputs.f16", np.float16, "r", shape=(layer.tokens, layer.heads, layer.width))
    worst, largest = 0.0, 0.0
    for place in places:
        wanted = np.stack([oracle_row(layer, int(place), head) for head in range(layer.heads)])
        worst = max(worst, float(np.abs(outputs[place] - wanted).max()))
        largest = max(largest, float(np.abs(wanted).max()))
    return worst, largest


def oracle_row(layer: Layer, place: int, head: int) -> np.ndarray:
    """f64[K], from equations 3 to 15: one softmax over the keys that the query sees in each branch that takes it."""
    seen = []
    for w, r in layer.branches:
        first = place // w * w + head % r
        if place % w % r == head % r:
            seen.append(np.arange(first, place + 1, r))
    keys = np.concatenate(seen)
    q = oracle_operands(layer, np.array([place]), head)[0]
    _, k, v = oracle_operands(layer, keys, head)
    scores = (k @ q[0]) / np.sqrt(layer.width)
    weights = np.exp(scores - scores.max())
    return weights @ v / weights.sum()


def oracle_operands(layer: Layer, positions: np.ndarray, head: int) -> list[np.ndarray]:
    """q, k and v in f64. Rotary embeddings: Su et al. 2021, equation 34, a head's first half turning with its second."""
    table, projections = (x.astype(np.float64) for x in layer.weights)
    q, k, v = (table[token_ids(positions, layer.seed)] @ w[:, head] for w in projections)
    half = layer.width // 2
    angle = positions[:, None] * layer.config.rotary_base ** (-np.arange(half) / half)
    cos, sin = np.cos(angle), np.sin(angle)
    turned = [np.concatenate([x[:, :half] * cos - x[:, half:] * sin, x[:, half:] * cos + x[:, :half] * sin], 1) for x in (q, k)]
    return [*turned, v]


def stream(layer: Layer, out: Path, rows: int) -> None:
    """The command: run or go on, then check, and say what came out."""
    start, before = time.perf_counter(), chunks_done(layer, out)
    run(layer, out)
    seconds, made = time.perf_counter() - start, layer.tokens - before * layer.chunk
    print(f"{made:,} of {layer.tokens:,} positions in {seconds:,.0f} s; {(out / 'outputs.f16').stat().st_size / 1e9:.1f} GB in {out}")
    worst, largest = check(layer, out, rows)
    print(f"{rows} rows beside the equations: largest difference {worst:.2e}, of numbers up to {largest:.2f}")
