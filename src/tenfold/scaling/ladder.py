"""`tenfold ladder`: the rungs of a ladder trained one after the other, each an ordinary run, and the points that they leave.

OUT holds
    ladder.yaml                      what was asked for
    data/, tokenizer/, documents.json    what all rungs read, prepared once
    rungs/NAME/                      the runs
    ladder.json                      what became of each rung; repeats to the last bit, so nothing in it is of the machine
    timing.json                      what does not repeat
One rung is trained at a time, on all devices that the recipe's mesh takes, or on CPUs several at once (at_once.py).
"""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import jax
import numpy as np
import yaml

from tenfold.corpus.documents import Progress
from tenfold.corpus.files import fingerprint, write_atomically
from tenfold.errors import UserError
from tenfold.scaling.points import Point
from tenfold.scaling.read import Curve, read_curves
from tenfold.scaling.rungs import SEED, Ladder, Rung
from tenfold.sharding.axes import RULES, make_mesh
from tenfold.tokens.config import DataConfig
from tenfold.tokens.prepare import Prepared, prepare
from tenfold.tokens.shards import is_shards
from tenfold.train.feed import held_out_batches
from tenfold.train.held_out import HeldOut, measure, token_bytes
from tenfold.train.meter import Diverged, Watch
from tenfold.train.noise import HELD_OUT, noise_of, reserved, row_tokens
from tenfold.train.recipe import Recipe, differences, from_dict, to_dict
from tenfold.train.records import write_json
from tenfold.train.run import Run, open_run, read_run
from tenfold.train.start import load_model
from tenfold.train.step import evaluate_step
from tenfold.train.train import train

TO_DO, DONE, ASIDE = "to do", "done", "set aside"
MAY_GROW = ("sizes", "tokens", "isoflop", "seeds", "target", "recipe.mesh.", "recipe.notes", "recipe.name", "recipe.train.keep")
MEASURED_AT_ONCE = 8192  # tokens

Watching = Callable[[Path], AbstractContextManager[Watch]]
Trained = Callable[["Opened", list[Rung]], Iterator[tuple[Rung, dict[str, Any] | None]]]


@dataclass(frozen=True)
class Opened:
    """A ladder's folder with its data, before anything is trained."""

    out: Path
    ladder: Ladder
    data: Prepared
    shared: DataConfig
    """What the recipes of the rungs name as their data."""
    parts: int
    """Devices that a batch is cut over."""

    @property
    def tokens(self) -> int:
        """Different tokens there are to train on."""
        return sum(shards.tokens for shards in self.data.train)


def open_ladder(ladder: Ladder, out: Path, progress: Progress | None = None) -> Opened:
    """Makes the folder, or opens the one there, and prepares the data of all rungs. Nothing says yet that it is this ladder's.

    Raises UserError where OUT is something else or a ladder of another recipe, and where no document is held out.
    """
    _check_place(ladder, out)
    out.mkdir(parents=True, exist_ok=True)
    recipe = ladder.recipe
    data = prepare(recipe.data, out, recipe.model.vocab, progress, reserved(recipe))
    if not data.held_out:
        raise UserError("no document is held out, so there is no loss to fit.\n  Name more documents, or some in data.held_out.")
    mesh = make_mesh(recipe.mesh)
    return Opened(out, ladder, data, _shared(recipe.data, data, out), int(np.prod([mesh.shape[axis] for axis in RULES["batch"]])))


def read_ladder(out: Path) -> Ladder:
    """The ladder that a folder is of."""
    file = out / "ladder.yaml"
    if not file.exists():
        raise UserError(f"{out} is no ladder: it holds no ladder.yaml.\n  Name a folder that `tenfold ladder RECIPE --out {out}` wrote.")
    return from_dict(Ladder, yaml.safe_load(file.read_text()))


def _check_place(ladder: Ladder, out: Path) -> None:
    if not (out / "ladder.yaml").exists():
        ours = {"data", "tokenizer", "documents.json", "timing.json"}
        if out.exists() and (not out.is_dir() or any(each.name not in ours for each in out.iterdir())):
            raise UserError(f"{out} exists, is not empty and holds no ladder.yaml.\n  Choose another place with --out, or empty it.")
        return
    before = read_ladder(out)
    changed = {n: v for n, v in differences(before, ladder).items() if not n.startswith(MAY_GROW)}
    if changed:
        rows = "\n".join(f"    {name}: {old} there, {new} asked for" for name, (old, new) in changed.items())
        raise UserError(
            f"{out} is a ladder of another recipe:\n{rows}\n  Sizes and tokens may be added to it; for anything else choose another --out."
        )
    if ladder.seeds < before.seeds:
        raise UserError(f"{out} is a ladder of {before.seeds} seeds, and {ladder.seeds} asked for.\n  Ask for as many, or more.")
    for name in ("sizes", "tokens_per_parameter", "tokens", "isoflop"):
        gone = [value for value in getattr(before, name) if value not in getattr(ladder, name)]
        if gone:
            raise UserError(
                f"{out} is a ladder with {name} {gone[0]:g}, which is not asked for.\n  Name all that it has; others may be added to them."
            )


