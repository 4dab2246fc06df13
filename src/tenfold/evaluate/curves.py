"""From what each model's answers are worth to curves against compute, their tests and the verdict, as JSON holds them. Imports no JAX.

Shapes: N items, M models, K numbers of shots.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tenfold.evaluate.breaks import REPEATS, Bend, bend
from tenfold.evaluate.grades import COARSE, Grade
from tenfold.evaluate.statistics import mean
from tenfold.evaluate.verdict import below_ceiling, breaks, rises, straight, too_few, verdict


def curves(by_measure: Mapping[str, Sequence[Grade]], x_M: np.ndarray) -> dict[str, Any]:
    """The curves of every measure with their tests, and the verdict. `x_M`: log10 of the models' compute."""
    coarse = by_measure[COARSE]
    tested = below_ceiling(x_M, np.array([grade.centred_N.mean() for grade in coarse]))
    few = too_few(x_M, tested)
    bends = {} if few else {name: _bend(found, x_M, tested) for name, found in by_measure.items()}
    said = few or verdict(bends, mean(coarse[int(np.argmax(x_M))].centred_N, repeats=REPEATS).low > 0)
    return {
        "verdict": said.word,
        "said": said.said,
        "why": said.why,
        "tested": tested,
        "measures": {name: {**_curve(found), "bend": _said(bends[name]) if name in bends else None} for name, found in by_measure.items()},
    }


def in_context(counts: Sequence[int], graded: Sequence[Sequence[Grade]]) -> list[dict[str, Any]]:
    """Of each model, the slope of exact match, chance taken out, in log2(1 + examples), with its interval: GPT-3's figure 1.2 as a number.
    None where there is one number of shots. `graded` is by number of shots, then by model."""
    if len(set(counts)) < 2:
        return []
    steps_K = np.log2(1 + np.array(counts, np.float64))
    weights_K = (steps_K - steps_K.mean()) / ((steps_K - steps_K.mean()) ** 2).sum()
    rows = []
    for model in range(len(graded[0])):
        slopes_N = sum(weight * found_M[model].centred_N for weight, found_M in zip(weights_K, graded, strict=True))
        found = mean(slopes_N, repeats=REPEATS)
        rows.append({"slope": found.value, "low": found.low, "high": found.high})
    return rows


def _bend(found: Sequence[Grade], x_M: np.ndarray, tested: Sequence[int]) -> Bend:
    return bend(x_M[list(tested)], np.stack([found[m].centred_N for m in tested], axis=1))


def _curve(found: Sequence[Grade]) -> dict[str, list[float]]:
    """By model: the measure as it is, its chance, and the score without chance with its 95% interval over items."""
    estimates = [mean(grade.centred_N, repeats=REPEATS) for grade in found]
    return {
        "value": [float(grade.value_N.mean()) for grade in found],
        "chance": [grade.chance for grade in found],
        "centred": [each.value for each in estimates],
        "low": [each.low for each in estimates],
        "high": [each.high for each in estimates],
    }


def _said(found: Bend) -> dict[str, Any]:
    """For JSON, which has no NaN, with what the rules make of it."""
    numbers = {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in asdict(found).items()}
    return {**numbers, "breaks": breaks(found), "rises": rises(found), "on_a_line": straight(found)}
