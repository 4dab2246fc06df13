"""What `evaluate.py` runs in the peer's own environment: lm-evaluation-harness with transformers or llama.cpp's server, on items that lie
in a folder.

    python evaluate_peer.py CHECKPOINT FOLDER DTYPE BATCH
    python evaluate_peer.py MODEL.gguf FOLDER

FOLDER/tasks.json gives, for each of our tasks, the harness's name of it; its items are in FOLDER/NAME.jsonl. Writes FOLDER/theirs.json.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")


def main(model: str, folder: Path, *how: str) -> None:
    import lm_eval.tasks
    from lm_eval import simple_evaluate

    started = time.perf_counter()
    tasks = json.loads((folder / "tasks.json").read_text())
    with served(model) if model.endswith(".gguf") else transformers_model(model, *how) as (lm, versions):
        scored = simple_evaluate(lm, tasks=task_files(tasks, folder), log_samples=True, bootstrap_iters=0, random_seed=0)
    found = {"versions": f"lm-eval {lm_eval.__version__}, {versions}"}
    for name, theirs in tasks.items():
        ordered = sorted(scored["samples"][f"theirs_{theirs}"], key=lambda sample: sample["doc_id"])
        logprobs = [[float(answer[0][0]) for answer in sample["resps"]] for sample in ordered]
        found[name] = {"results": scored["results"][f"theirs_{theirs}"], "logprobs": logprobs}
    found["seconds"] = time.perf_counter() - started
    (folder / "theirs.json").write_text(json.dumps(found, default=str))


@contextlib.contextmanager
def transformers_model(checkpoint: str, dtype: str, batch: str) -> Iterator[tuple]:
    import torch
    import transformers
    from lm_eval.models.huggingface import HFLM

    versions = f"transformers {transformers.__version__}, torch {torch.__version__}"
    yield HFLM(pretrained=checkpoint, dtype=dtype, device="cpu", batch_size=batch), versions


@contextlib.contextmanager
def served(gguf: str) -> Iterator[tuple]:
    """llama-cpp-python's server with all cores, as `lm_eval --model gguf` asks it."""
    import llama_cpp
    from lm_eval.models.gguf import GGUFLM

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cores = str(os.cpu_count())
    how = ["--n_ctx", "2048", "--logits_all", "true", "--n_threads", cores, "--n_threads_batch", cores, "--verbose", "false"]
    command = [sys.executable, "-m", "llama_cpp.server", "--model", gguf, "--port", str(port), *how]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while not answers(f"http://127.0.0.1:{port}/v1/models"):
                if server.poll() is not None:
                    sys.exit(f"{' '.join(command)} ended with {server.returncode}")
                time.sleep(0.1)
            yield GGUFLM(f"http://127.0.0.1:{port}"), f"llama-cpp-python {llama_cpp.__version__}"
        finally:
            server.terminate()


def answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(url).status == 200
    except urllib.error.URLError:
        return False


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
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
