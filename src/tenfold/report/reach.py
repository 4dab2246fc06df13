"""Which positions see which, and through how many layers: the path lengths of a run's pattern of attention, from its recipe's words.

A layer carries what stands at a position to those that see it, in any of its heads; the residual stream keeps what is there. So a position
is reached by another through the last n layers where a chain of n such steps leads to it. LongNet's claim is that n grows as the logarithm
of the distance (Ding et al. 2023, equations 19 and 20).

Shapes: Q queries, T positions.
"""

import re
from typing import Any

import numpy as np

from tenfold.report.plots import BOX, Figure, Series, number, percent, ticks
from tenfold.report.read import RunFiles

CELLS = 72  # the picture has at most so many queries, and so many stretches of positions
LONGEST = 2**16  # of longer rows the picture shows so many positions
CLASSES = 5  # from so many layers on they share a shade


def words(run: RunFiles) -> tuple[list[str], int, int, int] | None:
    """The run's attention as (words of its layers, context, heads, layers), if any of its layers do not see all and all words are known."""
    model = (run.recipe or {}).get("model")
    if not isinstance(model, dict):
        return None
    pattern: Any = model.get("attention")
    sizes: list[Any] = [model.get(name) for name in ("context", "heads", "layers")]
    pattern = [pattern] if isinstance(pattern, str) else pattern
    if not isinstance(pattern, list) or not all(type(size) is int and size > 0 for size in sizes) or model.get("causal") is False:
        return None
    known = all(isinstance(word, str) and (word == "dense" or _banded(word) or _branches(word, 1)) for word in pattern)
    context, heads, layers = sizes
    return (pattern, context, heads, layers) if known and set(pattern) - {"dense"} else None


def path_lengths(pattern: list[str], T: int, heads: int, layers: int, queries: np.ndarray) -> np.ndarray:
    """int[Q, T]: through how many of the last layers each query is reached by each position, itself through 0; layers + 1: by none."""
    reached = np.zeros((len(queries), T), bool)
    reached[np.arange(len(queries)), queries] = True
    lengths = np.where(reached, 0, layers + 1)
    for number_of in range(1, layers + 1):
        before = reached
        reached = before | seen_from(before, pattern[(layers - number_of) % len(pattern)], heads)
        lengths[reached & ~before] = number_of
    return lengths


def seen_from(reached: np.ndarray, word: str, heads: int) -> np.ndarray:
    """bool[Q, T]: what a causal layer's positions among `reached` see."""
    T = reached.shape[1]
    if word == "dense":
        return _up_to_last(reached)
    if window := _banded(word):
        counts = np.pad(np.cumsum(reached, 1), ((0, 0), (1, 0)))
        return counts[:, np.minimum(np.arange(T) + window, T)] > counts[:, :T]
    seen = np.zeros_like(reached)
    for w, r in _branches(word, T):
        for n in range(0, T, w):
            for residue in range(min(r, heads, w)):
                places = slice(n + residue, min(n + w, T), r)
                seen[:, places] |= _up_to_last(reached[:, places])
    return seen


def _up_to_last(reached: np.ndarray) -> np.ndarray:
    return np.logical_or.accumulate(reached[:, ::-1], 1)[:, ::-1]


def _banded(word: str) -> int | None:
    match = re.fullmatch(r"banded:(\d+)", word)
    return int(match[1]) if match and int(match[1]) > 0 else None


def _branches(word: str, T: int) -> list[tuple[int, int]]:
    """(segment, dilation) of each branch on rows of T positions, as `model.attention` means its words; none for other words."""
    if re.fullmatch(r"dilated:(\d+x\d+)(,\d+x\d+)*", word):
        pairs = [(int(w), int(r)) for w, r in (pair.split("x") for pair in word.removeprefix("dilated:").split(","))]
    elif (match := re.fullmatch(r"geometric:(\d+),(\d+)", word)) and int(match[2]) > 1:
        powers = [1]
        while 0 < int(match[1]) * powers[-1] < T:
            powers.append(powers[-1] * int(match[2]))
        pairs = [(int(match[1]) * power, power) for power in powers]
    else:
        return []
    return [(min(w, T), r) for w, r in pairs] if all(0 < r <= w for w, r in pairs) else []


