"""Which language a text is in, offline, whole batches at once.

py3langid's model, which ships in its wheel: naive Bayes over byte n-grams found by an automaton (Lui and Baldwin 2012). The library
walks the automaton a byte at a time in Python; here all texts of a batch walk it together, one step of NumPy a byte, and the scores
are the library's own. The automaton remembers four bytes, so a text is cut into lanes that each begin a few bytes early.

A probability is the softmax of the log-odds over the square root of the length in bytes, as the library has it. Codes are ISO 639-1
where there is one; varieties that the model tells apart and a filter for a language does not are one here (`MERGED`).
"""

import unicodedata
from functools import cache
from typing import NamedTuple

import numpy as np

from tenfold.errors import UserError

MERGED = {"ary": "ar", "arz": "ar", "nn": "no", "nb": "no", "wuu": "zh", "yue": "zh"}
"""Spoken Arabic to Arabic, Norway's two written forms to Norwegian, Chinese written for Wu and Cantonese readers to Chinese."""
UNKNOWN = "und"
LONGEST = 20_000
"""Characters of a text that are looked at."""
LANE, WARM_UP = 512, 8
TOGETHER = 128
"""Texts that walk the automaton together; each byte of theirs takes about 12 while they do."""


class Model(NamedTuple):
    """py3langid's arrays."""

    next_state: np.ndarray
    """int32[rows * 256]"""
    row: np.ndarray
    """int32[states], where each state's 256 next states begin"""
    feature: np.ndarray
    """int32[states], the feature a state stands for, or -1"""
    table: np.ndarray
    """float32[features, languages], log-odds of a feature"""
    prior: np.ndarray
    """float32[languages]"""
    codes: list[str]
    """One a column; several columns may be one language."""


@cache
def model() -> Model:
    """The model, read once a process. Raises UserError where py3langid is not installed."""
    try:
        from py3langid import langid
    except ImportError:
        raise UserError("Telling languages apart needs py3langid, which is not installed.\n  Run `pip install py3langid`.") from None
    found = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
    codes = [MERGED.get(code, code) for code in found.nb_classes]
    next_state, row = np.asarray(found.tk_nextmove).astype(np.int32), np.asarray(found.tk_row).astype(np.int32) * 256
    return Model(next_state, row, np.asarray(found.tk_output, np.int32), found.nb_ptc.astype(np.float32), found.nb_pc, codes)


def languages(among: tuple[str, ...] = ()) -> list[str]:
    """The codes `identify` may answer, sorted. Raises UserError where `among` has one that the model does not know."""
    known = sorted(set(model().codes))
    if unknown := sorted(set(among) - set(known)):
        raise UserError(f"The language model does not know {', '.join(unknown)}.\n  It knows {', '.join(known)}.")
    return sorted(set(among)) if among else known


def identify(texts: list[str], among: tuple[str, ...] = ()) -> tuple[list[str], np.ndarray]:
    """(the code of each text's language, float64[N] its probability); `UNKNOWN` with 0 for a text that says nothing.

    A text's answer does not depend on the batch. `among` keeps the answer to some languages, and a probability is then among those.
    Raises UserError where `among` has a language that the model does not know.
    """
    known = model()
    allowed = languages(among)
    column = np.array([allowed.index(code) if code in allowed else -1 for code in known.codes])
    parts = [_odds(known, texts[begin : begin + TOGETHER]) for begin in range(0, len(texts), TOGETHER)]
    if not texts:
        return [], np.zeros(0)
    odds = np.ascontiguousarray(np.concatenate(parts)[:, column >= 0])
    weight = np.exp(odds - odds.max(axis=1, keepdims=True))
    chances = np.zeros((len(texts), len(allowed)))
    total = np.zeros(len(texts))
    for place, part in zip(column[column >= 0], weight.T, strict=True):  # one after another: a sum's order must not depend on the batch
        chances[:, place] += part
        total += part
    chances /= total[:, None]
    heard = (odds != 0).any(axis=1)
    codes = [allowed[best] if says else UNKNOWN for best, says in zip(chances.argmax(axis=1), heard, strict=True)]
    return codes, np.where(heard, chances.max(axis=1), 0.0)


def _encoded(text: str) -> bytes:
    lower = text.lower() if text.isupper() else text
    return unicodedata.normalize("NFC", lower).encode("utf-8", "surrogatepass")


def _odds(known: Model, texts: list[str]) -> np.ndarray:
    """float64[N, columns]: log-odds over the square root of the length; all 0 where no feature was met."""
    from scipy.sparse import csr_array

    encoded = [_encoded(text[:LONGEST]) for text in texts]
    found = [np.unique(features, return_counts=True) for features in _features(known, encoded)]
    starts = np.cumsum([0, *(len(features) for features, _ in found)])
    features = np.concatenate([np.zeros(0, np.int32), *(features for features, _ in found)])
    counts = np.log1p(np.concatenate([np.zeros(0, np.float32), *(counts.astype(np.float32) for _, counts in found)]))
    score = csr_array((counts, features, starts), shape=(len(encoded), len(known.table))) @ known.table + known.prior
    lengths = np.fromiter((max(1, len(each)) for each in encoded), np.float64, len(encoded))
    score[starts[1:] == starts[:-1]] = 0.0
    return score / np.sqrt(lengths)[:, None]


def _features(known: Model, encoded: list[bytes]) -> list[np.ndarray]:
    """For each text, the features that the automaton meets in it, in any order."""
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    lanes = -(-lengths // LANE)
    text = np.repeat(np.arange(len(encoded)), lanes)
    begin = (np.arange(len(text)) - np.repeat(np.cumsum(lanes) - lanes, lanes)) * LANE
    place = (np.cumsum(lengths) - lengths)[text] + begin
    data = np.frombuffer(bytes(WARM_UP) + b"".join(encoded) + bytes(LANE), np.uint8)
    letters = np.ascontiguousarray(data[place[:, None] + np.arange(WARM_UP + LANE)].T)
    states = _walk(known, letters, begin == 0)
    met = np.where(np.arange(LANE)[:, None] < lengths[text] - begin, known.feature[states], -1).T
    return [part[part >= 0] for part in np.split(met, np.cumsum(lanes)[:-1])]


def _walk(known: Model, letters: np.ndarray, at_start: np.ndarray) -> np.ndarray:
    """int32[LANE, L]: the automaton's state after each letter uint8[WARM_UP + LANE, L]; what is before a text's start is not heard."""
    states = np.empty((LANE, letters.shape[1]), np.int32)
    state = np.zeros(letters.shape[1], np.int32)
    for step, letter in enumerate(letters, -WARM_UP):
        if step == 0:
            state[at_start] = 0
        state = known.next_state[known.row[state] + letter]
        if step >= 0:
            states[step] = state
    return states
