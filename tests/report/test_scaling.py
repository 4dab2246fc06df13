"""The page of laws: what is drawn is what was fitted, and what was set aside is there with its reason."""

import json
import math
import re
from dataclasses import replace

import pytest

from made_ladder import drawn, on_line
from tenfold.report import scaling
from tenfold.report.plots import Figure
from tenfold.report.scaling import render, scaling_page
from tenfold.scaling.laws import LAWS, PUBLISHED
from tenfold.scaling.points import Point
from tenfold.scaling.summary import summary


@pytest.fixture(scope="module")
def found():
    """Twelve runs drawn from a law, one diverged, one outdone, and a target, as the page gets them: through JSON."""
    points = drawn("power", PUBLISHED["Brown et al. 2020"][1], 12, noise=0.002)
    largest = max(points, key=lambda p: p.parameters * p.tokens)
    broken = replace(largest, name="broken", loss=math.nan, tokens=2 * largest.tokens)
    outdone = replace(largest, name="out<done>", loss=9.0, tokens=3 * largest.tokens, flops=3 * largest.flops)
    target = replace(largest, name="target", tokens=4 * largest.tokens, flops=4 * largest.flops)
    return json.loads(json.dumps(summary([*points, broken, outdone], bootstrap=60, target=target), allow_nan=False))


def named(figure: Figure, name: str):
    return next(series for series in figure.series if series.name == name)


def test_points_and_what_was_set_aside_are_drawn_where_they_were_measured(found):
    figure = scaling.loss(found)
    assert len(named(figure, "runs").x) == 12
    assert named(figure, "set aside").y.tolist() == [9.0] and len(named(figure, "not fitted").x) == 1
    assert "broken is set aside: diverged: its loss is nan." in figure.caption and "out<done> is set aside: its loss, 9," in figure.caption


def test_the_line_is_the_law_and_lies_in_its_band(found):
    figure, fit = scaling.loss(found), found["fit"]
    line, low = named(figure, fit["law"]), named(figure, "95% of new runs")
    high = next(series for series in figure.series if series.name == "" and series.kind == "raw")
    assert ((low.y < line.y) & (line.y < high.y)).all()
    assert line.x[-1] == pytest.approx(math.log10(10 * max(p["flops"] for p in fit["points"])))


def test_the_line_of_a_law_of_tokens_is_that_law():
    """Runs of 20 tokens a parameter: C FLOPs are 6 N D, so D is the root of 20 C / 6."""
    found = summary(on_line([4.0, 3.6, 3.3, 3.1]), bootstrap=60)
    fit = found["fit"]
    assert LAWS[fit["law"]].reads == "D"
    line = named(scaling.loss(found), fit["law"])
    assert line.y == pytest.approx(LAWS[fit["law"]].loss(fit["constants"], None, (20 * 10**line.x / 6) ** 0.5, None))


def test_residuals_are_shares_of_the_loss(found):
    rows = {round(math.log10(p["flops"]), 9): p["residual"] for p in found["fit"]["points"]}
    series = named(scaling.residuals(found), "measured over predicted")
    assert [rows[round(x, 9)] for x in series.x.tolist()] == series.y.tolist()


def test_parabolas_pass_by_their_runs_and_faults_are_said():
    c, points = PUBLISHED["Hoffmann et al. 2022"][1], []
    for flops, factors in ((1e18, (0.25, 0.5, 1, 2, 4)), (1e19, (0.25, 0.5, 1, 2, 4)), (1e20, (0.1, 0.15, 0.2))):
        for factor in factors:
            N = 4.5e7 * (flops / 1e18) ** 0.45 * factor
            points.append(Point(f"{flops:.0e} {factor}", flops / 6 / N, flops, LAWS["chinchilla"].loss(c, N, flops / 6 / N, None), N))
    found = summary(points, bootstrap=0)
    figure = scaling.isoflops(found)
    assert [s.name for s in figure.series if s.kind == "line"] == ["1e+18 FLOPs", "1e+19 FLOPs", "1e+20 FLOPs"]
    assert "1e+20 FLOPs: its lowest loss lies above the sizes that were trained." in figure.caption
    assert [row["approach"][0] for row in found["approaches"]] == ["2", "3"] and "approach 1 needs the curves" in found["missing"][0]
    assert "2: IsoFLOP parabolas" in render(found)


def test_the_page_says_what_was_counted_and_every_law(found, tmp_path):
    page = scaling_page(tmp_path / "scaling.html", found).read_text()
    assert f"Parameters are counted {found['fit']['parameters']}." in page and "nats a token" in page
    assert all(law in page for law in LAWS)
    assert "out&lt;done&gt;" in page and "out<done>" not in page
    assert len(re.findall("<figure", page)) == len(scaling.plots(found)) >= 2
    assert not re.search(r"[^a-z]nan[^a-z]", page.replace("its loss is nan", "").split("<main>")[1].split("<script>")[0])


def test_bits_per_byte_are_drawn_when_they_were_fitted():
    points = [replace(p, bits_per_byte=p.loss / 4, tokenizer=str(i)) for i, p in enumerate(on_line([4.0, 3.6, 3.3, 3.1, 2.95]))]
    found = summary(points, bootstrap=20, measure="bits_per_byte")
    assert named(scaling.loss(found), "runs").y.tolist() == [1.0, 0.9, 0.825, 0.775, 0.7375]
    assert "bits a byte" in render(found)
