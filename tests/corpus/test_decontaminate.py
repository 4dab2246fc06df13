"""Nothing of an evaluation text is left in training text, and nothing else is lost but its surroundings."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.corpus.contamination import build, counted, counts
from tenfold.corpus.decontaminate import Decontaminate, cut
from tenfold.errors import UserError

PROSE = " ".join(f"word{n % 61} other{n % 17}" for n in range(400))
QUESTION = " ".join(f"question{n}" for n in range(13))


def cleaned(evaluations: list[str], texts: list[str], rule: Decontaminate | None = None):
    index = build({"set": evaluations})
    return cut(counted(index, counts(index, texts)), texts, rule)


def test_a_match_goes_with_200_characters_on_either_side():
    text = f"{PROSE} {QUESTION.upper()}! {PROSE}"
    (found,) = cleaned([QUESTION], [text])
    begin, end = len(PROSE) + 1 - 200, len(PROSE) + 1 + len(QUESTION) + 200
    assert found.removed == [(begin, end)] and found.reason == "cut"
    assert found.pieces == [text[:begin], text[end:]]


def test_clean_text_is_left_alone():
    texts = [PROSE, "", QUESTION.replace("question3 ", "")]
    assert [tuple(each) for each in cleaned([QUESTION], texts)] == [([text], "", []) for text in texts]


def test_short_pieces_and_much_cut_documents_go():
    assert cleaned([QUESTION], [f"short {QUESTION} short"])[0] == ([], "nothing left", [(0, 12 + len(QUESTION))])
    pieces = [cleaned([QUESTION], [f" {QUESTION} ".join([PROSE] * n)])[0] for n in (10, 11)]
    assert len(pieces[0].pieces) == 10 and pieces[1].reason == "cut into too many pieces" and not pieces[1].pieces


def test_what_stands_in_many_documents_is_no_evidence():
    texts = [f"{PROSE} {QUESTION} number {n}" for n in range(11)]
    assert all(not each.reason for each in cleaned([QUESTION], texts))
    assert all(each.reason == "cut" for each in cleaned([QUESTION], texts[:10]))
    assert all(each.reason == "cut" for each in cleaned([QUESTION], texts, Decontaminate(documents=11)))


def words(text: str) -> list[str]:
    return [word for word in (re.sub(r"[^\w\s]", "", word).lower() for word in text.split()) if word]


def runs(text: str) -> set[tuple[str, ...]]:
    split = words(text)
    return {tuple(split[n : n + 13]) for n in range(len(split) - 12)}


lines = st.lists(st.sampled_from(["a", "B.", "c", "a a", "b c,"]), min_size=10, max_size=60).map(" ".join)


@given(st.lists(lines, min_size=1, max_size=2), st.lists(lines, min_size=1, max_size=4))
def test_against_sets_of_words(evaluations, texts):
    """Brute force: what is cut holds every shared run, what stays holds none, and together they are the text."""
    shared = set().union(*map(runs, evaluations))
    for text, found in zip(texts, cleaned(evaluations, texts, Decontaminate(window=0, shortest=0, pieces=99)), strict=True):
        assert bool(found.removed) == bool(runs(text) & shared)
        assert all(not runs(piece) & shared for piece in found.pieces)
        assert sum(map(len, found.pieces)) + sum(end - begin for begin, end in found.removed) == len(text)


def test_wrong_rules_are_refused():
    with pytest.raises(UserError, match="decontaminate.window is -1"):
        Decontaminate(window=-1)
