"""Pairs, models and recipes that write code, small enough to train in seconds. For the tests of codefusion/ and of its commands."""

import json
from dataclasses import replace
from pathlib import Path

from tenfold.codefusion.config import FusionConfig
from tenfold.codefusion.recipe import FusionData, FusionRecipe, FusionTraining
from tenfold.train.recipe import OptimizerConfig

PAIRS = {
    "sort a list": "x.sort()",
    "print hello": "print('hello')",
    "open a file for reading": "f = open(path)",
    "length of a string": "len(s)",
}
TINY: dict = dict(
    vocab=300, text_length=32, length=16, encoder_layers=1, denoiser_layers=1, decoder_layers=1, embed=16, heads=2, mlp=32, dtype="float32"
)
FUSION = FusionConfig(**TINY, code_width=8, predicts="code", normalised=True, self_conditioned=True, steps=20)
PUBLISHED = replace(FUSION, predicts="noise", normalised=False, self_conditioned=False)
"""Denoising as published: noise is predicted, on embeddings that are free to grow and shrink."""
MASKED, AUTOREGRESSIVE = FusionConfig(kind="masked", **TINY), FusionConfig(kind="autoregressive", **TINY)


def write_pairs(folder: Path) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps({"text": text, "code": code}) + "\n" for text, code in PAIRS.items()))
    return path


def tiny_fusion(pairs: Path, model: FusionConfig = FUSION, **train) -> FusionRecipe:
    """6 steps of 4 rows; a checkpoint every 2 steps, a measurement every 3, every step in metrics.jsonl."""
    defaults = dict(steps=6, batch=4, log_every=1, checkpoint_every=2, evaluate_every=3, evaluate_rows=4, drop_text=0.25)
    return FusionRecipe(
        "tiny",
        model=model,
        data=FusionData((str(pairs),), held_out=str(pairs)),
        optimizer=OptimizerConfig(learning_rate=1e-2, weight_decay=0.0, beta2=0.98, warmup_tokens=64),
        train=FusionTraining(**(defaults | train)),
    )
