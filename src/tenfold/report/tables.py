"""The words and tables of a report: headline figures, bars, samples, documents, recipe, machine."""

import json
import math
from typing import Any, TypeGuard

import numpy as np

from tenfold.report.curves import column, held_out_bits, measured, shared_references
from tenfold.report.plots import number
from tenfold.report.read import RunFiles

SAMPLE_STEPS = 10  # steps whose samples are shown, spread evenly over the run, first and last always; fewer where runs are compared
SAMPLE_LETTERS = 1500  # of each sample
EXAMPLES = 5  # rejected documents named for each reason
WHAT_EACH_IS = {
    "order 0": "entropy of the held-out bytes' own histogram",
    "xz -9": "the held-out text, compressed on its own",
    "5-gram": "bytes with back-off, trained on the same documents",
}
IN_A_SENTENCE = {"order 0": "order-0 entropy", "5-gram": "a byte 5-gram"}


def state(run: RunFiles) -> str:
    """What the run's loss and result.json say of it: done, in progress, or gone wrong."""
    losses = measured(run.metrics, "loss")
    if losses and not np.isfinite(column(losses, "loss")[-1]):
        return "the last loss is not a number"
    return "done" if run.result is not None else "in progress, or stopped early"


def model_bits(run: RunFiles) -> tuple[float, int | None] | None:
    """Held-out bits per byte, and the step it was measured at (None: when the run ended)."""
    if "model" in held_out_bits(run):
        return held_out_bits(run)["model"], None
    rows = measured(run.metrics, "held_out_bits_per_byte")
    values = column(rows, "held_out_bits_per_byte")
    known = np.flatnonzero(np.isfinite(values))
    return (float(values[known[-1]]), int(rows[known[-1]].get("step", 0))) if len(known) else None


def headlines(run: RunFiles) -> list[dict[str, str]]:
    """The figures at the top: label, value, and a note under it. Only those that the files hold."""
    figures = []

    def add(label: str, value: str | None, note: str = "") -> None:
        if value is not None:
            figures.append({"label": label, "value": value, "note": note})

    bits = model_bits(run)
    if bits:
        add("bits per byte, held out", f"{bits[0]:.3f}", _against(run, bits[0]) or (f"at step {bits[1]:,}" if bits[1] is not None else ""))
    held = column(measured(run.metrics, "held_out_loss"), "held_out_loss")
    train = column(measured(run.metrics, "loss"), "loss")
    if len(held):
        add("held-out loss", f"{held[-1]:.3f}", f"train {np.nanmean(train[-20:]):.3f}" if np.isfinite(train[-20:]).any() else "")
    elif np.isfinite(train[-20:]).any():
        add("train loss", f"{np.nanmean(train[-20:]):.3f}", "mean of the last 20 logged" if len(train) > 1 else "")
    add("parameters", _count(run, "parameters"))
    add("steps", _count(run, "steps") or _last(run.metrics, "step"))
    add("tokens", _count(run, "tokens") or _last(run.metrics, "tokens"))
    seconds = (run.result or {}).get("seconds") or next((row["seconds"] for row in reversed(run.timing) if "seconds" in row), None)
    add("time", duration(seconds) if _is_number(seconds) else None)
    for label, key, shown in (("tokens a second", "tokens_per_second", number), ("MFU", "mfu", lambda v: f"{100 * v:.3g}%")):
        values = column(measured(run.timing, key), key)
        if np.isfinite(values).any():
            add(label, shown(float(np.nanmedian(values))), "median")
    return figures


def lede(run: RunFiles) -> str:
    """One sentence that says how the model did, from the figures there are."""
    bits = model_bits(run)
    references = shared_references([run])
    if not bits or not references:
        return ""
    beaten = [IN_A_SENTENCE.get(name, name) for name, value in references.items() if bits[0] < value]
    unbeaten = [IN_A_SENTENCE.get(name, name) for name, value in references.items() if bits[0] >= value]
    parts = [f"{how} {_and(names)}" for how, names in (("better than", beaten), ("no better than", unbeaten)) if names]
    return f"It writes down text it has not seen in {bits[0]:.2f} bits per byte: {', '.join(parts)}."


def bars(runs: list[RunFiles]) -> list[dict[str, Any]]:
    """Bits per byte, best first: each run's model and the references, told apart by run where runs measured different bytes.

    Empty where there is nothing to compare: one model and no reference.
    """
    rows: list[dict[str, Any]] = []
    for i, run in enumerate(runs):
        bits = model_bits(run)
        if bits:
            note = "" if bits[1] is None else f"at step {bits[1]:,}"
            rows.append({"name": run.name, "note": note, "value": bits[0], "colour": i, "model": True})
    shared = shared_references(runs)
    for run in runs[:1] if shared else runs:
        for name, value in shared_references([run]).items():
            label = name if shared or len(runs) == 1 else f"{name}, {run.name}"
            rows.append({"name": label, "note": WHAT_EACH_IS.get(name, ""), "value": value, "colour": 0, "model": False})
    if len(rows) < 2:
        return []
    top = max(row["value"] for row in rows) or 1
    return [{**row, "width": round(100 * row["value"] / top, 2)} for row in sorted(rows, key=lambda row: row["value"])]


