"""A batch is a function of (seed, step): the same for any process, complete in every epoch, in the proportions asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import UserError
from tenfold.tokens.loader import Batch, Loader
from tenfold.tokens.shards import Shards

T = 64


@pytest.fixture(scope="module")
def loader(shards) -> Loader:
    return Loader([shards], [], T, seed=3)


@pytest.fixture(scope="module")
def mixed(sources) -> Loader:
    return Loader(sources, [0.2, 0.3, 0.5], T, seed=3)


def windows(loader: Loader) -> int:
    return (loader.sources[0].tokens - 1) // loader.context


def equal(a: Batch, b: Batch) -> bool:
    return all(np.array_equal(x, y) and x.dtype == y.dtype for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("epoch", [0, 1])
def test_every_window_appears_once_an_epoch(loader, shards, epoch):
    """Tokens and targets of an epoch's rows are the stream's windows, each once, whatever the order."""
    count = windows(loader)
    ids, _ = shards.window(0, count * T + 1)
    due = np.stack([ids[:-1].reshape(count, T), ids[1:].reshape(count, T)], axis=1)
    batch = loader.rows(epoch * count, count)
    found = np.stack([batch.tokens_BT, batch.targets_BT], axis=1)

    def ordered(rows):
        return rows[np.lexsort(rows.reshape(count, -1).T)]

    np.testing.assert_array_equal(ordered(found), ordered(due))
    assert not np.array_equal(found, due)


def test_each_epoch_and_seed_has_its_own_order(loader, shards):
    count = windows(loader)
    first, second = loader.rows(0, count), loader.rows(count, count)
    other = Loader([shards], [], T, seed=4).rows(0, count)
    for different in (second, other):
        assert np.mean([np.array_equal(a, b) for a, b in zip(first.tokens_BT, different.tokens_BT, strict=True)]) < 0.05


@given(st.integers(0, 10**6), st.integers(1, 24), st.integers(1, 8))
def test_processes_together_read_the_batch(mixed, start, count, processes):
    """Any split over processes, each with a loader of its own, joins to the whole."""
    whole = mixed.rows(start, count)
    bounds = [count * n // processes for n in range(processes + 1)]
    parts = [mixed.rows(start, count, slice(a, b)) for a, b in zip(bounds, bounds[1:], strict=False)]
    assert equal(Batch(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True))), whole)


@given(st.integers(0, 10**9))
def test_a_row_does_not_depend_on_what_was_read_before(mixed, sources, number):
    row = mixed.row(number)
    fresh = Loader([Shards.open(source.directory) for source in sources], [0.2, 0.3, 0.5], T, seed=3)
    batch = fresh.rows(number, 1)
    for name, array in zip(("tokens", "targets", "segments"), batch, strict=False):
        np.testing.assert_array_equal(row[name], array[0])
        assert row[name].dtype == np.int32


@given(st.integers(0, 10**6))
def test_targets_are_the_next_tokens(mixed, number):
    row = mixed.row(number)
    np.testing.assert_array_equal(row["tokens"][1:], row["targets"][:-1])


def test_every_place_is_used(mixed):
    assert mixed.rows(0, 50).weights_BT.dtype == np.float32 and (mixed.rows(0, 50).weights_BT == 1).all()


@given(st.integers(0, 10**6))
def test_segments_number_the_documents_and_ends_belong_to_theirs(loader, tokenizer, number):
    row = loader.row(number)
    ended = np.concatenate([[0], np.cumsum(row["tokens"] == tokenizer.end_of_text)[:-1]])
    np.testing.assert_array_equal(row["segments"], 1 + ended)


@given(st.integers(0, 10**6))
def test_provenance_names_the_documents_whose_text_is_in_the_row(mixed, tokenizer, number):
    """Every place belongs to one document, and its text there is that document's text."""
    row, found, read = mixed.row(number), mixed.provenance(number), 0
    for record, first, last in found:
        assert first == read
        read = last + 1
        source = next(each for each in mixed.sources if str(each.directory) == record["shards"])
        ids, _ = source.window(record["start"], record["tokens"])
        text, part = tokenizer.decode_bytes(ids), tokenizer.decode_bytes(row["tokens"][first : last + 1])
        assert part in text and (first == 0 or text.startswith(part))
        assert set(row["segments"][first : last + 1]) == {1 + found.index((record, first, last))}
    assert read == T


def test_provenance_names_files_of_the_library(loader, documents):
    sources = {each.source for each in documents}
    assert all(record["source"] in sources for number in range(20) for record, *_ in loader.provenance(number))


@pytest.mark.parametrize("weights", [[0.2, 0.3, 0.5], [1, 1, 1], [0.001, 5, 3]])
def test_rows_follow_the_weights_and_the_plan_counts_them(sources, weights):
    loader, rows = Loader(sources, weights, T, seed=0), 3000
    drawn = [loader.provenance(number)[0][0]["shards"] for number in range(rows)]
    for line, weight, source in zip(loader.plan(rows), weights, sources, strict=True):
        assert line["path"] == str(source.directory) and line["tokens"] == source.tokens
        assert line["rows"] == drawn.count(line["path"])
        assert abs(line["rows"] - rows * weight / sum(weights)) <= 1
        assert line["weight"] == pytest.approx(weight / sum(weights), rel=1e-5)


def test_the_plan_tells_epochs_and_unique_tokens(mixed, sources):
    """Counted from the rows themselves: how often the windows of the smallest source come, and how many of them."""
    small, rows = 2, 1500
    *_, line = mixed.plan(rows)
    seen = [row["tokens"].tobytes() for row in map(mixed.row, range(rows))]
    drawn = [s for number, s in enumerate(seen) if mixed.provenance(number)[0][0]["shards"] == line["path"]]
    count = (sources[small].tokens - 1) // T
    assert line["epochs"] == pytest.approx(len(drawn) / count) and line["epochs"] > 2
    assert line["unique_tokens"] == len(set(drawn)) * T == count * T
    first, *_ = mixed.plan(10)
    assert first["unique_tokens"] == first["rows"] * T and 0 < first["epochs"] < 1


def test_no_weights_mean_in_proportion_to_tokens(sources):
    loader = Loader(sources, [], T, seed=0)
    total = sum(source.tokens for source in sources)
    for line, source in zip(loader.plan(10_000), sources, strict=True):
        assert line["rows"] == pytest.approx(10_000 * source.tokens / total, abs=1)


def test_sources_are_shuffled_apart(sources):
    """Two sources that are the same are not read in the same order."""
    loader = Loader([sources[0], sources[0]], [1, 1], T, seed=0)
    rows = [row["tokens"].tobytes() for row in map(loader.row, range(80))]
    assert sum(a == b for a, b in zip(rows[::2], rows[1::2], strict=True)) < 4


def test_a_source_of_one_window(sources):
    loader = Loader([sources[2]], [], sources[2].tokens - 1, seed=0)
    assert np.array_equal(loader.row(0)["tokens"], loader.row(7)["tokens"])


def test_seeds_may_be_large(shards):
    assert Loader([shards], [], T, seed=2**64 - 1).row(0)["tokens"].shape == (T,)


def test_messages(sources):
    with pytest.raises(
        UserError, match=r"small holds \d+ tokens, fewer than one row of context 100000 needs \(100001\).\n  Name more text"
    ):
        Loader(sources[2:], [], 100_000, seed=0)
    with pytest.raises(UserError, match="There is no training data.*\n  Name documents or shards in data.paths"):
        Loader([], [], T, seed=0)
    with pytest.raises(UserError, match="data.weights has 2 numbers for 3 sources"):
        Loader(sources, [1, 2], T, seed=0)
