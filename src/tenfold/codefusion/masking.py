"""Which tokens continuous paragraph denoising hides: those of identifiers and keywords (Singh et al. 2023, section 3).

A function finds them in a snippet, `spans(code) -> [(start, end), ...]` in letters; tokens that overlap one are hidden with it.
"""

import io
import keyword
import re
import tokenize
from collections.abc import Callable, Sequence

import numpy as np

from tenfold.errors import UserError

Spans = Callable[[str], list[tuple[int, int]]]


def word_spans(code: str) -> list[tuple[int, int]]:
    """Words of letters, digits and underscores that begin with no digit: for any language."""
    return [match.span() for match in re.finditer(r"[^\W\d]\w*", code)]


def python_spans(code: str) -> list[tuple[int, int]]:
    """Names and keywords as Python's own tokenizer finds them: none in strings and comments. What it cannot read further ends the list."""
    starts = [0]
    for line in code.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.NAME and (token.string.isidentifier() or keyword.iskeyword(token.string)):
                first = starts[token.start[0] - 1] + token.start[1]
                found.append((first, first + len(token.string)))
    except (tokenize.TokenError, SyntaxError):  # a snippet need not be a whole program
        pass
    return found


SPANS: dict[str, Spans] = {"python": python_spans, "words": word_spans}


def find_spans(language: str) -> Spans:
    """How a language's identifiers and keywords are found. Raises UserError for one that is not known."""
    if language not in SPANS:
        raise UserError(f"data.language is {language!r}, which is not known.\n  Use one of {', '.join(SPANS)}.")
    return SPANS[language]


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
