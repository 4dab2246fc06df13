"""Which points a law may be fitted to; the rest are set aside with the reason, or refused."""

import math

import pytest

from made_ladder import on_line
from tenfold.errors import UserError
from tenfold.scaling.points import Point, chosen


def changed(point: Point, **values) -> Point:
    return Point(**{**point.record(), **values})


def reasons(points: list[Point]) -> dict[str, str]:
    return {aside.point.name: aside.reason for aside in chosen(points, embeddings=True).aside}


def test_a_ladder_that_falls_is_kept_whole_and_by_compute():
    points = on_line([4.0, 3.6, 3.3, 3.1])
    assert chosen(points[::-1], embeddings=True).kept == points


@pytest.mark.parametrize("loss", [math.nan, math.inf, -1.0, 0.0])
def test_a_diverged_run_is_set_aside(loss):
    points = on_line([4.0, 3.6, 3.3, 3.1])
    points[2] = Point("broken", points[2].tokens, points[2].flops, loss, points[2].parameters)
    assert reasons(points) == {"broken": f"diverged: its loss is {loss}"}


def test_a_known_fault_is_the_reason():
    points = on_line([4.0, 3.6, 3.3, 3.1])
    points[3] = changed(points[3], fault="it did not finish its 100 steps")
    assert reasons(points) == {"rung3": "it did not finish its 100 steps"}


def test_of_two_runs_of_one_size_and_tokens_the_better_stays():
    points = on_line([4.0, 3.6, 3.3])
    worse = changed(points[1], name="again", loss=3.65)
    assert reasons([*points, worse]) == {"again": "the same size and tokens as rung1, whose loss is no higher"}
    better = changed(points[1], name="again", loss=3.55)
    assert list(reasons([*points, better])) == ["rung1"]
    assert len(reasons([*points, changed(points[1], name="again")])) == 1
    other_tokens = changed(points[1], name="longer", tokens=2 * points[1].tokens, flops=2 * points[1].flops, loss=3.4)
    assert not reasons([*points, other_tokens])


def test_a_larger_run_that_is_no_better_is_set_aside():
    points = on_line([4.0, 3.6, 3.6, 3.2, 3.1])
    assert reasons(points) == {"rung2": "its loss, 3.6, is no lower than the 3.6 of rung1, which had 4 times less compute"}


def test_runs_of_one_budget_may_be_better_or_worse():
    """A small model for long and a large one for short: neither outdoes the other by its size."""
    profile = [Point(f"{k}", 1e9 / k, 6e17, loss, 1e8 * k) for k, loss in ((0.5, 3.2), (1, 3.0), (2, 3.1))]
    assert not reasons(profile)


def test_a_run_of_little_more_compute_may_be_worse_by_chance():
    close = on_line([4.0, 3.6, 3.605, 3.2], ratio=1.9)
    assert not reasons(close)


def test_losses_that_never_fall_are_refused_with_the_reasons():
    with pytest.raises(UserError, match=r"at least 3 points, and there is 1 to fit.*\n    rung1: its loss.*\n    rung2: its loss"):
        chosen(on_line([3.0, 3.1, 3.2]), embeddings=True)


def test_duplicates_do_not_make_three_points():
    points = on_line([4.0, 3.6])
    with pytest.raises(UserError, match=r"there are 2 to fit.*\n    again: the same size and tokens as rung1"):
        chosen([*points, changed(points[1], name="again", loss=3.7)], embeddings=True)


def test_losses_a_token_of_two_tokenizers_do_not_mix_and_bits_a_byte_do():
    points = [changed(p, tokenizer=str(i % 2), bits_per_byte=p.loss / 3) for i, p in enumerate(on_line([4.0, 3.6, 3.3]))]
    with pytest.raises(UserError, match="2 tokenizers .*\n.*bits per byte"):
        chosen(points, embeddings=True)
    assert len(chosen(points, True, "bits_per_byte").kept) == 3
    with pytest.raises(UserError, match="rung0 has no bits_per_byte"):
        chosen(on_line([4.0, 3.6, 3.3]), True, "bits_per_byte")


@pytest.mark.parametrize(
    "values, message", [({"tokens": 0}, "tokens is 0"), ({"flops": math.nan}, "flops is nan"), ({"parameters": None}, "no size")]
)
def test_a_point_without_cost_or_size_is_refused(values, message):
    with pytest.raises(UserError, match=message):
        Point(**{"name": "run", "tokens": 1e9, "flops": 1e15, "loss": 3.0, "parameters": 1e6, **values})
