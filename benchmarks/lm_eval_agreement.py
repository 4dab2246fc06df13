"""Our scores beside lm-evaluation-harness's, of one model on the same items: our tasks and engine, its tasks and our class for it.

    pip install 'tenfold[eval]'
    python benchmarks/lm_eval_agreement.py RUN --data FOLDER [--limit 100]

The harness gets the items from here, in the form that its task files read, so nothing is fetched. What must agree are the prompts, how
they are cut into tokens, the likelihoods item by item, and the scores. Prints a line a task; ends with code 1 where one differs.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

from evaluate_peer import task_files
from lm_eval import simple_evaluate
from lm_eval_rows import PAIRS, TASKS, write_rows

import tenfold
from tenfold.evaluate.lm_eval import TenfoldLM
from tenfold.evaluate.results import read_items
from tenfold.evaluate.run import evaluate
from tenfold.evaluate.settings import EvalSettings

CLOSE = 1e-6  # of a score


def compare(lm: TenfoldLM, model: Any, name: str, settings: EvalSettings, folder: Path) -> bool:
    """One task by both, a line printed; whether they agree."""
    theirs, _ = TASKS[name]
    write_rows(name, settings, folder)
    began = time.perf_counter()
    ours = evaluate(model, [name], settings, folder / "ours", engine=lm.engine)[0]
    between = time.perf_counter()
    scored = simple_evaluate(lm, tasks=task_files({name: theirs}, folder), log_samples=True, bootstrap_iters=0, random_seed=0)
    ended = time.perf_counter()
    results = next(iter(scored["results"].values()))
    pairs = [(metric, rule) for metric, rules in PAIRS.items() for rule in rules if f"{metric},none" in results and rule in ours.scores]
    apart = max(abs(results[f"{metric},none"] - ours.scores[rule]["value"]) for metric, rule in pairs)
    lines = read_items(folder / "ours" / f"{ours.name}.json")
    samples = sorted(next(iter(scored["samples"].values())), key=lambda sample: sample["doc_id"])
    nats = [
        abs(float(answer[0][0]) - own)
        for item, sample in zip(lines, samples, strict=True)
        for answer, own in zip(sample["resps"], item.logprobs, strict=True)
    ]
    told = ", ".join(f"{metric} {results[f'{metric},none']:.4f}" for metric, _ in pairs)
    seconds = f"ours {between - began:.1f} s, by the harness {ended - between:.1f} s"
    print(f"{name:<16} {len(lines):>5} items  {told}; scores apart {apart:.1e}, log-probabilities {max(nats):.1e}; {seconds}", flush=True)
    return apart <= CLOSE and bool(pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--data", type=Path, nargs="*", default=[])
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS))
    asked = parser.parse_args()
    lm, model = TenfoldLM(asked.run), tenfold.load(asked.run)
    settings = EvalSettings(limit=asked.limit, data=tuple(asked.data), rules="sum")
    with tempfile.TemporaryDirectory() as folder:
        agree = [compare(lm, model, name, settings, Path(folder)) for name in asked.tasks]
    print(f"{sum(agree)} of {len(agree)} tasks agree to {CLOSE:g}")
    sys.exit(0 if all(agree) else 1)


if __name__ == "__main__":
    main()
