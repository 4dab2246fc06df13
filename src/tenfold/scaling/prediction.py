"""The prediction before the large run, and the large run after it.

prediction.json is written once, from the points of sizes below the target alone, and never changed: it holds a digest of itself, and the
hashes of the points and of the data it came from. verification.json says how the trained target compares.
"""

import json
import math
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tenfold import __version__
from tenfold.corpus.files import fingerprint
from tenfold.errors import UserError
from tenfold.scaling.fit import LEVEL, Compared, Fit, compare, fit, plain
from tenfold.scaling.ladder import Opened, Watching, facts, ladder_points, points_hash, recipe_of, rung_path, train_rung
from tenfold.scaling.points import Point
from tenfold.scaling.rungs import Ladder, Rung, by_ratio, by_tokens
from tenfold.train.recipe import to_dict
from tenfold.train.records import write_json

PREDICTION, VERIFICATION = "prediction.json", "verification.json"
BOOTSTRAP = 1000


def predict(opened: Opened, target: int, law: str | None = None, ratio: float | None = None) -> dict[str, Any]:
    """Fits the sizes below the target, writes prediction.json and returns it.

    `law` None: the one that errs least on the largest of the points when that is left out. `ratio`: the target's tokens a parameter; None:
    the ladder's first. Raises UserError where there is a prediction already, where the target has been trained, and where the points give
    no law.
    """
    file = opened.out / PREDICTION
    if file.exists():
        raise UserError(
            f"{file} is there already, and a prediction is not changed.\n"
            f"  Say `tenfold ladder verify {opened.out}`, or begin another ladder with --out."
        )
    rung = target_rung(opened, target, ratio)
    if rung_path(opened.out, rung.name).exists():
        raise UserError(
            f"{rung_path(opened.out, rung.name)} is there: size {target} has been trained, so nothing said of it now is a prediction.\n"
            "  Choose another target."
        )
    points = points_below(opened, rung)
    chosen, compared = choose(points, law)
    values = _values(opened, rung, points, chosen, compared)
    _write_once(file, values | {"digest": fingerprint(values)})
    return read_prediction(opened.out)


def target_rung(opened: Opened, target: int, ratio: float | None) -> Rung:
    """The model that is predicted."""
    ladder: Ladder = opened.ladder
    if ladder.sizes and target <= max(ladder.sizes):
        raise UserError(f"--target is {target}, but must be above the ladder's largest size, {max(ladder.sizes)}.")
    if ratio is None and not ladder.tokens_per_parameter and ladder.tokens:
        return by_tokens(ladder, target, ladder.tokens[0], opened.shared, opened.parts)
    if ratio is None and not ladder.tokens_per_parameter:
        raise UserError("this ladder has budgets only, so the target's tokens are not known.\n  Say --tokens-per-parameter.")
    return by_ratio(ladder, target, ratio or ladder.tokens_per_parameter[0], opened.shared, opened.parts)


def points_below(opened: Opened, target: Rung) -> list[Point]:
    """The points that a prediction may read: all smaller models, with less compute."""
    return [p for p in ladder_points(opened.out) if p.parameters and p.parameters < target.parameters and p.flops < target.flops]


def choose(points: list[Point], law: str | None, bootstrap: int = BOOTSTRAP) -> tuple[Fit, list[Compared]]:
    """The fit to predict with, and all laws beside each other. Raises UserError where no law can be fitted."""
    compared = compare(points, bootstrap=0)
    if law is None:
        if not any(c.fit for c in compared):
            raise UserError(compared[0].refused)
        good = [c for c in compared if c.fit and math.isfinite(c.error)]
        if not good:
            reasons = "".join(f"\n    {c.law.name}: {c.refused.splitlines()[0]}" for c in compared)
            raise UserError(f"no law can be tried on the largest of these points:{reasons}\n  Train more sizes, or name a --law.")
        law = good[0].law.name
    fitted = next((c.fit for c in compared if c.law.name == law and c.budgets), None)
    return fit(law, fitted.points if fitted else points, bootstrap=bootstrap), compared


def said(c: Compared) -> dict[str, Any]:
    """For JSON."""
    return {"law": c.law.name, "error": plain(c.error), "refused": c.refused, "budgets": c.budgets}


