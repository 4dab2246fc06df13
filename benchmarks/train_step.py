"""A training step of Tenfold beside PyTorch's, on this machine: forward, backward, clip and AdamW, bf16 products.

    python benchmarks/train_step.py --peers-python PATH_TO_A_PYTHON_WITH_TORCH [--cases 50k 1k deep] [--runs 7]

Each side is a process of its own; steps are interleaved, and medians compared. `autocast` keeps f32 weights as Tenfold does; `bf16`
keeps bf16 weights, which trains another model but is the quickest torch. The ratio is the peer's time over Tenfold's: above 1,
Tenfold is faster.
"""

import argparse
import os
import statistics
import sys
from pathlib import Path

from side import Side, answer_lines

CASES = {  # layers, embed, heads, context, batch, vocabulary
    "50k": (6, 384, 6, 256, 8, 50304),
    "1k": (6, 384, 6, 256, 8, 1024),
    "deep": (12, 768, 12, 256, 2, 50304),
}
PEERS = ("autocast", "autocast-compile", "bf16-compile", "hf-autocast")


def serve_tenfold(layers, embed, heads, context, batch, vocab) -> None:
    """This side's process: Tenfold's own train step, from its recipe."""
    from tenfold.model.host_memory import keep_freed_memory

    keep_freed_memory()
    import jax
    import numpy as np

    from tenfold.model.config import ModelConfig
    from tenfold.sharding.axes import make_mesh
    from tenfold.tokens.loader import Batch
    from tenfold.train.batches import place_batch
    from tenfold.train.optimizer import make_optimizer
    from tenfold.train.recipe import Recipe, TrainConfig
    from tenfold.train.state import init_state, state_shardings
    from tenfold.train.step import jit_train_step

    model = ModelConfig(vocab=vocab, context=context, layers=layers, embed=embed, heads=heads)
    recipe = Recipe(model=model, train=TrainConfig(steps=1000, batch=batch))
    mesh, optimizer = make_mesh(recipe.mesh), make_optimizer(recipe)
    numbers = np.random.default_rng(0)
    tokens, targets = (numbers.integers(0, vocab, (batch, context), dtype=np.int32) for _ in range(2))
    with jax.set_mesh(mesh):
        state = init_state(model, optimizer, mesh, 0)
        on_device = place_batch(Batch(tokens, targets, np.ones_like(tokens), np.ones(tokens.shape, np.float32)), mesh, False)
        step = jit_train_step(model, optimizer, 0.0, state_shardings(model, optimizer, mesh))
        for _ in range(2):
            state, metrics = step(state, on_device)
            float(metrics.loss)

        def work(_: str) -> list[int]:
            nonlocal state
            state, metrics = step(state, on_device)
            float(metrics.loss)
            return []

        answer_lines(work, f"jax {jax.__version__}")


def compare(case: str, runs: int, peers_python: str, peers: list[str]) -> None:
    shape = [str(n) for n in CASES[case]]
    sides = {"tenfold": Side([sys.executable, __file__, "--serve", *shape])}
    script = str(Path(__file__).with_name("torch_gpt.py"))
    sides |= {peer: Side([peers_python, script, *shape, peer]) for peer in peers}
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(runs):
        for name, side in sides.items():
            times[name].append(side.work()[0])
    names = "layers {}, embed {}, heads {}, context {}, batch {}, vocabulary {}".format(*shape)
    print(f"\n{case}: {names}   ({sides['tenfold'].version}; {sides[peers[0]].version})")
    ours = statistics.median(times["tenfold"])
    for name, each in times.items():
        middle, low, high = statistics.median(each), min(each), max(each)
        print(f"  {name:<18} median {middle * 1e3:8.1f} ms  ({low * 1e3:.0f} to {high * 1e3:.0f})   ratio {middle / ours:.2f}", flush=True)
    for side in sides.values():
        side.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers-python", default=os.environ.get("PEERS_PYTHON"), help="a Python that has torch and transformers")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--serve", nargs=6, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve_tenfold(*options.serve)
        return
    if not options.peers_python:
        sys.exit("Name a Python that has torch and transformers: --peers-python PATH (make bench makes one).")
    for case in options.cases:
        compare(case, options.runs, options.peers_python, options.peers)


if __name__ == "__main__":
    main()
