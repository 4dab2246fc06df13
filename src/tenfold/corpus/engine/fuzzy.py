"""Stage 5: near duplicates. Signatures, candidate pairs, their exact similarity, clusters, and one keeper for each.

Each step is a function of one part of the documents or one bucket of what they gave, and gives rows for others through files: no
worker holds more than a part's, however large the corpus. Candidates are first held against what the signatures alone say (their
sizes, and how many hashes agree), so that few sets have to meet.

    signed        part      its signatures, and the keys of their bands by key
    shared        keys      those that several documents have
    gathered      part      the signatures of these, by key
    candidates    keys      pairs that may be alike
    halves        part      the set of the first of each pair, to the part of the second
    verified      part      the pairs whose sets are alike
    clusters      part      of every document that is alike to some the least id of its cluster (several rounds)
    ranked        part      the same with what documents are ranked by
    losers        part      of each cluster all but the first

A document's order is its source's rank, then the less the longer it is; the least order, then id, of a cluster is its keeper.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tenfold.corpus.components import both_ways
from tenfold.corpus.engine.clusters import clusters
from tenfold.corpus.engine.frames import Engine
from tenfold.corpus.engine.ids import numbers_of, part_of, written
from tenfold.corpus.engine.pairs import candidates, gathered, shared
from tenfold.corpus.engine.spill import Columns, Spill, as_bytes, from_bytes
from tenfold.corpus.engine.store import Part, Partial, Stage, write_part
from tenfold.corpus.features import Sets, mixed
from tenfold.corpus.minhash import band_keys, different, is_empty, jaccard, sets, signatures
from tenfold.corpus.recipe import CorpusRecipe

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_IN_BUCKET = 250_000
SIGNATURES_AT_ONCE = 16384
LONGEST = 2**40
EDGE_BYTES = 32
NEAR = "near duplicate"


def groups_of_sources(recipe: CorpusRecipe) -> dict[str, int]:
    """A number for each source, the same for those that are looked at together."""
    found = {source.name: rank for rank, source in enumerate(recipe.sources)}
    for group in recipe.fuzzy.together:
        numbers = {found[name] for name in group.split("+")}
        found = {name: min(numbers) if number in numbers else number for name, number in found.items()}
    return found


def order_of(rank: int, letters: int) -> int:
    """What documents of a cluster are ranked by, before their ids: the least is the one to keep."""
    return rank * LONGEST + LONGEST - 1 - letters


def fuzzy_stage(engine: Engine, recipe: CorpusRecipe, before: Stage, stage: Partial) -> dict:
    """Drops documents that are near duplicates of one that is kept: of each cluster the one in the first source of the recipe, of
    those the longest, of those the one with the smallest id."""
    losers = Search(engine, recipe, before, stage.directory).losers()
    done = stage.done()
    parts = {part.number: part for part in before.with_documents() if part.name not in done}
    directory = stage.directory

    def work(number: int) -> int:
        return _without(before, parts[number], losers, directory)

    engine.each(work, list(parts))
    return {"ranges": before.index["ranges"]}


def _without(before: Stage, part: Part, losers: Spill, directory: Path) -> int:
    """Writes a part without its losers."""
    import pyarrow as pa

    table = before.table(part)
    id, other = losers.arrays(part.number, ("id", "other"))
    keepers = dict(zip(written(id), written(other), strict=True))
    others = [keepers.get(id, "") for id in table["id"].to_pylist()]
    reasons = [NEAR if other else "" for other in others]
    text = pa.large_string()
    table = table.append_column("reason", pa.array(reasons, text)).append_column("other", pa.array(others, text))
    write_part(directory, part.name, table)
    return table.num_rows


class Search:
    """The steps from documents to the ids of those that go."""

    def __init__(self, engine: Engine, recipe: CorpusRecipe, before: Stage, directory: Path):
        self.engine, self.recipe, self.before, self.directory = engine, recipe, before, directory
        self.config, self.ranges = recipe.fuzzy.minhash, before.index["ranges"]
        self.named = {part.number: part for part in before.with_documents()}
        self.parts = list(self.named)
        self.buckets = 1 + before.count("kept")["documents"] * self.config.bands // ROWS_IN_BUCKET
        self.keys, self.signatures, self.wanted, self.rows, self.pairs, self.halves, self.edges = (
            Spill(directory, name) for name in ("keys", "signatures", "wanted", "rows", "pairs", "halves", "edges")
        )
        self.ranked = Spill(directory, "ranked")

    def losers(self) -> Spill:
        """(id, other) of each document that goes and its keeper, by part."""
        losers = Spill(self.directory, "losers")
        if not losers.missing(self.parts):
            return losers
        if self.ranked.missing(self.parts):
            self._find_edges()
            worth = self.engine.worth(EDGE_BYTES * sum(map(self.edges.counted, self.parts)))
            labels = clusters(worth, self.edges, self.directory, self.parts, self.ranges)
            worth.each(lambda part: self.rank(part, labels), self.ranked.missing(self.parts))
            labels.remove()
        self.engine.worth(0).each(lambda part: self.lose(part, losers), losers.missing(self.parts))
        for each in (self.signatures, self.edges, self.ranked):
            each.remove()
        return losers

    def _find_edges(self) -> None:
        """Goes on after the last step that is done; what a step has used is removed."""
        buckets = list(range(self.buckets))
        steps = [
            (self.keys, self.parts, self.sign),
            (self.wanted, buckets, lambda bucket: shared(bucket, self.keys, self.wanted, self.ranges)),
            (self.rows, self.parts, lambda part: gathered(part, self.wanted, self.signatures, self.rows, self.buckets)),
            (self.pairs, buckets, lambda bucket: candidates(bucket, self.rows, self.config, self.ranges, self.pairs)),
            (self.halves, self.parts, self.halve),
            (self.edges, self.parts, self.verify),
        ]
        done = [place for place, (made, tasks, _) in enumerate(steps) if not made.missing(tasks)]
        for place in range(max(done, default=-1) + 1, len(steps)):
            made, tasks, step = steps[place]
            self.engine.each(step, made.missing(tasks))
            if place:
                steps[place - 1][0].remove()

    def sign(self, part: int) -> int:
        """The part's signatures, and (key, band, id) of each band by the key. A text without words has none."""
        self.signatures.write(part, self._signed(part))
        return self.keys.write(part, self._keyed(part))

    def _signed(self, part: int) -> Iterator[tuple[np.ndarray, Columns]]:
        ranks = {source.name: rank for rank, source in enumerate(self.recipe.sources)}
        for batch in self.before.batches(self.named[part], ("id", "source", "text")):
            ids, sources, texts = (column.to_pylist() for column in batch.columns)
            found = sets(texts, self.config)
            made_NH = signatures(found, self.config)
            order = np.array([order_of(ranks[source], len(text)) for source, text in zip(sources, texts, strict=True)], np.uint64)
            size, starts = np.diff(found.starts).astype(np.uint64), np.arange(len(ids) + 1) * made_NH.shape[1]
            columns = {"id": numbers_of(ids), "order": order, "size": size, "signature": as_bytes(made_NH.ravel(), starts)}
            yield np.full(len(ids), part), columns

    def _keyed(self, part: int) -> Iterator[tuple[np.ndarray, Columns]]:
        bands, groups = self.config.bands, groups_of_sources(self.recipe)
        group_of_rank = np.array([groups[source.name] for source in self.recipe.sources], np.uint64)
        (known,) = self.signatures.pieces(part)
        for begin in range(0, known.num_rows, SIGNATURES_AT_ONCE):
            table = known.slice(begin, SIGNATURES_AT_ONCE)
            made_NH = from_bytes(table["signature"], np.uint32)[0].reshape(table.num_rows, -1)
            group = mixed(group_of_rank[table["order"].to_numpy() // np.uint64(LONGEST)] + np.uint64(1))
            any = ~is_empty(made_NH)
            key = (band_keys(made_NH[any], self.config) ^ group[any, None]).ravel()
            id = np.repeat(table["id"].to_numpy()[any], bands)
            band = np.tile(np.arange(bands, dtype=np.uint64), int(any.sum()))
            yield (key % np.uint64(self.buckets)).astype(np.int64), {"key": key, "band": band, "id": id}

    def halve(self, part: int) -> int:
        """(a, set of a, the b of its pairs), once for each part that has some of those, to that part."""
        return self.halves.write(part, self._halves(part))

    def _halves(self, part: int) -> Iterator[tuple[np.ndarray, Columns]]:
        pairs = different(self.pairs.pairs(part))
        for ids, found in self._sets_of(part, np.unique(pairs[:, 0])):
            here = pairs[np.searchsorted(pairs[:, 0], ids[0]) : np.searchsorted(pairs[:, 0], ids[-1], "right")]
            to = part_of(here[:, 1], self.ranges)
            heads = np.flatnonzero(np.append(True, (np.diff(to) != 0) | (here[1:, 0] != here[:-1, 0])))
            rows = np.searchsorted(ids, here[heads, 0])
            values = np.concatenate([found.values[found.starts[row] : found.starts[row + 1]] for row in rows])
            sizes = np.diff(found.starts)[rows]
            others = as_bytes(here[:, 1], np.append(heads, len(here)))
            yield to[heads], {"a": here[heads, 0], "set": as_bytes(values, np.append(0, np.cumsum(sizes))), "others": others}

    def _sets_of(self, part: int, wanted: np.ndarray) -> Iterator[tuple[np.ndarray, Sets]]:
        """(ids, their sets) of those documents of a part that are wanted, some at a time, in the order of their ids."""
        if not len(wanted):
            return
        for batch in self.before.batches(self.named[part], ("id", "text")):
            ids = numbers_of(batch["id"].to_pylist())
            chosen = np.flatnonzero(np.isin(ids, wanted))
            if len(chosen):
                yield ids[chosen], sets(batch["text"].take(chosen).to_pylist(), self.config)

    def verify(self, part: int) -> int:
        """(a, b) of every pair whose sets are as alike as the recipe asks, from either end. Returns how many."""
        from_all = [from_bytes(table["others"], np.uint64)[0] for table in self.halves.pieces(part, ["others"])]
        pieces = list(self._sets_of(part, np.unique(np.concatenate([np.zeros(0, np.uint64), *from_all]))))
        ids = np.concatenate([np.zeros(0, np.uint64), *(ids for ids, _ in pieces)])
        theirs = joined([found for _, found in pieces])
        found = np.concatenate([np.zeros((0, 2), np.uint64), *(self._alike(table, ids, theirs) for table in self.halves.pieces(part))])
        ends = both_ways(found)
        return self.edges.write(part, [(part_of(ends[:, 0], self.ranges), {"a": ends[:, 0], "b": ends[:, 1]})], len(found))

    def _alike(self, table: "pa.Table", ids: np.ndarray, theirs: Sets) -> np.ndarray:
        others, starts = from_bytes(table["others"], np.uint64)
        row = np.repeat(np.arange(table.num_rows), np.diff(starts))
        threshold = self.config.threshold
        like = jaccard(Sets(*from_bytes(table["set"], np.uint32)), row, theirs, np.searchsorted(ids, others), threshold)
        return np.stack([table["a"].to_numpy()[row], others], 1)[like >= threshold]

    def rank(self, part: int, labels: Spill) -> int:
        """(label, order, id) of each document that is alike to some, by the label of its cluster."""
        id = np.unique(self.edges.arrays(part, ("a",))[0])
        names, least = labels.arrays(part, ("a", "b"))
        label = id.copy()
        label[np.searchsorted(id, names)] = least
        known = next(self.signatures.pieces(part, ["id", "order"]))
        order = known["order"].to_numpy()[np.searchsorted(known["id"].to_numpy(), id)]
        return self.ranked.write(part, [(part_of(label, self.ranges), {"label": label, "order": order, "id": id})])

    def lose(self, part: int, losers: Spill) -> int:
        """(id, keeper) of all but the first of each cluster whose label lies in the part."""
        label, order, id = self.ranked.arrays(part, ("label", "order", "id"))
        rows = np.lexsort((id, order, label))
        label, id = label[rows], id[rows]
        heads = np.flatnonzero(np.append(True, label[1:] != label[:-1])) if len(label) else rows
        keeper = np.repeat(id[heads], np.diff(np.append(heads, len(id))))
        lost = id != keeper
        return losers.write(part, [(part_of(id[lost], self.ranges), {"id": id[lost], "other": keeper[lost]})])


def joined(parts: list[Sets]) -> Sets:
    """The sets of several batches one after another."""
    sizes = [np.diff(part.starts) for part in parts]
    values = np.concatenate([np.zeros(0, np.uint32), *(part.values for part in parts)])
    return Sets(values, np.append(0, np.cumsum(np.concatenate([np.zeros(0, np.int64), *sizes]))))
