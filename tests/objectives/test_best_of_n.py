"""The estimator against all choices enumerated, and the KL against a sum."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.objectives.best_of_n import best_of_each, best_of_n, best_of_n_kl


@given(st.integers(0, 100), st.integers(1, 7))
def test_it_is_the_mean_over_all_choices(seed, n):
    """Of 7 answers, C(7, n) choices one by one; where proxies tie, each of the best is taken alike."""
    random = np.random.default_rng(seed)
    proxy, gold = random.integers(0, 4, 7).astype(float), random.normal(size=7)
    means = []
    for chosen in map(list, combinations(range(7), n)):
        means.append(gold[chosen][proxy[chosen] == proxy[chosen].max()].mean())
    assert best_of_n(proxy, gold, n) == pytest.approx(np.mean(means))


def test_the_best_of_1_is_the_mean_and_of_all_the_maximum():
    proxy, gold = np.arange(1000.0), np.random.default_rng(0).normal(size=1000)
    assert best_of_n(proxy, gold, 1) == pytest.approx(gold.mean())
    assert best_of_n(proxy, gold, 1000) == gold[-1]
    assert best_of_n(proxy, np.ones(1000), 37) == pytest.approx(1)


@pytest.mark.parametrize("n", [0, 8])
def test_more_than_the_pool_holds_is_refused(n):
    with pytest.raises(ValueError, match=f"the best of {n} from 7"):
        best_of_n(np.zeros(7), np.zeros(7), n)


@pytest.mark.parametrize("n", [1, 2, 16])
def test_the_kl_is_that_of_a_fine_uniform_choice(n):
    """The best of n of uniform numbers has the density n u^(n-1): its KL, summed over a fine grid."""
    u = (np.arange(200_000) + 0.5) / 200_000
    density = n * u ** (n - 1)
    assert best_of_n_kl(n) == pytest.approx((density * np.log(density)).mean(), abs=1e-4)


def test_each_prompt_has_its_own_pool():
    """A row a prompt, a column an n; a proxy is its own best gold."""
    random = np.random.default_rng(0)
    proxy, gold = random.normal(size=(3, 20)), random.normal(size=(3, 20))
    found = best_of_each(proxy, gold, [1, 4, 20])
    assert found == pytest.approx(np.array([[best_of_n(p, g, n) for n in (1, 4, 20)] for p, g in zip(proxy, gold, strict=True)]))
    assert (np.diff(best_of_each(gold, gold, [1, 4, 20])) > 0).all() and (best_of_each(gold, gold, [4]) > found[:, 1:2]).all()
