"""Retrieved codes beside drawn ones: in the asked text's slots, judged by the bound, and in one order with what was drawn."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.cli import main
from tenfold.codefusion.bound import bound
from tenfold.codefusion.candidates import Candidate
from tenfold.codefusion.data import Example
from tenfold.codefusion.drafts import draft, fused
from tenfold.codefusion.generate import FusionModel
from tenfold.codefusion.kept import sampled
from tenfold.codefusion.model import init_fusion
from tenfold.codefusion.retrieval import Found, Retrieval
from tenfold.codefusion.rows import text_rows
from tenfold.codefusion.score_settings import ScoreSettings
from tenfold.codefusion.settings import Sampling
from tenfold.codefusion.slots import OGHAM, RUNES, slotted
from tenfold.codefusion.together import FUSED
from tenfold.codefusion.train import train_fusion
from tenfold.errors import UserError
from tenfold.tokens.tokenizer import train_tokenizer
from tiny_fusion import AUTOREGRESSIVE, PAIRS, tiny_fusion, write_pairs

A, B = RUNES[:2]
KNOWN = frozenset({"copy", "to", "move", "the", "first", "lines", "of"})
NEAR = Retrieval([Example(text, code) for text, code in PAIRS.items()])
HOW = Sampling(samples=3, rank_by=1, retrieved=4, batch=8)


@pytest.fixture(scope="module")
def model() -> FusionModel:
    tokenizer = train_tokenizer([*PAIRS, *PAIRS.values()], AUTOREGRESSIVE.vocab - 1)
    return FusionModel(AUTOREGRESSIVE, init_fusion(jax.random.key(0), AUTOREGRESSIVE), tokenizer)


def test_a_draft_has_the_asked_texts_words():
    read = slotted("copy notes.txt to /mnt", KNOWN)
    assert draft(Found("cp a.c /tmp", 0.9, "copy a.c to /tmp"), read, KNOWN) == f"cp {A} {B}"
    assert draft(Found("cp a.c", 0.9, "copy a.c"), read, None) == "cp a.c", "nothing is a slot"


def test_a_draft_that_takes_other_slots_stays_as_it_is():
    """Of a text with a number, for one that has none: but for the words that both have."""
    found = Found("head -n 5 notes.txt", 0.5, "the first 5 lines of notes.txt")
    assert draft(found, slotted("copy notes.txt to /mnt", KNOWN), KNOWN) == f"head -n 5 {A}"
    assert draft(found, slotted("the first 7 lines of x", KNOWN), KNOWN) == f"head -n {OGHAM[0]} {A}"


def test_two_orders_become_one():
    """By hand: b is second by the bound and first by nearness, a first and in no other, c third and second."""
    codes, bounds = ["a", "b", "b", "c"], [1.0, 2.0, 2.5, 3.0]
    worth = {"a": 1 / FUSED, "b": 1 / (FUSED + 1) + 1 / FUSED, "c": 1 / (FUSED + 2) + 1 / (FUSED + 1)}
    assert [codes[n] for n in fused(codes, bounds, 2)] == sorted("abc", key=lambda code: -worth[code]) == ["b", "c", "a"]


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.none() | st.floats(0, 9)), max_size=12), st.integers(0, 12))
def test_each_code_comes_once_and_without_drafts_the_bound_decides(candidates, drawn):
    codes, bounds = [code for code, _ in candidates], [bound for _, bound in candidates]
    assert sorted(codes[n] for n in fused(codes, bounds, min(drawn, len(codes)))) == sorted(set(codes))
    least = [math.inf if bounds[n] is None else bounds[n] for n in fused(codes, bounds, len(codes))]
    assert least == sorted(least)


def test_what_is_retrieved_is_judged_as_what_is_drawn(model):
    """The nearest code of a known text is its own, with the bound of a row of itself, whatever else is asked; what is drawn stays."""
    texts = list(PAIRS)
    many, alone = model.generate(texts, HOW, near=NEAR), model.generate(texts[:1], HOW, near=NEAR)
    assert many[0] == alone[0] and [len(group) for group in many] == [3] * 4
    drawn = model.generate(texts, Sampling(samples=5, rank_by=1, batch=8))
    one = Sampling(samples=5, rank_by=1, retrieved=1, batch=8)
    for text, group, without in zip(texts, model.generate(texts, one, near=NEAR), drawn, strict=True):
        found = {each.code: each for each in group}
        assert PAIRS[text] in found and len({*found} - {each.code for each in without}) == 1
        rows = text_rows([model.tokenizer.encode(text)], AUTOREGRESSIVE, model.tokenizer.end_of_text)
        ids = model.tokenizer.encode(PAIRS[text])
        code_BT = np.full((1, AUTOREGRESSIVE.length), model.tokenizer.end_of_text)
        code_BT[0, : len(ids)] = ids
        own = bound(model.params, AUTOREGRESSIVE, rows, code_BT, jnp.uint32(0), jnp.int32(model.tokenizer.end_of_text), 1)
        assert found[PAIRS[text]].bound == pytest.approx(float(own[0]), rel=1e-5)


def test_code_longer_than_the_model_writes_is_retrieved_without_a_bound(model):
    long = Retrieval([Example("sort a list", "x.sort() ; " * 20)])
    found = model.generate(["sort a list"], HOW, near=long)[0]
    assert [each.bound for each in found if each.code.startswith("x.sort() ;")] == [None]


def test_other_pairs_are_other_samples(model, tmp_path):
    about = {"fingerprint": "f", "tokenizer": "t", "words": None, "kind": "autoregressive"}
    candidate = Candidate("tiny", model, about)
    for pairs in (NEAR, Retrieval([Example("sort a list", "sorted(x)")])):
        sampled(candidate, HOW, list(PAIRS), [0, 1], tmp_path, lambda *_: None, pairs)
    assert len([*tmp_path.iterdir()]) == 2
    sampled(candidate, Sampling(samples=2), list(PAIRS), [0], tmp_path, lambda *_: None, NEAR)
    sampled(candidate, Sampling(samples=2), list(PAIRS), [0], tmp_path, lambda *_: None)
    assert len([*tmp_path.iterdir()]) == 3, "where nothing is retrieved, pairs do not matter"


def test_what_cannot_be_is_refused(model):
    with pytest.raises(UserError, match="retrieved is 4, but no pairs are named to look in"):
        model.generate(["sort a list"], HOW)
    with pytest.raises(UserError, match="retrieved is 4 and rank_by 0"):
        Sampling(retrieved=4)
    with pytest.raises(UserError, match="retrieved is -1"):
        Sampling(retrieved=-1)
    with pytest.raises(UserError, match="retrieved is 4, but there is no retrieval"):
        ScoreSettings(sampling=HOW, retrieval=False)


def test_the_command_retrieves(tmp_path, capsys):
    pairs = write_pairs(tmp_path)
    train_fusion(tiny_fusion(pairs, AUTOREGRESSIVE, steps=1), tmp_path / "run")
    said = ["codefusion", "generate", str(tmp_path / "run"), "--text", "sort a list", "--samples", "4", "--rank-by", "1"]
    with pytest.raises(SystemExit) as ended:
        main([*said, "--retrieved", "2", "--near", str(pairs)])
    for wrong in (["--near", str(pairs)], ["--language", "python"]):
        with pytest.raises(SystemExit) as refused:
            main([*said, *wrong])
        assert refused.value.code == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert not ended.value.code and "x.sort()" in [line["code"] for line in lines] and len(lines) == 4
    with pytest.raises(SystemExit) as ended:
        main([*said, "--retrieved", "4", "--near", str(pairs), "--distinct", "meaning", "--language", "python"])
    first = [json.loads(line)["code"] for line in capsys.readouterr().out.splitlines()]
    assert not ended.value.code and {*first} == {*PAIRS.values()}, "what can be read comes before what was drawn"
