"""Rows of items to figures: top-1, 3 and 5 with intervals, on all items and on the new ones, and models compared on the same items."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tenfold.evaluate.statistics import mean, paired

SPLITS = ("all", "new")
Rows = Sequence[Mapping[str, Any]]


def best(row: Mapping[str, Any], metric: str, k: int) -> float:
    """The worth of the best of an item's first k answers."""
    return max(row["scores"][metric][:k], default=0.0)


def of_split(rows: Rows, split: str) -> Rows:
    """All rows, or those of new items."""
    return rows if split == "all" else [row for row in rows if row["new"]]


def summary(rows: Rows, metrics: Sequence[str], tops: Sequence[int], seed: int) -> dict[str, Any]:
    """By split: the number of items, and scores by metric and k, validity of all answers and of the first, and diversity."""
    return {split: _summary(of_split(rows, split), metrics, tops, seed) for split in SPLITS}


def _summary(rows: Rows, metrics: Sequence[str], tops: Sequence[int], seed: int) -> dict[str, Any]:
    if not rows:
        return {"items": 0}
    validity = {
        "all": estimate([float(np.mean(row["scores"]["valid"])) for row in rows], seed),
        "first": estimate([row["scores"]["valid"][0] for row in rows], seed),
    }
    several = [row["diversity"] for row in rows if row["diversity"]]
    return {
        "items": len(rows),
        "scores": scores(rows, metrics, tops, seed),
        "valid": validity,
        "diversity": {name: estimate([each[name] for each in several], seed) for name in several[0]} if several else {},
    }


def scores(rows: Rows, metrics: Sequence[str], tops: Sequence[int], seed: int) -> dict[str, dict[str, Any]]:
    """By metric and k, the mean over items of the best of k."""
    return {metric: {str(k): estimate([best(row, metric, k) for row in rows], seed) for k in tops} for metric in metrics}


def estimate(values: Sequence[float], seed: int) -> dict[str, float | None]:
    """A mean with its error (None of one item) and its 95% bootstrap interval."""
    return {name: None if math.isnan(value) else value for name, value in asdict(mean(values, seed)).items()}


def comparisons(columns: Mapping[str, Rows], metrics: Sequence[str], tops: Sequence[int], seed: int) -> list[dict[str, Any]]:
    """Each two models on the same items, the second's score less the first's: every metric at every k, and the diversity."""
    found = []
    for (first, one), (second, other) in itertools.combinations(columns.items(), 2):
        for split in SPLITS:
            ones, others = of_split(one, split), of_split(other, split)
            if not ones:
                continue
            about = {"first": first, "second": second, "split": split}
            gained = gains(ones, others, metrics, tops, seed)
            found += [{**about, "what": f"{metric}@{k}", **row} for metric, by_k in gained.items() for k, row in by_k.items()]
            both = [pair for pair in zip(ones, others, strict=True) if pair[0]["diversity"] and pair[1]["diversity"]]
            for name in both[0][0]["diversity"] if both else ():
                values = ([one["diversity"][name] for one, _ in both], [other["diversity"][name] for _, other in both])
                found.append({**about, "what": name, **_gain(*values, seed)})
    return found


def gains(first: Rows, second: Rows, metrics: Sequence[str], tops: Sequence[int], seed: int) -> dict[str, dict[str, Any]]:
    """By metric and k, the second's score less the first's on the same items."""
    return {
        metric: {str(k): _gain([best(row, metric, k) for row in first], [best(row, metric, k) for row in second], seed) for k in tops}
        for metric in metrics
    }


def _gain(first: Sequence[float], second: Sequence[float], seed: int) -> dict[str, Any]:
    return {name: None if math.isnan(value) else value for name, value in asdict(paired(first, second, seed)).items()}
