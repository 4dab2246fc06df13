"""`tenfold demo`: the whole road, small. Documents in; a tokenizer, a model, an honest measurement, samples and a report out.

Every step leaves its files in the run directory and is not done again: an interrupted demo goes on where it stopped.
"""

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import jax
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from tenfold.corpus.documents import Document, collect
from tenfold.errors import UserError
from tenfold.evaluate.references import references
from tenfold.generate.complete import generate
from tenfold.model.host_memory import keep_freed_memory
from tenfold.model.params import parameter_count
from tenfold.recipes.demo import PROMPTS, demo, sized
from tenfold.recipes.show import Display
from tenfold.report.page import report
from tenfold.sharding.axes import make_mesh
from tenfold.tokens.config import DataConfig
from tenfold.tokens.prepare import Prepared, prepare
from tenfold.tokens.shards import Shards, write_shards
from tenfold.tokens.tokenizer import Tokenizer
from tenfold.train.checkpoint import load_params
from tenfold.train.device import machine
from tenfold.train.feed import held_out_batches
from tenfold.train.held_out import HeldOut, measure, token_bytes
from tenfold.train.noise import Plain
from tenfold.train.recipe import Recipe
from tenfold.train.records import write_json
from tenfold.train.run import begin_run, open_run, read_run
from tenfold.train.state import init_state
from tenfold.train.step import evaluate_step
from tenfold.train.train import Quiet, make_session, train

MEASURED_BYTES = 400_000
SHORTEST = 20  # steps, whatever the minutes
WHAT_IT_COSTS = 30.0  # seconds kept back for the measurement, the samples and the report


@dataclass(frozen=True)
class Demo:
    """The whole road, small: reads real documents, trains a tokenizer and a small GPT on them, measures it, and writes a report."""

    minutes: float = 3.0
    """What the whole may take, about."""
    documents: str = "stdlib"
    """A folder, a .txt, .jsonl(.gz|.zst) or .parquet file; "stdlib" is this Python's own standard library."""
    out: Path = Path("runs/demo")
    """The run directory."""

    def __post_init__(self):
        if not 0 < self.minutes < 1e5:
            raise UserError(f"minutes is {self.minutes}, but must be above 0, such as 3.")


def run_demo(options: Demo, console: Console | None = None) -> int:
    """The six steps, in plain words. Returns 0, or 130 where it was stopped and can go on."""
    console, began = console or Console(highlight=False), time.perf_counter()
    say = partial(_heading, console)
    if (options.out / "recipe.yaml").exists():
        console.print(f"{options.out} exists: going on where it stopped. For a new one, say --out or remove it.")

    say(1, f"Reading documents: {_named(options.documents)}")
    data = _read(options, console)
    say(2, "A byte-level BPE tokenizer, and token shards")
    _describe_tokens(data, console)
    recipe = _plan(options, data, began, console)

    say(3, f"Training a GPT of {parameter_count(recipe.model) / 1e6:.1f} million parameters for {recipe.train.steps:,} steps")
    with Display(options.out, console) as display:
        train(recipe, options.out, display)
    if not read_run(options.out).result.get("finished"):
        console.print("Stopped, with a checkpoint. `tenfold demo` goes on from there.")
        return 130

    say(4, "Measuring it on documents it has never seen, beside three references")
    found = _measure(recipe, options, data, console)
    say(5, "Completing prompts, and writing the report")
    _samples(recipe, options, data, console)
    _finish(options, found)
    page = report([options.out])
    say(6, f"Done in {(time.perf_counter() - began) / 60:.1f} minutes. The report: {page}")
    console.print(f'  What to type next:\n    tenfold generate {options.out} --prompt "def "\n    tenfold train --help')
    return 0


def _heading(console: Console, number: int, text: str) -> None:
    console.print(f"[bold]{number}. {text}[/bold]")


def _named(documents: str) -> str:
    return "this Python's standard library" if documents == "stdlib" else documents


def _read(options: Demo, console: Console) -> Prepared:
    with _bar(console) as progress:
        data = prepare(_data(options), options.out, demo().model.vocab, progress)
    summary = json.loads((options.out / "documents.json").read_text())
    for part, words in (("train", "to train on"), ("held_out", "held out")):
        console.print(f"  {summary[part]['documents']:,} documents {words}, {summary[part]['bytes'] / 1e6:.1f} MB")
    for reason, group in summary["rejected"].items():
        console.print(f"  {group['documents']:,} rejected, {reason}: such as {group['examples'][0]}")
    if not data.held_out:
        raise UserError(
            f"{options.documents} has {summary['train']['documents']:,} documents, and by their hashes none of them falls to the 5% held"
            " out: there is nothing to measure on.\n  Name more documents; some 60 are enough as a rule."
        )
    return data


def _describe_tokens(data: Prepared, console: Console) -> None:
    tokens, size = sum(s.tokens for s in data.train), sum(s.bytes for s in data.train)
    console.print(f"  {data.vocab:,} tokens in the vocabulary; {tokens:,} tokens to train on, {size / tokens:.2f} bytes each")


def _data(options: Demo) -> DataConfig:
    return DataConfig(paths=(options.documents,))


