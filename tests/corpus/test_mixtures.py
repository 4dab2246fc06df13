"""The published tables add up to what their papers print."""

import pytest

from tenfold.corpus.mixtures import GPT3, PILE, pile_weights

# Gao et al. 2020, table 1: weight in percent
PRINTED = {"Pile-CC": 18.11, "PubMed Central": 14.40, "Books3": 12.07, "OpenWebText2": 10.01, "ArXiv": 8.96, "Github": 7.59}
PRINTED |= {"FreeLaw": 6.12, "StackExchange": 5.13, "USPTO Backgrounds": 3.65, "PubMed Abstracts": 3.07, "Gutenberg (PG-19)": 2.17}
PRINTED |= {"OpenSubtitles": 1.55, "Wikipedia (en)": 1.53, "DM Mathematics": 1.24, "Ubuntu IRC": 0.88, "BookCorpus2": 0.75}
PRINTED |= {"EuroParl": 0.73, "HackerNews": 0.62, "YoutubeSubtitles": 0.60, "PhilPapers": 0.38, "NIH ExPorter": 0.30, "Enron Emails": 0.14}


def test_the_piles_weights_are_those_printed():
    """22 sets; each weight follows from size and epochs to the last digit printed."""
    weights = pile_weights()
    assert len(PILE) == 22 and sum(weights.values()) == pytest.approx(1)
    assert {name: round(100 * weight, 2) for name, weight in weights.items()} == pytest.approx(PRINTED, abs=0.011)
    assert sum(source.gibibytes * source.epochs for source in PILE.values()) == pytest.approx(1254.20, abs=0.1)


def test_gpt3s_weights_are_those_printed():
    """They add up to 101%, and three of five epochs are weight x 300e9 / tokens."""
    assert sum(source.weight for source in GPT3.values()) == pytest.approx(1.01)
    derived = {name: source.weight * 300e9 / source.tokens for name, source in GPT3.items()}
    agree = [name for name, source in GPT3.items() if derived[name] == pytest.approx(source.epochs, rel=0.06)]
    assert agree == ["common_crawl", "books1", "books2"]
