"""Tokens per second of the loader alone, beside nanoGPT's way of making the same batches, in the same process and on the same shards.

    python benchmarks/loader.py --step-tokens-per-second 6000

The peer is `get_batch` of nanoGPT's train.py (Karpathy 2022) without torch: it draws windows at random from a np.memmap, so an epoch
repeats some tokens and misses about 37% of the windows, and it tells neither documents apart nor where a row came from. Tenfold's
batches hold segments and weights besides, and every window once an epoch. Rounds alternate; medians are reported.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import count

import numpy as np

from tenfold.tokens.config import DataConfig
from tenfold.tokens.loader import Loader
from tenfold.tokens.prepare import prepare
from tenfold.tokens.shards import Shards


def tenfold_batches(shards: Shards, context: int, batch: int) -> Callable[[int], object]:
    """Batch number -> a Batch."""
    loader = Loader([shards], [], context, seed=0)
    return lambda number: loader.rows(number * batch, batch)


def nanogpt_batches(shards: Shards, context: int, batch: int) -> Callable[[int], object]:
    """Batch number -> (tokens, targets). As in nanoGPT, the memmap is made anew for each batch, to keep memory from growing."""
    file = next(shards.directory.glob("*.bin"))
    random = np.random.default_rng(0)

    def get_batch(_: int):
        data = np.memmap(file, dtype=np.uint16, mode="r")
        starts = random.integers(len(data) - context, size=batch)
        x = np.stack([data[i : i + context].astype(np.int64) for i in starts])
        y = np.stack([data[i + 1 : i + 1 + context].astype(np.int64) for i in starts])
        return x, y

    return get_batch


def tokens_per_second(make: Callable[[int], object], tokens: int, numbers: count, seconds: float) -> float:
    """Over batches of `tokens` tokens made for about `seconds`."""
    made, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        make(next(numbers))
        made += tokens
    return made / passed


def measure(shards: Shards, context: int, batch: int, rounds: int, seconds: float) -> dict[str, float]:
    """Median tokens per second of each, its rounds alternating with the other's after one that does not count."""
    makers = {"tenfold": tenfold_batches(shards, context, batch), "nanoGPT": nanogpt_batches(shards, context, batch)}
    numbers = {name: count() for name in makers}
    found: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(rounds + 1):
        for name, make in makers.items():
            found[name].append(tokens_per_second(make, context * batch, numbers[name], seconds))
    return {name: statistics.median(values[1:]) for name, values in found.items()}


def main() -> None:
    """Makes the shards (or opens those named), measures, prints."""
    parser = argparse.ArgumentParser(description="Tokens per second of the loader alone, beside nanoGPT's.")
    parser.add_argument("--data", default="stdlib", help="documents or shards (default: Python's own library)")
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each round")
    parser.add_argument("--step-tokens-per-second", type=float, help="what the training step consumes, to print the multiple")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        shards = prepare(DataConfig(paths=(args.data,)), folder, args.vocab).train[0]
        print(f"{shards.tokens:,} tokens of {args.data}, ready in {time.perf_counter() - start:.1f} s; {args.batch} rows of {args.context}")
        found = measure(shards, args.context, args.batch, args.rounds, args.seconds)
    for name, speed in found.items():
        print(f"{name:8} {speed:>12,.0f} tokens/s")
    print(f"tenfold is {found['tenfold'] / found['nanoGPT']:.2f} times as fast as nanoGPT's loader (medians of {args.rounds})")
    if step := args.step_tokens_per_second:
        print(f"and {found['tenfold'] / step:,.0f} times as fast as a step that takes {step:,.0f} tokens/s")


if __name__ == "__main__":
    main()
