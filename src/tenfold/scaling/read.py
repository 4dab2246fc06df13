"""Points from the files of runs, and from tables of anybody's.

A run gives N from its recipe and result.json, D and C as trained (operations counted as in model/flops.py: matrix products of the head and
of attention's positions are in, looking tokens up is not), and its last held-out loss. What a run lacks is its point's fault, not an error:
a ladder with one broken run is still a ladder.
"""

import csv
import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.flops import train_flops_per_token
from tenfold.scaling.points import Point
from tenfold.train.recipe import Recipe
from tenfold.train.run import Run, read_run

ROSE = 1.1  # a held-out loss that ends 10% above its least has gone wrong
TEXT = ("name", "tokenizer", "data", "path", "fault")
NUMBERS = tuple(f.name for f in fields(Point) if f.name not in TEXT)


@dataclass(frozen=True)
class Curve:
    """The held-out loss along a run. Shapes: M measurements."""

    point: Point
    tokens_M: np.ndarray
    loss_M: np.ndarray


def read_points(paths: list[Path]) -> list[Point]:
    """Points of run directories, of directories that hold runs, and of .csv and .json files. Raises UserError for what is none of them."""
    points: list[Point] = []
    for path in map(Path, paths):
        if path.is_dir():
            points += [point_of(read_run(each)) for each in _runs(path)]
        elif path.suffix in (".csv", ".json"):
            points += read_table(path)
        else:
            what = "is neither a run nor a .csv or .json file" if path.exists() else "does not exist"
            raise UserError(
                f"{path} {what}.\n  Give runs, a directory of runs, or a table with a column for each of tokens, loss and size."
            )
    return points


def read_curves(paths: list[Path]) -> list[Curve]:
    """The curves of run directories, and of directories that hold runs."""
    return [curve_of(read_run(run)) for path in map(Path, paths) for run in _runs(path)]


def point_of(run: Run) -> Point:
    """A run's point. Its fault says what it lacks, if anything."""
    recipe, result = run.recipe, run.result
    held = _held_out(run)
    last = held[-1] if held else {}
    tables, parameters = embedding_parameters(recipe.model), result.get("parameters") or _parameters(recipe.model)
    tokens = result.get("tokens") or _tokens(run) or 1
    return Point(
        name=run.path.resolve().name,
        tokens=tokens,
        flops=flops_per_token(recipe) * tokens,
        loss=float(last.get("held_out_loss", math.nan)),
        parameters=parameters,
        non_embedding=parameters - tables,
        bits_per_byte=last.get("held_out_bits_per_byte"),
        batch=recipe.train.batch * recipe.model.context,
        learning_rate=recipe.optimizer.learning_rate,
        tokenizer=_tokenizer(run.path),
        data=_fingerprint(run.path),
        path=str(run.path),
        fault=_fault(run, held),
    )


def curve_of(run: Run) -> Curve:
    """A run's held-out loss by the tokens it had seen, where both were written."""
    rows = [(row["tokens"], row["held_out_loss"]) for row in _held_out(run) if "tokens" in row]
    tokens_M, loss_M = np.array(rows, float).reshape(-1, 2).T
    return Curve(point_of(run), tokens_M, loss_M)


def embedding_parameters(config: ModelConfig) -> int:
    """Weights of the tables of tokens, positions and types, and of a head that is not the tokens' table: what Kaplan et al. leave out."""
    tables = config.vocab * (1 if config.tied else 2) + config.token_types
    return config.embed * (tables + (config.context if config.positions == "learned" else 0))


def flops_per_token(recipe: Recipe) -> float:
    """Operations of one token's forward and backward pass, as the run's MFU counts them."""
    from tenfold.train.noise import decoded, head_reads

    return train_flops_per_token(recipe.model, decoded(recipe), head_reads(recipe), still=recipe.lora.rank > 0)


