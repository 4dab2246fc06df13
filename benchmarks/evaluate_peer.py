"""What `evaluate.py` runs in the peer's own environment: lm-evaluation-harness with transformers, on items that lie in a folder.

    python evaluate_peer.py CHECKPOINT FOLDER DTYPE BATCH

FOLDER/tasks.json gives, for each of our tasks, the harness's name of it; its items are in FOLDER/NAME.jsonl. Writes FOLDER/theirs.json.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")


def main(checkpoint: str, folder: Path, dtype: str, batch: str) -> None:
    import lm_eval.tasks
    import torch
    import transformers
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    started = time.perf_counter()
    lm = HFLM(pretrained=checkpoint, dtype=dtype, device="cpu", batch_size=batch)
    found = {"versions": f"lm-eval {lm_eval.__version__}, transformers {transformers.__version__}, torch {torch.__version__}"}
    for name, theirs in json.loads((folder / "tasks.json").read_text()).items():
        before = time.perf_counter()
        scored = simple_evaluate(lm, tasks=[task_file(theirs, name, folder)], log_samples=True, bootstrap_iters=0, random_seed=0)
        results, samples = next(iter(scored["results"].values())), next(iter(scored["samples"].values()))
        ordered = sorted(samples, key=lambda sample: sample["doc_id"])
        logprobs = [[float(answer[0][0]) for answer in sample["resps"]] for sample in ordered]
        found[name] = {"results": results, "logprobs": logprobs, "seconds": time.perf_counter() - before}
    found["seconds"] = time.perf_counter() - started
    (folder / "theirs.json").write_text(json.dumps(found, default=str))


def task_file(theirs: str, name: str, folder: Path) -> str:
    """The harness's task file over our items: a file that includes it."""
    import lm_eval.tasks

    places = [path for path in Path(lm_eval.tasks.__file__).parent.rglob("*.yaml") if f"\ntask: {theirs}\n" in f"\n{path.read_text()}\n"]
    files = {split: str(folder / f"{name}.jsonl") for split in ("train", "validation", "test")}
    change = {"include": str(places[0]), "dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": files}}
    made = folder / f"theirs_{theirs}.yaml"
    made.write_text(json.dumps(change | {"task": f"theirs_{theirs}"}))  # JSON is YAML
    return str(made)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4])