def picture(run: RunFiles) -> dict[str, Any] | None:
    """What the template draws: a square of queries (down) and the positions they are reached by (across), shaded by path length; and how
    much of what came before is reached, by layers. None where all layers see all."""
    if (found := words(run)) is None:
        return None
    pattern, context, heads, layers = found
    T = min(context, LONGEST)
    edges = np.unique(np.linspace(0, T, min(CELLS, T) + 1).astype(int))
    # Not at even distances: those would all have one place in a dilation.
    queries = np.minimum(edges[:-1] + np.random.default_rng(0).integers(0, np.diff(edges)), T - 1)
    queries[-1] = T - 1
    lengths = path_lengths(pattern, T, heads, layers, queries)
    middle = np.stack([np.ceil(np.median(lengths[:, a:b], 1)) for a, b in zip(edges[:-1], edges[1:], strict=True)], 1)
    middle[np.arange(len(queries)), np.arange(len(queries))] = 0
    deepest = int(lengths[lengths <= layers].max())
    shown = [n for n in range(1, min(deepest, CLASSES) + 1)]
    return {
        "title": f"Who sees whom: {' '.join(pattern)}",
        "caption": _caption(T, context, edges, lengths, layers),
        "label": f"Path lengths of {len(queries)} positions: {_said(lengths, layers)}",
        "paths": [{"shade": n, "d": _cells(middle, n, deepest, layers, edges)} for n in shown],
        "legend": [{"shade": n, "name": _layers(n) + (" or more" if n == CLASSES < deepest else "")} for n in shown],
        "ticks": [{"at": percent(t, 0, T), "text": number(t)} for t in ticks(0, T, 4)],
    }


def share_by_layers(run: RunFiles) -> Figure | None:
    """Of the last position: the share of the row that has reached it, by layers."""
    if (found := words(run)) is None:
        return None
    pattern, context, heads, layers = found
    T = min(context, LONGEST)
    lengths = path_lengths(pattern, T, heads, layers, np.array([T - 1]))
    by = np.arange(layers + 1)
    share = np.array([(lengths <= n).mean() for n in by])
    caption = f"Share of {T:,} positions that have reached the last one."
    return Figure("Reach by depth", "layers", [Series("reached", by.astype(float), share, "dots")], True, False, caption, True)


def _caption(T: int, context: int, edges: np.ndarray, lengths: np.ndarray, layers: int) -> str:
    part = "" if T == context else f"The first {T:,} of {context:,} positions. "
    size = int(np.diff(edges).max())
    cells = "" if size == 1 else f"A cell is {size:,} positions across, with what most of them take, seen from one of as many. "
    return f"Down: positions. Across: those that reach them, and through how many layers. {part}{cells}{_said(lengths, layers)}"


def _said(lengths: np.ndarray, layers: int) -> str:
    last = lengths[-1]
    far = int(last[last <= layers].max())
    missing = int((last > layers).sum())
    return f"The last position is reached by all {f'but {missing:,} of the ' if missing else ''}others within {_layers(far)}."


def _layers(n: int) -> str:
    return "1 layer" if n == 1 else f"{n} layers"


def _cells(middle: np.ndarray, n: int, deepest: int, layers: int, edges: np.ndarray) -> str:
    """The cells of path length n as one path of rectangles, a rectangle for each run of them in a row."""
    last_shade = n == CLASSES and deepest > CLASSES
    wanted = (middle >= n) & (middle <= layers) if last_shade else (middle > n - 1) & (middle <= n) | ((middle == 0) & (n == 1))
    at = BOX * edges / edges[-1]
    pieces = []
    for row, cells in enumerate(wanted):
        steps = np.flatnonzero(np.diff(np.concatenate(([0], cells.astype(int), [0]))))
        for a, b in zip(steps[::2], steps[1::2], strict=True):
            pieces.append(f"M{at[a]:.1f} {at[row]:.1f}H{at[b]:.1f}V{at[row + 1]:.1f}H{at[a]:.1f}z")
    return "".join(pieces)
