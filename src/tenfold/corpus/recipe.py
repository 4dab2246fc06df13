"""Everything that decides a corpus, in one frozen dataclass: sources, stages, weights. Imports nothing heavy.

The defaults are those of the GPT-3 paper (Brown et al. 2020, appendices A and C, table 2.2), where it gives a number.
"""

import dataclasses
import math
from dataclasses import dataclass, field

from tenfold.corpus.boilerplate import Boilerplate
from tenfold.corpus.decontaminate import Decontaminate
from tenfold.corpus.minhash import MinHash
from tenfold.corpus.planner import MOST_EPOCHS
from tenfold.corpus.record import Limits
from tenfold.errors import UserError

NAME_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")


@dataclass(frozen=True)
class SourceConfig:
    """One source of documents. Sources that come first in the recipe are kept where documents of two are the same."""

    name: str
    """What manifest, shards and tables call it."""
    kind: str
    """How it is read: a name of corpus.sources.registry, such as "warc", "wikipedia", "pile" or "files"."""
    path: str
    """A file, a folder, a pattern, an fsspec URL, or "stdlib"."""
    component: str = ""
    """Of a file of many sources, such as The Pile's, the one to take. Sources of one path are read together."""
    weight: float = 1.0
    """Share of the training mixture, relative to the other sources."""
    epochs: float = 0.0
    """How often the source is seen, where the published table says that instead of a weight (The Pile); 0: `weight` counts."""
    languages: tuple[str, ...] = ()
    """ISO 639-1 codes that are kept. Empty: all, and the language is not looked at."""
    rules: tuple[str, ...] = ()
    """Named predicates of corpus.rules, such as "gopher.stop_words"; a document that breaks one is dropped. Empty: none."""
    bad_words: str = ""
    """A file of words and phrases, one a line: a document that has one of them by itself is dropped, as C4 does it ("c4.bad_words")."""
    quality: bool = False
    """Whether the classifier judges this source: raw crawl, not what was curated."""
    boilerplate: bool = False
    """Whether lines that come back on page after page of a site are cut: for the web, not for code."""
    links: str = ""
    """The path of Reddit submissions: only pages they link to are kept (WebText)."""
    limits: Limits = Limits()

    def __post_init__(self):
        if not self.name or not set(self.name) <= NAME_LETTERS or self.name.startswith("."):
            raise UserError(f"A source's name is {self.name!r}.\n  Use letters, digits, _ and -: it names files.")
        for name in ("kind", "path"):
            if not getattr(self, name):
                raise UserError(f"The source {self.name!r} has an empty {name}.\n  Say what to read, such as kind stdlib, path stdlib.")
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise UserError(f"The weight of source {self.name!r} is {self.weight}.\n  Give a number above 0, or leave the source out.")
        if not (math.isfinite(self.epochs) and self.epochs >= 0):
            raise UserError(f"The epochs of source {self.name!r} are {self.epochs}.\n  Give a number above 0, or 0 to use its weight.")


@dataclass(frozen=True)
class NormaliseConfig:
    """Stage 1: one form for one text, one of each, without the lines that come back on every page of a site."""

    mend_encoding: bool = False
    """Mend text that was decoded wrongly (needs ftfy)."""
    boilerplate: Boilerplate = Boilerplate()


@dataclass(frozen=True)
class QualityConfig:
    """Stage 4: the classifier (GPT-3, appendix A)."""

    model: str = ""
    """The .npz of `tenfold corpus fit-quality`. Empty: documents are not judged."""
    alpha: float = 9.0
    """A document is kept where a Pareto(alpha) draw exceeds 1 - score."""
    positives: tuple[str, ...] = ()
    """Sources that `fit-quality` takes for good. Empty: those not marked `quality`."""
    documents: int = 20_000
    """How many documents of each side `fit-quality` learns from."""
    seed: int = 0
    """Of the draws."""


