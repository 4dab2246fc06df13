"""LongNet beside banded and dense models of the same size on the same tokens: perplexity by length, and recall by distance.

    python benchmarks/longnet_quality.py documents --folder FOLDER --out TEXTS
    python benchmarks/longnet_quality.py text --documents FOLDER_OF_LONG_TEXTS [--contexts 1024 4096 16384] [--tokens 2000000] [--seeds 3]
    python benchmarks/longnet_quality.py recall [--context 1024] [--pairs 1] [--steps 500] [--seeds 3]

`documents` joins the files of a folder, such as a system's documentation, into long texts: TEXTS/train and TEXTS/held-out, every twentieth.
`text` trains each kind at each context and measures it at each, on the same held-out text: the layout of LongNet's Table 2 (Ding et al.
2023). `recall` trains each on rows with pairs of a key and a value among noise, asks for every value at the end of the row, and prints how
many are right by their distance; with one pair it is a needle in a haystack. Models are equal in shape, so in parameters; so are the
tokens of a step, whatever the context. Figures are means over seeds with a 95% interval (Student's t), and the processor's seconds, of all
cores together. Both go on where they stopped.
"""

import argparse
import gzip
import json
import math
import sys
import time
from pathlib import Path

import numpy as np

BAND = 256
KINDS = {"dense": "dilated:{context}x1", "banded": f"banded:{BAND}", "longnet": f"geometric:{BAND},2"}
"""One segment as long as the context is dense attention, by the code that keeps no scores for the backward pass."""
STEP_TOKENS = 16384
RECALL_TOKENS = 8192
LETTERS = 500_000
KEYS, VALUES, NOISE = 32, 32, 64
DISTANCES = 4
"""Equal parts of the row in which recall is counted apart."""


def interval(numbers: list[float]) -> tuple[float, float]:
    """The mean, and half of its 95% interval (0 for one number)."""
    from scipy import stats

    mean, n = float(np.mean(numbers)), len(numbers)
    return mean, float(stats.t.ppf(0.975, n - 1) * np.std(numbers, ddof=1) / math.sqrt(n)) if n > 1 else 0.0


def cell(numbers: list[float], digits: int) -> str:
    mean, half = interval(numbers)
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


def once(options, name: str, make):
    """What `make()` gave when it was first asked, kept in the folder `out`; refused where that was asked with other settings."""
    settings = {key: str(value) for key, value in vars(options).items() if key not in ("function", "out", "kinds", "seeds")}
    place = options.out / f"{name}.json"
    if not place.exists():
        kept = {"settings": settings, "found": make()}
        temporary = place.with_suffix(".tmp")
        temporary.write_text(json.dumps(kept))
        temporary.rename(place)
    kept = json.loads(place.read_text())
    if kept["settings"] != settings:
        sys.exit(f"{place} was made with other settings, {kept['settings']}: name another folder with --out.")
    return kept["found"]


def documents(options) -> None:
    """Files in the order of their names, joined where they come from one directory, into texts of about half a million letters."""
    texts: list[str] = []
    for directory in sorted({file.parent for file in options.folder.rglob("*") if file.is_file()}):
        parts = [read_text(file) for file in sorted(directory.iterdir()) if file.is_file()]
        texts += ["".join(f"{part}\n\n" for part in parts if part)]
    places = {"train": options.out / "train", "held-out": options.out / "held-out"}
    for place in places.values():
        place.mkdir(parents=True)
    joined, number = "", 0
    for text in [*texts, None]:
        if text is not None and len(joined := joined + text) < LETTERS:
            continue
        (places["held-out" if number % 20 == 10 else "train"] / f"{number:05}.txt").write_text(joined, "utf-8")
        joined, number = "", number + 1
    print(f"{number} texts, {sum(map(len, texts)):,} letters, in {options.out}")


def read_text(file: Path) -> str:
    """What a file says, unpacked if it is packed; nothing where it is no text."""
    data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    try:
        return "" if b"\0" in data else data.decode("utf-8")
    except UnicodeDecodeError:
        return ""


def model_config(options, kind: str, vocab: int, context: int):
    from tenfold.model.config import ModelConfig

    shape = dict(layers=options.layers, embed=options.embed, heads=4)
    return ModelConfig(vocab=vocab, context=context, positions="rotary", attention=(KINDS[kind].format(context=context),), **shape)


def prepared(options) -> Path:
    """Token shards of the documents, made once for all runs."""
    from tenfold.tokens.config import DataConfig
    from tenfold.tokens.prepare import prepare

    prepare(DataConfig(paths=(options.documents,), held_out=options.held_out), options.out / "texts", options.vocab)
    return options.out / "texts" / "data"


