"""Plots: what is drawn is the data, in the box, with round ticks."""

import math
import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tenfold.report.plots import BOX, Figure, Series, draw, number, smooth, thin, ticks

values = st.floats(-1e6, 1e6, allow_nan=False)


def line(y, **options) -> Series:
    return Series("loss", np.arange(len(y), dtype=float), np.array(y, float), **options)


def points_of(d: str) -> np.ndarray:
    return np.array([[float(v) for v in pair] for pair in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", d)])


@given(st.lists(values, min_size=2, max_size=50))
def test_the_path_is_the_data(y):
    assume(max(y) - min(y) > 1e-3)
    drawn = draw(Figure("Loss", "step", [line(y)]))
    points = points_of(drawn["paths"][0]["d"])
    assert np.allclose(points[:, 0], np.linspace(0, BOX, len(y)), atol=0.06)
    assert ((points >= 0) & (points <= BOX)).all()
    low, high = drawn["pointer"]["y"]
    assert np.allclose(high - points[:, 1] / BOX * (high - low), y, atol=1e-4 * (high - low))


@given(low=values, span=st.floats(1e-5, 1e6), about=st.integers(3, 8))
def test_ticks_are_inside_evenly_apart_and_neither_few_nor_many(low, span, about):
    assume(span > 1e-6 * abs(low))
    found = ticks(low, low + span, about)
    assert all(low - 1e-6 * span - 1e-9 <= t <= low + span + 1e-6 * span + 1e-9 for t in found)
    assert about * 0.5 - 1 <= len(found) <= about * 1.8 + 1
    assert np.allclose(np.diff(found), found[1] - found[0] if len(found) > 1 else 0)


def test_nan_breaks_the_line_and_is_not_drawn():
    drawn = draw(Figure("Loss", "step", [line([3, 2, math.nan, math.inf, 1, 0.5])]))
    d = drawn["paths"][0]["d"]
    assert d.count("M") == 2 and "nan" not in d and "inf" not in d
    assert drawn["pointer"]["series"][0]["y"] == [3, 2, 1, 0.5]


def test_nothing_finite_is_no_plot():
    assert draw(Figure("Loss", "step", [line([math.nan])])) is None
    assert draw(Figure("Loss", "step", [])) is None
    assert draw(Figure("Loss", "step", [line([1.0], kind="rule")])) is None


def test_one_point_and_a_flat_line_can_be_drawn():
    alone = draw(Figure("Loss", "step", [line([2.0])]))
    assert alone["paths"][0]["dots"]
    flat = draw(Figure("Loss", "step", [line([0.0, 0.0, 0.0])], from_zero=True))
    assert len(points_of(flat["paths"][0]["d"])) == 3


@given(st.integers(0, 4999))
def test_thinning_keeps_every_spike(at):
    y = np.zeros(5000)
    y[at] = 9
    x, thinned = thin(np.arange(5000.0), y)
    assert len(x) <= 1300 and thinned.max() == 9 and x[thinned.argmax()] == at
    y[at] = math.nan
    assert np.isnan(thin(np.arange(5000.0), y)[1]).sum() == 1


@given(st.lists(st.floats(-100, 100) | st.just(math.nan), min_size=30, max_size=300))
def test_smoothing_is_the_mean_of_a_centred_window(y):
    y = np.array(y)
    half = int(len(y) * 0.1 / 2)
    expected = []
    for i in range(len(y)):
        reach = min(half, i)
        window = [v for v in y[i - reach : i + reach + 1] if not math.isnan(v)]
        expected.append(sum(window) / len(window) if window else math.nan)
    assert np.allclose(smooth(y, share=0.1), expected, equal_nan=True)


def test_a_straight_line_is_smooth_already_and_its_start_is_kept():
    y = np.linspace(5, 1, 400)
    calm = smooth(y)
    assert np.allclose(calm[:-7], y[:-7]) and calm[0] == y[0]


def test_the_last_figure_is_not_one_steps_noise():
    y = np.ones(1000)
    y[-1] = 50
    assert smooth(y)[-1] < 5


def test_a_steep_start_leaves_the_picture_and_the_caption_says_so():
    y = [11.0] + [3 - i / 1000 for i in range(500)]
    clipped = draw(Figure("Loss", "step", [line(y)], clip_start=True))
    assert clipped["pointer"]["y"][1] < 4 and "up to 11" in clipped["caption"]
    whole = draw(Figure("Loss", "step", [line(y)]))
    assert whole["pointer"]["y"][1] > 11 and whole["caption"] == ""


def test_labels_of_rules_do_not_touch():
    rules = [Series(name, np.zeros(1), np.array([value]), "rule") for name, value in (("a", 1.70), ("b", 1.71), ("c", 1.72), ("d", 4.7))]
    found = [rule["at"] for rule in draw(Figure("Bits", "step", [line([3, 1.5]), *rules]))["rules"]]
    assert len(found) == 4 and (np.diff(found) >= 7).all()


@pytest.mark.parametrize(
    "value, text",
    [
        (0, "0"),
        (0.0006, "0.0006"),
        (2.154321, "2.154"),
        (1234, "1,234"),
        (1435.4, "1,435"),
        (12_345, "12.35k"),
        (98_304_000, "98.3M"),
        (1.75e11, "175G"),
        (-20_000, "-20k"),
    ],
)
def test_numbers_are_short(value, text):
    assert number(value) == text


def test_ticks_of_an_axis_share_a_unit():
    drawn = draw(Figure("Throughput", "step", [line([0, 13_000])], from_zero=True))
    texts = [tick["text"] for tick in drawn["y_ticks"]]
    assert texts[0] == "0" and all(text.endswith("k") for text in texts[1:])
