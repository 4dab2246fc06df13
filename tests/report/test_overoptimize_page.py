"""The page of over-optimisation: what is drawn is what was measured, and a peak that nothing has seen is not shown as one."""

import json

import numpy as np
import pytest

from tenfold.align.overoptimize_fit import fit, law
from tenfold.errors import UserError
from tenfold.objectives.best_of_n import best_of_n_kl
from tenfold.report import overoptimize
from tenfold.report.overoptimize import overoptimize_report, render

N = [1, 2, 4, 8, 16, 32, 64, 128, 256]
STEPS = [0, 4, 8, 12, 16, 20]


def curve(form, kl_K, alpha, beta):
    """A curve whose gold lies on a law, of 12 prompts that scatter about it."""
    d_K = np.sqrt(kl_K)
    random = np.random.default_rng(0)
    gold_PK = law(form, alpha, beta, d_K) + 0.05 * random.normal(size=(12, 1)) * d_K
    said = {"kl": list(kl_K), "d": d_K.tolist(), "gold": gold_PK.mean(0).tolist(), "low": (gold_PK.mean(0) - 0.1).tolist()}
    said |= {"high": (gold_PK.mean(0) + 0.1).tolist(), "proxy": d_K.tolist()}
    return said | {"fit": fit(form, np.tile(kl_K, (12, 1)), gold_PK, repeats=50).written()}


def proxy(size, parameters, count, beta):
    chosen = curve("best_of_n", np.array([best_of_n_kl(n) for n in N]), 1.0, beta)
    learned = curve("rl", np.linspace(0, 25, 6), 1.0, 0.5)
    sample = {"prompt": "def ", "text": "<script>alert(1)</script>", "gold": -1.5, "proxy": 3.25}
    named = {"name": f"{size}-{count}", "size": size, "parameters": parameters, "comparisons": count, "accuracy": 0.75, "calibration": 0.1}
    return named | {"best_of_n": {"n": N} | chosen, "rl": {"step": STEPS} | learned | {"samples": [sample]}}


@pytest.fixture(scope="module")
def found():
    """Two sizes on two amounts of pairs, as the page gets them: through JSON."""
    rows = [proxy(size, p, count, beta) for size, p, beta in (("1x16", 5_000, 0.4), ("3x64", 180_000, 0.1)) for count in (250, 2000)]
    made = {"proxies": rows, "gold": {"names": ["mine.py:worth"], "mean": 0.0, "spread": 1.0}, "parameters": 180_000, "noise": 0.1}
    made |= {"prompts": {"learned": 36, "measured": 12}, "pool": 256, "method": "grpo", "kl_weight": 0.0, "cut": 0.1, "repeats": 50}
    return json.loads(json.dumps(made, allow_nan=False))


def test_gold_is_solid_its_proxy_dashed_and_the_law_goes_with_them(found):
    figure = overoptimize.figures(found, "best_of_n")[0]
    gold, guess, law_of = figure.series[:3]
    measured = found["proxies"][0]["best_of_n"]
    assert (gold.name, gold.kind, guess.kind, law_of.kind) == ("1x16", "line", "dots", "raw")
    assert gold.y.tolist() == measured["gold"] and guess.y.tolist() == measured["proxy"] and gold.x.tolist() == measured["d"]
    assert np.interp(gold.x, law_of.x, law_of.y) == pytest.approx(gold.y, abs=0.02)
    assert gold.colour == guess.colour == law_of.colour != figure.series[3].colour


@pytest.mark.parametrize("way", ["best_of_n", "rl"])
def test_a_figure_for_each_amount_and_one_for_the_largest_proxy(found, way):
    figures = overoptimize.figures(found, way)
    assert [figure.title.split(", ")[1] for figure in figures] == ["250 pairs", "2,000 pairs", "proxy 3x64"]
    assert [series.name for series in figures[2].series if series.kind == "line"] == ["250 pairs", "2,000 pairs"]
    assert len(overoptimize.figures({**found, "proxies": found["proxies"][:1]}, way)) == 1


def test_a_policy_that_comes_back_is_drawn_by_its_distance(found):
    back = {**found["proxies"][0], "rl": {**found["proxies"][0]["rl"], "d": [0, 2, 1, 3, 4, 5]}}
    gold = overoptimize.figures({**found, "proxies": [back]}, "rl")[0].series[0]
    assert gold.x.tolist() == [0, 1, 2, 3, 4, 5] and gold.y[1] == back["rl"]["gold"][2]


def test_peaks_are_given_where_they_were_seen_and_only_there(found):
    small, large = (overoptimize.row(p, p["best_of_n"]["fit"]) for p in (found["proxies"][0], found["proxies"][2]))
    assert small["peak"].startswith("1.2") and float(small["kl"]) == pytest.approx(1.25**2, rel=0.1)
    assert large["peak"] == "none up to d = 2.13; the law's is further out" and large["kl"] == large["score"] == ""


def test_the_page_escapes_what_models_wrote_and_says_what_was_done(found):
    page = render(found, "mine")
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page
    assert "4 proxies of mine.py:worth" in page and "10% of them labelled the wrong way round" in page
    assert "GRPO, with nothing against the KL" in page and page.count("<figure") == 6


def test_a_folder_without_results_is_refused(found, tmp_path):
    with pytest.raises(UserError, match="holds no overoptimize.json"):
        overoptimize_report(tmp_path)
    (tmp_path / "overoptimize.json").write_text(json.dumps({**found, "proxies": None}))
    with pytest.raises(UserError, match="overoptimize.json is damaged"):
        overoptimize_report(tmp_path)
    assert not (tmp_path / "report.html").exists()
    (tmp_path / "overoptimize.json").write_text(json.dumps(found))
    assert overoptimize_report(tmp_path).read_text().startswith("<!doctype html>")
