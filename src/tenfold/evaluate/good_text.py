"""Is it good text? What can be measured of texts alone: how much they repeat, how varied they are, how they hold together over length.

All texts are cut to one length in words before (`cut`), because each of these figures changes with length. Words are those of
corpus.letters: case and punctuation do not count. Every figure is a mean over texts with the interval of a bootstrap over them, but
`distinct`, which is of all texts together.

Sources: Welleck et al. 2019 (repeated n-grams, seq-rep-n), Li et al. 2016 (distinct-n), Shaib et al. 2024 (compression).
Letters: N texts, W words of each, K parts of a text.
"""

import re
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tenfold.corpus.letters import PlacedWords, grams, placed_words
from tenfold.evaluate.statistics import mean

ORDERS = (1, 2, 3, 4)
PART = 50
"""Words of a part, where texts are looked at by their length."""
DISTANCES = tuple(2**power for power in range(3, 12))
"""Words back to where a run of four words last stood: under 16, then from each of these to below the next, then 2048 and more."""
SENTENCE = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+|\n+")
SHORTEST_SENTENCE = 3  # words: shorter ones say nothing when they come back


def cut(texts: Sequence[str], words: int) -> list[str]:
    """The texts that have so many words, up to the end of the last of those."""
    found = placed_words(list(texts))
    long = np.flatnonzero(np.diff(found.starts) >= words)
    ends = found.end[found.starts[long] + words - 1]
    return [texts[number][:end] for number, end in zip(long.tolist(), ends.tolist(), strict=True)]


def lengths(texts: Sequence[str]) -> np.ndarray:
    """int64[N], the words of each."""
    return np.diff(placed_words(list(texts)).starts)


def measures(texts: Sequence[str]) -> dict[str, Any]:
    """Everything below, of texts of one length: {name: {value, error, low, high}} and for what goes by order, distance or part, lists."""
    words = placed_words(list(texts))
    return {
        "repeated": {str(n): estimate(repeated(words, n)) for n in ORDERS},
        "repeated_sentences": estimate(np.array([repeated_sentences(text) for text in texts])),
        "compressed": estimate(np.array([compressed(text) for text in texts])),
        "distance": [estimate(column) for column in by_distance(words).T],
        "coherence": [estimate(column) for column in coherence(words).T],
    }


def distinct_of(texts: Sequence[str]) -> dict[str, float]:
    """`distinct` for each of ORDERS. For columns to be compared each must have as many texts, of one length."""
    words = placed_words(list(texts))
    return {str(n): distinct(words, n) for n in ORDERS}


def estimate(values_N: np.ndarray) -> dict[str, float | None]:
    """Mean, standard error, and the ends of the 95% interval of a bootstrap over texts."""
    found = mean(values_N)
    return {name: float(value) if np.isfinite(value := getattr(found, name)) else None for name in ("value", "error", "low", "high")}


def repeated(words: PlacedWords, n: int) -> np.ndarray:
    """float64[N]: the share of a text's runs of `n` words that stood in it before. 0 for a text without any."""
    text, _, runs = _again(words, n)
    return np.bincount(text, minlength=len(runs)) / runs


def _again(words: PlacedWords, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(int64[P] the text of each run of `n` words that stood in it before, int64[P] how many words back it last did, int64[N] the runs of
    each text, at least 1)."""
    hashes, first = grams(words, n)
    text = np.searchsorted(words.starts, first, "right") - 1
    order = np.lexsort((first, hashes, text))
    again = np.flatnonzero((np.diff(hashes[order]) == 0) & (np.diff(text[order]) == 0))
    runs = np.maximum(np.bincount(text, minlength=len(words.starts) - 1), 1)
    return text[order][again], np.diff(first[order])[again], runs


def repeated_sentences(text: str) -> float:
    """The share of a text's sentences, of three words or more, that stood in it before, whatever their case and punctuation."""
    words = placed_words([sentence for sentence in SENTENCE.split(text) if sentence])
    said = [tuple(words.hashes[begin:end].tolist()) for begin, end in zip(words.starts, words.starts[1:], strict=False)]
    said = [sentence for sentence in said if len(sentence) >= SHORTEST_SENTENCE]
    return 1 - len(set(said)) / len(said) if said else 0.0


def distinct(words: PlacedWords, n: int) -> float:
    """Of all runs of `n` words of all texts, the share that are different. Only figures of as much text may be compared."""
    hashes, _ = grams(words, n)
    return len(np.unique(hashes)) / len(hashes) if len(hashes) else 0.0


def compressed(text: str) -> float:
    """Bytes of a text over those of it compressed by zlib (level 9): 2.2 or so for prose of a few hundred words, more where it repeats."""
    data = text.encode("utf-8", "replace")
    return len(data) / len(zlib.compress(data, 9)) if data else 0.0


def by_distance(words: PlacedWords, n: int = 4) -> np.ndarray:
    """float64[N, len(DISTANCES)]: the share of a text's runs of `n` words that last stood so far back in it, by DISTANCES."""
    text, back, runs = _again(words, n)
    bucket = np.clip(np.searchsorted(DISTANCES, back, "right") - 1, 0, None)
    counts = np.zeros((len(runs), len(DISTANCES)))
    np.add.at(counts, (text, bucket), 1)
    return counts / runs[:, None]


def coherence(words: PlacedWords, part: int = PART) -> np.ndarray:
    """float64[N, K - 1]: for each part after the first, how much more of its words (each once) are in its own text's first part than in
    the first parts of the other texts.

    Words that any text has cancel; what is left is what the text is about. Falls towards 0 as a text wanders off. Texts of one length.
    """
    starts, texts = words.starts[:-1], len(words.starts) - 1
    parts = int(np.diff(words.starts).min()) // part if texts else 0
    if texts < 2 or parts < 2:
        return np.zeros((texts, 0))
    firsts = [np.unique(words.hashes[start : start + part]) for start in starts]
    names, holders = np.unique(np.concatenate(firsts), return_counts=True)  # in how many first parts each word is
    found = np.zeros((texts, parts - 1))
    for number, start in enumerate(starts):
        for place in range(1, parts):
            own = np.unique(words.hashes[start + place * part : start + (place + 1) * part])
            inside = np.isin(own, firsts[number])
            at = np.minimum(np.searchsorted(names, own), len(names) - 1)
            everywhere = np.where(names[at] == own, holders[at], 0)
            found[number, place - 1] = inside.mean() - ((everywhere - inside) / (texts - 1)).mean()
    return found
