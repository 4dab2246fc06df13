"""Paths to rows: beginnings that several paths have in common are laid down once, and what they make is packed into rows of few lengths.

Sorted, a path has the longest beginning in common with its neighbour. Neighbours that share half of their tokens (the answers to one
question, a question after the same examples) are kept together; these groups are joined while they are small, and packed best fit,
largest first. In a row, parents come before children and a position's descendants right after it (model/attention/tree.py).

Shapes: T tokens of a row, S positions that are asked for something, R tokens asked for at each.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tenfold.evaluate.paths import Path
from tenfold.generate.decode import bucket
from tenfold.model.attention.blocked import query_block
from tenfold.model.config import ModelConfig
from tenfold.model.flops import feed_forward_weights

ASKED = 4
"""R: tokens that one entry of a row's questions asks for; a position that is asked for more has several."""


ROWS = (128, 192, 256, 320, 384, 448, 512, 640, 768, 1024, 2048)
STEPS = (32, 64, 128, 256)
"""Rows are of one of ROWS, or longer by whole steps where what belongs together needs more."""
COMPILING = 2048


@dataclass
class Row:
    """A forest of paths, laid out depth first."""

    length: int
    """T, for which it is compiled: at least as many as it has tokens."""
    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    """Ancestors of each."""
    ends: list[int] = field(default_factory=list)
    """The index after its last descendant."""
    states: list[int] = field(default_factory=list)
    """The positions that are asked; one has several entries where it is asked for more tokens than an entry holds."""
    targets: list[list[int]] = field(default_factory=list)
    """For each of `states`, at most ASKED tokens."""
    places: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """For each path's number, where each of its targets is: (entry of `states`, which of the entry's targets)."""


