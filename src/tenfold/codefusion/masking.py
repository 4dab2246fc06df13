"""Which tokens continuous paragraph denoising hides: those of identifiers and keywords (Singh et al. 2023, section 3).

A function finds them in a snippet, `spans(code) -> [(start, end), ...]` in letters; tokens that overlap one are hidden with it.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np

from tenfold.codefusion.languages import LANGUAGES
from tenfold.errors import UserError

Spans = Callable[[str], list[tuple[int, int]]]


def word_spans(code: str) -> list[tuple[int, int]]:
    """Words of letters, digits and underscores that begin with no digit: for any language."""
    return [match.span() for match in re.finditer(r"[^\W\d]\w*", code)]


def find_spans(language: str) -> Spans:
    """How a language's identifiers and keywords are found: by its parser, or as `words`. Raises UserError for one that is not known."""
    if language == "words":
        return word_spans
    if language not in LANGUAGES:
        raise UserError(f"data.language is {language!r}, which is not known.\n  Use one of {', '.join(LANGUAGES)}, words.")
    return lambda code: [(span.start, span.end) for span in LANGUAGES[language].spans(code)]


def hidden_tokens(random: np.random.Generator, code: str, pieces: Sequence[bytes], spans: Spans, share: float) -> np.ndarray:
    """bool[len(pieces)]: the tokens of a random `share` of the spans, at least one. `pieces`, joined, are the code or its beginning.

    A snippet without spans has any tokens hidden, the same share.
    """
    ends = np.cumsum([0, *map(len, pieces)])
    offsets = np.cumsum([0, *[len(letter.encode()) for letter in code]])
    found = [(offsets[first], offsets[last]) for first, last in spans(code) if offsets[first] < ends[-1]]
    whole = found or list(zip(ends[:-1], ends[1:], strict=True))
    chosen = random.permutation(len(whole))[: max(1, round(share * len(whole)))]
    hidden = np.zeros(len(pieces), bool)
    for first, last in (whole[n] for n in chosen):
        hidden |= (ends[:-1] < last) & (ends[1:] > first)
    return hidden
