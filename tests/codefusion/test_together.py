"""Runs that answer together: one order of several, in a table and from the command."""

import json
import math

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_fusion_score import TEST, TRAIN, Rote, rote, write_lines
from tenfold.cli import main
from tenfold.codefusion.generate import FusionModel
from tenfold.codefusion.meaning import Meanings
from tenfold.codefusion.model import init_fusion
from tenfold.codefusion.panel import generate_together
from tenfold.codefusion.score import score
from tenfold.codefusion.score_settings import ScoreSettings
from tenfold.codefusion.settings import Sampling
from tenfold.codefusion.snippets import Snippet
from tenfold.codefusion.together import FUSED, reciprocal_ranks, together
from tenfold.errors import UserError
from tenfold.recipes.codefusion_score import notes
from tenfold.report.codefusion import score_page
from tenfold.tokens.tokenizer import train_tokenizer
from tiny_fusion import AUTOREGRESSIVE, MASKED, PAIRS

LISTS = st.lists(st.lists(st.sampled_from(["a", "b", " b", "c", "d"]), max_size=6), max_size=4)
MEANINGS = {"a": 1, "b": 1, " b": 1, "c": 2, "d": None}


def test_what_stands_in_two_orders_comes_before_what_leads_one():
    """By hand, with places from 0."""
    assert reciprocal_ranks(["ab", "cba"]) == {"a": 1 / FUSED + 1 / (FUSED + 2), "b": 2 / (FUSED + 1), "c": 1 / FUSED}
    assert together([["a", "b"], ["c", "b", "a"]]) == [(0, 0), (0, 1), (1, 0)]
    assert together([["a", "a", "b"]]) == [(0, 0), (0, 2)], "a copy takes no place"
    assert together([["a"], ["b"]]) == [(0, 0), (1, 0)], "of those worth the same, the earlier list's"


@given(LISTS)
def test_each_code_comes_once_and_no_order_is_turned_round(lists):
    found = [lists[number][at].strip() for number, at in together(lists)]
    assert sorted(found) == sorted({code.strip() for codes in lists for code in codes})
    plain = [list(dict.fromkeys(code.strip() for code in codes)) for codes in lists]
    for one in found:
        for other in found:
            everywhere = all({one, other} <= {*codes} and codes.index(one) < codes.index(other) for codes in plain)
            assert not (plain and everywhere) or found.index(one) < found.index(other)


@given(LISTS)
def test_codes_of_one_meaning_are_one_and_those_without_come_last(lists):
    order = together(lists, [[MEANINGS[code] for code in codes] for codes in lists])
    found = [MEANINGS[lists[number][at]] for number, at in order]
    assert sorted(map(str, found)) == sorted({str(MEANINGS[code]) for codes in lists for code in codes})
    assert None not in found[:-1]


class Pythons(Rote):
    """Writes one list for every text."""

    def generate(self, texts, how, given=None, holes=8, near=None, meanings=None):
        self.asked.append(how)
        return [[self._snippet(number, 1) for number in range(how.samples)] for _ in texts]


def test_models_take_what_their_kinds_have_and_one_meaning_is_answered_once():
    """Of `x.sort()` first and `x.sort(` last of both, and `len(s)`, spelled otherwise by the second."""
    one, other = Pythons(MASKED), Pythons(AUTOREGRESSIVE)
    other._snippet = lambda number, frames: Snippet(["len( s )", "x.sort(", "x.sort()"][number], [], None, [])
    one._snippet = lambda number, frames: Snippet(["x.sort(", "x.sort()", "len(s)"][number], [], None, [])
    found = generate_together({"m": one, "a": other}, ["sort"], Sampling(steps=3, samples=3), meanings=Meanings("python"))[0]
    assert [(name, each.code) for name, each in found] == [("m", "len(s)"), ("m", "x.sort()"), ("m", "x.sort(")]
    assert (one.asked[0].steps, other.asked[0].steps) == (3, 0)
    letters = generate_together({"m": one, "a": other}, ["sort"], Sampling(steps=3, samples=3))[0]
    assert [(name, each.code) for name, each in letters] == [("m", "x.sort("), ("m", "x.sort()"), ("a", "len( s )")]


