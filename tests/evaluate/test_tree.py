"""Rows hold every path, each beginning once, and who stands where is what attention is told."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tenfold.evaluate.paths import Path
from tenfold.evaluate.tree import ASKED, Row, cheapest_rows, packed, packed_rows, single_rows
from tenfold.model.config import ModelConfig

tokens = st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple)


@st.composite
def path(draw) -> Path:
    read = draw(tokens)
    return Path(read, tuple(draw(st.lists(st.integers(0, 8), min_size=1, max_size=len(read)))))


paths = st.lists(path(), min_size=1, max_size=30, unique=True)


def beginning(row: Row, node: int) -> tuple[int, ...]:
    """The tokens that a position sees by `ends`, its own last."""
    return tuple(row.tokens[n] for n in range(node + 1) if row.ends[n] > node)


@given(paths, st.sampled_from([8, 16, 64]))
def test_every_path_is_in_a_row_and_asked_for_its_targets(paths, size):
    rows = packed_rows(paths, size)
    placed = {number: row for row in rows for number in row.places}
    assert sorted(placed) == list(range(len(paths))) and sum(len(row.places) for row in rows) == len(paths)
    for number, (read, targets) in enumerate(paths):
        row = placed[number]
        for depth, (target, (entry, which)) in enumerate(zip(targets, row.places[number], strict=True)):
            assert row.targets[entry][which] == target
            assert beginning(row, row.states[entry]) == read[: len(read) - len(targets) + depth + 1]


@given(paths, st.sampled_from([8, 16, 64]))
def test_a_row_is_a_forest_in_which_each_beginning_is_once(paths, size):
    for row in packed_rows(paths, size):
        assert len(row.tokens) <= row.length and row.length >= size
        assert [len(beginning(row, node)) for node in range(len(row.tokens))] == [place + 1 for place in row.positions]
        assert len({beginning(row, node) for node in range(len(row.tokens))}) == len(row.tokens)
        assert all(0 < len(targets) <= ASKED and len(set(targets)) == len(targets) for targets in row.targets)


@given(paths, st.integers(1, 3))
def test_arrays_hold_what_is_asked_and_filling_sees_itself(paths, B):
    rows = packed_rows(paths, 16)
    same = [row for row in rows if row.length == rows[0].length][:B]
    arrays = packed(same, B, 8)
    T = rows[0].length
    assert arrays.count == sum(len(row.states) for row in same) <= len(arrays.states_S)
    for b in range(B):
        used = len(same[b].tokens) if b < len(same) else 0
        np.testing.assert_array_equal(arrays.ends_BT[b, used:], np.arange(used + 1, T + 1))
        assert (arrays.positions_BT[b, used:] == 0).all()
    for row, start, b in zip(same, arrays.starts, range(B), strict=False):
        assert (arrays.states_S[start : start + len(row.states)] - b * T).tolist() == row.states


def test_a_position_asked_for_many_tokens_fits():
    """Each of 60 tokens after the same beginning, in a row of 8: entries never outgrow the arrays."""
    many = [Path((1, 2), (token,)) for token in range(60)]
    rows = packed_rows(many, 8)
    for row in rows:
        assert packed([row], 1, 8).count == len(row.states)
    assert sum(len(row.places) for row in rows) == 60


def test_what_is_shared_is_read_once():
    """Ten questions of 40 tokens after a header of 200 that they share, each with four answers of 10: the header is read once a row."""
    random = np.random.default_rng(0)
    header = random.integers(0, 1000, 200).tolist()
    questions = [[*header, *random.integers(0, 1000, 40).tolist()] for _ in range(10)]
    answers = [Path((*q, *random.integers(0, 1000, 9).tolist()), (0,) * 10) for q in questions for _ in range(4)]
    rows = packed_rows(answers, 512)
    assert sum(len(row.tokens) for row in rows) <= len(rows) * 200 + 10 * (40 + 4 * 9)
    assert len(rows) == 3


def test_a_family_that_outgrows_the_row_gets_a_longer_one():
    """Four answers to a question of 100 tokens stay together, in a row of twice the length asked for."""
    question = tuple(range(100))
    answers = [Path((*question, *range(100 * k, 100 * k + 20)), (1,)) for k in range(1, 5)]
    rows = packed_rows([*answers, Path((5, 6), (7,))], 64)
    assert [(row.length, len(row.tokens)) for row in rows] == [(192, 182)]


def test_rows_are_as_long_as_is_cheap():
    """Short texts that share nothing go in short rows; texts with a long beginning in common in rows that read it once."""
    config = ModelConfig(vocab=1000, context=2048, layers=4, embed=64, heads=4)
    random = np.random.default_rng(0)
    short = [Path(tuple(random.integers(0, 1000, 60).tolist()), (1,)) for _ in range(200)]
    wide = replace(config, embed=1024)
    assert {row.length for row in cheapest_rows(short, config, set(), 2048)} == {128}  # of a narrow model attention is most
    assert {row.length for row in cheapest_rows(short, wide, set(), 2048)} == {192}  # three texts to a row, with 12 of 192 places empty
    header = random.integers(0, 1000, 700).tolist()
    few_shot = [Path((*header, *random.integers(0, 1000, 40).tolist()), (1,)) for _ in range(200)]
    assert {row.length for row in cheapest_rows(few_shot, wide, set(), 2048)} == {2048}
    known = cheapest_rows(short[:8], wide, {512}, 2048)
    assert {row.length for row in known} == {512}  # to compile another program would cost more than it saves


def test_many_texts_that_share_nothing_leave_few_places_empty_and_few_need_few_programs():
    config = ModelConfig(vocab=1000, context=2048, layers=4, embed=1024, heads=4)
    random = np.random.default_rng(0)
    texts = [Path(tuple(random.integers(0, 1000, random.integers(480, 640)).tolist()), (1,)) for _ in range(400)]
    rows = cheapest_rows(texts, config, set(), 2048)
    assert sum(len(row.tokens) for row in rows) > 0.94 * sum(row.length for row in rows)
    assert len({row.length for row in cheapest_rows(texts[:8], config, set(), 2048)}) == 1


def test_single_rows_hold_one_path_each():
    rows = single_rows([Path(tuple(range(n)), (1,)) for n in (3, 70, 20)], 200)
    assert [(row.length, len(row.tokens)) for row in rows] == [(96, 70), (64, 20), (64, 3)]
