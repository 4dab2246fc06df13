"""Documents, shards and a recipe small enough to train on in a second. For the tests of train/, the command line and the Python page."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tenfold.model.config import ModelConfig
from tenfold.tokens.config import DataConfig
from tenfold.tokens.prepare import prepare
from tenfold.train.recipe import OptimizerConfig, Recipe, TrainConfig

VOCAB = 384
NAMES = "alpha beta gamma delta epsilon zeta eta theta iota kappa".split()


def write_documents(folder: Path, count: int = 60) -> Path:
    """`count` small Python files of made-up functions, always the same."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(count):
        lines = [f"# file {number}"]
        for _ in range(8):
            name, left, right = random.choice(NAMES, 3)
            lines += [f"def {name}({left}):", f"    return {left} + {right} * {random.integers(100)}", ""]
        (folder / f"{number:03}.py").write_text("\n".join(lines))
    return folder


def write_shards(folder: Path) -> Path:
    """A directory with train/ and held_out/ of shards, and their tokenizer."""
    prepare(DataConfig(paths=(str(write_documents(folder / "documents")),)), folder / "prepared", VOCAB)
    return folder / "prepared" / "data"


def tiny_recipe(data: Path, *, model: dict | None = None, optimizer: dict | None = None, **train) -> Recipe:
    """12 steps of 8 rows of 32 tokens; a checkpoint and a measurement every 4 steps; every step in metrics.jsonl."""
    defaults = dict(steps=12, batch=8, log_every=1, evaluate_every=4, checkpoint_every=4, keep=2, evaluate_rows=8, prompts=())
    return Recipe(
        "tiny",
        model=replace(ModelConfig(vocab=VOCAB, context=32, layers=2, embed=16, heads=2, dtype="float32"), **(model or {})),
        data=DataConfig(paths=(str(data),)),
        optimizer=replace(OptimizerConfig(learning_rate=3e-3, warmup_tokens=512), **(optimizer or {})),
        train=TrainConfig(**(defaults | dict(tensorboard=False) | train)),
    )
