"""Files to examples to rows: a batch is a function of (seed, step), and each task has its own rows."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.codefusion.data import Example
from tenfold.codefusion.recipe import FusionTraining
from tenfold.codefusion.rows import RowMaker, closed, encode_examples, trimmed
from tenfold.errors import UserError
from tiny_fusion import MASKED, PAIRS


@pytest.fixture(scope="module")
def maker(recipe, tokenizer):
    """`maker(**train)` -> the rows of the pairs."""
    examples = [Example(text, code, language="python") for text, code in PAIRS.items()]

    def made(**train) -> RowMaker:
        chosen = recipe(**train)
        return RowMaker(chosen, encode_examples(examples, tokenizer, chosen.model.length), tokenizer)

    return made


def test_a_batch_is_a_function_of_seed_and_step(maker):
    a, b = maker(tasks=("code", "denoising")), maker(tasks=("code", "denoising"))
    for step in (3, 0, 3):
        for one, other in zip(jax.tree.leaves(a.batch(step)), jax.tree.leaves(b.batch(step)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_each_example_comes_once_before_any_comes_again(maker, tokenizer):
    rows = maker(batch=2)
    codes = [tokenizer.decode(trimmed(row, tokenizer.end_of_text)) for step in range(4) for row in rows.batch(step).code_BT]
    assert sorted(codes[:4]) == sorted(codes[4:]) == sorted(PAIRS.values())


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1, max_size=12))
def test_a_hole_ends_at_its_first_pad_and_what_is_given_stays(places):
    """Against holes one by one; 0 is the pad, and what is given has none."""
    left: list[int] = []
    open_hole = True
    for free, token in places:
        open_hole = not free or (open_hole and token != 0)
        left += [token if free else token + 1] * open_hole
    free_BT = np.array([[free for free, _ in places]])
    tokens_FBT = np.array([[[token if free else token + 1 for free, token in places]]] * 2)
    row = left + [0] * (len(places) - len(left))
    assert closed(tokens_FBT, free_BT, 0).tolist() == [[row]] * 2


def test_pairs_have_their_text_and_pads_count_less(maker, tokenizer):
    rows = maker(drop_text=0.0, pad_weight=0.25).batch(0)
    pad = tokenizer.end_of_text
    for text, real, code, weight in zip(rows.text.ids_BS, rows.text.real_BS, rows.code_BT, rows.weight_BT, strict=True):
        snippet = tokenizer.decode(trimmed(code, pad))
        assert PAIRS[tokenizer.decode(text[real][:-1])] == snippet and text[real][-1] == pad
        length = len(tokenizer.encode(snippet))
        assert (weight[: length + 1] == 1).all() and (weight[length + 1 :] == 0.25).all() and (code[length:] == pad).all()
    assert not rows.alone_B.any() and not rows.held_BT.any()


def test_tasks_take_turns_and_denoising_asks_for_what_it_hides(maker, recipe):
    mask = recipe().model.mask
    rows = maker(tasks=("code", "denoising")).batch(0)
    assert rows.alone_B.tolist() == [True, False, True, False]
    for text, code, held, weight in zip(rows.text.ids_BS[1::2], rows.code_BT[1::2], rows.held_BT[1::2], rows.weight_BT[1::2], strict=True):
        hidden = ~held
        assert 0 < hidden.sum() < 10 and (weight == hidden).all()
        assert (text[: len(code)][hidden] == mask).all()
        assert (text[: len(code)] == mask).sum() == hidden.sum()


def test_times_of_a_batch_are_spread_evenly(maker):
    times = np.sort(maker().batch(5).time_B)
    np.testing.assert_allclose(np.diff(times), 0.25, atol=1e-6)


def test_what_is_too_long_is_left_out_and_counted(tokenizer):
    found = encode_examples([Example(None, "x" * 100), Example(None, "y")], tokenizer, 16)
    assert [example.code for example in found.examples] == ["y"] and found.left_out == 1


def test_noisy_steps_may_come_more_often(maker, recipe):
    """With a density of 2 t the mean time is 2/3; other kinds have no noise."""
    late = maker(batch=64, late_noise=2.0)
    times = np.concatenate([late.batch(n).time_B for n in range(20)])
    assert times.mean() == pytest.approx(2 / 3, abs=0.01) and times.max() < 1
    with pytest.raises(UserError, match="train.late_noise is 2.0, but model.kind 'masked' adds no noise"):
        recipe(MASKED, late_noise=2.0)
    with pytest.raises(UserError, match="train.late_noise is 0"):
        FusionTraining(late_noise=0)
