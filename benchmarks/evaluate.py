"""`tenfold eval` beside lm-evaluation-harness with transformers, or llama.cpp: one model, the same weights and items, from start to scores.

    python benchmarks/evaluate.py MODEL --data FOLDER ... --peers-python PATH [--limit 500] [--shots 0] [--dtype bfloat16] [--batch 8]
    python benchmarks/evaluate.py MODEL.gguf --data FOLDER ... --llama-python PATH [--batch 512]

MODEL is what every command takes; transformers read it from a Hugging Face directory that is made of it here, llama.cpp as it is. Both
sides are processes that begin with nothing in memory: start, loading and compiling count. The peer gets our items, each with the examples
that we show before it, so nothing is fetched. The standard error is that of our score.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from lm_eval_rows import PAIRS, TASKS, write_rows

from tenfold.evaluate.loaded import load
from tenfold.evaluate.requests import Likelihood
from tenfold.evaluate.results import read_items
from tenfold.evaluate.run import prompted
from tenfold.evaluate.scores import chosen, task_scores
from tenfold.evaluate.settings import EvalSettings
from tenfold.evaluate.task import read_task

NAMES = ("lambada", "hellaswag", "piqa", "arc_easy", "arc_challenge", "winogrande", "arithmetic_2da")


def run(command: list[str]) -> float:
    """Seconds that it took. Its words are shown where it fails."""
    kept = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }  # or each would compile its imports anew
    started = time.perf_counter()
    ended = subprocess.run(command, capture_output=True, text=True, env=kept)
    if ended.returncode:
        sys.exit(f"{' '.join(command[:4])} ... failed:\n{ended.stdout[-2000:]}\n{ended.stderr[-4000:]}")
    return time.perf_counter() - started


def ours(asked, out: Path) -> float:
    data = [word for folder in asked.data for word in ("--data", str(folder))]
    how = ["--limit", str(asked.limit), "--shots", str(asked.shots), "--weights", asked.dtype, "--rules", "sum,char", "--out", str(out)]
    return run([sys.executable, "-m", "tenfold.cli", "eval", asked.model, ",".join(asked.tasks), *data, *how])


def theirs(asked, settings: EvalSettings, folder: Path) -> tuple[float, dict]:
    harness, llama = (str(Path(__file__).with_name(name)) for name in ("evaluate_peer.py", "evaluate_llama.py"))
    if asked.llama_python:
        seconds = run([asked.llama_python, llama, asked.model, str(folder), asked.batch])
    else:
        seconds = run([asked.peers_python, harness, str(folder / "checkpoint"), str(folder), asked.dtype, asked.batch])
    found = json.loads((folder / "theirs.json").read_text())
    return seconds, found | {name: scored(name, settings, found[name]) for name in asked.tasks} if asked.llama_python else found


def prepare(asked, settings: EvalSettings, folder: Path) -> None:
    """What the other side reads, outside of its time."""
    if asked.llama_python:
        (folder / "requests.json").write_text(json.dumps({name: requests(name, settings) for name in asked.tasks}))
        return
    run([sys.executable, "-m", "tenfold.cli", "convert", "export", asked.model, str(folder / "checkpoint")])
    (folder / "tasks.json").write_text(json.dumps({name: TASKS[name][0] for name in asked.tasks}))
    for name in asked.tasks:
        write_rows(name, settings, folder)


def requests(name: str, settings: EvalSettings) -> list[list[tuple[str, str]]]:
    """Each item's contexts and continuations."""
    each = load(read_task(name), settings)
    return [[(one.context, one.text) for one in asks.scored] for asks in prompted(each, each.counts[0])[0]]


def scored(name: str, settings: EvalSettings, answers: list[list[tuple[float, int, bool]]]) -> dict:
    """What the harness would say of another engine's answers: our scores of them, by its metrics' names."""
    loaded = load(read_task(name), settings)
    items = [
        chosen(about, asks, dict(zip(asks.scored, (Likelihood(*each) for each in answer), strict=True)), ("sum", "char"))
        for asks, about, answer in zip(*prompted(loaded, loaded.counts[0]), answers, strict=True)
    ]
    scores = task_scores(items, None)
    results = {f"{metric},none": scores[rule]["value"] for metric, rules in PAIRS.items() for rule in rules if rule in scores}
    return {"results": results, "logprobs": [item.logprobs for item in items]}


def say(name: str, out: Path, found: dict) -> None:
    """A row for each score that both give."""
    file = next(out.glob(f"{name}-*.json"))
    result, lines = json.loads(file.read_text()), read_items(file)
    apart = [abs(a - b) for item, line in zip(lines, found["logprobs"], strict=True) for a, b in zip(item.logprobs, line, strict=True)]
    for metric, rules in PAIRS.items():
        for rule in rules:
            score = found["results"].get(f"{metric},none")
            if score is None or rule not in result["scores"]:
                continue
            own = result["scores"][rule]
            print(
                f"| {name} | {metric} | {own['value']:.4f} | {own['error']:.4f} | {score:.4f} | {own['value'] - score:+.4f} "
                f"| {np.median(apart):.1e}, at most {max(apart):.1e} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, nargs="*", default=[])
    parser.add_argument("--peers-python", default=os.environ.get("PEERS_PYTHON"), help="a Python with torch, transformers and lm-eval")
    parser.add_argument("--limit", type=int, default=500)
    parser.add_argument("--shots", type=int, default=0, help="worked examples before each item, drawn for it from the training split")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--llama-python", help="a Python with llama-cpp-python: llama.cpp is the peer")
    parser.add_argument("--batch", help="the harness's batch size, or auto (8); llama.cpp's, in tokens (512)")
    parser.add_argument("--tasks", nargs="*", choices=TASKS, default=list(NAMES))
    asked = parser.parse_args()
    if not asked.peers_python and not asked.llama_python:
        sys.exit("Name a Python that has torch, transformers and lm-eval (--peers-python PATH), or llama-cpp-python (--llama-python PATH).")
    asked.batch = asked.batch or ("512" if asked.llama_python else "8")
    settings = EvalSettings(shots=str(asked.shots), limit=asked.limit, data=tuple(asked.data))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        prepare(asked, settings, folder)
        own = ours(asked, folder / "ours")
        other, found = theirs(asked, settings, folder)
        print(f"{asked.limit} items a task at most, {asked.shots} shots, {asked.dtype}; {found['versions']}, batches of {asked.batch}\n")
        print("| task | score | Tenfold | standard error | the peer | difference | log-probabilities apart, median |")
        print("|---|---|---|---|---|---|---|")
        for name in asked.tasks:
            say(name, folder / "ours", found[name])
        print(f"\nFrom start to scores: {own:.1f} s and {other:.1f} s: {other / own:.2f}x")


if __name__ == "__main__":
    main()
