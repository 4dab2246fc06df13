"""Rules against datatrove's of the same names on made texts, by hand where they mean to differ, and each breakable by itself."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.corpus.engine.filters import rule_judges
from tenfold.corpus.recipe import CorpusRecipe, SourceConfig
from tenfold.corpus.rules import c4, gopher
from tenfold.corpus.rules.judge import RULES, chosen, judge, judge_all
from tenfold.corpus.rules.rule import Parts
from tenfold.errors import UserError

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "corpus_rules.json").read_text())
PROSE = "The harbour was quiet that morning, and of all the boats that we have to mend only this one could be seen. "
texts = st.text(st.sampled_from("abTthe .\n-#\u2026\u4e2d1"), max_size=200)


@pytest.mark.parametrize("name", [name for name in RULES if name.startswith("gopher.") and "_grams" not in name])
def test_gopher_is_datatroves(name):
    """On every text, and on some each way; datatrove has one threshold for the two symbols."""
    named = next(iter(key for each in GOLDEN for key in each["broken"] if name in key.split()), name)
    names = named.split()
    ours = [any(RULES[each].breaks(Parts(row["text"])) for each in names) for row in GOLDEN]
    assert ours == [named in row["broken"] for row in GOLDEN] and len(set(ours)) == 2


@pytest.mark.parametrize("n", range(5, 11))
def test_duplicate_grams_are_datatroves_or_more(n):
    """It skips over a run once found; the paper, and we, count all characters that any repeated run holds."""
    name = f"gopher.duplicate_{n}_grams"
    ours = [RULES[name].breaks(Parts(row["text"])) for row in GOLDEN]
    theirs = [name in row["broken"] for row in GOLDEN]
    assert all(our >= their for our, their in zip(ours, theirs, strict=True))
    assert sum(our == their for our, their in zip(ours, theirs, strict=True)) >= 0.85 * len(
        GOLDEN
    )  # the texts repeat far more than real ones


def covered(text: str, n: int) -> float:
    """Brute force: characters of words in a run that an earlier run equals."""
    words = text.split()
    runs = [tuple(words[k : k + n]) for k in range(len(words) - n + 1)]
    again = {k + i for k, run in enumerate(runs) if run in runs[:k] for i in range(n)}
    return sum(len(words[k]) for k in again) / max(1, len(text))


@given(st.lists(st.sampled_from("a b cc ddd".split()), max_size=20).map(" ".join), st.integers(2, 5))
def test_duplicate_grams_against_brute_force(text, n):
    assert gopher.DuplicateGrams(1.0, n).measure(Parts(text)) == pytest.approx(covered(text, n))


def test_c4_keeps_datatroves_lines():
    """And drops its pages, but for a phrase in a line that is cut anyway (a line with "javascript" too)."""
    pages = chosen(["c4.lorem_ipsum", "c4.curly_bracket"])
    phrase = {"lorem_ipsum": "lorem ipsum", "curly_bracket": "{"}
    for row in GOLDEN:
        text = c4.clean(row["text"])
        (broken,) = judge([text], pages)
        if "c4" not in row:
            assert (broken, text) == ("", row["cleaned"])
        elif not broken:
            lines = [line for line in row["text"].lower().splitlines() if phrase[row["c4"]] in line]
            assert any("javascript" in line or "privacy policy" in line for line in lines)


@pytest.mark.parametrize(
    "text, sentences",
    [("", 0), ("One.", 1), ("No mark", 1), ("One. Two! Three?", 3), ('He said "yes." Then left.', 2), ("It is 3.5 m, e.g. this.", 1)],
)
def test_sentences_are_counted(text, sentences):
    assert c4.Sentences().measure(Parts(text)) == sentences


def test_bad_words_stand_alone():
    rule = c4.BadWords(("darn",))
    assert rule.breaks(Parts("Darn! it")) and rule.breaks(Parts("a darn")) and not rule.breaks(Parts("darning socks"))
    assert not RULES["c4.bad_words"].breaks(Parts("darn"))


def test_bad_words_of_a_file(tmp_path):
    """A source's own list drops its documents; a list without words, or none, is refused by name."""
    path = tmp_path / "words.txt"
    path.write_text("Darn\n\n two words \n")
    source = SourceConfig("web", "files", "x", bad_words=str(path))
    judge = rule_judges(CorpusRecipe("x", sources=(source,)))["web"]
    assert judge(["0"] * 3, ["darn it", "darnation", "just two words"]).reason == ["c4.bad_words", "", "c4.bad_words"]
    path.write_text("\n")
    for wrong in (path, tmp_path / "none"):
        with pytest.raises(UserError, match=wrong.name):
            c4.read_words(str(wrong))


