"""Rankings against pairs counted one by one, and numbers worked out by hand."""

from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.objectives.reward import calibration, demonstration_bias, pooled, ranking_loss


def pair_cost(better, worse, margin=0.0):
    return np.log1p(np.exp(-(better - worse - margin)))


def test_a_ranking_of_three_by_hand():
    """Scores 2, 0, 1 of answers ranked 1, 2, 3: the mean of the three pairs' costs, two of which are scored the right way."""
    found = ranking_loss(jnp.float32([[2, 0, 1]]), jnp.int32([[1, 2, 3]]), jnp.ones((1, 3), bool))
    assert float(found.loss) == pytest.approx((pair_cost(2, 0) + pair_cost(2, 1) + pair_cost(0, 1)) / 3, rel=1e-6)
    assert (int(found.prompts), float(found.right), int(found.pairs)) == (1, 2, 3)


@pytest.mark.parametrize("seed", range(8))
def test_a_ranking_is_the_mean_over_its_pairs(seed):
    """With ties, which are no pairs, and answers that are not there; each prompt counts once."""
    random, K = np.random.default_rng(seed), 6
    score, rank, real = random.normal(size=K), random.integers(0, 4, K), random.random(K) < 0.8
    costs = []
    for i, j in combinations(range(K), 2):
        if real[i] and real[j] and rank[i] != rank[j]:
            better, worse = (i, j) if rank[i] < rank[j] else (j, i)
            costs.append(pair_cost(score[better], score[worse]))
    found = ranking_loss(*(jnp.asarray(x)[None] for x in (score.astype(np.float32), rank, real)))
    assert float(found.loss) == pytest.approx(np.mean(costs) if costs else 0, rel=1e-4, abs=1e-6)
    assert (int(found.prompts), int(found.pairs)) == (int(bool(costs)), len(costs))


def test_pairs_are_rankings_of_two():
    """InstructGPT's equation 1 with K = 2 is Bradley and Terry's -log sigmoid; margins as Llama 2's equation 2."""
    scores, ranks, real = jnp.float32([[1, 3], [2, -1]]), jnp.int32([[0, 1], [0, 1]]), jnp.ones((2, 2), bool)
    assert float(ranking_loss(scores, ranks, real).loss) == pytest.approx(pair_cost(1, 3) + pair_cost(2, -1), rel=1e-6)
    with_margin = ranking_loss(scores, ranks, real, jnp.full((2, 2, 2), 1.0))
    assert float(with_margin.loss) == pytest.approx(pair_cost(1, 3, 1) + pair_cost(2, -1, 1), rel=1e-6)


def test_parts_of_a_batch_add_up_and_filling_changes_nothing():
    random = np.random.default_rng(0)
    score, rank = jnp.asarray(random.normal(size=(4, 5)), jnp.float32), jnp.asarray(random.integers(0, 5, (4, 5)))
    real = jnp.asarray(random.random((4, 5)) < 0.9)
    whole = ranking_loss(score, rank, real)
    parts = [ranking_loss(score[n : n + 1], rank[n : n + 1], real[n : n + 1]) for n in range(4)]
    np.testing.assert_allclose(whole, [sum(each) for each in zip(*parts, strict=True)], rtol=1e-6)
    filled = ranking_loss(*(jnp.pad(x, ((0, 3), (0, 2)), constant_values=fill) for x, fill in ((score, 7.0), (rank, -5), (real, False))))
    np.testing.assert_allclose(filled, whole, rtol=1e-6)


def test_scores_far_apart_and_prompts_without_pairs_have_finite_gradients():
    scores = jnp.float32([[-1e4, 1e4], [3.0, 3.0]])
    slope = jax.grad(lambda s: ranking_loss(s, jnp.int32([[0, 1], [1, 1]]), jnp.ones((2, 2), bool)).loss)(scores)
    assert slope.tolist() == [[-1, 1], [0, 0]]


def test_demonstrations_score_0_on_average():
    scores = jnp.float32([1.0, 2.0, 6.0])
    assert float((scores + demonstration_bias(scores)).mean()) == pytest.approx(0)
    assert demonstration_bias(jnp.stack([scores, -scores])).tolist() == [-3, 3], "each member of an ensemble by itself"


def test_calibration_by_hand():
    """Eight of ten pairs right at a difference of log 4, which says 0.8: no error. All right: 0.2. All wrong: 0.8."""
    ahead = np.log(4) * np.float32([1] * 8 + [-1] * 2)
    assert float(calibration(jnp.asarray(ahead))) == pytest.approx(0, abs=1e-6)
    assert float(calibration(jnp.abs(ahead))) == pytest.approx(0.2, abs=1e-6)
    assert float(calibration(-jnp.abs(ahead))) == pytest.approx(0.8, abs=1e-6)


def test_ensembles_by_hand():
    scores = jnp.float32([[1, 4], [3, 4]])
    assert pooled(scores).tolist() == [2, 4]
    assert pooled(scores, "worst").tolist() == [1, 4]
    assert pooled(scores, "variance", 0.5).tolist() == [1.5, 4]
    assert pooled(3 * scores, "deviation", 0.5).tolist() == [4.5, 12], "deviations 3 and 0"
