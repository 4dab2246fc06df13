"""The baseline that learns nothing: the codes of the training texts nearest to a text, by the cosine of TF-IDF weights.

Weights are scikit-learn's defaults: a word's count times ln((1 + N) / (1 + N_word)) + 1 over N texts, each text then of length 1. Unlike
there, marks and single letters are words too, as `.` and `c` say much about code. Shapes: N training texts, Q questions, V words.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from tenfold.codefusion.data import Example, plain

WORD = re.compile(r"\w+|[^\w\s]")
AT_ONCE = 64  # questions: bounds memory


@dataclass(frozen=True)
class Found:
    """An answer, and how near its text is: 1 for the same words."""

    code: str
    cosine: float
    text: str


class Retrieval:
    """Training pairs to look in. Those without a text are left out."""

    def __init__(self, train: Sequence[Example]):
        self.codes = [example.code for example in train if example.text]
        self.texts = [example.text for example in train if example.text]
        words = [_words(text) for text in self.texts]
        self.place = {word: n for n, word in enumerate(sorted({word for each in words for word in each}))}
        seen_V = np.zeros(len(self.place))
        for each in words:
            for word in set(each):
                seen_V[self.place[word]] += 1
        self.weight_V = np.log((1 + len(words)) / (1 + seen_V)) + 1
        self.rows_NV = self._rows(words)

    def answers(self, texts: Sequence[str], most: int) -> list[list[Found]]:
        """For each text the `most` nearest different codes, nearest first; of texts as near, the earlier first."""
        found = []
        for first in range(0, len(texts), AT_ONCE):
            asked_QV = self._rows([_words(text) for text in texts[first : first + AT_ONCE]])
            for cosine_N in np.asarray((asked_QV @ self.rows_NV.T).todense()):
                found.append(self._nearest(cosine_N, most))
        return found

    def _nearest(self, cosine_N: np.ndarray, most: int) -> list[Found]:
        different: dict[str, Found] = {}
        for n in np.argsort(-np.round(cosine_N, 12), kind="stable"):
            different.setdefault(plain(self.codes[n]), Found(self.codes[n], float(cosine_N[n]), self.texts[n]))
            if len(different) == most:
                break
        return list(different.values())

    def _rows(self, words: Sequence[Sequence[str]]) -> csr_matrix:
        """f64[Q, V]; words that training has not are nothing."""
        numbers: list[float] = []
        columns: list[int] = []
        starts = [0]
        for each in words:
            row = [(self.place[word], count) for word, count in sorted(Counter(each).items()) if word in self.place]
            weighed = np.array([count * self.weight_V[n] for n, count in row])
            numbers += (weighed / (np.linalg.norm(weighed) or 1.0)).tolist()
            columns += [n for n, _ in row]
            starts.append(len(columns))
        return csr_matrix((numbers, columns, starts), shape=(len(words), len(self.place)))


def _words(text: str) -> list[str]:
    return WORD.findall(text.lower())