@dataclass(frozen=True)
class FuzzyConfig:
    """Stage 5: near duplicates within each source, and within sources that are looked at together."""

    enabled: bool = True
    minhash: MinHash = MinHash()
    """GPT-3's 10 hashes, each a band of its own, unless said otherwise."""
    together: tuple[str, ...] = ()
    """Sources joined by +, such as "webtext+common_crawl": what several hold is kept in the first of the recipe and dropped elsewhere."""


@dataclass(frozen=True)
class DecontaminateConfig:
    """Stage 6: evaluation sets out of the training text (GPT-3, appendix C)."""

    paths: tuple[str, ...] = ()
    """Files or folders of evaluation texts, each a set by the name of its last part. Empty: nothing is cut.

    A line of JSON need not have "text": all strings in it are the example, such as question and answer."""
    rule: Decontaminate = Decontaminate()


@dataclass(frozen=True)
class MixtureConfig:
    """Stage 7: how often each source will be seen."""

    planned_tokens: float = 300e9
    """Length of the planned run."""
    most_epochs: float = MOST_EPOCHS
    """A source seen more often than this gets a warning (Muennighoff et al. 2023)."""


@dataclass(frozen=True)
class TokensConfig:
    """Stage 8: token shards."""

    tokenizer: str = ""
    """A tokenizer.json, or a directory with it, with GPT-2's encoder.json and vocab.bpe, or with vocab.json and merges.txt.
    Empty: a new byte-level BPE."""
    vocab: int = 50_257
    """Most tokens of a new tokenizer."""
    held_out: float = 0.05
    """Share of the documents kept from training, chosen by their hash."""

    def __post_init__(self):
        if not 0 <= self.held_out < 1:
            raise UserError(f"tokens.held_out is {self.held_out}, but must be a share from 0 to below 1, such as 0.05.")


@dataclass(frozen=True)
class WorkConfig:
    """How the work is cut up. The number of workers is not here: it changes nothing in the result."""

    part_bytes: int = 64_000_000
    """Text in one Parquet file between stages, about."""
    batch_bytes: int = 256_000_000
    """Text that is in the engine at once, about: memory is bounded by this, not by the corpus."""

    def __post_init__(self):
        for name in ("part_bytes", "batch_bytes"):
            if getattr(self, name) < 1:
                raise UserError(f"work.{name} is {getattr(self, name)}, but must be 1 or more, such as 64000000.")


@dataclass(frozen=True)
class CorpusRecipe:
    """A corpus: where its documents come from, what is done to them, and how they are mixed."""

    name: str
    note: str = ""
    sources: tuple[SourceConfig, ...] = ()
    normalise: NormaliseConfig = field(default_factory=NormaliseConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)
    fuzzy: FuzzyConfig = field(default_factory=FuzzyConfig)
    decontaminate: DecontaminateConfig = field(default_factory=DecontaminateConfig)
    mixture: MixtureConfig = field(default_factory=MixtureConfig)
    tokens: TokensConfig = field(default_factory=TokensConfig)
    work: WorkConfig = field(default_factory=WorkConfig)

    def __post_init__(self):
        if not self.sources:
            raise UserError("sources is empty: there is nothing to build a corpus of.\n  Name at least one source.")
        names = [source.name for source in self.sources]
        for name in names:
            if names.count(name) > 1:
                raise UserError(f"sources names {name!r} more than once.\n  Give each source its own name.")
        mentioned = [*self.quality.positives, *(name for group in self.fuzzy.together for name in group.split("+"))]
        for name in mentioned:
            if name not in names:
                raise UserError(f"The recipe speaks of a source {name!r}, which it has not got.\n  Its sources: {', '.join(names)}.")
        if len({source.epochs > 0 for source in self.sources}) > 1:
            raise UserError("Some sources have epochs and some have only a weight.\n  Give every source epochs, or none.")

    def rank(self, source: str) -> int:
        """The place of a source in the recipe: of the same document in two sources, that of the first is kept."""
        return [each.name for each in self.sources].index(source)

    def find(self, source: str) -> SourceConfig:
        """The source of that name."""
        return self.sources[self.rank(source)]


def plain(value) -> object:
    """A configuration as plain dicts, lists and scalars, for fingerprints."""
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value