def common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens both begin with."""
    short = min(len(a), len(b))
    if a[:short] == b[:short]:
        return short
    return next(n for n in range(short) if a[n] != b[n])


def packed_rows(paths: Sequence[Path], row: int, step: int = 64) -> list[Row]:
    """Rows of `row` tokens, or of whole `step`s more where paths that belong together need them, that hold all paths."""
    ordered = _Sorted.of(paths)
    return _forests(paths, ordered.order, _bins(ordered, row, step))


def cheapest_rows(paths: Sequence[Path], config: ModelConfig, compiled: set[int], at_once: int) -> list[Row]:
    """`packed_rows` of the length in ROWS and the step in STEPS that cost the model the fewest operations. A call reads `at_once` tokens,
    and a length not yet `compiled` counts as COMPILING tokens: short rows waste little attention, long ones read what many texts begin with
    once, and small steps leave few places empty but need more programs."""
    operations = 2 * config.layers * (2 * config.embed * config.width * (config.heads + config.groups) + feed_forward_weights(config))
    of_a_key = 2 * 4 * config.layers * config.heads * config.width  # twice: the softmax is taken to cost as much as its products

    def cost(bins: Sequence[Bin]) -> float:
        work = 0.0
        for T, count in Counter(bin.length for bin in bins).items():
            B = rows_at_once(T, at_once)
            work += -(-count // B) * B * T * (operations + of_a_key * (T + query_block(T, None)) / 2)
            work += (T not in compiled) * COMPILING * operations
        return work

    ordered = _Sorted.of(paths)
    return _forests(paths, ordered.order, min((_bins(ordered, row, step) for row in ROWS for step in STEPS), key=cost))


def rows_at_once(T: int, tokens: int) -> int:
    """How many rows of T tokens a device call reads that reads about so many tokens."""
    return max(1, tokens // T)


def single_rows(paths: Sequence[Path], most: int) -> list[Row]:
    """A row for each path, of a bucket of at most `most` tokens, longest first: for models whose rows can be no forests."""
    order = sorted(range(len(paths)), key=lambda number: -len(paths[number].tokens))
    return [_forest([(number, paths[number])], bucket(len(paths[number].tokens), most, least=min(64, most))) for number in order]


@dataclass(frozen=True)
class Group:
    """Neighbours in the order of their tokens, from the `first` up to `end`."""

    first: int
    end: int
    size: int
    """Tokens of their forest."""


@dataclass
class Bin:
    """A row while it is filled."""

    length: int
    groups: list[Group]


@dataclass(frozen=True)
class _Sorted:
    """What packing needs to know of paths in the order of their tokens."""

    order: list[int]
    lengths: list[int]
    shared: list[int]
    """How many tokens each has in common with the one before."""

    @classmethod
    def of(cls, paths: Sequence[Path]) -> "_Sorted":
        order = sorted(range(len(paths)), key=lambda number: paths[number].tokens)
        neighbours = zip(order, order[1:], strict=False)
        return cls(order, [len(paths[n].tokens) for n in order], [0, *(common(paths[a].tokens, paths[b].tokens) for a, b in neighbours)])


def _bins(paths: _Sorted, row: int, step: int) -> list[Bin]:
    """The rows of `packed_rows`, not yet laid out."""
    lengths, shared = paths.lengths, paths.shared

    def belongs(k: int) -> bool:
        return 2 * shared[k] >= min(lengths[k - 1], lengths[k])

    families = _joined([Group(k, k + 1, n) for k, n in enumerate(lengths)], shared, belongs, lambda size: max(row, 2 * size))
    groups = _joined(families, shared, lambda k: shared[k] > 0, lambda size: row // 4)
    return _best_fit(groups, lambda size: max(row, row + -(-(size - row) // step) * step))


def _forests(paths: Sequence[Path], order: Sequence[int], bins: Sequence[Bin]) -> list[Row]:
    return [_forest([(number, paths[number]) for g in bin.groups for number in order[g.first : g.end]], bin.length) for bin in bins]


def _joined(groups: Sequence[Group], shared: Sequence[int], wanted: Callable[[int], bool], limit: Callable[[int], int]) -> list[Group]:
    """Each group joined to those before it where `wanted(its first)`, and the result is no larger than `limit(the first one's size)`."""
    joined: list[Group] = []
    most = 0
    for group in groups:
        size = joined[-1].size + max(1, group.size - shared[group.first]) if joined else 0  # 1: a target takes room
        if joined and wanted(group.first) and size <= most:
            joined[-1] = Group(joined[-1].first, group.end, size)
        else:
            joined.append(group)
            most = limit(group.size)
    return joined


def _best_fit(groups: Sequence[Group], length: Callable[[int], int]) -> list[Bin]:
    """Each group, largest first, in the open row that it fills best, or in a new one."""
    bins: list[Bin] = []
    free: list[tuple[int, int]] = []  # (tokens left, number of the row), sorted
    for group in sorted(groups, key=lambda group: (-group.size, group.first)):
        place = bisect_left(free, (group.size, 0))
        if place < len(free):
            left, number = free.pop(place)
            bins[number].groups.append(group)
        else:
            left, number = length(group.size), len(bins)
            bins.append(Bin(left, [group]))
        insort(free, (left - group.size, number))
    return bins


def _forest(paths: Sequence[tuple[int, Path]], length: int) -> Row:
    """The row of these paths, each with its number."""
    row = Row(length)
    nodes: list[int] = []  # of the path that is laid, one a token
    before: tuple[int, ...] = ()
    entries: list[dict[int, tuple[int, int]]] = []  # of each node: where a token that it is asked for is
    for number, (tokens, targets) in sorted(paths, key=lambda pair: pair[1].tokens):
        depth = common(before, tokens)
        _close(row, nodes, depth)
        for position in range(depth, len(tokens)):
            nodes.append(len(row.tokens))
            row.tokens.append(tokens[position])
            row.positions.append(position)
            row.ends.append(0)
            entries.append({})
        asked = nodes[len(nodes) - len(targets) :]
        row.places[number] = [_entry(row, entries[node], node, token) for node, token in zip(asked, targets, strict=True)]
        before = tokens
    _close(row, nodes, 0)
    return row


def _close(row: Row, nodes: list[int], depth: int) -> None:
    """Ends the open path at this depth: what lies deeper gets no more descendants."""
    for node in nodes[depth:]:
        row.ends[node] = len(row.tokens)
    del nodes[depth:]


def _entry(row: Row, known: dict[int, tuple[int, int]], node: int, token: int) -> tuple[int, int]:
    """Where `token` is asked for after `node`, asked anew where it was not."""
    if token not in known:
        if not known or len(row.targets[last := max(known.values())[0]]) == ASKED:
            row.states.append(node)
            row.targets.append([])
            last = len(row.states) - 1
        row.targets[last].append(token)
        known[token] = (last, len(row.targets[last]) - 1)
    return known[token]


@dataclass(frozen=True)
class Packed:
    """Rows of one length as arrays. What fills up sees itself only and is asked for nothing."""

    tokens_BT: np.ndarray
    positions_BT: np.ndarray
    ends_BT: np.ndarray
    states_S: np.ndarray
    """int32: indices into the B x T positions; S is 5 / 4 B x T, in whole chunks."""
    targets_SR: np.ndarray
    count: int
    """Entries of `states_S` that mean something."""
    starts: list[int]
    """The first entry of each row."""


def packed(rows: Sequence[Row], B: int, chunk: int) -> Packed:
    """At most B rows of one length as arrays of B."""
    T = rows[0].length
    own_BT = np.broadcast_to(np.arange(1, T + 1, dtype=np.int32), (B, T))
    tokens_BT, positions_BT, ends_BT = np.zeros((B, T), np.int32), np.zeros((B, T), np.int32), own_BT.copy()
    S = -(-B * T * 5 // 4 // chunk) * chunk  # each of at most B x T paths may add a target to a position that has one: a 4th of an entry
    states_S, targets_SR, count, starts = np.zeros(S, np.int32), np.zeros((S, ASKED), np.int32), 0, []
    for b, row in enumerate(rows):
        n = len(row.tokens)
        tokens_BT[b, :n], positions_BT[b, :n], ends_BT[b, :n] = row.tokens, row.positions, row.ends
        starts.append(count)
        for state, targets in zip(row.states, row.targets, strict=True):
            states_S[count] = b * T + state
            targets_SR[count, : len(targets)] = targets
            count += 1
    return Packed(tokens_BT, positions_BT, ends_BT, states_S, targets_SR, count, starts)