def samples(run: RunFiles, at_most: int = SAMPLE_STEPS) -> dict[str, Any]:
    """The samples of some steps, newest first."""
    steps = sorted({row.get("step", 0) for row in run.samples})
    chosen = [steps[i] for i in sorted({round(i) for i in np.linspace(0, len(steps) - 1, at_most)})] if steps else []
    shown = []
    for step in reversed(chosen):
        texts: dict[str, str] = {}  # a resumed run may write a step's samples again: the later ones win
        for row in run.samples:
            if row.get("step", 0) == step:
                texts[str(row.get("prompt", ""))] = str(row.get("text", ""))
        cut = {prompt: text[:SAMPLE_LETTERS] + ("…" if len(text) > SAMPLE_LETTERS else "") for prompt, text in texts.items()}
        shown.append({"step": f"{step:,}", "texts": list(cut.items())})
    return {"steps": shown, "left_out": len(steps) - len(chosen)}


def documents(run: RunFiles) -> dict[str, Any]:
    """Kept and rejected documents: rows for the table, and the examples of each reason."""
    summary = run.documents or {}
    kept = [_document_row(label, summary.get(key)) for key, label in (("train", "train"), ("held_out", "held out"))]
    rejected = summary.get("rejected")
    rejected = rejected if isinstance(rejected, dict) else {}
    dropped = [{**_document_row(str(reason), value), "examples": _examples(value)} for reason, value in rejected.items()]
    path = summary.get("path")
    return {
        "path": str(path) if path else "",
        "kept": kept,
        "dropped": sorted(dropped, key=lambda row: -row["count"]),
        "rejected_any": bool(dropped),
    }


def recipe(run: RunFiles) -> list[dict[str, Any]]:
    """The recipe's fields, a group for each of its parts; plain values come first, under no name."""
    groups: dict[str, list[tuple[str, str]]] = {"": []}
    for key, value in (run.recipe or {}).items():
        if isinstance(value, dict) and value:
            groups[str(key)] = [(name, _shown(v)) for name, v in flatten(value).items()]
        else:
            groups[""].append((str(key), _shown(value)))
    return [{"name": name, "fields": fields} for name, fields in groups.items() if fields]


def differing(runs: list[RunFiles]) -> list[dict[str, Any]]:
    """The recipe fields that are not the same in every run that has a recipe: field, and a value for each run."""
    flat = [flatten(run.recipe) if run.recipe is not None else None for run in runs]
    known = [fields for fields in flat if fields is not None]
    if len(known) < 2:
        return []
    keys = dict.fromkeys(key for fields in known for key in fields)
    rows = []
    for key in keys:
        values = [_shown(fields[key]) if key in fields else "not set" for fields in known]
        if len(set(values)) > 1:
            shown = [("no recipe" if f is None else _shown(f[key]) if key in f else "not set") for f in flat]
            rows.append({"field": key, "values": shown})
    return rows


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"model": {"layers": 4}} -> {"model.layers": 4}. Lists are values."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def machine(run: RunFiles) -> list[tuple[str, str]]:
    fields = (run.result or {}).get("machine")
    if not isinstance(fields, dict):
        return []
    names = {"cpu": "CPU", "memory_gib": "memory, GiB", "python": "Python", "jax": "JAX", "tenfold": "Tenfold"}
    return [(names.get(key, str(key).replace("_", " ")), _shown(value)) for key, value in fields.items()]


def duration(seconds: float) -> str:
    """45 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    for size, big, small_size, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            whole, rest = divmod(int(seconds), size)
            return f"{whole} {big}" + (f" {rest // small_size} {small}" if rest // small_size else "")
    raise AssertionError(seconds)


def bytes_in_words(count: float) -> str:
    for size, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= size:
            return f"{count / size:.3g} {name}"
    return f"{count:.0f} B"


def _against(run: RunFiles, bits: float) -> str:
    references = shared_references([run])
    if not references:
        return ""
    name, value = min(references.items(), key=lambda item: item[1])
    return f"{abs(bits - value):.2f} {'below' if bits < value else 'above'} {name}, the best reference"


def _count(run: RunFiles, key: str) -> str | None:
    value = (run.result or {}).get(key)
    return number(value) if _is_number(value) else None


def _last(rows: list[dict[str, Any]], key: str) -> str | None:
    value = next((row[key] for row in reversed(rows) if key in row), None)
    return number(value) if _is_number(value) else None


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _document_row(label: str, value: Any) -> dict[str, Any]:
    value = value if isinstance(value, dict) else {}
    count, size = (value.get(key) if _is_number(value.get(key)) else 0 for key in ("documents", "bytes"))
    return {"label": label, "count": count, "documents": f"{count:,}", "bytes": bytes_in_words(size or 0)}


def _examples(value: Any) -> list[str]:
    found = value.get("examples") if isinstance(value, dict) else None
    return [_shown(example) for example in found[:EXAMPLES]] if isinstance(found, list) else []


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if isinstance(value, list) and value and all(isinstance(v, str | int | float | None) for v in value):
        return ", ".join(_shown(v) for v in value)
    if isinstance(value, str):
        return value if value.strip() == value != "" else json.dumps(value, ensure_ascii=False)  # spaces at an end are seen only in quotes
    return str(value) if isinstance(value, int) else json.dumps(value, ensure_ascii=False, default=str)


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
