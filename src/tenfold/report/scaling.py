"""Laws of scale as plots: the loss against compute with the fit and its band, what the fit leaves, and runs of equal compute.

All of it is read from one JSON object, which `tenfold.scaling.summary` makes. Compute and sizes span decades, so their axes are logarithms
to base 10. What was set aside is drawn where it has a loss, and named with its reason either way.

Shapes: N points.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from tenfold.report.page import drawn, own, template, write_page
from tenfold.report.plots import Figure, Series, number

UNITS = {"loss": "nats a token", "bits_per_byte": "bits a byte"}
COMPUTE = "compute, 10^x FLOPs"
POINTS, TARGET, ASIDE = 0, 2, 1  # colours


def scaling_page(out: Path, found: dict[str, Any], title: str = "Laws of scale") -> Path:
    """Writes the page, whole or not at all. `found` is a summary of `tenfold.scaling.summary`."""
    return write_page(out, render(found, title))


def render(found: dict[str, Any], title: str = "Laws of scale") -> str:
    """The page as text."""
    best = found["fit"]
    return template("scaling.html").render(
        script=Markup(own("pointer.js")),
        title=title,
        lede=f"{best['law']}: L = {best['equation']}, fitted to {len(best['points'])} runs; {_extent(best['points'])}.",
        counted=best["parameters"],
        unit=UNITS[found["measure"]],
        warnings=best["warnings"],
        figures=plots(found),
        laws=[law_row(law) for law in found["laws"]],
        aside=[(row["name"], row["reason"]) for row in best["aside"]],
        approaches=[_approach(row) for row in found["approaches"]],
        missing=[" ".join(line.split()) for line in found["missing"]],
        constants=[_constant(name, value, best["intervals"][name]) for name, value in best["constants"].items()],
    )


def plots(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Every plot that a summary allows, as the macro of plot.html draws it."""
    figures = [loss(found), residuals(found), isoflops(found), best_sizes(found)]
    return [box for box in (drawn(figure) for figure in figures) if box]


def loss(found: dict[str, Any]) -> Figure:
    """The loss against compute: points, those set aside, the fit with its band, and a target that no fit has seen."""
    measure, curve, fit = found["measure"], found["curve"], found["fit"]
    x = np.log10(np.array(curve["flops"], float))
    series = [Series("95% of new runs" if bound == "low" else "", x, _column(curve[bound]), "raw", POINTS) for bound in ("low", "high")]
    series.append(Series(fit["law"], x, _column(curve["loss"]), "line", POINTS))
    series += _scatter("runs", fit["points"], measure, POINTS)
    series += _scatter("set aside", fit["aside"], measure, ASIDE)
    series += _scatter("not fitted", [found["target"]] if found["target"] else [], measure, TARGET)
    aside = " ".join(f"{row['name']} is set aside: {row['reason']}." for row in fit["aside"])
    return Figure(
        "Loss against compute", COMPUTE, [s for s in series if np.isfinite(s.y).any()], caption=f"In {UNITS[measure]}. {aside}".strip()
    )


def residuals(found: dict[str, Any]) -> Figure:
    """What the fit leaves of each point, as a share of the loss."""
    rows = sorted(found["fit"]["points"], key=lambda row: row["flops"])
    x, y = np.log10(_column([row["flops"] for row in rows])), _column([row["residual"] for row in rows])
    series = [Series("measured over predicted", x, y, "points", POINTS), Series("", x, np.zeros(len(x)), "raw", 7)]
    return Figure("What the fit leaves", COMPUTE, series, percent=True, caption="Measured over predicted loss, less one.")


def isoflops(found: dict[str, Any]) -> Figure:
    """The runs of each budget by size, and the parabola through them."""
    series = []
    for colour, profile in enumerate(found["profiles"]):
        rows = sorted(profile["points"], key=lambda row: row["size"])
        name = f"{profile['flops']:.2g} FLOPs"
        x, y = np.log10(_column([row["size"] for row in rows])), _column([row[found["measure"]] for row in rows])
        series += [
            Series(name, np.log10(_column(profile["curve"]["size"])), _column(profile["curve"]["loss"]), "line", colour),
            Series("", x, y, "points", colour),
        ]
    faults = " ".join(f"{p['flops']:.2g} FLOPs: {p['fault']}." for p in found["profiles"] if p["fault"])
    counted = found["fit"]["parameters"]
    return Figure("Runs of equal compute", f"parameters {counted}, 10^x", series, caption=f"IsoFLOP profiles. {faults}".strip())


def best_sizes(found: dict[str, Any]) -> Figure:
    """The best size by compute, of each approach that reads it off; where an approach is a law alone, only its line."""
    spans = [row["flops"] for row in found["fit"]["points"]]
    x = np.log10(np.geomspace(min(spans), 10 * max(spans), 2))
    series = []
    for colour, row in enumerate(found["approaches"]):
        line = math.log10(row["size_factor"]) + row["size_exponent"] * x
        series.append(Series(f"approach {row['approach']}", x, line, "line", colour))
        budgets = row["budgets"][:: max(1, len(row["budgets"]) // 40)]
        at, sizes = (np.log10(_column([b[name] for b in budgets])) for name in ("flops", "parameters"))
        series += [Series("", at, sizes, "points", colour)] if budgets else []
    return Figure("The best size", COMPUTE, series, caption="Parameters, 10^y, of the best model by compute.")


def law_row(law: dict[str, Any]) -> dict[str, str]:
    """A law beside the others, in words."""
    fit = law["fit"]
    return {
        "law": law["law"],
        "equation": law["equation"],
        "source": law["source"],
        "error": law["refused"].splitlines()[0] if law["error"] is None else f"{law['error']:+.2%}",
        "constants": ", ".join(f"{name} {value:.4g}" for name, value in fit["constants"].items()) if fit else "",
    }


def _scatter(name: str, rows: list[dict[str, Any]], measure: str, colour: int) -> list[Series]:
    rows = sorted((row for row in rows if row[measure] is not None), key=lambda row: row["flops"])
    if not rows:
        return []
    return [Series(name, np.log10(_column([row["flops"] for row in rows])), _column([row[measure] for row in rows]), "points", colour)]


def _column(values: list[Any]) -> np.ndarray:
    """float64[N], NaN for what is None."""
    return np.array([math.nan if value is None else value for value in values], float)


def _constant(name: str, value: float, interval: list[float | None]) -> tuple[str, str, str]:
    low, high = interval
    return name, f"{value:.4g}", "" if low is None or high is None else f"{low:.4g} to {high:.4g}"


def _approach(row: dict[str, Any]) -> dict[str, str]:
    def said(exponent: str, interval: list[float | None]) -> str:
        low, high = interval
        return f"C^{row[exponent]:.3f}" + ("" if low is None or high is None else f" ({low:.3f} to {high:.3f})")

    return {
        "approach": row["approach"],
        "size": said("size_exponent", row["size_interval"]),
        "tokens": said("token_exponent", row["token_interval"]),
        "parameters": row["parameters"],
        "aside": "; ".join(row["aside"]),
    }


def _extent(points: list[dict[str, Any]]) -> str:
    flops = [row["flops"] for row in points]
    return f"{min(flops):.2g} to {max(flops):.2g} FLOPs, {number(max(flops) / min(flops))}x"
