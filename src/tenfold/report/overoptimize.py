"""Over-optimisation as one HTML page: gold and proxy scores against the square root of the KL, by best-of-n and by reinforcement learning,
for each amount of pairs and, of the largest proxy, all amounts together; the laws that were fitted, and where they have their peaks.

Reads overoptimize.json alone. Shapes: K points of a curve.
"""

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from tenfold.errors import UserError
from tenfold.report.page import drawn, own, template, write_page
from tenfold.report.plots import Figure, Series, number

DISTANCE = "square root of KL(policy, start), nats"
WAYS = {"best_of_n": "Best of n", "rl": "Reinforcement learning"}
LAWS = {"best_of_n": "R = d (alpha - beta d)", "rl": "R = d (alpha - beta log d)"}
CAPTION = "Solid: gold. Dashed: proxy. Faint: the law fitted to gold."
DRAWN = 60  # places at which a law is drawn


def overoptimize_report(folder: Path) -> Path:
    """Writes FOLDER/report.html, whole or not at all. Raises UserError where overoptimize.json is missing or damaged."""
    file = folder / "overoptimize.json"
    try:
        text = render(json.loads(file.read_text("utf-8")), folder.resolve().name)
    except FileNotFoundError:
        raise UserError(f"{folder} holds no overoptimize.json.\n  Name a folder that `tenfold align overoptimize` wrote.") from None
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(f"{file} is damaged: {error!r}.\n  Say the same `tenfold align overoptimize` again.") from error
    return write_page(folder / "report.html", text)


def render(found: dict[str, Any], title: str) -> str:
    """The page as text."""
    proxies, gold = found["proxies"], found["gold"]
    noise = f", {100 * found['noise']:g}% of them labelled the wrong way round" if found["noise"] else ""
    return template("overoptimize.html").render(
        script=Markup(own("pointer.js")),
        title=title,
        written=datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC"),
        lede=f"{len(proxies)} proxies of {', '.join(gold['names'])}, and a policy of {number(found['parameters'])} parameters that is "
        f"optimised against each, on {found['prompts']['measured']} prompts that none of them learned from{noise}.",
        ways=[
            {
                "name": WAYS[way],
                "law": LAWS[way],
                "note": _note(way, found),
                "plots": [box for box in map(drawn, figures(found, way)) if box],
                "rows": [row(proxy, proxy[way]["fit"]) for proxy in proxies],
            }
            for way in WAYS
        ],
        cut=found["cut"],
        until=found.get("until"),
        repeats=found["repeats"],
        samples=[(proxy["name"], [_sample(each) for each in proxy["rl"]["samples"]]) for proxy in proxies],
    )


def figures(found: dict[str, Any], way: str) -> list[Figure]:
    """Of one way to optimise: the sizes at each amount of pairs, and all amounts of the largest proxy where there are several."""
    proxies = found["proxies"]
    counts = sorted({proxy["comparisons"] for proxy in proxies})
    shown = [
        _figure(f"{WAYS[way]}, {count:,} pairs", [p for p in proxies if p["comparisons"] == count], way, lambda p: p["size"])
        for count in counts
    ]
    if len(counts) > 1:
        largest = max(proxies, key=lambda proxy: proxy["parameters"])["size"]
        several = [proxy for proxy in proxies if proxy["size"] == largest]
        shown.append(_figure(f"{WAYS[way]}, proxy {largest}", several, way, lambda p: f"{p['comparisons']:,} pairs"))
    return shown


def row(proxy: dict[str, Any], fit: dict[str, Any]) -> dict[str, str]:
    """A fit in words; the terminal's table has the same."""
    return {
        "proxy": proxy["name"],
        "parameters": number(proxy["parameters"]),
        "accuracy": f"{100 * proxy['accuracy']:.1f}%",
        "alpha": estimate(fit["alpha"]),
        "beta": estimate(fit["beta"]),
        "peak": _peak(fit),
        "kl": "" if fit["verdict"] != "peak" else f"{fit['peak']['value'] ** 2:.2f}",
        "score": "" if fit["verdict"] != "peak" else f"{fit['peak_score']:.2f}",
        "explained": "" if fit["explained"] is None else f"{100 * fit['explained']:.0f}%",
    }


def estimate(found: dict[str, Any]) -> str:
    """A number with its interval, whose ends may be open."""
    if found["value"] is None:
        return ""
    low, high = ("none" if found[end] is None else f"{found[end]:.3g}" for end in ("low", "high"))
    return f"{found['value']:.3g} ({low} to {high})"


def _peak(fit: dict[str, Any]) -> str:
    """Where the law has its peak, or why none is given."""
    if fit["verdict"] == "peak":
        return estimate(fit["peak"])
    return {
        "beyond": f"none up to d = {fit['farthest']:.2f}; the law's is further out",
        "rises": f"none: gold rises up to d = {fit['farthest']:.2f}",
        "nearer": f"none from d = {fit['nearest']:.2f} on; the law's is nearer to the start",
        "few": f"not fitted: {fit['points']} points away from the start",
    }[fit["verdict"]]


def _figure(title: str, proxies: list[dict[str, Any]], way: str, name) -> Figure:
    series = []
    for colour, proxy in enumerate(sorted(proxies, key=lambda proxy: (proxy["parameters"], proxy["comparisons"]))):
        curve = proxy[way]
        order = np.argsort(curve["d"], kind="stable")  # a policy may come back for a while
        d, gold, guess = (np.array(curve[key], float)[order] for key in ("d", "gold", "proxy"))
        series += [Series(name(proxy), d, gold, "line", colour), Series(f"{name(proxy)}, proxy", d, guess, "dots", colour)]
        series += _law(curve["fit"], way, float(d.max()), colour)
    caption = f"{CAPTION} In standard deviations of the start's completions, above the start."
    return Figure(title, DISTANCE, series, caption=caption)


def _law(fit: dict[str, Any], way: str, farthest: float, colour: int) -> list[Series]:
    alpha, beta = fit["alpha"]["value"], fit["beta"]["value"]
    if alpha is None or beta is None or not farthest > 0:
        return []
    d = np.linspace(0, farthest, DRAWN)
    away = d if way == "best_of_n" else np.log(np.maximum(d, 1e-12))
    return [Series("", d, d * (alpha - beta * away), "raw", colour)]


def _sample(each: dict[str, Any]) -> tuple[str, str, str, str]:
    return each["prompt"], each["text"], number(each["gold"]), number(each["proxy"])


def _note(way: str, found: dict[str, Any]) -> str:
    if way == "best_of_n":
        largest = 2 ** int(math.log2(found["pool"]))
        pool = f"read off a pool of {found['pool']:,} completions of each prompt"
        return f"n = 1, 2, 4 up to {largest:,}, {pool}; the KL is log n - (n - 1) / n."
    weight = f", with {found['kl_weight']:g} times the KL against it" if found["kl_weight"] else ", with nothing against the KL"
    return f"{found['method'].upper()}{weight}; the KL is measured, place by place, on what each policy writes."