def _values(opened: Opened, rung: Rung, points: list[Point], chosen: Fit, compared: list[Compared]) -> dict[str, Any]:
    size = rung.parameters if chosen.embeddings else rung.non_embedding
    loss, low, high = chosen.predict(size, rung.tokens, rung.flops)
    bits = _bits_a_nat(points)
    return {
        "command": "ladder predict",
        "target": {"name": rung.name, "size": rung.size, **facts(rung)},
        "loss": loss,
        "interval": [plain(low), plain(high)],
        "level": LEVEL,
        "bits_per_byte": loss * bits if bits else None,
        "law": chosen.law.name,
        "fit": chosen.record(),
        "compared": [said(c) for c in compared],
        "points": [p.name for p in chosen.points],
        "points_hash": points_hash(chosen.points),
        "data_hash": opened.data.fingerprint,
        "recipe": to_dict(rung.recipe),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "tenfold": __version__,
    }


def _bits_a_nat(points: list[Point]) -> float | None:
    """Bits a byte for each nat a token: the same for all points, as all are measured on the same text."""
    return next((p.bits_per_byte / p.loss for p in points if p.bits_per_byte), None)


def _write_once(file: Path, values: dict) -> None:
    """A file that is whole, and was not there: os.link refuses to write over one."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        with temporary.open("w") as text:
            text.write(json.dumps(values, indent=2) + "\n")
            text.flush()
            os.fsync(text.fileno())
        temporary.chmod(0o444)
        os.link(temporary, file)
    except FileExistsError:
        raise UserError(f"{file} is there already, and a prediction is not changed.") from None
    finally:
        temporary.unlink(missing_ok=True)


def read_prediction(out: Path) -> dict[str, Any]:
    """prediction.json. Raises UserError where there is none, and where it was changed since it was written."""
    file = out / PREDICTION
    if not file.exists():
        raise UserError(f"{out} holds no {PREDICTION}: predict before the large run.\n  Say `tenfold ladder predict {out} --target SIZE`.")
    values = json.loads(file.read_text())
    if fingerprint({k: v for k, v in values.items() if k != "digest"}) != values.get("digest"):
        raise UserError(
            f"{file} has been changed since it was written: its digest is not that of what it says.\n"
            "  Put it back as it was; a changed prediction proves nothing."
        )
    return values


def changes(opened: Opened, prediction: dict) -> list[str]:
    """What is no longer as it was when the prediction was made, in sentences; empty as a rule."""
    said, now = [], {p.name: p for p in ladder_points(opened.out)}
    read = [now[name] for name in prediction["points"] if name in now]
    if gone := [name for name in prediction["points"] if name not in now]:
        said.append(f"The prediction came from {', '.join(gone)} too, which the ladder has no more.")
    elif points_hash(read) != prediction["points_hash"]:
        said.append("The points that the prediction came from have changed since.")
    if opened.data.fingerprint != prediction["data_hash"]:
        said.append("The data is not that of the prediction.")
    return said


def target_point(out: Path) -> Point | None:
    """The target for a plot: as it was measured, else as it was predicted. None where there is no prediction."""
    if not (out / PREDICTION).exists():
        return None
    prediction = read_prediction(out)
    verified = json.loads((out / VERIFICATION).read_text()) if (out / VERIFICATION).exists() else {}
    measured = verified if verified.get("loss") is not None else prediction
    same = ("tokens", "flops", "parameters", "non_embedding")
    facts_of = {name: prediction["target"][name] for name in same}
    return Point(prediction["target"]["name"], loss=measured["loss"], bits_per_byte=measured["bits_per_byte"], **facts_of)


def target_of(prediction: dict) -> Rung:
    """The rung that a prediction is of, with the recipe it was made for."""
    target = prediction["target"]
    return Rung(target["name"], target["size"], recipe_of(prediction["recipe"]), target["budget"])


def verify(opened: Opened, watching: Watching) -> dict[str, Any] | None:
    """Trains the target and writes verification.json; the same call continues. None where it was stopped. A target that is trained already
    is not trained again."""
    prediction, file = read_prediction(opened.out), opened.out / VERIFICATION
    before = json.loads(file.read_text()) if file.exists() else None
    if before and before["prediction"] == prediction["digest"]:
        before |= {"changes": changes(opened, prediction)}
        write_json(file, before)
        return before
    rung = target_of(prediction)
    rung = replace(rung, recipe=replace(rung.recipe, mesh=opened.ladder.recipe.mesh))
    outcome = train_rung(opened, rung, watching)
    if outcome is None:
        return None
    loss, (low, high) = outcome["loss"], prediction["interval"]
    found = {
        "command": "ladder verify",
        "prediction": prediction["digest"],
        "predicted": prediction["loss"],
        "interval": prediction["interval"],
        **outcome,
        "error": None if loss is None else prediction["loss"] / loss - 1,
        "inside": loss is not None and low is not None and low <= loss <= high,
        "changes": changes(opened, prediction),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(file, found)
    return found
