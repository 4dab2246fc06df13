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
    tasks = json.loads((folder / "tasks.json").read_text())
    files = task_files(tasks, folder)
    scored = simple_evaluate(lm, tasks=files, log_samples=True, bootstrap_iters=0, random_seed=0)
    found = {"versions": f"lm-eval {lm_eval.__version__}, transformers {transformers.__version__}, torch {torch.__version__}"}
    for name, theirs in tasks.items():
        ordered = sorted(scored["samples"][f"theirs_{theirs}"], key=lambda sample: sample["doc_id"])
        logprobs = [[float(answer[0][0]) for answer in sample["resps"]] for sample in ordered]
        found[name] = {"results": scored["results"][f"theirs_{theirs}"], "logprobs": logprobs}
    found["seconds"] = time.perf_counter() - started
    (folder / "theirs.json").write_text(json.dumps(found, default=str))


def task_files(tasks: dict[str, str], folder: Path) -> list[str]:
    """The harness's task files over our items, each a file that includes it; all are looked for at once, which is seconds quicker."""
    import lm_eval.tasks

    places = {line.split()[1]: path for path in Path(lm_eval.tasks.__file__).parent.rglob("*.yaml") for line in _named(path)}
    made = []
    for name, theirs in tasks.items():
        files = {split: str(folder / f"{name}.jsonl") for split in ("train", "validation", "test")}
        change = {"include": str(places[theirs]), "dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": files}}
        change["description"] = "{{before}}"  # the examples shown before an item, which are ours
        file = folder / f"theirs_{theirs}.yaml"
        file.write_text(json.dumps(change | {"task": f"theirs_{theirs}"}))  # JSON is YAML
        made.append(str(file))
    return made


def _named(path: Path) -> list[str]:
    """The line that names a task file's task, where there is one."""
    return [line for line in path.read_text().splitlines() if line.startswith("task: ")]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4])
