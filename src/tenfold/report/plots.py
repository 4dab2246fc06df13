"""Line plots as plain numbers a page can draw: paths in a unit box, ticks in percent, and the points for the pointer to read.

A plot's lines are an SVG stretched over its box (strokes keep their width) and its words are HTML laid over it, so letters are the
same size on a phone and a desktop, follow the page's light or dark colours, and need no script. Not plotly: its bundle is 4.8 MB in
every report, draws nothing where scripts are off (mail and file previews on phones), and takes over a finger's scrolling.

Shapes: N points of a series.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

BOX = 1000  # the SVG's viewBox is BOX x BOX
POINTS = 600  # a series is drawn with at most about twice this many points
UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k"))  # from where on a number is written in it; k only from 10,000
LABEL_GAP = 7.0  # percent of the height two labels of rules need between them

Kind = Literal["raw", "line", "dots", "points", "rule"]


@dataclass(frozen=True)
class Series:
    """One curve. "raw" is drawn faint, "line" strong, "dots" as a dashed line with its points, "points" without one, "rule" across the
    whole width at y[0]."""

    name: str  # "": not in the legend
    x: np.ndarray  # float64[N], ascending
    y: np.ndarray  # float64[N], may hold NaN: the line breaks there
    kind: Kind = "line"
    colour: int = 0  # which of the page's colours
    run: str = ""  # where runs are compared: the legend then names each run once, and the caption says what the strokes are


@dataclass(frozen=True)
class Figure:
    """A plot before it is drawn."""

    title: str
    x_label: str
    series: list[Series]
    from_zero: bool = False  # the y axis starts at 0: for quantities whose size is compared
    clip_start: bool = False  # a steep start may leave the picture, which then says so
    caption: str = ""
    percent: bool = False  # y is a share of 1 and shown in percent
    x_ticks: tuple[tuple[float, str], ...] = ()  # where x has words of its own: places and words; none: round numbers


def draw(figure: Figure) -> dict[str, Any] | None:
    """What the template draws, or None when no series has a finite point."""
    shown = [s for s in figure.series if np.isfinite(s.y).any()]
    curves = [s for s in shown if s.kind != "rule"]
    if not curves:
        return None
    x_low, x_high = _limits([s.x for s in curves])
    x_low = 0.0 if 0 < x_low < 0.25 * x_high else x_low  # runs start at 0; only a stretch far from it gets an axis of its own
    low, high, above = _y_limits(figure, shown, x_low, x_high)
    note = f"The first steps, up to {number(above)}, are above the picture." if above else ""
    return {
        "title": figure.title,
        "caption": " ".join(part for part in (figure.caption, note) if part),
        "x_label": figure.x_label,
        "label": _aria(figure, curves),
        "paths": [_path(s, x_low, x_high, low, high) for s in sorted(shown, key=lambda s: s.kind != "raw")],
        "x_ticks": [{"at": percent(t, x_low, x_high), "text": text} for t, text in figure.x_ticks or _labelled(ticks(x_low, x_high, 4))],
        "y_ticks": [{"at": 100 - percent(t, low, high), "text": text} for t, text in _labelled(ticks(low, high, 5), figure.percent)],
        "rules": _rule_labels([s for s in shown if s.kind == "rule"], low, high),
        "legend": _legend(curves),
        "pointer": _pointer(curves, (x_low, x_high), (low, high), figure.percent),
    }


def smooth(y: np.ndarray, share: float = 0.03) -> np.ndarray:
    """The mean over a centred window of that share of the points, NaN left out; same length. Under 30 points it is y itself."""
    half = int(len(y) * share / 2)
    if len(y) < 30 or half < 1:
        return y
    finite = np.isfinite(y)
    sums = np.concatenate(([0.0], np.cumsum(np.where(finite, y, 0.0))))
    counts = np.concatenate(([0], np.cumsum(finite)))
    # At the start the window shrinks evenly, so that a steep start is not dragged down by what follows it; at the end it is cut off,
    # so that the last figure is not one step's noise.
    reach = np.minimum(half, np.arange(len(y)))
    first, last = np.arange(len(y)) - reach, np.minimum(np.arange(len(y)) + reach + 1, len(y))
    with np.errstate(invalid="ignore"):
        return (sums[last] - sums[first]) / (counts[last] - counts[first])


def thin(x: np.ndarray, y: np.ndarray, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """At most two points for each of `points` stretches: the stretch's lowest and highest, so no spike is lost; NaN stays a gap."""
    if len(x) <= 2 * points:
        return x, y
    edges = np.linspace(0, len(x), points + 1).astype(int)
    keep: set[int] = {0, len(x) - 1}
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        part = y[start:stop]
        if not np.isfinite(part).all():
            keep.add(start + int(np.argmin(np.isfinite(part))))
        if np.isfinite(part).any():
            keep |= {start + int(np.nanargmin(part)), start + int(np.nanargmax(part))}
    kept = np.array(sorted(keep))
    return x[kept], y[kept]


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers inside [low, high], as near `about` of them as steps of 1, 2, 2.5 or 5 times a power of ten allow."""
    raw = (high - low) / about
    unit = 10.0 ** math.floor(math.log10(raw))
    step = min((unit * m for m in (1, 2, 2.5, 5, 10)), key=lambda step: abs(math.log(step / raw)))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def number(value: float) -> str:
    """A figure as short as it stays clear: 1,234, 12k, 3.4M, 0.0006, 2.15."""
    if not math.isfinite(value):
        return str(value)
    for size, letter in UNITS:
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):.4g}{letter}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def percent(value: float, low: float, high: float) -> float:
    return round(100 * (value - low) / (high - low), 3)


def _limits(values: list[np.ndarray]) -> tuple[float, float]:
    finite = np.concatenate([v[np.isfinite(v)] for v in values])
    low, high = float(finite.min()), float(finite.max())
    if high > low:
        return low, high
    margin = abs(low) * 0.05 or 1.0
    return low - margin, high + margin


def _y_limits(figure: Figure, shown: list[Series], x_low: float, x_high: float) -> tuple[float, float, float | None]:
    """The picture's lowest and highest y, and the highest value left above it, if any."""
    low, high = _limits([s.y for s in shown])
    above = None
    if figure.clip_start:
        start = x_low + 0.03 * (x_high - x_low)
        later = [s.y[s.x >= start] if s.kind != "rule" else s.y for s in shown]
        if any(np.isfinite(y).any() for y in later):
            later_low, later_high = _limits(later)
            if high - later_high > 0.3 * (later_high - later_low):
                above, high, low = high, later_high, min(low, later_low)
    margin = 0.05 * (high - low)
    if figure.from_zero and low >= 0:
        return 0.0, high + margin or 1.0, above
    return low - margin, high + margin, above


