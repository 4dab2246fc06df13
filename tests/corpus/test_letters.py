"""Placed words: those that Python's own string methods find, at the places they stand."""

import unicodedata
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from tenfold.corpus.letters import grams, placed_words

texts = st.lists(st.text(st.sampled_from("aB\u00e9\u0130\u4e2d\U00020001 \n\u00a0.\u201c$-1"), max_size=30), min_size=1, max_size=5)


def plain(word: str) -> str:
    """The word without punctuation, character by character in lower case."""
    return "".join(c.lower()[0] for c in word if unicodedata.category(c)[0] not in "PS")


@given(texts)
def test_words_are_those_of_split(texts):
    """Equal hashes for equal words, and only for them; each word's place holds it."""
    found, names = placed_words(texts), defaultdict(set)
    for row, text in enumerate(texts):
        here = slice(found.starts[row], found.starts[row + 1])
        expected = [word for word in map(plain, text.split()) if word]
        assert [plain(text[b:e]) for b, e in zip(found.begin[here], found.end[here], strict=True)] == expected
        for word, number in zip(expected, found.hashes[here].tolist(), strict=True):
            names[number].add(word)
    assert all(len(words) == 1 for words in names.values())
    assert len(names) == len({word for text in texts for word in map(plain, text.split()) if word})


@given(texts)
def test_grams_stay_inside_their_text(texts):
    found = placed_words(texts)
    hashes, first = grams(found, 2)
    assert len(hashes) == sum(max(0, int(found.starts[n + 1] - found.starts[n]) - 1) for n in range(len(texts)))
    for number, place in zip(hashes, first, strict=True):
        row = max(n for n in range(len(texts)) if found.starts[n] <= place)
        begin, end = found.begin[place], found.end[place + 1]
        alone = grams(placed_words([texts[row][begin:end]]), 2)[0]
        assert alone.tolist() == [number]


def test_punctuation_and_case_do_not_count():
    one, other = placed_words(["The “quick”, brown -- fox's"]), placed_words(["the QUICK brown foxs"])
    assert one.hashes.tolist() == other.hashes.tolist()
    assert one.begin.tolist() == [0, 5, 13, 22] and one.end.tolist() == [3, 10, 18, 27]
