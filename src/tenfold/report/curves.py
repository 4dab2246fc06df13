"""Which curves a report shows, made from the files of one run or several.

One run is coloured by what is measured (train, held out); several by run. Shapes: N logged steps of a run.
"""

from typing import Any

import numpy as np

from tenfold.report.plots import Figure, Series, smooth
from tenfold.report.read import RunFiles

REFERENCES = {"order0": "order 0", "xz": "xz -9", "ngram5": "5-gram"}
EXPERTS_SHOWN = 8  # as many as the page has colours
X_AXES = {"step": "step", "tokens": "tokens", "seconds": "seconds of training"}


def column(rows: list[dict[str, Any]], key: str) -> np.ndarray:
    """float64[N], NaN where a row lacks the field or holds no number."""
    values = (row.get(key) for row in rows)
    return np.array([v if type(v) in (int, float) else np.nan for v in values], float)  # JSON's true is no number


def measured(rows: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    return [row for row in rows if key in row]


def loss(runs: list[RunFiles], axis: str) -> Figure:
    series = []
    for i, run in enumerate(runs):
        at, whose = _places(run, axis), run.name if len(runs) > 1 else ""
        rows = measured(run.metrics, "loss")
        x, y = _known(at(rows), column(rows, "loss"))
        calm = smooth(y)
        if calm is not y:
            series.append(Series(_name(runs, run, "train, each step"), x, y, "raw", i, whose))
        series.append(Series(_name(runs, run, "train" if calm is y else "train, smoothed"), x, calm, "line", i, whose))
        held = measured(run.metrics, "held_out_loss")
        x, y = _known(at(held), column(held, "held_out_loss"))
        series.append(Series(_name(runs, run, "held out"), x, y, "dots", i + (len(runs) == 1), whose))
    strokes = " Solid: train, smoothed, over each step. Dashed, with points: held out." if len(runs) > 1 else ""
    return Figure("Loss", X_AXES[axis], [s for s in series if len(s.x)], clip_start=True, caption=f"Nats per token.{strokes}")


def bits_per_byte(runs: list[RunFiles]) -> Figure:
    """Held-out bits per byte while training, over the references where the run has measured them."""
    series = []
    for i, run in enumerate(runs):
        rows = measured(run.metrics, "held_out_bits_per_byte")
        x, y = column(rows, "step"), column(rows, "held_out_bits_per_byte")
        series.append(Series(_name(runs, run, "" if len(runs) > 1 else "model"), x, y, "dots", i, run.name if len(runs) > 1 else ""))
    rules = [Series(label, np.zeros(1), np.array([value]), "rule") for label, value in shared_references(runs).items()]
    caption = "Lower is better." + (
        " Lines across: the references, on the final measure's documents; on the way a run may measure fewer." if rules else ""
    )
    return Figure("Held-out bits per byte", "step", [s for s in series + rules if len(s.x)], caption=caption)


def shared_references(runs: list[RunFiles]) -> dict[str, float]:
    """The references' bits per byte, where every run that has them agrees (the same held-out bytes); else none."""
    found = [f for f in ({k: v for k, v in held_out_bits(run).items() if k != "model"} for run in runs) if f]
    if not found or any(f != found[0] for f in found):
        return {}
    return {REFERENCES.get(key, key): value for key, value in found[0].items()}


def held_out_bits(run: RunFiles) -> dict[str, float]:
    """The finite figures of result.json's held_out.bits_per_byte; empty where the run has not measured them."""
    held_out = (run.result or {}).get("held_out")
    figures = held_out.get("bits_per_byte") if isinstance(held_out, dict) else None
    if not isinstance(figures, dict):
        return {}
    return {str(k): float(v) for k, v in figures.items() if isinstance(v, int | float) and np.isfinite(v)}


def learning_rate(runs: list[RunFiles]) -> Figure:
    return _of_metrics(runs, "lr", "Learning rate", from_zero=True)


def gradient_norm(runs: list[RunFiles]) -> Figure:
    return _of_metrics(runs, "grad_norm", "Gradient norm", calm=True, from_zero=True, clip_start=True, caption="Before clipping.")


def alignment(runs: list[RunFiles]) -> list[Figure]:
    """What runs that learn from rewards or comparisons have measured; figures without points where they have not."""
    of_each = "Mean over a step's completions."
    return [
        _of_metrics(runs, "reward", "Reward", calm=True, caption=of_each),
        _of_metrics(runs, "held_out_reward", "Held-out reward", caption="Completions of held-out prompts, drawn alike each time."),
        _of_metrics(runs, "kl", "KL from the start", calm=True, caption="Nats a completion, by its own tokens; of either sign."),
        _of_metrics(runs, "entropy", "Entropy", calm=True, from_zero=True, caption="Nats a token, of the distribution that is drawn from."),
        _of_metrics(runs, "length", "Length", calm=True, from_zero=True, caption="Tokens of a completion, its end among them."),
        _of_metrics(
            runs, "logp_gap", "Drawn and learned", from_zero=True, caption="Greatest difference of a token's two log-probabilities."
        ),
        _of_metrics(runs, "accuracy", "Accuracy", calm=True, percent=True, caption="Pairs whose better answer scores higher."),
        _of_metrics(runs, "held_out_accuracy", "Held-out accuracy", percent=True, caption="The same of held-out comparisons."),
    ]


def throughput(runs: list[RunFiles]) -> Figure:
    return _of_timing(runs, "tokens_per_second", "Throughput", from_zero=True, caption="Tokens a second.")


def mfu(runs: list[RunFiles]) -> Figure:
    caption = "Share of the device's peak arithmetic that went into the model."
    return _of_timing(runs, "mfu", "Model FLOPs utilisation", from_zero=True, percent=True, caption=caption)


def expert_load(run: RunFiles) -> Figure:
    """Each expert's share of the tokens in a mixture; of more than EXPERTS_SHOWN, the busiest, the middle and the idlest of each step."""
    rows = [row for row in run.metrics if _is_shares(row.get("load"))]
    count = min((len(row["load"]) for row in rows), default=0)
    steps, load_NE = column(rows, "step"), np.array([row["load"][:count] for row in rows], float)
    if not count:
        return Figure("Load of the experts", "step", [])
    shown = [(f"expert {e + 1}", load_NE[:, e]) for e in range(count)]
    if count > EXPERTS_SHOWN:
        shown = [("busiest", load_NE.max(1)), ("median", np.median(load_NE, 1)), ("idlest", load_NE.min(1))]
    series = [Series(name, steps, smooth(y), colour=i) for i, (name, y) in enumerate(shown)]
    caption = f"Share of the tokens sent to each of {count} experts, mean over layers. An even share is {1 / count:.3g}."
    return Figure("Load of the experts", "step", series, from_zero=True, percent=True, caption=caption)


def dropped(runs: list[RunFiles]) -> Figure:
    caption = "Share of the choices of an expert that found it full."
    return _of_metrics(runs, "dropped", "Dropped tokens", calm=True, from_zero=True, percent=True, caption=caption)


def _is_shares(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(type(v) in (int, float) and np.isfinite(v) for v in value)


def _of_metrics(runs: list[RunFiles], key: str, title: str, calm: bool = False, **options: Any) -> Figure:
    return _plain(runs, [measured(run.metrics, key) for run in runs], key, title, calm, **options)


def _of_timing(runs: list[RunFiles], key: str, title: str, **options: Any) -> Figure:
    return _plain(runs, [measured(run.timing, key) for run in runs], key, title, True, **options)


def _plain(runs: list[RunFiles], rows: list[list[dict[str, Any]]], key: str, title: str, calm: bool, **options: Any) -> Figure:
    series = []
    for i, (run, own) in enumerate(zip(runs, rows, strict=True)):
        x, y, whose = column(own, "step"), column(own, key), run.name if len(runs) > 1 else ""
        if calm and smooth(y) is not y:
            series.append(Series(_name(runs, run, "each step"), x, y, "raw", i, whose))
            y = smooth(y)
        series.append(Series(_name(runs, run, "smoothed" if calm and len(y) >= 30 else ""), x, y, "line", i, whose))
    return Figure(title, "step", [s for s in series if len(s.x)], **options)


def _name(runs: list[RunFiles], run: RunFiles, what: str) -> str:
    if len(runs) == 1:
        return what or "value"
    return f"{run.name}, {what}" if what else run.name


def _known(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    known = np.isfinite(x)
    return x[known], y[known]


def _places(run: RunFiles, axis: str):
    """Rows -> float64[N]: where they lie on the axis. Tokens and seconds of rows that do not say are read off their neighbours' steps."""
    if axis == "step":
        return lambda rows: column(rows, "step")
    known = measured(run.metrics, "tokens") if axis == "tokens" else measured(run.timing, "seconds")
    steps, values = column(known, "step"), column(known, axis)
    good = np.isfinite(values)
    if not good.any():
        return lambda rows: np.full(len(rows), np.nan)
    return lambda rows: np.interp(column(rows, "step"), steps[good], values[good], left=np.nan, right=np.nan)