def _plan(options: Demo, data: Prepared, began: float, console: Console) -> Recipe:
    """The recipe: the one this directory was begun with, or one whose steps fit the minutes, by timing a few."""
    recipe = replace(demo(), name=options.out.name, data=_data(options))
    if (options.out / "recipe.yaml").exists():
        recipe = sized(recipe, read_run(options.out).recipe.train.steps)
    else:
        with console.status("timing a few steps ..."):
            seconds = _seconds_a_step(recipe, options.out, data)
        left = options.minutes * 60 - (time.perf_counter() - began) - min(WHAT_IT_COSTS, options.minutes * 60 / 3)
        recipe = sized(recipe, max(SHORTEST, math.floor(left / seconds)))
    begin_run(open_run(options.out, recipe), data.fingerprint)
    return recipe


def _seconds_a_step(recipe: Recipe, out: Path, data: Prepared, steps: int = 8) -> float:
    """The median time of a step on a model that is thrown away, compilation left out, plus a tenth for what comes between steps."""
    keep_freed_memory()
    session = make_session(recipe, out, data, make_mesh(recipe.mesh), Quiet())
    times = []
    with jax.set_mesh(session.mesh):
        state = init_state(recipe.model, session.optimizer, session.mesh, 0)
        for step in range(steps):
            batch, start = session.batches(step), time.perf_counter()
            state, metrics = session.train_step(state, batch)
            metrics.loss.block_until_ready()
            times.append(time.perf_counter() - start)
    return 1.1 * sorted(times[1:])[len(times) // 2]


def _measure(recipe: Recipe, options: Demo, data: Prepared, console: Console) -> dict:
    """Bits per byte of held-out documents: the model's, and three references' on the same bytes. Kept in result.json."""
    before = read_run(options.out).result
    if "held_out" in before:
        return before["held_out"]
    collection = collect(options.documents)
    chosen = _some(collection.held_out)
    with console.status("the references ..."):
        found = references((d.text for d in collection.train), [d.text for d in chosen])
    with console.status("the model ..."):
        place = write_shards(chosen, tokenizer_of(data), options.out / "data" / "measured")
        model = bits_of_model(recipe, options.out, Prepared(data.train, [], [Shards.open(place)], data.tokenizer))
    bits = {"model": model.bits_per_byte or 0.0, **{name: found[name] for name in ("order0", "xz", "ngram5")}}
    words = {"model": "this model", "order0": "order-0 entropy", "xz": "xz -9", "ngram5": "byte 5-gram with back-off"}
    console.print(f"  bits per byte of {len(chosen)} held-out documents, {found['bytes']:,} bytes (lower is better)")
    for name, value in sorted(bits.items(), key=lambda item: item[1]):
        console.print(f"    {words[name]:<26} {value:.3f}")
    return {"bits_per_byte": bits, "bytes": found["bytes"], "documents": len(chosen)}


def bits_of_model(recipe: Recipe, path: Path, data: Prepared) -> HeldOut:
    """Every byte of the held-out documents, each token seen with at least half a context before it."""
    mesh = make_mesh(recipe.mesh)
    with jax.set_mesh(mesh):
        params, _ = load_params(path, recipe.model, mesh)
        batches = held_out_batches(data, recipe.model.context, recipe.train.batch, stride=recipe.model.context // 2)
        evaluate = jax.jit(partial(evaluate_step, recipe.model))
        return measure(
            evaluate, params, [Plain(False)(batch) for batch in batches], token_bytes(tokenizer_of(data), recipe.model.vocab), mesh
        )


def tokenizer_of(data: Prepared) -> Tokenizer:
    """The tokenizer, which documents always come with."""
    assert data.tokenizer
    return data.tokenizer


def _some(documents: list[Document], size: int = MEASURED_BYTES) -> list[Document]:
    """Documents of about `size` bytes in all, chosen by their hashes."""
    chosen, total = [], 0
    for document in sorted(documents, key=lambda d: d.id[::-1]):
        if total >= size:
            break
        chosen.append(document)
        total += len(document.text.encode())
    return chosen


def _samples(recipe: Recipe, options: Demo, data: Prepared, console: Console) -> None:
    params, _ = load_params(options.out, recipe.model, make_mesh(recipe.mesh))
    written = generate(
        params, recipe.model, tokenizer_of(data), list(PROMPTS), max_tokens=recipe.train.sample_tokens, temperature=0.7, top_p=0.95
    )
    for prompt, completion in zip(PROMPTS, written, strict=True):
        console.rule(style="dim")
        console.print(f"[bold]{prompt}[/bold]", end="")
        console.print(completion.text, markup=False)
    console.rule(style="dim")


def _finish(options: Demo, found: dict) -> None:
    result = read_run(options.out).result
    write_json(options.out / "result.json", {**result, "command": "demo", "held_out": found, "machine": machine()})


@contextmanager
def _bar(console: Console) -> Iterator:
    """A progress bar, as a function of (what is being done, how much is done, how much there is)."""
    columns = (SpinnerColumn(), TextColumn("  {task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}"))
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("reading documents", total=None)

        def progress(what: str, done: int, total: int | None) -> None:
            bars.update(task, description=what, completed=done, total=total)

        yield progress