def _shared(data: DataConfig, prepared: Prepared, out: Path) -> DataConfig:
    """The prepared shards, as a recipe names them: no rung reads or encodes a document again."""

    def place(directory: Path) -> str:
        beside = directory.name == "train" and is_shards(directory.parent / "held_out")
        return str(directory.parent if beside else directory)

    return DataConfig(
        paths=tuple(place(shards.directory) for shards in prepared.train),
        weights=tuple(prepared.weights),
        held_out=str(prepared.held_out[0].directory) if data.held_out else None,
        tokenizer=str(out / "tokenizer") if prepared.tokenizer else None,
        mask_documents=data.mask_documents,
        seed=data.seed,
    )


def climb(opened: Opened, rungs: list[Rung], trained: Trained, after: Callable[[dict], None] = lambda entry: None) -> bool:
    """Has what is not yet trained `trained`, and keeps what comes of it; False where it was stopped. `after` gets each new entry of
    ladder.json.

    A rung that diverges is set aside with its reason, and the ladder goes on.
    """
    entries = {rung.name: _entry(rung, opened) for rung in rungs} | kept(opened, rungs)
    write_ladder(opened, list(entries.values()))
    whole = True
    for rung, outcome in trained(opened, [rung for rung in rungs if entries[rung.name]["state"] == TO_DO]):
        if outcome is None:
            whole = False
            continue
        entries[rung.name] = entries[rung.name] | outcome
        write_ladder(opened, list(entries.values()))
        after(entries[rung.name])
    return whole


def one_by_one(opened: Opened, waiting: list[Rung], watching: Watching) -> Iterator[tuple[Rung, dict[str, Any] | None]]:
    """(rung, what `train_rung` says of it) of each, in order, until one is stopped."""
    for rung in waiting:
        outcome = train_rung(opened, rung, watching)
        yield rung, outcome
        if outcome is None:
            return


def train_rung(opened: Opened, rung: Rung, watching: Watching) -> dict[str, Any] | None:
    """Trains and measures one rung. Returns its state, loss, bits_per_byte, start_loss and reason; None where it was stopped."""
    path = rung_path(opened.out, rung.name)
    try:
        with watching(path) as watch:
            run = train(rung.recipe, path, watch)
    except Diverged as error:
        return _outcome(ASIDE, _start_loss(read_run(path)), reason=f"diverged: {str(error).splitlines()[0]}")
    if not run.result.get("finished"):
        return None
    found, start = final_loss(opened, run), _start_loss(run)
    if start is not None and not found.loss < start:
        return _outcome(ASIDE, start, found, f"diverged: its held-out loss, {found.loss:.4g}, is above the {start:.4g} it began with")
    return _outcome(DONE, start, found)


def _outcome(state: str, start: float | None, found: HeldOut | None = None, reason: str = "") -> dict[str, Any]:
    loss = found.loss if found and math.isfinite(found.loss) else None
    return {
        "state": state,
        "loss": loss,
        "bits_per_byte": found.bits_per_byte if found and loss is not None else None,
        "start_loss": start,
        "reason": reason,
    }


