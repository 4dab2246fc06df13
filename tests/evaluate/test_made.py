"""GPT-3's arithmetic and word tasks: every item right, all different, the same for the same seed, and of the paper's form."""

import gzip
import json
import os
import random
import re
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from tenfold.errors import UserError
from tenfold.evaluate.made import ARITHMETIC, INSERTED, WORDS, common_words, endless, make

BELOW = {"two": 100, "three": 1_000, "four": 10_000, "five": 100_000}
OPERATIONS = {"plus": "+", "minus": "-", "times": "*"}
TEXT = [
    "wooden houses stand under golden trees " * 3,
    "harbour lights, streets and wooden bridges; Gardens isn't well-matched. houses again wooden churches",
]
PAPER = os.environ.get("TENFOLD_GPT3_TASKS")


@pytest.mark.parametrize("name", ARITHMETIC)
def test_sums_are_right_and_different(name):
    found = make(name, 500)
    assert found == make(name, 500) != make(name, 500, seed=1)
    assert len({item["context"] for item in found}) == 500
    for item in found:
        asked = re.fullmatch(r"\n\nQ: What is (.+)\?\n\nA:", item["context"])[1]
        sum_ = re.sub("plus|minus|times", lambda word: OPERATIONS[word[0]], asked)
        assert item["completion"] == f" {eval(sum_)}"  # noqa: S307
    numbers = [int(number) for item in found for number in re.findall(r"\d+", item["context"])]
    if name == "single_digit_three_ops":
        assert set(numbers) == set(range(1, 10))
    else:
        below = BELOW[name.split("_")[0]]
        assert max(numbers) < below and max(numbers) > 0.95 * below and min(numbers) < 0.05 * below


@pytest.mark.parametrize("name", WORDS)
def test_words_can_be_told_from_their_letters(name):
    for item in make(name, 8, texts=TEXT):
        letters, word = item["context"].removeprefix("\n").removesuffix(" ="), item["completion"].removeprefix(" ")
        assert item["context"] == f"\n{letters} =" and (letters == word) == (name == "copied_words")
        kept = {"mid_word_1_anagrams": 1, "mid_word_2_anagrams": 2}.get(name)
        if name == "random_insertion_in_word":
            assert letters[::2] == word and set(letters[1::2]) <= set(INSERTED) and len(letters) == 2 * len(word) - 1
        elif kept:
            assert (letters[:kept], letters[-kept:], sorted(letters)) == (word[:kept], word[-kept:], sorted(word))
        else:
            assert letters == word[::-1] if name == "reversed_words" else letters in (word + word)


@pytest.mark.parametrize("name", [*ARITHMETIC, *WORDS])
def test_items_without_end_are_of_the_same_form(name):
    dice, words = random.Random(3), ["houses", "golden", "garden"]
    found = list(islice(endless(name, dice, words), 50))
    first = make(name, 1, texts=["houses golden garden"])[0]
    assert {re.sub(r"[\w .()*+/!-]+", "x", item["context"]) for item in found} == {re.sub(r"[\w .()*+/!-]+", "x", first["context"])}
    if name in WORDS:
        assert {item["completion"] for item in found} == {" houses", " golden", " garden"}
        with pytest.raises(UserError, match=f"{name} has no word to ask for, of 0"):
            next(endless(name, dice))
    else:
        for item in found:
            asked = re.sub("plus|minus|times", lambda word: OPERATIONS[word[0]], item["context"].removeprefix("\n\nQ: What is ")[:-5])
            assert item["completion"] == f" {eval(asked)}"  # noqa: S307


def test_the_commonest_words_are_taken():
    assert common_words(TEXT, 3) == ["wooden", "houses", "golden"]
    assert set(common_words(TEXT, 8)) == {"wooden", "houses", "golden", "harbour", "lights", "streets", "bridges", "churches"}
    with pytest.raises(UserError, match="100 words of 6 to 15 letters are asked for and the texts hold"):
        common_words(TEXT, 100)


def test_what_cannot_be_made_is_refused():
    with pytest.raises(UserError, match="'roman_numerals' is no task that is made here"):
        make("roman_numerals")
    with pytest.raises(UserError, match="fewer than 7000 different questions"):
        make("single_digit_three_ops", 7_000)  # of 9 * 9 * 9 digits and 9 pairs of operations


@pytest.mark.skipif(not PAPER, reason="TENFOLD_GPT3_TASKS does not name the folder of openai/gpt-3's data files")
@pytest.mark.parametrize("name", [*ARITHMETIC, *WORDS])
def test_items_are_as_the_papers(name):
    """As many, of the same form, and distributed alike: signs, lengths and marks within sampling error."""
    path = next((Path(PAPER) / f"{name}.jsonl{end}" for end in ("", ".gz") if (Path(PAPER) / f"{name}.jsonl{end}").is_file()), None)
    if path is None:
        pytest.skip(f"{name} is not among them")
    paper = [json.loads(line) for line in (gzip.open(path, "rt") if path.suffix == ".gz" else path.open())]
    made = make(name, texts=[item["completion"] for item in paper])
    assert len(made) == len(paper)
    if name in WORDS:  # from the same words: all of them, and changed in the same way
        usable = {item["completion"] for item in made}
        assert usable <= {item["completion"] for item in paper}
        shares = [Counter(re.sub("[a-z]", "", item["context"][1:-2]) for item in side)[""] / len(side) for side in (made, paper)]
        assert shares[0] == shares[1]
    else:
        forms = [Counter(re.sub(r"\d+", "N", item["context"]) for item in side) for side in (made, paper)]
        assert forms[0].keys() == forms[1].keys()
        for form, count in forms[1].items():
            assert abs(forms[0][form] - count) < 5 * count**0.5 + 1
        digits = [Counter(len(number) for item in side for number in re.findall(r"\d+", item["context"])) for side in (made, paper)]
        assert all(abs(digits[0][length] - count) < 5 * count**0.5 + 1 for length, count in digits[1].items())
