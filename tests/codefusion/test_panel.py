"""Models of one kind judge each other's answers; kinds are put together by places."""

import json
import math
from dataclasses import dataclass, field, replace

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_fusion_score import CODES, TEST, TRAIN, OfKind, Rote, rote, write_lines
from tenfold.codefusion.bound import bound
from tenfold.codefusion.candidates import Candidate
from tenfold.codefusion.generate import FusionModel
from tenfold.codefusion.meaning import Meanings
from tenfold.codefusion.model import init_fusion
from tenfold.codefusion.panel import ask_each, in_one_order, ordered_by
from tenfold.codefusion.rows import text_rows
from tenfold.codefusion.score import score
from tenfold.codefusion.score_settings import ScoreSettings
from tenfold.codefusion.settings import Sampling
from tenfold.recipes.codefusion_score import notes
from tenfold.report.codefusion import score_page
from tenfold.tokens.tokenizer import train_tokenizer
from tiny_fusion import AUTOREGRESSIVE, FUSION, MASKED, PAIRS

RANKED = Sampling(steps=3, samples=5, draws=8, rank_by=4)


@dataclass
class Judge(OfKind):
    """Finds each code as likely as its table says."""

    table: dict
    config: object = AUTOREGRESSIVE
    asked: list = field(default_factory=list)

    def bounds(self, texts, codes, how, cut=False):
        self.asked += [code for own in codes for code in own]
        return [[self.table[code] for code in own] for own in codes]

    def wrote(self, *codes):
        return [[(code, self.table[code]) for code in codes]]


NATS = st.one_of(st.none(), st.floats(0, 50))


@given(st.lists(st.tuples(st.sampled_from("abcdef"), NATS, NATS), min_size=1, max_size=6, unique_by=lambda each: each[0]), st.data())
def test_one_kind_orders_all_codes_by_the_mean_of_its_bounds(known, data):
    """By sorting, whoever wrote them; what is too long for a model comes last, and nobody is asked of what they wrote themselves."""
    tables = [{code: nats[number] for code, *nats in known} for number in (0, 1)]
    models = [Judge(table) for table in tables]
    written = [model.wrote(*data.draw(st.lists(st.sampled_from([*model.table]), max_size=8))) for model in models]
    found = [written[number][0][place][0] for number, place in in_one_order(models, RANKED, ["t"], written)[0]]
    mean = {code: sum(math.inf if table[code] is None else table[code] for table in tables) / 2 for code in tables[0]}
    pool = {code for own in written for code, _ in own[0]}
    assert sorted(found, key=mean.__getitem__) == found and len({*found}) == len(found) == min(5, len(pool))
    assert max([mean[code] for code in found], default=0) <= min([mean[code] for code in pool - {*found}], default=math.inf)
    for model, own in zip(models, written, strict=True):
        assert not {code for code, _ in own[0]} & {*model.asked}


def test_what_one_finds_unlikely_falls_and_a_meaning_is_the_sum_of_its_codes():
    """By hand: the second doubts the first's favourite. `x.sort( )` and `x.sort()` together are likelier than what each stands behind."""
    one = Judge({"a(1)": 1.0, "b(1)": 2.0, "x.sort()": 2.2, "x.sort( )": 2.3})
    other = Judge({"a(1)": 9.0, "b(1)": 2.0, "x.sort()": 2.2, "x.sort( )": 2.3})
    written = [one.wrote("a(1)", "b(1)"), other.wrote("b(1)", "x.sort()", "x.sort( )")]
    assert in_one_order([one, other], RANKED, ["t"], written)[0] == [(0, 1), (1, 1), (1, 2), (0, 0)]
    assert in_one_order([one, other], RANKED, ["t"], written, Meanings("python"))[0] == [(1, 1), (0, 1), (0, 0)]


@pytest.mark.parametrize("data", [(), ([["Age"], [3], [5]],)], ids=["no rows", "rows"])
def test_rules_of_two_kinds_that_do_the_same_are_one_answer(data):
    """Without rows, what rules do is told on columns made of all their constants: of both kinds' together, or nothing would be the same."""
    codes = ["GreaterThan(85)", "LessThan(4)"], ["TextContains(x)", "GreaterThan( 85)"]
    models = [Judge(dict.fromkeys(own, 1.0), config) for own, config in zip(codes, (FUSION, MASKED), strict=True)]
    written = [model.wrote(*own) for model, own in zip(models, codes, strict=True)]
    found = in_one_order(models, RANKED, ["t"], written, Meanings("cf", data))[0]
    said = [written[number][0][place][0] for number, place in found]
    assert said[0] == "GreaterThan(85)" and len({code.replace(" ", "") for code in said}) == len(said)


