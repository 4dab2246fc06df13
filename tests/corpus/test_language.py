"""The language model answers as its library does, the same in any batch, and varieties are one language."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("py3langid", reason="the language model is in the extra `corpus`")

from py3langid import langid

from tenfold.corpus.language import MERGED, UNKNOWN, identify, languages
from tenfold.errors import UserError

# Universal Declaration of Human Rights, article 1
DECLARATION = {
    "en": "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience and should "
    "act towards one another in a spirit of brotherhood.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt und sollen "
    "einander im Geist der Brüderlichkeit begegnen.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de conscience et "
    "doivent agir les uns envers les autres dans un esprit de fraternité.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y conciencia, deben "
    "comportarse fraternalmente los unos con los otros.",
    "no": "Alle mennesker er født frie og med samme menneskeverd og menneskerettigheter. De er utstyrt med fornuft og samvittighet og "
    "bør handle mot hverandre i brorskapets ånd.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem i sumieniem i "
    "powinni postępować wobec innych w duchu braterstwa.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и должны поступать в "
    "отношении друг друга в духе братства.",
    "zh": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "ar": "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميراً وعليهم أن يعامل بعضهم بعضاً بروح الإخاء.",
}
TEXTS = list(DECLARATION.values())


@pytest.fixture(scope="module")
def library() -> langid.LanguageIdentifier:
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)


def test_each_declaration_is_in_its_language():
    codes, chances = identify(TEXTS)
    assert codes == list(DECLARATION)
    assert (chances > 0.9).all() and (chances <= 1 + 1e-9).all()


@given(st.lists(st.sampled_from([*TEXTS, " ", "\n", "a", "\u00e9" * 300, "WHY NOT", "e\u0301t\u00e9", "1 2 3"]), max_size=20).map("".join))
def test_the_answer_is_the_librarys(library, text):
    """Of texts within one lane and over several, cut anywhere."""
    expected: dict[str, float] = defaultdict(float)
    for code, chance in library.rank(text):
        expected[MERGED.get(code, code)] += chance
    (code,), (chance,) = identify([text])
    if code == UNKNOWN:
        assert max(chance for _, chance in library.rank(text)) < 0.05  # the same for all
    else:
        assert chance == pytest.approx(max(expected.values()), abs=1e-3) == pytest.approx(expected[code], abs=1e-3)  # it adds in float32


@settings(max_examples=15)
@given(st.lists(st.integers(0, len(TEXTS) - 1), min_size=1, max_size=6))
def test_an_answer_does_not_depend_on_the_batch(rows):
    """To the last bit."""
    codes, chances = identify([*TEXTS, *(TEXTS[row] * 20 for row in rows), ""])
    alone = [identify([TEXTS[row] * 20]) for row in rows]
    assert codes[len(TEXTS) :] == [*(found[0][0] for found in alone), UNKNOWN]
    assert (chances[len(TEXTS) :] == np.array([*(found[1][0] for found in alone), 0.0])).all()


def test_among_some_languages_the_answer_is_one_of_them():
    codes, chances = identify(TEXTS, among=("en", "de"))
    assert set(codes) == {"en", "de"} and codes[:2] == ["en", "de"] and (chances >= 0.5).all()


def test_nothing_says_nothing():
    assert identify([""])[0] == [UNKNOWN] and identify([])[0] == []


def test_languages_the_model_does_not_know_are_refused():
    assert "no" in languages() and not set(MERGED) & set(languages())
    with pytest.raises(UserError, match="does not know nb, xx"):
        identify(["a"], among=("en", "xx", "nb"))
