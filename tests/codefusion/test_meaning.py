"""Codes told apart by what they mean: one of each comes first, by how likely the meaning is, and rules by what they do to cells."""

import json
import math
from dataclasses import replace

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_fusion_score import write_lines
from tenfold.codefusion.candidates import Candidate
from tenfold.codefusion.data import Example
from tenfold.codefusion.generate import FusionModel
from tenfold.codefusion.kept import sampled
from tenfold.codefusion.meaning import Meanings, by_meaning
from tenfold.codefusion.model import init_fusion
from tenfold.codefusion.retrieval import Retrieval
from tenfold.codefusion.rules.generate import generate
from tenfold.codefusion.rules.match import effects, execution_match
from tenfold.codefusion.score import score
from tenfold.codefusion.score_settings import ScoreSettings
from tenfold.codefusion.settings import Sampling
from tenfold.codefusion.slots import OGHAM, RUNES
from tenfold.errors import UserError
from tenfold.recipes.codefusion_score import notes
from tenfold.report.codefusion import score_page
from tenfold.tokens.tokenizer import train_tokenizer
from tiny_fusion import AUTOREGRESSIVE, PAIRS

SAME = ["x.sort()", "x.sort( )", "x . sort()", "sorted(x)", "x.sort(", "y.sort()"]
NEAR = Retrieval([Example("sort a list", code) for code in SAME])
HOW = Sampling(samples=4, rank_by=1, retrieved=6, batch=8)
CODES = st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | st.floats(0, 40)), max_size=12)
MEANINGS = {"a": 1, "b": 1, "c": 2, "d": 3, "e": 3, "f": None}


@given(CODES, st.booleans())
def test_one_code_of_each_meaning_comes_first(candidates, sort):
    codes, nats = [code for code, _ in candidates], [bound for _, bound in candidates]
    meanings = [MEANINGS[code] for code in codes]
    order = by_meaning(codes, meanings, nats, sort)
    found, different = [meanings[n] for n in order], {*meanings} - {None}
    assert sorted(order) == [*range(len(codes))] and {*found[: len(different)]} == different
    assert {codes[n] for n in order[: len({*codes})]} == {*codes}, "copies come last"
    read = len({*codes} - {"f"})
    assert None not in found[:read] and None in found[: read + 1] + [None] * ("f" not in codes)
    if not sort:
        assert order[: len(different)] == sorted(meanings.index(meaning) for meaning in different)


def test_a_meaning_is_as_likely_as_its_codes_together():
    """Two codes of 0.3 are more likely than one of 0.5, and the same code drawn twice is not; the likelier of the two is answered."""
    codes, bounds = ["a", "b", "c", "c"], [-math.log(share) for share in (0.29, 0.31, 0.5, 0.5)]
    assert [codes[n] for n in by_meaning(codes, [1, 1, 2, 2], bounds)] == ["b", "c", "a", "c"], "a copy comes after another code"
    assert [codes[n] for n in by_meaning(codes, [1, 1, 2, 2], [None, *bounds[1:]])] == ["c", "b", "a", "c"]


@pytest.mark.parametrize("language, codes, same", [
    ("bash", ["ls -l /a", "ls   -l  b", "ls -a /a", "ls (("], [0, 0, 1, None]),
    ("python", ["f('x')", 'f( "x" )', "f(x)", "f("], [0, 0, 1, None]),
    ("cf", ["GreaterThan(4)", "GreaterThanEqual(5)", "LessThan(4)", "GreaterThan("], [0, 0, 1, None]),
])  # fmt: skip
def test_meanings(language, codes, same):
    found = Meanings(language, [[["Value"], [3], [4], [5], [6]]]).of(0, codes)
    assert [None if each is None else found.index(each) for each in found] == [None if n is None else [0, 2][n] for n in same]


@pytest.mark.parametrize("language, code", [("bash", "ls -l {}"), ("python", "f({})"), ("cf", 'TextContains("{}")')])
def test_code_with_a_slot_that_the_text_has_no_word_for_means_nothing(language, code):
    """It comes after all that can be read, however likely."""
    codes = [code.format(each) for each in (RUNES[1], "x", f"x{OGHAM[0]}", "y")]
    meanings = Meanings(language).of(0, codes)
    assert [meaning is None for meaning in meanings] == [True, False, True, False]
    assert by_meaning(codes, meanings, [1.0, 2.0, 0.5, 3.0])[0] == 1