def test_kinds_are_put_together_by_places_after_each_has_answered_as_one():
    """Two of one kind prefer b; the third, of another kind and with bounds of its own, c: of those worth the same the first kind speaks."""
    one, two = Judge({"a": 1.0, "b": 2.0, "c": 9.0}), Judge({"a": 7.0, "b": 2.0, "c": 9.0})
    third = Judge({"a": 500.0, "c": 100.0}, config=MASKED)
    models, written = [one, third, two], [one.wrote("a", "b"), third.wrote("c"), two.wrote("b")]
    assert in_one_order(models, RANKED, ["t"], written)[0] == [(0, 1), (1, 0), (0, 0)]
    assert not third.asked, "nobody judges another kind"
    assert [own.samples for own in ask_each(models, RANKED)] == [8, 5, 8], "what is judged is all that was drawn"
    assert ordered_by(models, RANKED) == "the mean of the bounds of models of one kind and places"
    unranked = Sampling(steps=3, samples=5)
    assert [own.samples for own in ask_each(models, unranked)] == [5, 5, 5] and ordered_by(models, unranked) == "places"
    assert in_one_order(models, unranked, ["t"], written)[0] == [(0, 1), (0, 0), (1, 0)], "b stands in two orders"


@pytest.mark.parametrize("config", [FUSION, MASKED, AUTOREGRESSIVE], ids=lambda config: config.kind)
def test_code_that_is_judged_has_the_bound_that_samples_have(config):
    """That of bound.py with pads behind its tokens, whatever is asked beside it; of code that is too long, none."""
    tokenizer = train_tokenizer([*PAIRS, *PAIRS.values()], config.vocab - 1)
    model, how = FusionModel(config, init_fusion(jax.random.key(1), config), tokenizer), Sampling(rank_by=2, batch=4, seed=5)
    texts, codes = [*PAIRS][:2], [["x.sort()", "len(s)", "x" * 400], ["x.sort()", "f = open(path)", "print('hello')"]]
    found = model.bounds(texts, codes, how)
    assert found[0][2] is None
    pad = tokenizer.end_of_text
    for text, own, bounds in zip(texts, codes, found, strict=True):
        read = text_rows([tokenizer.encode(text)], config, pad)
        for code, nats in list(zip(own, bounds, strict=True))[:2]:
            ids = tokenizer.encode(code)
            code_BT = np.array([ids + [pad] * (config.length - len(ids))])
            expected = bound(model.params, config, read, code_BT, np.uint32(5), np.int32(pad), 2)
            assert nats == pytest.approx(float(expected[0]), rel=1e-5)
    assert found[0][0] != found[1][0], "a text counts"
    assert model.bounds(texts, [[], []], how) == [[], []]


class Backwards(Rote):
    """Likes its last samples best, three times as much as a Rote its first."""

    def _snippet(self, number, frames):
        return replace(super()._snippet(number, frames), bound=3.0 * (100 - number))


def test_runs_of_one_kind_in_a_table_are_judged_from_all_that_they_drew(tmp_path, monkeypatch):
    """A run's own row is as without the others. The row of both has each text's last two of five, which neither answers with alone."""
    write_lines(tmp_path / "test.jsonl", TEST)
    write_lines(tmp_path / "train.jsonl", TRAIN)
    monkeypatch.chdir(tmp_path)
    runs = [rote("one", "masked"), Candidate("two", Backwards(MASKED), rote("two", "masked").about)]
    monkeypatch.setattr("tenfold.codefusion.score.open_candidates", lambda named: runs[: len(named)])
    for run in runs:
        run.model.bounds = lambda texts, codes, how, cut=False: [[] for _ in texts]
    how = Sampling(steps=1, samples=2, draws=5, rank_by=1, batch=2)  # fewer than there are items
    settings = ScoreSettings("test.jsonl", "python", ("train.jsonl",), retrieval=False, sampling=how, speed_rounds=0)
    alone, _ = score(["one"], settings, tmp_path / "alone", lambda *_: None)
    found, _ = score(["one", "two"], replace(settings, together=True), tmp_path / "out", lambda *_: None)
    for name in ("splits", "settings", "lines"):
        assert found["columns"][0][name] == alone["columns"][0][name]
    for place, line in enumerate((tmp_path / "out" / "together.jsonl").read_text().splitlines()):
        assert json.loads(line)["codes"] == [CODES[(place + sample) % len(CODES)] for sample in (4, 3)]
    said = "the answers of one and two in one order, by the mean of the bounds of models of one kind."
    assert any(said in line for line in notes(found)) and said in score_page(tmp_path / "out").read_text()
