"""One text, one form: normalising twice is normalising once, and the key of duplicates sees words only."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.corpus.normalise import normalise
from tenfold.errors import UserError

texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts)
def test_normalising_twice_changes_nothing_more(text):
    (once,) = normalise([text])
    assert normalise([once]) == [once]
    assert unicodedata.is_normalized("NFC", once) and "\r" not in once and "\0" not in once


def test_line_ends_and_marks():
    assert normalise(["a\r\nb\rc\u2028d\u0085e", "\ufeffcafe\u0301\x00\x0c\t."]) == ["a\nb\nc\nd\ne", "café\x0c\t."]


@given(texts)
def test_plain_text_loses_nothing_but_what_cannot_be_seen(text):
    (once,) = normalise([text])
    assert "".join(unicodedata.normalize("NFC", text).split()).translate({n: None for n in range(32)} | {0x7F: None, 0xFEFF: None}) == (
        "".join(once.split())
    ) or any(character in text for character in "\ufffe\uffff")


def test_mending_needs_ftfy_or_says_so():
    try:
        import ftfy  # noqa: F401
    except ImportError:
        with pytest.raises(UserError, match="pip install ftfy"):
            normalise(["x"], mend_encoding=True)
    else:
        assert normalise(["itâ€™s “so” caf\u0065\u0301"], mend_encoding=True) == ["it’s “so” café"]
