"""A model's scores on all items of a task, on the dirty and on the clean ones, as table C.1 of Brown et al. 2020 puts them.

Shapes: N items, R repeats of the bootstrap.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.errors import UserError
from tenfold.evaluate.results import find_results, own_scores, read_items, read_result
from tenfold.evaluate.statistics import bootstrap_means, interval, mean


def scores(places: Sequence[Path], dirty: Mapping[str, Mapping[str, bool]]) -> list[dict[str, Any]]:
    """A row for each result under `places` (runs, folders or files of `tenfold eval`) of a task that was looked for.

    `dirty` says of each task's items, by their ids, which are. Raises UserError as `results_of`.
    """
    rows = (_row(place, path, dirty) for place, path in results_of(places, dirty))
    return [row for row in rows if row]


def results_of(places: Sequence[Path], ids: Mapping[str, Container[str]]) -> list[tuple[Path, Path]]:
    """Each place with each of its results whose task is in `ids`. Raises UserError where a place holds none, or an item of a result is
    not among its task's: what can be refused is, before a corpus is looked through."""
    pairs = []
    for place in places:
        found = {name: path for name, path in sorted(find_results(place).items()) if read_result(path).task in ids}
        if not found:
            raise UserError(f"{place} holds no result of {', '.join(ids)}.\n  Say `tenfold eval` for these tasks first, or leave it out.")
        for path in found.values():
            result = read_result(path)
            if unknown := next((id for id in own_scores(result, read_items(path)) if id not in ids[result.task]), None):
                raise UserError(
                    f"{path} has an item {unknown!r} that the task {result.task!r} has not.\n  Name the same --data as for `tenfold eval`."
                )
        pairs += [(place, path) for path in found.values()]
    return pairs


def _row(place: Path, path: Path, dirty: Mapping[str, Mapping[str, bool]]) -> dict[str, Any] | None:
    result = read_result(path)
    values, flags = own_scores(result, read_items(path)), dirty[result.task]
    if not values:  # bits per byte of a whole text
        return None
    about = {"task": result.task, "model": str(place), "result": result.name, "shots": result.shots, "metric": result.own}
    return about | split(np.array(list(values.values())), np.array([flags[id] for id in values]))


def split(values_N: np.ndarray, dirty_N: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """{"all", "dirty", "clean"}: value, error, low, high and items of each, None where there are none; and "relative".

    "relative" is the relative difference of the clean to all, with the interval of a bootstrap over items; None where all scores are 0 or
    no item is clean.
    """
    groups = {"all": np.ones(len(values_N), bool), "dirty": dirty_N, "clean": ~dirty_N}
    found: dict[str, Any] = {name: _estimate(values_N[chosen], seed) for name, chosen in groups.items()}
    return found | {"relative": _relative(values_N, ~dirty_N, seed)}


def _estimate(values_N: np.ndarray, seed: int) -> dict[str, Any] | None:
    if not len(values_N):
        return None
    found = {name: None if np.isnan(value) else value for name, value in asdict(mean(values_N, seed)).items()}
    return found | {"items": len(values_N)}


def _relative(values_N: np.ndarray, clean_N: np.ndarray, seed: int) -> dict[str, float] | None:
    if not clean_N.any() or not values_N.any():
        return None
    drawn_R3 = bootstrap_means(np.stack([values_N, values_N * clean_N, clean_N], 1).astype(np.float64), seed)
    drawn_R3 = drawn_R3[(drawn_R3[:, 0] > 0) & (drawn_R3[:, 2] > 0)]
    drawn_R = drawn_R3[:, 1] / drawn_R3[:, 2] / drawn_R3[:, 0] - 1
    low, high = interval(drawn_R)
    return {"value": float(values_N[clean_N].mean() / values_N.mean() - 1), "low": float(low), "high": float(high)}
