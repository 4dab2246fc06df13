"""Published mixtures: what GPT-3 and The Pile were made of.

Sources: Brown et al. 2020, table 2.2; Gao et al. 2020 (The Pile), table 1, sizes in GiB.
"""

from typing import NamedTuple


class Gpt3Source(NamedTuple):
    """A row of table 2.2."""

    tokens: float
    weight: float
    """Share of the training mixture. As printed the five add up to 1.01; `plan` takes them as proportions."""
    epochs: float
    """As printed, for 300 billion tokens. WebText2's and Wikipedia's are not weight x 300e9 / tokens, which the weights say."""


class PileSource(NamedTuple):
    """A row of The Pile's table."""

    gibibytes: float
    epochs: float
    """How often the set is in the Pile; its weight is gibibytes x epochs over the sum of all."""


GPT3: dict[str, Gpt3Source] = {
    "common_crawl": Gpt3Source(410e9, 0.60, 0.44),
    "webtext2": Gpt3Source(19e9, 0.22, 2.9),
    "books1": Gpt3Source(12e9, 0.08, 1.9),
    "books2": Gpt3Source(55e9, 0.08, 0.43),
    "wikipedia": Gpt3Source(3e9, 0.03, 3.4),
}

PILE: dict[str, PileSource] = {
    "Pile-CC": PileSource(227.12, 1.0),
    "PubMed Central": PileSource(90.27, 2.0),
    "Books3": PileSource(100.96, 1.5),
    "OpenWebText2": PileSource(62.77, 2.0),
    "ArXiv": PileSource(56.21, 2.0),
    "Github": PileSource(95.16, 1.0),
    "FreeLaw": PileSource(51.15, 1.5),
    "StackExchange": PileSource(32.20, 2.0),
    "USPTO Backgrounds": PileSource(22.90, 2.0),
    "PubMed Abstracts": PileSource(19.26, 2.0),
    "Gutenberg (PG-19)": PileSource(10.88, 2.5),
    "OpenSubtitles": PileSource(12.98, 1.5),
    "Wikipedia (en)": PileSource(6.38, 3.0),
    "DM Mathematics": PileSource(7.75, 2.0),
    "Ubuntu IRC": PileSource(5.52, 2.0),
    "BookCorpus2": PileSource(6.30, 1.5),
    "EuroParl": PileSource(4.59, 2.0),
    "HackerNews": PileSource(3.90, 2.0),
    "YoutubeSubtitles": PileSource(3.73, 2.0),
    "PhilPapers": PileSource(2.38, 2.0),
    "NIH ExPorter": PileSource(1.89, 2.0),
    "Enron Emails": PileSource(0.88, 2.0),
}
"""By the names that `meta.pile_set_name` has."""


def pile_weights() -> dict[str, float]:
    """Each set's share of the Pile's bytes, epochs counted; they add up to 1."""
    total = sum(source.gibibytes * source.epochs for source in PILE.values())
    return {name: source.gibibytes * source.epochs / total for name, source in PILE.items()}