def test_rules_have_one_effect_where_they_match():
    """As the score finds it, of rules made at random and of those with one word changed: on rows where there are any, on made ones else."""
    items = [*generate(12, seed=3)]
    codes = [item.code for item in items]
    codes += [code.replace("Greater", "Less") for code in codes]
    for item in items:
        for data in ([item.table.header, *item.table.rows], [item.table.header]):
            for other in codes:
                one, two = effects([item.code, other], data)
                assert (one == two) == execution_match(*sorted([item.code, other]), [list(row) for row in data]).matches
    assert effects(["Blanks()", "Nonsense()"])[1] is None


@pytest.fixture(scope="module")
def model() -> FusionModel:
    tokenizer = train_tokenizer([*PAIRS, *PAIRS.values()], AUTOREGRESSIVE.vocab - 1)
    return FusionModel(AUTOREGRESSIVE, init_fusion(jax.random.key(0), AUTOREGRESSIVE), tokenizer)


def test_answers_mean_different_things(model):
    """Untrained, what is drawn cannot be read: what is retrieved comes first, once of each meaning, then what means the same."""
    how = replace(HOW, samples=7, distinct="meaning")
    found = [each.code for each in model.generate(["sort a list"], how, near=NEAR, meanings=Meanings("python"))[0]]
    letters = [each.code for each in model.generate(["sort a list"], replace(how, distinct="letters"), near=NEAR)[0]]
    assert sorted(found) == sorted(letters)
    first = [code for code in letters if code in SAME]
    assert found[0] == first[0] and {*found[1:3]} == {"sorted(x)", "y.sort()"} and found[-1] not in SAME[:4]
    drawn = Sampling(samples=3, draws=6, rank_by=1, batch=8, distinct="meaning")
    again = replace(drawn, batch=5)
    texts = list(PAIRS)
    assert model.generate(texts, drawn, meanings=Meanings("python")) == model.generate(texts, again, meanings=Meanings("python"))


def test_other_cells_are_other_samples(model, tmp_path):
    about = {"fingerprint": "f", "tokenizer": "t", "words": None, "kind": "autoregressive"}
    candidate, how = Candidate("tiny", model, about), Sampling(samples=2, draws=3, rank_by=1)

    def ask(distinct: str, rows: list) -> int:
        meanings = Meanings("cf", [[["A"], *rows]] * len(PAIRS))
        sampled(candidate, replace(how, distinct=distinct), list(PAIRS), [0, 3], tmp_path, lambda *_: None, None, meanings)
        return len([*tmp_path.iterdir()])

    assert [ask("meaning", [[1]]), ask("meaning", [[2]]), ask("meaning", [[1]])] == [1, 2, 2]
    assert [ask("letters", [[1]]), ask("letters", [[2]])] == [3, 3], "where letters count, cells do not matter"


def test_the_baseline_answers_with_different_meanings_too(tmp_path):
    write_lines(tmp_path / "train.jsonl", [("sort a list", code) for code in SAME])
    write_lines(tmp_path / "test.jsonl", [("sort the list", "sorted(x)")])
    for distinct, expected in (("letters", SAME[:2]), ("meaning", ["x.sort()", "sorted(x)"])):
        how = Sampling(samples=2, draws=4, rank_by=1, distinct=distinct)
        settings = ScoreSettings(str(tmp_path / "test.jsonl"), "python", (str(tmp_path / "train.jsonl"),), sampling=how)
        found, _ = score([], settings, tmp_path / distinct, lambda *_: None)
        said = "told apart by what they mean"
        assert (said in " ".join(notes(found))) == (said in score_page(tmp_path / distinct).read_text()) == (distinct == "meaning")
        assert json.loads((tmp_path / distinct / "retrieval.jsonl").read_text())["codes"] == expected


def test_what_cannot_be_is_refused(model):
    with pytest.raises(UserError, match="distinct is meaning, but no more codes are made than are kept"):
        Sampling(distinct="meaning")
    with pytest.raises(UserError, match="distinct is meaning, but no language is named"):
        model.generate(["sort a list"], replace(HOW, distinct="meaning"), near=NEAR)
    with pytest.raises(UserError, match="language is 'words', of which no meanings are known"):
        Meanings("words")
