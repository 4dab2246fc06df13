"""What `longnet.py linear` and `longnet.py compare` measure: attention alone, on operands in bf16, causal, 64 numbers a head.

Every length, and every side of a comparison, is a process of its own, which compiles first; times are of whole calls after that. A
watched process counts the most that it holds during a call, operands and results included. A timed one keeps freed memory, as training
does. In `linear` a process is watched and timed, so that its times have page faults in them.
"""

import math
import statistics
import sys
from pathlib import Path

from side import Side, answer_lines
from side_memory import forget_peak, held_megabytes, peak_megabytes

WIDTH = 64
PAPERS = "dilated:2048x1,4096x2,8192x4,16384x6,32768x12"


def serve(word: str, heads: int, length: int, watched: bool) -> None:
    """The process of one kind of attention: `forward` and `both` are the jobs; it answers with the peak, and what it held without calls."""
    import jax
    import jax.numpy as jnp

    from tenfold.model.attention.kinds import attend
    from tenfold.model.config import ModelConfig
    from tenfold.model.host_memory import keep_freed_memory

    if not watched:
        keep_freed_memory()
    config = ModelConfig(vocab=8, context=length, layers=1, embed=WIDTH * heads, heads=heads, attention=(word,))
    forward = jax.jit(lambda q, k, v: attend(config.kinds[0], config, q, k, v))
    both = jax.jit(lambda q, k, v, g: jax.vjp(lambda *qkv: attend(config.kinds[0], config, *qkv), q, k, v)[1](g))
    shapes = [jax.ShapeDtypeStruct((1, length, heads, WIDTH), dtype) for dtype in (*[jnp.bfloat16] * 3, jnp.float32)]
    block = min(length, 8192)
    compiled: dict = {}
    operands: list = []

    def prepare(job: str) -> None:
        compiled[job] = (forward if job == "forward" else both).lower(*shapes[: 3 if job == "forward" else 4]).compile()
        for number in range(len(operands), 3 if job == "forward" else 4):
            few = jax.random.normal(jax.random.key(number), (1, block, heads, WIDTH), shapes[number].dtype)
            operands.append(jax.block_until_ready(jnp.tile(few, (1, length // block, 1, 1))))

    def work(job: str) -> list[int]:
        if job.startswith("prepare "):
            prepare(job.removeprefix("prepare "))
            return []
        if watched:
            forget_peak()
        held = held_megabytes()
        jax.block_until_ready(compiled[job](*operands[: 3 if job == "forward" else 4]))
        return [peak_megabytes(), held]

    answer_lines(work, jax.__version__)


def start(word: str, heads: int, length: int, how: str) -> Side:
    return Side([sys.executable, str(Path(__file__)), word, str(heads), str(length), how])


def linear(heads: int, lengths: list[int], dense_lengths: list[int], longest_both: int, runs: int) -> None:
    """Prints a row for each length, and the slope of time over length, both in logarithms, of each kind."""
    for word, which in (("geometric:2048,2", lengths), ("dense", dense_lengths)):
        seconds: dict[str, dict[int, float]] = {"forward": {}, "both": {}}
        print(f"\n{word}, {heads} heads of {WIDTH}, causal, operands in bf16; medians of {runs}, of 1 from 2^20 positions on")
        for length in which:
            side = start(word, heads, length, "watched")
            for job in ("forward", "both") if length <= longest_both else ("forward",):
                side.work(f"prepare {job}")
                # The first call of a process is slow, by a tenth of a second, which is much of a short one: it is left out.
                found = [side.work(job) for _ in range(runs + 1)][1:] if length < 2**20 else [side.work(job)]
                seconds[job][length] = statistics.median(s for s, _ in found)
                peak, held = max(p for _, (p, _) in found), min(h for _, (_, h) in found)
                say_row(job, length, heads, seconds[job][length], peak, held)
            side.close()
        for job, times in seconds.items():
            if len(times) > 1:
                print(f"  slope, {job}: {slope(times):.3f} from {min(times):,} to {max(times):,}")


def say_row(job: str, length: int, heads: int, seconds: float, peak: int, held: int) -> None:
    results = length * heads * WIDTH * (4 if job == "forward" else 3 * 2) / 1e6  # f32; or three gradients in bf16
    print(
        f"  {length:>9,} {job:<8} {seconds:8.3f} s {seconds / length * 1e6:7.2f} us a token   peak {peak:6,} MB, {peak - held:6,} beyond "
        f"what was held before, of which {results:,.0f} are results",
        flush=True,
    )


def slope(times: dict[int, float]) -> float:
    """Of least squares in logarithms."""
    x, y = [math.log(n) for n in times], [math.log(t) for t in times.values()]
    mean_x, mean_y = statistics.fmean(x), statistics.fmean(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)


def compare(torchscale: str, peers_python: str, heads: int, length: int, runs: int, jobs: list[str]) -> None:
    """Tenfold and torchscale in turns; a ratio above 1 means that Tenfold is faster, or takes less memory."""
    peer = str(Path(__file__).with_name("longnet_peer.py"))

    def both_sides(how: str) -> dict[str, Side]:
        theirs = Side([peers_python, peer, torchscale, str(heads), str(length), how])
        return {"tenfold": start(PAPERS, heads, length, how), "torchscale": theirs}

    print(f"\n{PAPERS}, {heads} heads of {WIDTH}, {length:,} positions, causal, bf16; medians of {runs} calls in turns")
    for job in jobs:
        timed = both_sides("timed")
        seconds: dict[str, list[float]] = {name: [] for name in timed}
        timed["tenfold"].work(f"prepare {job}")
        for _ in range(runs + 1):
            for name, side in timed.items():
                seconds[name].append(side.work(job)[0])
        close(timed)
        watched = both_sides("watched")
        watched["tenfold"].work(f"prepare {job}")
        peak = {name: side.work(job)[1][0] for name, side in watched.items()}
        close(watched)
        us = {name: [s / length * 1e6 for s in found[1:]] for name, found in seconds.items()}
        middle = {name: statistics.median(found) for name, found in us.items()}
        for name, found in us.items():
            print(f"  {job:<8} {name:<11} {middle[name]:7.2f} us a token ({min(found):.2f} to {max(found):.2f})   peak {peak[name]:,} MB")
        faster, smaller = middle["torchscale"] / middle["tenfold"], peak["torchscale"] / peak["tenfold"]
        print(f"  {job:<8} ratio: time {faster:.2f}, memory {smaller:.2f}   (torch {timed['torchscale'].version})", flush=True)


def close(sides: dict[str, Side]) -> None:
    for side in sides.values():
        side.close()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "watched")