def _path(series: Series, x_low: float, x_high: float, low: float, high: float) -> dict[str, Any]:
    if series.kind == "rule":
        at = BOX * (high - float(series.y[0])) / (high - low)
        return {"kind": "rule", "colour": series.colour, "d": f"M0 {at:.1f}H{BOX}", "dots": ""}
    x, y = thin(series.x, series.y)
    across = BOX * (x - x_low) / (x_high - x_low)
    # Far outside the box a point only sets a slope; clamping keeps the numbers short.
    down = np.clip(BOX * (high - y) / (high - low), -9 * BOX, 9 * BOX)
    pieces, pen = [], "M"
    for a, b in zip(across, down, strict=True):
        if not math.isfinite(b):
            pen = "M"
            continue
        pieces.append(f"{pen}{a:.1f} {b:.1f}")
        pen = "L"
    alone = (len(pieces) == 1 or series.kind == "dots") and len(x) <= 80 or series.kind == "points"
    dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(across, down, strict=True) if math.isfinite(b)) if alone else ""
    return {"kind": series.kind, "colour": series.colour, "d": "" if series.kind == "points" else "".join(pieces), "dots": dots}


def _labelled(values: list[float], in_percent: bool = False) -> list[tuple[float, str]]:
    """Ticks with their words, all of one axis in one unit."""
    if in_percent:
        return [(v, f"{100 * v:g}%") for v in values]
    top = max((abs(v) for v in values), default=0.0)
    size, letter = next(((size, letter) for size, letter in UNITS if top >= size), (0.0, ""))
    if not letter:
        return [(v, number(v)) for v in values]
    return [(v, f"{v / (1e3 if letter == 'k' else size):g}{letter}" if v else "0") for v in values]


def _legend(curves: list[Series]) -> list[dict[str, Any]]:
    if any(s.run for s in curves):
        runs = {s.run: s.colour for s in curves}
        return [{"name": name, "kind": "line", "colour": colour} for name, colour in runs.items()]
    return [{"name": s.name, "kind": s.kind, "colour": s.colour} for s in curves if s.name]


def _rule_labels(rules: list[Series], low: float, high: float) -> list[dict[str, Any]]:
    """Labels of the rules, from the top down, pushed apart where they would touch."""
    labels: list[dict[str, Any]] = []
    for rule in sorted(rules, key=lambda s: -s.y[0]):
        at = 100 - percent(float(rule.y[0]), low, high)
        if labels:
            at = max(at, labels[-1]["at"] + LABEL_GAP)
        labels.append({"at": at, "text": f"{rule.name} {rule.y[0]:.2f}"})
    return labels


def _pointer(curves: list[Series], x: tuple[float, float], y: tuple[float, float], in_percent: bool) -> dict[str, Any]:
    """The points a pointer can read off. Faint raw curves are left out where a smoothed one tells the same."""
    strong = [s for s in curves if s.kind != "raw" and s.name] or curves
    series = []
    for s in strong:
        finite = np.isfinite(s.y)
        xs, ys = thin(s.x[finite], s.y[finite], POINTS // 2)
        series.append({"name": s.name, "colour": s.colour, "x": [_short(v) for v in xs], "y": [_short(v) for v in ys]})
    return {"x": x, "y": y, "percent": in_percent, "series": series}


def _short(value: float) -> float:
    return float(f"{value:.6g}") if value != int(value) else int(value)


def _aria(figure: Figure, curves: list[Series]) -> str:
    def said(s: Series) -> str:
        y = s.y[np.isfinite(s.y)]
        return f"{s.name} from {number(y[0])} to {number(y[-1])}"

    return f"{figure.title} by {figure.x_label}: " + "; ".join(said(s) for s in curves if s.name and (s.kind != "raw" or len(curves) == 1))
