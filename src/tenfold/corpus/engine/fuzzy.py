"""Stage 5: near duplicates. Signatures, candidate pairs, their exact similarity, clusters, and one keeper for each.

Each step is a pass over parts or buckets: text never leaves its batch, and what spans the corpus is pairs of names. Candidates are
first held against what the signatures alone say (their sizes, and how many hashes agree), so that few sets have to meet.
In a bucket members stand in the order of the rest of their signatures, as in an LSH forest (Bawa et al. 2005): near duplicates are
beside each other however large the bucket is.

A document's name is its source's rank, the less the longer it is, and its id: the least name of a cluster is its keeper.
"""

from typing import TYPE_CHECKING

import numpy as np

from tenfold.corpus.engine.clusters import clusters
from tenfold.corpus.engine.frames import Engine, read_parts, struct, unpacked, with_losers, write_parts
from tenfold.corpus.engine.normalise import part_of
from tenfold.corpus.engine.pairs import candidates
from tenfold.corpus.engine.shuffle import BUCKET, Shuffle
from tenfold.corpus.engine.store import Part, Partial, Stage, batches
from tenfold.corpus.features import Sets, mixed
from tenfold.corpus.minhash import band_keys, is_empty, jaccard, sets, signatures
from tenfold.corpus.recipe import CorpusRecipe

if TYPE_CHECKING:
    import daft

ROWS_IN_BUCKET = 250_000
ID_DIGITS = 16
LONGEST = 2**40


def groups_of_sources(recipe: CorpusRecipe) -> dict[str, int]:
    """A number for each source, the same for those that are looked at together."""
    found = {source.name: rank for rank, source in enumerate(recipe.sources)}
    for group in recipe.fuzzy.together:
        numbers = {found[name] for name in group.split("+")}
        found = {name: min(numbers) if number in numbers else number for name, number in found.items()}
    return found


def fuzzy_stage(engine: Engine, recipe: CorpusRecipe, before: Stage, stage: Partial) -> dict:
    """Drops documents that are near duplicates of one that is kept: of each cluster the one in the first source of the recipe, of
    those the longest, of those the one with the smallest id."""
    losers = Shuffle(stage.directory, "losers")
    if recipe.fuzzy.enabled and not losers.has(0):
        _Search(engine, recipe, before, stage).losers(losers)
    done = stage.done()
    for batch in batches([part for part in before.with_documents() if part.name not in done], recipe.work.batch_bytes):
        found = losers.read(int(part.name) for part in batch)
        write_parts(with_losers(read_parts(before, batch), found, "near duplicate"), stage.directory)
    return {"ranges": before.index["ranges"]}


