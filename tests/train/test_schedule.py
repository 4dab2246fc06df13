"""Batch sizes that grow and learning rates that rise and fall, against plain Python."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.recipes.gpt3 import TABLE, gpt3
from tenfold.train.batch_schedule import BatchSchedule, batch_schedule
from tenfold.train.recipe import OptimizerConfig
from tenfold.train.schedule import learning_rate


@st.composite
def schedules(draw) -> BatchSchedule:
    first, growth, context = draw(st.integers(1, 16)), draw(st.integers(1, 5)), draw(st.integers(1, 64))
    ramp_tokens = draw(st.integers(0, first * growth * context * 20))
    return BatchSchedule(first * growth, context, draw(st.sampled_from([0, first])), ramp_tokens)


@given(schedules())
def test_each_row_is_taken_once_in_order(schedule):
    """Steps take contiguous rows, from row 0, none twice and none left out."""
    assert schedule.rows_before(0) == schedule.tokens_before(0) == 0
    for step in range(200):
        assert schedule.rows_before(step + 1) == schedule.rows_before(step) + schedule.batch_rows(step)


@given(schedules())
def test_batches_grow_by_multiples_of_the_first_and_then_stay(schedule):
    """Never smaller than before, each a multiple of the first, full at the latest one batch after the ramp's tokens; few sizes."""
    sizes = [schedule.batch_rows(step) for step in range(400)]
    assert sizes == sorted(sizes)
    assert all(size % sizes[0] == 0 for size in sizes)
    ramping = [step for step, size in enumerate(sizes) if size < schedule.rows]
    if ramping:
        assert sizes[0] == schedule.ramp_rows
        assert schedule.tokens_before(ramping[-1]) < schedule.ramp_tokens
    else:
        assert set(sizes) == {schedule.rows}
    assert len({stage.rows for stage in schedule.stages}) == len(schedule.stages)


@given(schedules())
def test_the_ramp_is_about_linear_in_tokens(schedule):
    """While it grows, a batch is the straight line from the first size to the full one, rounded down to a multiple of the first."""
    if schedule.stages[0].rows == schedule.rows:
        return
    growths = schedule.rows // schedule.ramp_rows - 1
    for step in range(200):
        done = min(1.0, schedule.tokens_before(step) / schedule.ramp_tokens)
        assert schedule.batch_rows(step) == pytest.approx(
            schedule.ramp_rows * (1 + math.floor(done * growths + 1e-9)), abs=schedule.ramp_rows
        )


@given(schedules(), st.integers(1, 100_000))
def test_steps_for_tokens_are_the_fewest(schedule, tokens):
    steps = schedule.steps_for(tokens)
    assert schedule.tokens_before(steps) >= tokens > schedule.tokens_before(steps - 1)


@settings(max_examples=12)
@given(
    schedules(),
    st.integers(2, 60),
    st.floats(0, 1.5),
    st.floats(0, 2.0),
    st.floats(0, 1),
    st.sampled_from([None, 1.0, 2.5]),
)
def test_the_learning_rate_is_the_formula(schedule, steps, warmup, decay, final, power):
    """Linear over the warm-up, then a cosine or a power to `final` of the peak, then level; by the tokens seen once the step is done."""
    total = schedule.tokens_before(steps)
    config = OptimizerConfig(learning_rate=3e-4, warmup_tokens=int(warmup * total), decay_tokens=int(decay * total), final_fraction=final)
    config = config if power is None else replace(config, decay="polynomial", decay_power=power)
    end = config.decay_tokens or total
    start = min(config.warmup_tokens, end)
    found = np.asarray(learning_rate(config, schedule, steps)(np.arange(60)))
    for step in range(steps):
        tokens = schedule.tokens_before(step + 1)
        progress = min(1.0, max(0.0, (tokens - start) / max(end - start, 1)))
        left = 0.5 * (1 + math.cos(math.pi * progress)) if power is None else (1 - progress) ** power
        wanted = 3e-4 * (min(1.0, tokens / start) if start else 1.0) * (final + (1 - final) * left)
        assert float(found[step]) == pytest.approx(wanted, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("size", TABLE)
def test_gpt3s_schedules(size):
    """32 thousand tokens at first, the printed batch within 7% at the ramp's end, 300 billion tokens in all, 10% of the rate at the end."""
    recipe, printed = gpt3(size), TABLE[size]
    schedule = batch_schedule(recipe)
    assert schedule.batch_rows(0) * 2048 == 32_768
    assert schedule.rows * 2048 == pytest.approx(printed.batch_tokens, rel=0.07)
    full = next(stage for stage in schedule.stages if stage.rows == schedule.rows)
    assert 4e9 <= full.first_row * 2048 < 12e9 + 2 * schedule.rows * 2048
    assert schedule.tokens_before(recipe.train.steps - 1) < 300e9 <= schedule.tokens_before(recipe.train.steps)
    rate = learning_rate(recipe.optimizer, schedule, recipe.train.steps)
    warm, cold, last = schedule.steps_for(375_000_000), schedule.steps_for(260_000_000_000), recipe.train.steps - 1
    assert float(rate(warm // 2)) < float(rate(warm)) == pytest.approx(printed.learning_rate, rel=1e-3)
    assert float(rate(cold)) == pytest.approx(printed.learning_rate / 10, rel=1e-3) == float(rate(last))
