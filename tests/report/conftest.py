"""A run directory as training leaves it, made up: a falling loss, two evaluations a tenth of the run, samples, a corpus with rejects."""

import json
import math
import random
from pathlib import Path

import pytest

RECIPE = """\
name: {name}
seed: 0
model:
  layers: {layers}
  embed: 256
  heads: 4
  context: 256
  attention: [dense, banded]
optimizer:
  learning_rate: 0.0006
  betas: [0.9, 0.95]
  decay: 0.1
data:
  held_out: 0.05
  path: null
  prompts: ['def ', import]
"""
DOCUMENTS = {
    "path": "the running interpreter's standard library",
    "train": {"documents": 1653, "bytes": 30_205_268},
    "held_out": {"documents": 87, "bytes": 1_300_617},
    "rejected": {
        "empty": {"documents": 41, "bytes": 0, "examples": ["concurrent/__init__.py", "email/mime/__init__.py"]},
        "undecodable": {"documents": 3, "bytes": 1_423, "examples": ["test/bad_coding.py"]},
    },
}
MACHINE = {"cpu": "AMD EPYC", "cores": 2, "memory_gib": 23.4, "platform": "Linux", "python": "3.11.2", "jax": "0.10.2", "device": "cpu"}
SAMPLE = "add(self, other):\n        return self.__class__(other.value)\n\n    def __repr__(self):\n        return f'{self.name}'\n"


def jsonl(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def result(steps: int, model: float) -> dict:
    bits = {"model": model, "order0": 4.708, "xz": 1.415, "ngram5": 1.709}
    held_out = {"bits_per_byte": bits, "bytes": 1_300_617, "documents": 87}
    counts = {"steps": steps, "tokens": steps * 4096, "seconds": steps * 0.3, "parameters": 3_412_992}
    return {"command": "demo", "held_out": held_out, **counts, "machine": MACHINE}


@pytest.fixture
def make_run(tmp_path):
    """make_run("demo") -> a finished run's directory; leave out files by name, or change its length and depth."""

    def make(name: str = "demo", steps: int = 400, layers: int = 4, without: tuple[str, ...] = (), within: Path | None = None) -> Path:
        chance = random.Random(layers)
        run = (within or tmp_path) / name
        run.mkdir(parents=True)
        metrics, timing, samples = [], [], []
        for step in range(1, steps + 1):
            loss = 1.9 + 0.4 / layers + 5 * math.exp(-step / 60) + 0.12 * chance.gauss(0, 1)
            lr = 6e-4 * min(step / 20, 0.55 + 0.45 * math.cos(math.pi * step / steps))
            metrics.append(
                {"step": step, "tokens": step * 4096, "loss": loss, "grad_norm": 0.8 + 0.3 * chance.random(), "lr": lr, "batch": 16}
            )
            tokens_per_second = 13_000 + 700 * chance.gauss(0, 1)
            timing.append({"step": step, "seconds": 4 + step * 0.3, "tokens_per_second": tokens_per_second, "mfu": tokens_per_second / 3e4})
            if step % max(steps // 10, 1) == 0:
                held = 2.0 + 0.4 / layers + 5 * math.exp(-step / 60)
                metrics.append({"step": step, "held_out_loss": held, "held_out_bits_per_byte": held / 1.6})
                samples += [{"step": step, "prompt": prompt, "text": SAMPLE} for prompt in ("def ", "import ", "class ")]
        jsonl(run / "metrics.jsonl", metrics)
        jsonl(run / "timing.jsonl", timing)
        jsonl(run / "samples.jsonl", samples)
        (run / "recipe.yaml").write_text(RECIPE.format(name=name, layers=layers))
        (run / "documents.json").write_text(json.dumps(DOCUMENTS))
        (run / "result.json").write_text(json.dumps(result(steps, 1.25 + 0.4 / layers)))
        for file in without:
            (run / file).unlink()
        return run

    return make