def text_recipe(options, kind: str, context: int, seed: int):
    from tenfold.tokens.config import DataConfig
    from tenfold.train.recipe import OptimizerConfig, Recipe, TrainConfig

    model = model_config(options, kind, options.vocab, context)
    steps = max(1, options.tokens // STEP_TOKENS)
    return Recipe(
        name=f"{kind}-{context}-{seed}",
        model=model,
        data=DataConfig(paths=(str(prepared(options)),), seed=seed),
        optimizer=OptimizerConfig(learning_rate=2e-3, warmup_tokens=options.tokens // 20),
        train=TrainConfig(steps=steps, batch=STEP_TOKENS // context, seed=seed, evaluate_every=steps, prompts=(), checkpoint_every=steps),
    )


def text_run(options, kind: str, context: int, seed: int) -> dict:
    """Perplexity of one run at every length, and the processor's seconds that its training took, of all cores."""
    import tenfold

    recipe, start = text_recipe(options, kind, context, seed), time.process_time()
    run = tenfold.train(recipe, options.out / recipe.name)
    if not run.result.get("finished"):
        sys.exit(f"{run.path} was stopped: the same command goes on from there.")
    seconds, model = time.process_time() - start, tenfold.load(run.path)
    return {
        "seconds": seconds,
        "perplexity": {length: perplexity(options, run, model, kind, length) for length in options.contexts},
    }


def perplexity(options, run, model, kind: str, length: int) -> float:
    """Of the first tokens of the held-out text, in rows of `length`."""
    import jax

    from tenfold.sharding.axes import make_mesh
    from tenfold.tokens.prepare import prepare
    from tenfold.train.feed import held_out_batches
    from tenfold.train.held_out import measure
    from tenfold.train.step import evaluate_step

    config = model_config(options, kind, options.vocab, length)
    data, rows = prepare(run.recipe.data, run.path, config.vocab), STEP_TOKENS // length
    batches = held_out_batches(data, length, rows, max(rows, options.measured // length))
    if not batches:
        sys.exit(f"{options.documents} has no document among the 5% that are held out: cut it into more, or name others with --held-out.")
    mesh = make_mesh(run.recipe.mesh)
    with jax.set_mesh(mesh):
        evaluate = jax.jit(lambda params, batch: evaluate_step(config, params, batch))
        return math.exp(measure(evaluate, model.params, batches, None, mesh).loss)


def text(options) -> None:
    print(f"| trained at | kind | {' | '.join(f'measured at {n:,}' for n in options.contexts)} | core seconds a run |")
    print("|---" * (len(options.contexts) + 3) + "|")
    for context in options.contexts:
        for kind in options.kinds:
            runs = [once_text(options, kind, context, seed) for seed in range(options.seeds)]
            by_length = [cell([r["perplexity"][str(length)] for r in runs], 2) for length in options.contexts]
            print(f"| {context:,} | {kind} | {' | '.join(by_length)} | {np.mean([r['seconds'] for r in runs]):.0f} |", flush=True)


def once_text(options, kind: str, context: int, seed: int) -> dict:
    return once(options, f"{kind}-{context}-{seed}", lambda: text_run(options, kind, context, seed))


def recall_rows(numbers: np.random.Generator, rows: int, context: int, pairs: int, often: int = 0):
    """int32[B, T] tokens, targets, f32 weights that count the values asked for, and int[B, pairs] how far back each was told.

    A pair is two tokens, a key and its value; keys are told once, at random places among noise, and asked for in random order at the end.
    In the first `often` rows pairs that were told come again at random places, an eighth of all tokens, and count as well: with a few
    questions a row, small models take long to find that there is something to find.
    """
    told_until = context - 2 * pairs
    tokens = numbers.integers(KEYS + VALUES, KEYS + VALUES + NOISE, (rows, context + 1))
    weights, distance = np.zeros((rows, context), np.float32), np.zeros((rows, pairs), int)
    for row in range(rows):
        told = np.stack([numbers.permutation(KEYS)[:pairs], KEYS + numbers.integers(0, VALUES, pairs)], 1)
        slots = 2 * numbers.permutation(told_until // 2)
        places, again = np.sort(slots[:pairs]), slots[pairs : pairs + told_until // 16]
        for at in again if row < often else ():
            if before := np.searchsorted(places, at):
                tokens[row, at : at + 2] = told[numbers.integers(before)]
                weights[row, at] = 1
        asked, at = numbers.permutation(pairs), told_until + 2 * np.arange(pairs)
        tokens[row, places[:, None] + np.arange(2)] = told
        tokens[row, at[:, None] + np.arange(2)] = told[asked]
        weights[row, at], distance[row] = 1, at - places[asked]
    return tokens[:, :-1].astype(np.int32), tokens[:, 1:].astype(np.int32), weights, distance


def recall_run(options, kind: str, seed: int) -> dict:
    """The share of values right in each part of the distances, after training on fresh rows."""
    import jax
    import jax.numpy as jnp

    from tenfold.model.transformer import forward, logits
    from tenfold.sharding.axes import make_mesh
    from tenfold.tokens.loader import Batch
    from tenfold.train.batches import place_batch
    from tenfold.train.optimizer import make_optimizer
    from tenfold.train.recipe import OptimizerConfig, Recipe, TrainConfig
    from tenfold.train.state import init_state, state_shardings
    from tenfold.train.step import jit_train_step

    T, rows, start = options.context, max(1, RECALL_TOKENS // options.context), time.process_time()
    model = model_config(options, kind, KEYS + VALUES + NOISE, T)
    warmup = options.steps * rows * T // 20
    optimizer_config = OptimizerConfig(learning_rate=3e-3, warmup_tokens=warmup)
    recipe = Recipe(model=model, optimizer=optimizer_config, train=TrainConfig(steps=options.steps, batch=rows))
    mesh, optimizer, numbers = make_mesh(recipe.mesh), make_optimizer(recipe), np.random.default_rng(seed)
    with jax.set_mesh(mesh):
        state = init_state(model, optimizer, mesh, seed)
        step = jit_train_step(model, optimizer, 0.0, state_shardings(model, optimizer, mesh))
        for number in range(options.steps):
            tokens, targets, weights, _ = recall_rows(numbers, rows, T, options.pairs, rows // 2)
            state, metrics = step(state, place_batch(Batch(tokens, targets, np.ones_like(tokens), weights), mesh, False))
            if (number + 1) % max(1, options.steps // 5) == 0:
                print(f"  {kind}, seed {seed}, step {number + 1}: loss {float(metrics.loss):.3f}", flush=True)
        best = jax.jit(lambda params, tokens_BT: jnp.argmax(logits(params, model, forward(params, model, tokens_BT).x_BTD), -1))
        right, asked = np.zeros(DISTANCES), np.zeros(DISTANCES)
        for _ in range(32):
            tokens, targets, weights, distance = recall_rows(numbers, rows, T, options.pairs)
            correct = (np.asarray(best(state.params, tokens)) == targets)[weights > 0].reshape(rows, options.pairs)
            part = np.minimum(distance * DISTANCES // T, DISTANCES - 1)
            right += np.bincount(part[correct], minlength=DISTANCES)
            asked += np.bincount(part.ravel(), minlength=DISTANCES)
    return {"right": (right / np.maximum(asked, 1)).tolist(), "asked": asked.tolist(), "seconds": time.process_time() - start}


def recall(options) -> None:
    T = options.context
    edges = [f"{i * T // DISTANCES} to {(i + 1) * T // DISTANCES}" for i in range(DISTANCES)]
    found = {kind: [once_recall(options, kind, seed) for seed in range(options.seeds)] for kind in options.kinds}
    print(f"Values recalled, in percent; chance is {100 / VALUES:.1f}\n| kind | told {' | '.join(edges)} back | core seconds a run |")
    print("|---" * (DISTANCES + 2) + "|")
    for kind, runs in found.items():
        shares = [cell([100 * run["right"][part] for run in runs], 1) for part in range(DISTANCES)]
        print(f"| {kind} | {' | '.join(shares)} | {np.mean([run['seconds'] for run in runs]):.0f} |")


def once_recall(options, kind: str, seed: int) -> dict:
    return once(options, f"recall-{kind}-{seed}", lambda: recall_run(options, kind, seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("documents")
    command.set_defaults(function=documents)
    command.add_argument("--folder", type=Path, required=True, help="files, packed with gzip or not, in any directories")
    command.add_argument("--out", type=Path, required=True, help="where nothing is yet")
    for function in (text, recall):
        command = commands.add_parser(function.__name__)
        command.set_defaults(function=function)
        command.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
        command.add_argument("--seeds", type=int, default=3)
        command.add_argument("--layers", type=int, default=4)
        command.add_argument("--embed", type=int, default=128)
        command.add_argument("--out", type=Path, default=Path("runs/longnet-quality"), help="where runs and figures are kept")
        if function is text:
            command.add_argument("--documents", required=True, help="long texts: a folder, .txt, .jsonl, ...")
            command.add_argument("--held-out", help="texts to measure on; else 5%% of the documents")
            command.add_argument("--contexts", nargs="+", type=int, default=[1024, 4096, 16384])
            command.add_argument("--tokens", type=int, default=2_000_000, help="each run learns from")
            command.add_argument("--measured", type=int, default=262144, help="held-out tokens, at most")
            command.add_argument("--vocab", type=int, default=4096)
        else:
            command.add_argument("--context", type=int, default=1024)
            command.add_argument("--pairs", type=int, default=1)
            command.add_argument("--steps", type=int, default=500)
    options = parser.parse_args()
    if options.function is documents:
        return documents(options)
    shortest = min(options.contexts if options.function is text else [options.context])
    if shortest <= BAND:
        parser.error(f"a context of {shortest} is within the band and the first segment, {BAND}: all kinds would be one. Use longer ones.")
    options.out.mkdir(parents=True, exist_ok=True)
    options.function(options)


if __name__ == "__main__":
    main()
