"""The classifier parts what can be parted, its draw keeps (2 - s)^-9 of score s, and nothing depends on the batch or the order."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.corpus.documents import document_id
from tenfold.corpus.features import Hashing, features
from tenfold.corpus.quality import (
    Classifier,
    Fit,
    borderline,
    draws,
    fit,
    held_out,
    keep,
    keep_chance,
    load,
    roc,
    save,
    score_texts,
)
from tenfold.errors import UserError

SMALL = Fit(hashing=Hashing(buckets=2**10))
IDS = [document_id(str(n)) for n in range(40_000)]


def two_kinds(documents: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Texts of words in common and, for good and bad ones, some words that the other kind seldom has."""
    rng = np.random.default_rng(seed)
    good = rng.random(documents) < 0.5
    own = rng.random((documents, 30)) < 0.15
    words = np.where(own, np.where(good, 100, 200)[:, None], 0) + rng.integers(0, 90, (documents, 30))
    return [" ".join(f"w{word}" for word in row) for row in words], good


@pytest.fixture(scope="module")
def fitted() -> Classifier:
    texts, good = two_kinds(400, 0)
    return fit(features(texts, SMALL.hashing), good, SMALL)


def test_the_classifier_tells_two_kinds_apart(fitted):
    texts, good = two_kinds(400, 1)
    curve = roc(score_texts(fitted, texts), good)
    assert curve.area > 0.95


def test_the_fit_is_where_the_gradient_ends(fitted):
    """Against the optimum's own condition: at the bias, the two kinds' errors balance."""
    texts, good = two_kinds(400, 0)
    scores = score_texts(fitted, texts)
    assert (1 - scores[good]).mean() == pytest.approx(scores[~good].mean(), abs=2e-3)


@given(st.lists(st.integers(0, 399), min_size=1, max_size=8))
def test_a_score_does_not_depend_on_the_batch(fitted, rows):
    """To the last bit."""
    texts, _ = two_kinds(400, 2)
    assert (score_texts(fitted, texts)[rows] == score_texts(fitted, [texts[row] for row in rows])).all()


def test_a_text_of_no_words_has_a_score(fitted):
    assert score_texts(fitted, ["", " "]).tolist() == [1 / (1 + np.exp(-fitted.bias))] * 2
    assert score_texts(fitted, []).shape == (0,)


@pytest.mark.parametrize("score", [0.0, 0.5, 0.9, 1.0])
def test_the_share_kept_is_the_papers(score):
    """(2 - s)^-9 of the documents of score s, within four standard deviations, and as NumPy's own Pareto draws would have it."""
    chance = (2 - score) ** -9
    kept = keep(IDS, np.full(len(IDS), score)).mean()
    pareto = (np.random.default_rng(0).pareto(9, len(IDS)) > 1 - score).mean()
    spread = 4 * (chance * (1 - chance) / len(IDS)) ** 0.5
    assert abs(kept - chance) <= spread and abs(pareto - chance) <= spread
    assert keep_chance(np.array([score]))[0] == pytest.approx(chance)


def test_the_draw_is_the_documents_own():
    """The same in any order; another seed draws anew."""
    assert (draws(IDS[:100])[::-1] == draws(IDS[:100][::-1])).all()
    assert abs(np.corrcoef(draws(IDS, 0), draws(IDS, 1))[0, 1]) < 0.03
    assert abs(draws(IDS).mean() - 0.5) < 0.01


def test_the_draw_has_nothing_to_do_with_what_is_held_out():
    """Ids under a small fraction are the held-out documents; their draws must be spread like any other's."""
    out = held_out(IDS, 0.05)
    assert abs(draws(np.array(IDS)[out].tolist()).mean() - 0.5) < 4 * (1 / 12 / out.sum()) ** 0.5


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=12).filter(lambda rows: len({g for _, g in rows}) == 2))
def test_the_area_is_the_chance_of_the_right_order(rows):
    """Against all pairs counted: one for the right order, a half for a tie."""
    scores, good = np.array([s for s, _ in rows], float), np.array([g for _, g in rows])
    ahead = scores[good][:, None] - scores[~good][None, :]
    curve = roc(scores, good)
    assert curve.area == pytest.approx(((ahead > 0) + 0.5 * (ahead == 0)).mean())
    assert (np.diff(curve.thresholds) < 0).all() and curve.true_positive_rate[-1] == curve.false_positive_rate[-1] == 1


def test_borderline_documents_are_those_nearest_one_half():
    scores = np.array([0.1, 0.52, 0.9, 0.47, 0.5])
    assert borderline(scores, ["a", "b", "c", "d", "e"], 3).tolist() == [1, 4, 3]


def test_saved_and_loaded_it_is_the_same(fitted, tmp_path):
    save(fitted, tmp_path / "quality.npz")
    again = load(tmp_path / "quality.npz")
    assert (again.weights == fitted.weights).all() and (again.bias, again.hashing) == (fitted.bias, fitted.hashing)


def test_other_files_are_refused(fitted, tmp_path):
    path = tmp_path / "quality.npz"
    with pytest.raises(UserError, match="no quality classifier at"):
        load(path)
    save(fitted, path)
    whole = path.read_bytes()
    for damaged in (b"", b"text", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"quality.npz is no quality classifier, or is damaged"):
            load(path)
    save(dataclasses.replace(fitted, weights=fitted.weights[:-1]), path)
    with pytest.raises(UserError, match="1023"):
        load(path)
    save(dataclasses.replace(fitted, bias=float("nan")), path)
    with pytest.raises(UserError, match="no numbers"):
        load(path)


def test_one_kind_alone_is_refused():
    with pytest.raises(UserError, match="0 curated and 2 raw"):
        fit(features(["a", "b"], SMALL.hashing), np.array([False, False]), SMALL)
    with pytest.raises(UserError, match="2 curated and 0 raw"):
        roc(np.zeros(2), np.array([True, True]))
    with pytest.raises(UserError, match="quality.l2"):
        Fit(l2=0.0)