def read_table(path: Path) -> list[Point]:
    """Points of a .csv with a header, or of a .json with a list of objects (or one under "points").

    Fields are those of `Point`; a size, `tokens` and `loss` must be there, `flops` is 6 N D where it is not, and other columns are left
    alone. Raises UserError that names the row.
    """
    try:
        text = path.read_text("utf-8")
        rows = _json_rows(text) if path.suffix == ".json" else list(csv.DictReader(text.splitlines()))
    except (UnicodeDecodeError, ValueError, OSError) as error:
        raise UserError(
            f"{path} cannot be read as {path.suffix[1:].upper()} ({error}).\n  Give a header and rows, or a JSON list."
        ) from None
    if not rows:
        raise UserError(f"{path} holds no points.\n  Give a row a run: name, parameters or non_embedding, tokens, flops, loss.")
    return [_row(row, f"{path} row {number}") for number, row in enumerate(rows, start=1)]


def _json_rows(text: str) -> list[dict]:
    value = json.loads(text)
    rows = value.get("points") if isinstance(value, dict) else value
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it is no list of objects")
    return rows


def _row(row: dict[str, Any], where: str) -> Point:
    values: dict[str, Any] = {"name": where, "path": where}
    for name in NUMBERS:
        if row.get(name) not in (None, ""):
            try:
                values[name] = float(row[name])
            except (TypeError, ValueError):
                raise UserError(f"{where}: {name} is {row[name]!r}, but must be a number.") from None
    values |= {name: str(row[name]) for name in TEXT if row.get(name)}
    if "loss" not in values:
        values |= {"loss": math.nan, "fault": values.get("fault") or "no loss was measured"}
    size = values.get("non_embedding") or values.get("parameters")
    if "tokens" not in values or size is None:
        raise UserError(f"{where} lacks {'a size' if size is None else 'tokens'}.\n  Give parameters or non_embedding, and tokens.")
    return Point(**{"flops": 6 * size * values["tokens"]} | values)


def _runs(path: Path) -> list[Path]:
    if (path / "recipe.yaml").exists():
        return [path]
    runs = sorted(each.parent for each in path.glob("*/recipe.yaml"))
    if not runs:
        raise UserError(f"{path} is no run and holds none: there is no recipe.yaml in it or in a folder of it.\n  Give a run's directory.")
    return runs


def _held_out(run: Run) -> list[dict]:
    """Rows with a held-out loss, by step, with the tokens of their steps."""
    steps: dict[int, dict] = {}
    for row in run.metrics():
        steps.setdefault(row["step"], {}).update(row)
    return [steps[step] for step in sorted(steps) if "held_out_loss" in steps[step]]


def _fault(run: Run, held: list[dict]) -> str:
    recipe, losses = run.recipe, [row["held_out_loss"] for row in held]
    if recipe.start is not None:
        return f"it goes on from {recipe.start}, so its tokens are not all that it learnt from"
    if recipe.train.objective != "causal":
        return f"its objective is {recipe.train.objective}, whose loss is not of every token"
    if not run.result.get("finished"):
        return f"it did not finish its {recipe.train.steps} steps"
    if not losses:
        return "no held-out loss was measured"
    if not math.isfinite(losses[-1]):
        return f"diverged: its held-out loss is {losses[-1]}"
    if losses[-1] > ROSE * min(losses):
        return f"its held-out loss rose to {losses[-1]:.4g} from {min(losses):.4g}: it diverged, or saw its data too often"
    return ""


def _parameters(config: ModelConfig) -> int:
    from tenfold.model.params import parameter_count

    return parameter_count(config)


def _tokens(run: Run) -> int:
    return max((row["tokens"] for row in run.metrics() if "tokens" in row), default=0)


def _tokenizer(path: Path) -> str | None:
    """The tokenizer's fingerprint, or None for runs on shards that came without one."""
    from tenfold.tokens.tokenizer import Tokenizer

    file = path / "tokenizer" / "tokenizer.json"
    return Tokenizer(file.read_text("utf-8")).fingerprint if file.exists() else None


def _fingerprint(path: Path) -> str | None:
    file = path / "data.json"
    return json.loads(file.read_text())["fingerprint"] if file.exists() else None