def final_loss(opened: Opened, run: Run) -> HeldOut:
    """Of a trained rung's newest weights, on the same rows of held-out text as all the others."""
    recipe = run.recipe
    mesh, width = make_mesh(recipe.mesh), row_tokens(recipe)
    rows = opened.parts * max(1, MEASURED_AT_ONCE // width // opened.parts)
    noise, lengths = noise_of(recipe, opened.data), None
    plain = held_out_batches(opened.data, width, rows, -(-opened.ladder.held_out_tokens // width))
    batches = [noise(batch, range(i * rows, (i + 1) * rows), HELD_OUT) for i, batch in enumerate(plain)]
    if recipe.train.objective == "causal" and opened.data.tokenizer:
        lengths = token_bytes(opened.data.tokenizer, recipe.model.vocab)
    with jax.set_mesh(mesh):
        params, _ = load_model(run, mesh)
        return measure(jax.jit(partial(evaluate_step, recipe.model)), params, batches, lengths, mesh)


def rung_path(out: Path, name: str) -> Path:
    """The run of a rung."""
    return out / "rungs" / name


def _start_loss(run: Run) -> float | None:
    return next((line["loss"] for line in run.metrics() if "loss" in line), None)


def kept(opened: Opened, rungs: list[Rung]) -> dict[str, dict]:
    """Entries of ladder.json that an earlier sitting has ended, by name.

    Raises UserError where the data or a rung's recipe has changed since.
    """
    file = opened.out / "ladder.json"
    if not file.exists():
        return {}
    found = json.loads(file.read_text())
    if found["data"] != opened.data.fingerprint:
        raise UserError(
            f"{opened.out} was begun with other data: its tokens had the fingerprint {found['data']}, and now {opened.data.fingerprint}.\n"
            f"  Put the documents of {', '.join(opened.ladder.recipe.data.paths)} back, or begin anew with --out."
        )
    ended = {entry["name"]: entry for entry in found["rungs"] if entry["state"] != TO_DO}
    for rung in rungs:
        if rung.name in ended:
            open_run(rung_path(opened.out, rung.name), rung.recipe)
    return {rung.name: ended[rung.name] for rung in rungs if rung.name in ended}


def _entry(rung: Rung, opened: Opened) -> dict[str, Any]:
    """A rung of ladder.json before it is trained."""
    return {"name": rung.name, "size": rung.size, **facts(rung), "epochs": rung.tokens / opened.tokens, **_outcome(TO_DO, None)}


def facts(rung: Rung) -> dict[str, Any]:
    """What is known of a rung without training it."""
    recipe = rung.recipe
    return {
        "layers": recipe.model.layers,
        "embed": recipe.model.embed,
        "heads": recipe.model.heads,
        "parameters": rung.parameters,
        "non_embedding": rung.non_embedding,
        "tokens": rung.tokens,
        "flops": rung.flops,
        "budget": rung.budget,
        "steps": recipe.train.steps,
        "batch": recipe.train.batch * recipe.model.context,
        "learning_rate": recipe.optimizer.learning_rate,
    }


def write_ladder(opened: Opened, entries: list[dict]) -> None:
    """ladder.yaml, which says from then on whose folder this is, and ladder.json."""
    write_atomically(opened.out / "ladder.yaml", yaml.safe_dump(to_dict(opened.ladder), sort_keys=False))
    tokenizer = opened.data.tokenizer.fingerprint if opened.data.tokenizer else opened.data.train[0].tokenizer_fingerprint
    about = {"command": "ladder", "recipe": opened.ladder.recipe.name, "dial": opened.ladder.dial, "target": opened.ladder.target}
    data = {"data": opened.data.fingerprint, "tokenizer": tokenizer, "held_out_tokens": opened.ladder.held_out_tokens}
    write_json(opened.out / "ladder.json", {**about, **data, "rungs": entries})


def ladder_points(out: Path) -> list[Point]:
    """A Point for each model that was trained, the mean of its seeds; those set aside with their fault. Raises UserError where there is no
    ladder."""
    file = out / "ladder.json"
    if not file.exists():
        raise UserError(f"{out} holds no ladder.json.\n  Say `tenfold ladder RECIPE --out {out}` first.")
    found = json.loads(file.read_text())
    models: dict[str, list[dict]] = {}
    for entry in found["rungs"]:
        if entry["state"] != TO_DO:
            models.setdefault(entry["name"].partition(SEED)[0], []).append(entry)
    return [point_of(_mean(seeds), out, found) for seeds in models.values()]


def _mean(seeds: list[dict]) -> dict:
    """The first of a model's entries, with the mean loss of all that were not set aside."""
    good = [entry for entry in seeds if entry["state"] == DONE]
    if len(good) < 2:
        return (good or seeds)[0]
    means = {name: fmean(entry[name] for entry in good) for name in ("loss", "bits_per_byte") if good[0][name] is not None}
    return good[0] | means


def ladder_curves(out: Path) -> list[Curve]:
    """The held-out loss along each rung that was trained and not set aside."""
    paths = [rung_path(out, point.name) for point in ladder_points(out) if not point.fault]
    return [curve for path in paths if (path / "recipe.yaml").exists() for curve in read_curves([path])]


def point_of(entry: dict, out: Path, ladder: dict) -> Point:
    """An entry of ladder.json as what laws are fitted to."""
    same = ("name", "tokens", "flops", "parameters", "non_embedding", "bits_per_byte", "batch", "learning_rate")
    return Point(
        loss=math.nan if entry["loss"] is None else entry["loss"],
        tokenizer=ladder["tokenizer"],
        data=ladder["data"],
        path=str(rung_path(out, entry["name"])),
        fault=entry["reason"],
        **{name: entry[name] for name in same},
    )


def points_hash(points: list[Point]) -> str:
    """Of what a fit reads of its points."""
    return fingerprint([[p.name, p.tokens, p.flops, p.parameters, p.non_embedding, p.loss, p.bits_per_byte] for p in points])


def recipe_of(values: dict) -> Recipe:
    """A recipe from JSON."""
    return from_dict(Recipe, values)
