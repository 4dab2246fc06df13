"""A ladder as one HTML page: what each model came to, the laws fitted to them, the prediction and its test.

Reads ladder.json, fits.json, prediction.json and verification.json alone; a ladder that is being climbed gives a page of what is there.
"""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tenfold.errors import UserError
from tenfold.report.page import own, template, write_page
from tenfold.report.plots import number
from tenfold.report.scaling import law_row, plots


def ladder_report(out: Path) -> Path:
    """Writes OUT/report.html, whole or not at all. Raises UserError where OUT is no ladder, or a file of it is damaged."""
    if not (out / "ladder.json").exists():
        raise UserError(f"{out} is no ladder: it has no ladder.json.\n  Name a folder that `tenfold ladder` wrote.")
    names = ("ladder", "fits", "prediction", "verification")
    return write_page(out / "report.html", render(out.name, *(read(out / f"{name}.json") for name in names)))


def render(name: str, ladder: dict[str, Any], fits: dict[str, Any], prediction: dict[str, Any], verified: dict[str, Any]) -> str:
    """The page as text."""
    rungs = ladder["rungs"]
    ended = [rung for rung in rungs if rung["state"] != "to do"]
    return template("ladder.html").render(
        title=name,
        out=name,
        lede=_lede(ladder),
        state="done" if len(ended) == len(rungs) else f"{len(ended)} of {len(rungs)} models trained",
        finished=len(ended) == len(rungs),
        written=datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC"),
        figures=_figures(ended, prediction, verified),
        prediction=_prediction(prediction, verified),
        changes=verified.get("changes", []),
        rungs=[_row(rung) for rung in rungs] + ([_target(prediction, verified)] if prediction else []),
        aside=_aside(ended, fits),
        refused=fits.get("refused", ""),
        warnings=fits["fit"]["warnings"] if "fit" in fits else [],
        plots=plots(fits) if "fit" in fits else [],
        laws=[law_row(law) for law in fits.get("laws", [])],
        script=Markup(own("pointer.js")),
    )


def _lede(ladder: dict[str, Any]) -> str:
    sizes = sorted({rung["size"] for rung in ladder["rungs"]})
    flops = [rung["flops"] for rung in ladder["rungs"]]
    span = max(flops) / min(flops)
    seeds = max(Counter((rung["size"], rung["budget"]) for rung in ladder["rungs"]).values())
    several = f" Each is trained from {seeds} seeds, and laws are fitted to the mean of these." if seeds > 1 else ""
    return (
        f"{len(ladder['rungs'])} models of {len(sizes)} sizes of the recipe {ladder['recipe']}, which span {span:,.0f}x in compute; "
        f"depth, batch and learning rate go with the width by the {ladder['dial']} dial.{several}"
    )


def _figures(ended: list[dict], prediction: dict[str, Any], verified: dict[str, Any]) -> list[tuple[str, str, str]]:
    found = []
    if verified and verified.get("error") is not None:
        found.append(("error of the prediction", f"{verified['error']:+.2%}", f"{verified['predicted']:.4f} for {verified['loss']:.4f}"))
    if prediction:
        found.append(("predicted loss", f"{prediction['loss']:.4f}", f"by {prediction['law']}"))
    losses = [rung["loss"] for rung in ended if rung["loss"] is not None]
    if losses:
        found.append(("best loss of the ladder", f"{min(losses):.4f}", ""))
    return [*found, ("compute spent", f"{sum(rung['flops'] for rung in ended):.2e}", "FLOPs")]


def _prediction(prediction: dict[str, Any], verified: dict[str, Any]) -> list[str]:
    if not prediction:
        return []
    target, (low, high) = prediction["target"], prediction["interval"]
    interval = f", 95% from {low:.4f} to {high:.4f}" if low is not None else ""
    lines = [
        f"Written {prediction['date']}, from {', '.join(prediction['points'])}: by the law {prediction['law']}, size {target['size']} "
        f"({number(target['parameters'])} parameters, {number(target['tokens'])} tokens, {target['flops']:.2e} FLOPs) reaches "
        f"{prediction['loss']:.4f}{interval}.",
        f"Points {prediction['points_hash']}, data {prediction['data_hash']}, digest {prediction['digest']}.",
    ]
    if not verified:
        return [*lines, "The target has not been trained yet."]
    if verified.get("error") is None:
        return [*lines, f"The target was trained, and set aside: {verified['reason']}."]
    where = "inside" if verified["inside"] else "outside"
    return [
        *lines,
        f"Measured: {verified['loss']:.4f}. The prediction is off by {verified['error']:+.2%}; the loss lies {where} the interval.",
    ]


def _row(rung: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": rung["name"],
        "target": False,
        "layers": rung["layers"],
        "embed": rung["embed"],
        **{field: number(rung[field]) for field in ("parameters", "non_embedding", "tokens")},
        "epochs": f"{rung['epochs']:.2f}" if "epochs" in rung else "",
        "flops": f"{rung['flops']:.2e}",
        "loss": "" if rung.get("loss") is None else f"{rung['loss']:.4f}",
        "bits": "" if rung.get("bits_per_byte") is None else f"{rung['bits_per_byte']:.4f}",
        "state": rung["state"],
    }


def _target(prediction: dict[str, Any], verified: dict[str, Any]) -> dict[str, Any]:
    """The row of the model that was predicted: measured, or what was said of it."""
    measured = {name: verified.get(name) for name in ("loss", "bits_per_byte")} if verified else {"loss": None}
    state = "target, trained" if verified else f"target, predicted {prediction['loss']:.4f}"
    return {**_row({**prediction["target"], **measured, "state": state}), "target": True}


def _aside(ended: list[dict], fits: dict[str, Any]) -> list[tuple[str, str]]:
    """What was set aside while it was trained, and what the fits left out."""
    found = {rung["name"]: rung["reason"] for rung in ended if rung["reason"]}
    found |= {point["name"]: point["reason"] for point in fits.get("fit", {}).get("aside", [])}
    return sorted(found.items())


def read(path: Path) -> dict[str, Any]:
    """A file of the ladder; empty where it is not there."""
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged: {error}.\n  Say the same `tenfold ladder` again.") from error