class _Search:
    """The steps from documents to the names of those that go."""

    def __init__(self, engine: Engine, recipe: CorpusRecipe, before: Stage, stage: Partial):
        self.engine, self.recipe, self.before, self.directory = engine, recipe, before, stage.directory
        self.config, self.ranges = recipe.fuzzy.minhash, before.index["ranges"]
        self.batches = list(batches(before.with_documents(), recipe.work.batch_bytes))

    def losers(self, losers: Shuffle) -> None:
        """Fills the shuffle with (id, other) of each document that goes and its keeper, by part."""
        import daft

        signed = self.signed()
        pairs = candidates(signed, self.config, self.ranges, Shuffle(self.directory, "pairs"))
        halves = self.first_halves(pairs)
        edges = self.verified(halves).read()
        if edges is None:
            losers.mark(0)
            return
        found = clusters(edges).where(daft.col("name") != daft.col("label"))
        rows = found.select(_id("name").alias("id"), _id("label").alias("other"))
        losers.put(0, rows.with_column(BUCKET, self.part_of("id")))
        for each in (signed, pairs, halves):
            each.remove()

    def signed(self) -> Shuffle:
        """(name, key, band, signature, size) of every document and band, by the key."""
        import daft

        shuffle = Shuffle(self.directory, "signed")
        buckets = 1 + self.before.count("kept")["documents"] * self.config.bands // ROWS_IN_BUCKET
        type = struct(
            name=daft.DataType.string(),
            key=daft.DataType.list(daft.DataType.uint64()),
            band=daft.DataType.list(daft.DataType.int64()),
            signature=daft.DataType.list(daft.DataType.uint32()),
            size=daft.DataType.int64(),
        )
        for number, batch in enumerate(self.batches):
            if shuffle.has(number):
                continue
            frame = read_parts(self.before, batch).select("id", "source", "text")
            frame = frame.select(self.engine.apply(_signing(self.recipe), ["id", "source", "text"], type).alias("_made"))
            frame = unpacked(frame, "_made", ["name", "key", "band", "signature", "size"])
            frame = frame.where(daft.col("key").list_count() > 0).explode("key", "band")
            shuffle.put(number, frame.with_column(BUCKET, (daft.col("key") % buckets).cast(daft.DataType.int64())))
        return shuffle

    def first_halves(self, pairs: Shuffle) -> Shuffle:
        """(a, b, set of a) of every candidate pair, by the part of b."""

        shuffle = Shuffle(self.directory, "halves")
        for number, batch in enumerate(self.batches):
            found = None if shuffle.has(number) else pairs.read(int(part.name) for part in batch)
            if found is None:
                continue
            found = found.select("a", "b").distinct().with_column("id", _id("a"))
            rows = found.join(self.sets_of(batch, found), on="id").select("a", "b", "set")
            shuffle.put(number, rows.with_column("id", _id("b")).with_column(BUCKET, self.part_of("id")))
        return shuffle

    def verified(self, halves: Shuffle) -> Shuffle:
        """(a, b) of every pair whose sets are as alike as the recipe asks."""
        import daft

        shuffle = Shuffle(self.directory, "edges")
        threshold = self.config.threshold

        def similar(one: list[list[int]], other: list[list[int]]) -> list[bool]:
            rows = np.arange(len(one))
            return list(jaccard(_packed(one), rows, _packed(other), rows, threshold) >= threshold)

        for number, batch in enumerate(self.batches):
            found = None if shuffle.has(number) else halves.read(int(part.name) for part in batch)
            if found is None:
                continue
            theirs = self.sets_of(batch, found).select("id", daft.col("set").alias("other_set"))
            rows = found.select("a", "b", "id", "set").join(theirs, on="id")
            rows = rows.where(Engine().apply(similar, ["set", "other_set"], daft.DataType.bool()))
            shuffle.put(number, rows.select("a", "b").with_column(BUCKET, daft.lit(0)))
        return shuffle

    def sets_of(self, batch: list[Part], wanted: "daft.DataFrame") -> "daft.DataFrame":
        """(id, set) of those documents of a batch whose ids are wanted."""
        import daft

        config = self.config

        def work(texts: list[str]) -> list[np.ndarray]:
            found = sets(texts, config)
            return np.split(found.values, found.starts[1:-1])

        documents = read_parts(self.before, batch).select("id", "text").join(wanted.select("id").distinct(), on="id", how="semi")
        type = daft.DataType.list(daft.DataType.uint32())
        return documents.select("id", self.engine.apply(work, ["text"], type).alias("set"))

    def part_of(self, column: str) -> "daft.Expression":
        import daft

        ranges = self.ranges
        return Engine().apply(lambda ids: [part_of(id, ranges) for id in ids], [column], daft.DataType.int64(), rows=8192)


def _signing(recipe: CorpusRecipe):
    """The function from ids, sources and texts to names, band keys and signatures. A text without words has no keys."""
    config, groups = recipe.fuzzy.minhash, groups_of_sources(recipe)
    ranks = {source.name: rank for rank, source in enumerate(recipe.sources)}

    def work(ids: list[str], sources: list[str], texts: list[str]) -> dict:
        found = sets(texts, config)
        made = signatures(found, config)
        group = mixed(np.array([groups[source] for source in sources], np.uint64) + np.uint64(1))
        keys, bands = band_keys(made, config) ^ group[:, None], np.arange(config.bands)
        has_words = ~is_empty(made)
        return {
            "name": [name_of(ranks[source], len(text), id) for id, source, text in zip(ids, sources, texts, strict=True)],
            "key": [row if any else row[:0] for row, any in zip(keys, has_words, strict=True)],
            "band": [bands if any else bands[:0] for any in has_words],
            "signature": list(made),
            "size": np.diff(found.starts),
        }

    return work


def name_of(rank: int, letters: int, id: str) -> str:
    """A document's name; in a set of names the least is the one to keep."""
    return f"{rank:03x}{LONGEST - letters:010x}{id}"


def _id(column: str) -> "daft.Expression":
    import daft

    return daft.col(column).substr(13, ID_DIGITS)


def _packed(found: list[list[int]]) -> Sets:
    starts = np.cumsum([0, *map(len, found)])
    return Sets(np.fromiter((value for each in found for value in each), np.uint32, int(starts[-1])), starts)