BREAKERS = {
    "c4.lorem_ipsum": PROSE + "Lorem Ipsum.",
    "c4.curly_bracket": "if (x) {",
    "c4.sentences": "One. Two.",
    "gopher.words": "too short",
    "gopher.word_length": "a b c d e f",
    "gopher.hashes": "# a # b",
    "gopher.ellipses": "so … it ... goes",
    "gopher.bullet_lines": "- a\n• b\n - c",
    "gopher.ellipsis_lines": "so…\nit\ngoes...",
    "gopher.letters": "1 2 3 four",
    "gopher.stop_words": "La mer",
    "gopher.duplicate_paragraphs": "a\n\na\n\n\na",
    "gopher.duplicate_paragraph_characters": "same words here\n\nsame words here",
    "gopher.duplicate_lines": "a\na\nb",
    "gopher.duplicate_line_characters": "same words here\nsame words here",
    **{f"gopher.top_{n}_gram": "over and over again " * 20 for n in (2, 3, 4)},
    **{f"gopher.duplicate_{n}_grams": PROSE * 2 for n in range(5, 11)},
}


def test_every_rule_can_be_broken_and_says_what_it_asks():
    assert set(BREAKERS) == set(RULES) - {"c4.bad_words"}
    for name, text in BREAKERS.items():
        assert name in judge_all([text], RULES)[0], name
    assert all(rule.description.endswith(".") for rule in RULES.values())
    assert RULES["gopher.words"].description == "The number of words is between two others (least 50, most 100,000)."


def test_prose_keeps_all_rules():
    assert judge_all([" ".join(THINGS)], RULES) == [[]]


THINGS = [
    "That winter the harbour froze and nobody could leave, so we have had to wait.",
    "Letters came with the sledges, most of them old, and were read aloud in the engine room.",
    "My sister asked what colour a river is at night.",
    "Darker than any wall I had ever seen, I told her, and twice as loud.",
    "Boats carry grain faster when prices fall; this year they carried very little.",
]


@given(texts)
def test_no_text_is_too_odd_to_judge(text):
    """The first broken rule is the first of all broken ones."""
    everything = judge_all([text], RULES)[0]
    assert judge([text], RULES) == [everything[0] if everything else ""]
    assert judge([text], {}) == [""]


def test_rules_are_chosen_by_name_or_kind():
    assert list(chosen(["gopher.words", "c4"])) == ["gopher.words", *c4.PAGES]
    assert chosen(["gopher"]) == {**gopher.QUALITY, **gopher.REPETITION}
    with pytest.raises(UserError, match="no rule 'gopher.word'"):
        chosen(["gopher.word"])


def test_thresholds_can_be_changed_but_not_to_nonsense():
    lenient = dataclasses.replace(RULES["gopher.words"], least=1)
    assert not lenient.breaks(Parts("two words"))
    with pytest.raises(UserError, match="Words.least is 9"):
        gopher.Words(9, 8)
    with pytest.raises(UserError, match="TopGram.most is 20"):
        gopher.TopGram(20)
    with pytest.raises(UserError, match="'words'"):
        gopher.Duplicates(0.1, "words")
