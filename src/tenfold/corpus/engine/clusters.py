"""Connected components of the pairs of duplicates over files: `corpus.components` tells how, and does the same on arrays.

Every step looks at the edges of one range of ids, so no worker holds more than that, and the workers share the ranges.
"""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tenfold.corpus.components import both_ways, large_star, small_star
from tenfold.corpus.engine.frames import Engine
from tenfold.corpus.engine.ids import part_of
from tenfold.corpus.engine.spill import Spill

Star = Callable[[np.ndarray], tuple[np.ndarray, int]]


def clusters(engine: Engine, edges: Spill, directory: Path, parts: list[int], ranges: int) -> Spill:
    """(a, b) of every document that is not the least of its component: itself and that least one, by the part of a.

    `edges` has every edge (a, b) from either end, by the part of a. What is between is removed.
    """
    before = edges
    for turn in itertools.count():
        large, small = Spill(directory, f"large-star-{turn:03}"), Spill(directory, f"small-star-{turn:03}")
        moved = _round(engine, before, large, parts, ranges, large_star, False)
        moved += _round(engine, large, small, parts, ranges, small_star, True)
        if before is not edges:
            before.remove()
        if not moved:
            small.remove()
            return large
        large.remove()
        before = small
    raise AssertionError("the rounds end only where nothing moves")


def _round(engine: Engine, before: Spill, after: Spill, parts: list[int], ranges: int, star: Star, from_both_ends: bool) -> int:
    """One step on every part. Returns how many edges moved."""

    def work(part: int) -> int:
        found, moved = star(before.pairs(part))
        found = both_ways(found) if from_both_ends else found
        return after.write(part, [(part_of(found[:, 0], ranges), {"a": found[:, 0], "b": found[:, 1]})], moved)

    missing = after.missing(parts)
    return engine.each(work, missing) + sum(after.counted(part) for part in parts if part not in missing)