@pytest.mark.parametrize("distinct", ["letters", "meaning"])
def test_a_row_of_the_table_is_of_all_runs(tmp_path, monkeypatch, distinct):
    """Two that write by rote, the second a sample further: what both say comes first. The page and the notes say who."""
    write_lines(tmp_path / "test.jsonl", TEST)
    write_lines(tmp_path / "train.jsonl", TRAIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "tenfold.codefusion.score.open_candidates", lambda runs: [rote("one", "masked"), rote("two", "autoregressive")][: len(runs)]
    )
    how = Sampling(steps=1, samples=2, draws=2, rank_by=1, distinct=distinct)
    settings = ScoreSettings("test.jsonl", "python", ("train.jsonl",), together=True, sampling=how, speed_rounds=0)
    with pytest.raises(UserError, match="together needs two runs or more"):
        score(["one"], settings, tmp_path / "alone", lambda *_: None)
    found, _ = score(["one", "two"], settings, tmp_path / "out", lambda *_: None)
    assert [column["name"] for column in found["columns"]] == ["one", "two", "together", "retrieval"]
    rows = {name: [json.loads(line) for line in (tmp_path / "out" / f"{name}.jsonl").open()] for name in ("one", "two", "together")}
    for one, two, both in zip(*rows.values(), strict=True):
        codes = [one["codes"], two["codes"]]
        meanings = [Meanings("python").of(0, each) for each in codes] if distinct == "meaning" else None
        assert both["codes"] == [codes[number][at] for number, at in together(codes, meanings)[:2]]
    assert rows["one"][0]["codes"] != rows["two"][0]["codes"]
    said = "the answers of one and two in one order, by places."
    assert any(said in line for line in notes(found)) and said in score_page(tmp_path / "out").read_text()


def test_the_command_asks_several_runs(monkeypatch, capsys):
    tokenizer = train_tokenizer([*PAIRS, *PAIRS.values()], AUTOREGRESSIVE.vocab - 1)
    runs = ["runs/one", "runs/two"]
    models = {
        run: FusionModel(AUTOREGRESSIVE, init_fusion(jax.random.key(seed), AUTOREGRESSIVE), tokenizer) for seed, run in enumerate(runs)
    }
    monkeypatch.setattr("tenfold.codefusion.candidates.load_writer", models.get)
    how = ["--text", "sort a list", "--samples", "4", "--rank-by", "1", "--draws", "4", "--seed", "3"]

    def ask(*said: str) -> list[dict]:
        with pytest.raises(SystemExit) as ended:
            main(["codefusion", "generate", *said, *how])
        assert not ended.value.code
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    alone = {run: {line["code"]: line["bound"] for line in ask(run)} for run in runs}
    found = ask(*runs)
    codes = list(dict.fromkeys(code for written in alone.values() for code in written))
    settings = Sampling(samples=4, rank_by=1, draws=4, seed=3)
    asked = [dict(zip(codes, models[run].bounds(["sort a list"], [codes], settings)[0], strict=True)) | alone[run] for run in runs]
    worth = {code: sum(math.inf if each[code] is None else each[code] for each in asked) for code in codes}  # bytes may be too long as text
    assert [line["code"] for line in found] == sorted(codes, key=worth.__getitem__)[:4]
    assert [line["run"] for line in found] == [next(run for run in runs if line["code"] in alone[run]) for line in found]
    for wrong, said in (([], "no run is named"), ([runs[0], runs[0]], "is named twice")):
        with pytest.raises(SystemExit):
            main(["codefusion", "generate", *wrong, "--text", "sort a list"])
        assert said in capsys.readouterr().err
