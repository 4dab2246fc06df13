"""All that points say, as one JSON object: what a page shows (report/scaling.py) and a program can read."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tenfold.errors import UserError
from tenfold.scaling.fit import Compared, Fit, compare, plain
from tenfold.scaling.isoflop import Allocation, Profile, approach_1, approach_2, approach_3, profiles
from tenfold.scaling.points import Measure, Point
from tenfold.scaling.read import Curve

STEPS = 41  # of a drawn curve
BEYOND = 10.0  # a fit is drawn to ten times the largest compute


def summary(
    points: list[Point],
    curves: Sequence[Curve] = (),
    seed: int = 0,
    bootstrap: int = 1000,
    measure: Measure = "loss",
    target: Point | None = None,
) -> dict[str, Any]:
    """Every law's fit and its error on the largest budget left out, the best of them drawn, and the three approaches to the best size.

    `target` is a run that no fit has seen, to be drawn beside them. Raises UserError where no law can be fitted.
    """
    compared = compare(points, seed, bootstrap, measure=measure)
    fits = {c.law.name: c.fit for c in compared if c.fit}
    if not fits:
        raise UserError(compared[0].refused)
    best = next((c.fit for c in compared if c.fit and c.errors), next(iter(fits.values())))
    joint = [c.fit for c in compared if c.fit and c.law.reads == "ND" and not c.fit.together]
    allocations, missing = _approaches(points, list(curves), joint[0] if joint else None, seed, bootstrap, measure)
    return {
        "measure": measure,
        "laws": [_law(c) for c in compared],
        "best": best.law.name,
        "fit": best.record(),
        "curve": drawn(best),
        "target": target and target.record(),
        "profiles": [_profile(p, best.embeddings) for p in profiles(points, best.embeddings, measure)],
        "approaches": [a.record() for a in allocations],
        "missing": missing,
    }


def drawn(fit: Fit, beyond: float = BEYOND) -> dict[str, list[float | None]]:
    """A fit along compute, sizes rising as the points' own do: flops, loss, low and high."""
    flops = np.array([p.flops for p in fit.points])
    sizes = np.log([p.size(fit.embeddings) for p in fit.points])
    line = np.polyfit(np.log(flops), sizes, 1)
    grid = np.geomspace(flops[0], beyond * flops[-1], STEPS)
    N = np.exp(np.polyval(line, np.log(grid)))
    rows = [fit.predict(n, c / fit.cost.a_token(n), c) for n, c in zip(N.tolist(), grid.tolist(), strict=True)]
    columns = {name: [plain(row[i]) for row in rows] for i, name in enumerate(("loss", "low", "high"))}
    return {"flops": grid.tolist(), **columns}


def _approaches(
    points: list[Point], curves: list[Curve], joint: Fit | None, seed: int, bootstrap: int, measure: Measure
) -> tuple[list[Allocation], list[str]]:
    """Those that the points allow, and why not the others."""
    found, missing = [], []
    asked = [
        lambda: approach_1(curves, seed, min(bootstrap, 200)) if curves else None,
        lambda: approach_2(points, seed, bootstrap, measure=measure),
        lambda: approach_3(joint) if joint else None,
    ]
    names = ("approach 1 needs the curves of runs", "", "approach 3 needs a fit that tells sizes and tokens apart")
    for each, without in zip(asked, names, strict=True):
        try:
            allocation = each()
        except UserError as refused:
            missing.append(str(refused))
            continue
        if allocation:
            found.append(allocation)
        else:
            missing.append(without)
    return found, missing


def _law(compared: Compared) -> dict[str, Any]:
    return {
        "law": compared.law.name,
        "equation": compared.law.equation,
        "source": compared.law.source,
        "error": plain(compared.error),
        "errors": compared.errors,
        "refused": compared.refused,
        "fit": compared.fit and compared.fit.record(),
    }


def _profile(profile: Profile, embeddings: bool) -> dict[str, Any]:
    sizes = [p.size(embeddings) for p in profile.points]
    grid = np.geomspace(min(sizes), max(sizes), STEPS)
    return {
        "flops": profile.flops,
        "fault": profile.fault,
        "points": [p.record() | {"size": size} for p, size in zip(profile.points, sizes, strict=True)],
        "curve": {"size": grid.tolist(), "loss": profile.loss(grid).tolist()},
    }
