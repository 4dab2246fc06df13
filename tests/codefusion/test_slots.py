"""Words that code copies from its text: slots stand for them in both, and are filled again."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.cli import main
from tenfold.codefusion.data import Example
from tenfold.codefusion.generate import load_fusion
from tenfold.codefusion.settings import Sampling
from tenfold.codefusion.slots import GLAGOLITIC, MOST, OGHAM, RUNES, filled, read_words, said_words, slotted, slotted_example, with_slots
from tenfold.codefusion.train import train_fusion
from tenfold.errors import UserError
from tenfold.train.recipe import OptimizerConfig
from tiny_fusion import AUTOREGRESSIVE, tiny_fusion

KNOWN = frozenset({"copy", "to", "the", "file", "rows", "above"})
A, B, C = RUNES[:3]
TEXTS = st.text(st.sampled_from("abcfileto 019._-/*~$%\"'()[]{}|,\n"), max_size=60)


def test_words_that_are_not_known_are_slots():
    """Of three scripts, each counted by itself; sentences' ends and signs are no part of words."""
    found = slotted("Copy the file a.txt to /mnt/b. Then a.txt above 5%, $5 and c[1], 1.5!", KNOWN)
    five, half = OGHAM[:2]
    assert found.text == f"Copy the file {A} to {B}. {C} {A} above {five}%, ${five} {RUNES[3]} {GLAGOLITIC[0]}, {half}!"
    assert list(found.slots) == ["a.txt", "/mnt/b", "Then", "5", "and", "c[1]", "1.5"]
    assert with_slots("cp a.txt /mnt/b", found.slots) == f"cp {A} {B}"
    assert filled(f"cp {A} {B} {RUNES[20]}", found.slots) == f"cp a.txt /mnt/b {RUNES[20]}"


@pytest.mark.parametrize("quote", ["'", '"', "`"])
def test_quoted_words_are_slots_though_they_are_known(quote):
    assert slotted(f"copy {quote} the file {quote} to file", KNOWN).text == f"copy {quote} {A} {B} {quote} to {B}"
    assert slotted("the file's rows' above", KNOWN).text == f"the file'{A} rows' above", "an apostrophe opens no quotes"


def test_only_whole_words_of_code_are_slots():
    assert with_slots("f(x, xs, x.y, -x)", {"x": A}) == f"f({A}, xs, {A}.y, -x)"
    assert with_slots("a.b a b", {"a": A, "a.b": B}) == f"{B} {A} b", "the longest first"
    assert with_slots("ls", {}) == "ls"


def test_words_that_are_too_many_stay():
    text = " ".join(f"w{n}" for n in range(MOST + 2)) + " 7 w0"
    assert slotted(text, frozenset()).text == " ".join([*RUNES, f"w{MOST}", f"w{MOST + 1}", OGHAM[0], A])


@given(TEXTS, TEXTS)
def test_what_is_filled_is_what_was_there(text, code):
    found = slotted(text, KNOWN)
    assert filled(found.text, found.slots) == text
    assert filled(with_slots(code, found.slots), found.slots) == code


def test_words_to_know_are_said_and_not_copied():
    pairs = [Example(f"copy the file {name} to {name}2 in 3", f"cp {name} {name}2 3") for name in ("a", "b", "c")]
    assert said_words([*pairs, Example(None, "ls"), Example("rows", "x")]) == ["copy", "file", "in", "the", "to"]


def test_code_alone_stays_as_it_is():
    assert slotted_example(Example(None, "cp a b"), KNOWN) == Example(None, "cp a b")


def test_a_file_of_words_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"data.words is .*none.txt, which cannot be read"):
        read_words(tmp_path / "none.txt")


def test_the_command_writes_the_words(tmp_path, capsys):
    lines = [{"text": f"copy the file {name}", "code": f"cp {name}"} for name in ("a", "b", "c")]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(SystemExit) as ended:
        main(["codefusion", "words", str(tmp_path / "pairs.jsonl"), "--out", str(tmp_path / "words.txt")])
    assert not ended.value.code and (tmp_path / "words.txt").read_text() == "copy\nfile\nthe\n"
    assert f"Done: {tmp_path / 'words.txt'}, 3 words" in capsys.readouterr().out


@pytest.mark.slow
def test_a_model_copies_names_it_has_never_seen(tmp_path):
    """Trained on some names, asked for others; what follows from it knows the same words, and a begun run keeps its own."""
    names = [f"{a}{b}.txt" for a in "abcd" for b in "xyz"]
    pairs = [(f"copy {a} to {b}", f"cp {a} {b}") for a in names for b in names[:3]] + [(f"show {a}", f"cat {a}") for a in names]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps({"text": text, "code": code}) + "\n" for text, code in pairs))
    (tmp_path / "words.txt").write_text("copy\nto\nshow\n")
    model = replace(AUTOREGRESSIVE, embed=32, mlp=64)
    made = tiny_fusion(tmp_path / "pairs.jsonl", model, steps=200, batch=16, log_every=20, checkpoint_every=200, evaluate_every=200)
    made = replace(made, data=replace(made.data, words=str(tmp_path / "words.txt")), optimizer=OptimizerConfig(1e-2, warmup_tokens=2560))
    run = train_fusion(replace(made, train=replace(made.train, drop_text=0.0)), tmp_path / "run")
    found = load_fusion(str(run.path)).generate(["copy notes-2026.md to /mnt/disk", "show Makefile"], Sampling(temperature=0.0))
    assert [each.code for (each,) in found] == ["cp notes-2026.md /mnt/disk", "cat Makefile"]
    after = replace(made, data=replace(made.data, words=None), start=str(run.path), train=replace(made.train, steps=2))
    assert train_fusion(after, tmp_path / "after").words() == {"copy", "to", "show"} == run.words()
