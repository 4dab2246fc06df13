"""Which tokens are hidden: whole identifiers and keywords, nothing else."""

import numpy as np
import pytest

from tenfold.codefusion.masking import find_spans, hidden_tokens, word_spans
from tenfold.errors import UserError

python_spans = find_spans("python")


def texts(code: str, spans) -> list[str]:
    return [code[first:last] for first, last in spans]


def test_python_spans_are_names_and_keywords_only():
    """None in strings and comments, over several lines, letters beyond ASCII among them."""
    code = "for größe in xs:\n    print('in', größe)  # if\n"
    assert texts(code, python_spans(code)) == ["for", "größe", "in", "xs", "print", "größe"]


@pytest.mark.parametrize("code", ["x = (1,", "'never closed", "  if x:\n y", "!ls", "\tfoo\n  bar", "f'{x"])
def test_what_python_cannot_read_still_has_its_beginning(code):
    spans = python_spans(code)
    assert all(code[first:last].isidentifier() for first, last in spans)


def test_words_of_any_language():
    code = "find . -name '*.c' | xargs grep 3a _b2"
    assert texts(code, word_spans(code)) == ["find", "name", "c", "xargs", "grep", "a", "_b2"]


def test_hidden_tokens_are_those_that_overlap_a_chosen_span():
    code = "é = len(naïve)"
    pieces = [piece.encode() for piece in ("é", " =", " le", "n", "(", "na", "ïve", ")")]
    hidden = hidden_tokens(np.random.default_rng(0), code, pieces, python_spans, 1.0)
    assert hidden.tolist() == [True, False, True, True, False, True, True, False]
    third = hidden_tokens(np.random.default_rng(0), code, pieces, python_spans, 0.3)
    assert third.sum() in (1, 2)


def test_at_least_one_token_is_hidden_whatever_the_share():
    for share in (0.0, 0.3):
        assert hidden_tokens(np.random.default_rng(1), "1 + 2", [b"1", b" +", b" 2"], python_spans, share).sum() == 1


def test_a_language_that_is_not_known_is_refused():
    with pytest.raises(UserError, match="data.language is 'cobol'.*\n.*python, cf, words"):
        find_spans("cobol")
