"""Ladders that were never trained: items whose worth to each model is drawn from a known curve. For the tests of emergence and its page."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tenfold.evaluate.curves import curves, in_context
from tenfold.evaluate.grades import Grade

X = np.linspace(12.0, 15.5, 8)  # log10 FLOPs

Curve = Callable[[np.ndarray], np.ndarray]


def line(x):
    return 0.1 + 0.2 * (x - X[0])


def level(x):
    return np.full(len(x), 0.2)


def hinge(x, at: float = 13.75):
    return 0.02 + 0.45 * np.maximum(0, x - at)


def saturating(x):
    return 0.8 * (1 - np.exp(-(x - X[0])))


def right_and_wrong(curve: Curve, x=X, items: int = 400, scatter: float = 0.0, seed: int = 0) -> np.ndarray:
    """f64[N, M] of 0 and 1 whose means lie on the curve, but for `scatter` from model to model."""
    rng = np.random.default_rng(seed)
    mean_M = np.clip(curve(x) + scatter * rng.standard_normal(len(x)), 0, 1)
    return (rng.random((items, len(x))) < mean_M).astype(float)


def graded(rows_NM: np.ndarray, chance: float = 0.0) -> list[Grade]:
    """A measure's grades, by model."""
    return [Grade(row_N, chance, (row_N - chance) / (1 - chance)) for row_N in rows_NM.T]


def measured(exact: Curve, finer: Curve, seed: int = 0, x=X) -> dict[str, list[Grade]]:
    """All measures, each drawn by itself; the finer ones from one curve."""
    names = ("exact", "tokens", "letters", "logprob", "brier")
    drawn = [right_and_wrong(exact if name == "exact" else finer, x, seed=seed + n) for n, name in enumerate(names)]
    return {name: graded(rows) for name, rows in zip(names, drawn, strict=True)}


def made(tasks: dict[str, tuple[Curve, Curve]], counts: tuple[int, ...] = (0,), x=X) -> dict[str, Any]:
    """emergence.json of tasks whose exact match and finer measures follow these curves; more examples raise each by a little."""
    models = [
        dict(name=f"size{m}", path=f"rungs/size{m}", flops=10**at, parameters=1e4 * 4**m, non_embedding=1e4 * 3**m, tokens=2e5 * 4**m)
        for m, at in enumerate(x)
    ]
    return {
        "format": 1,
        "command": "eval emergence",
        "settings": {"shots": ",".join(map(str, counts))},
        "models": models,
        "aside": [{"name": "broken<b>", "reason": "diverged: its loss is nan"}],
        "tasks": [_task(name, *of, counts, x) for name, of in tasks.items()],
    }


def _task(name: str, exact: Curve, finer: Curve, counts: tuple[int, ...], x: np.ndarray) -> dict[str, Any]:
    by_shots = [measured(lambda x, k=k: exact(x) * (1 + 0.1 * np.log2(1 + k)), finer, 10 * k, x) for k in counts]
    rows = [{"shots": k, "cut": [0] * len(x), **curves(found, x)} for k, found in zip(counts, by_shots, strict=True)]
    slopes = in_context(counts, [found["exact"] for found in by_shots])
    return {"task": name, "what": f"Made up: {name}", "kind": "write", "items": 400, "of": 2000, "shots": rows, "examples": slopes}
