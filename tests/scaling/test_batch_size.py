"""The critical batch: steps and tokens to one loss give it back, and losses give Kaplan's law."""

import numpy as np
import pytest

from tenfold.errors import UserError
from tenfold.scaling.batch_size import critical_batch, fit_batch_law, fit_critical_batch


def runs(least: float = 1000, tokens: float = 5e8, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Steps and tokens at seven batches, on the hyperbola (S / S_min - 1)(E / E_min - 1) = 1."""
    batch = np.geomspace(2e4, 1e7, 7)
    steps = (least + tokens / batch) * np.exp(noise * np.random.default_rng(0).standard_normal(7))
    return steps, steps * batch


def test_the_hyperbola_gives_its_batch_back():
    steps, tokens = runs()
    assert np.allclose((steps / 1000 - 1) * (tokens / 5e8 - 1), 1)
    found = fit_critical_batch(steps, tokens, bootstrap=0)
    assert found.batch == pytest.approx(5e5, rel=1e-4) and found.least_steps == pytest.approx(1000, rel=1e-4)
    assert found.least_tokens == pytest.approx(5e8, rel=1e-4) and np.abs(found.residuals).max() < 1e-4


def test_noise_widens_the_interval_about_the_batch():
    low, high = (fit_critical_batch(*runs(noise=noise), bootstrap=200) for noise in (0.001, 0.02))
    for found in (low, high):
        assert found.interval[0] <= found.batch <= found.interval[1]
        assert found.batch == pytest.approx(5e5, rel=0.1)
    assert np.ptp(high.interval) > 5 * np.ptp(low.interval)


def test_kaplans_law_comes_back_from_critical_batches():
    losses = np.array([4.0, 3.5, 3.0, 2.5, 2.0])
    batches = critical_batch(losses) * np.exp(0.005 * np.array([1, -1, 0, 1, -1]))
    found = fit_batch_law(losses, batches, bootstrap=100)
    assert found.alpha_B == pytest.approx(0.21, rel=0.02) and found.B_star == pytest.approx(2e8, rel=0.1)
    assert found.batch(3.0) == pytest.approx(critical_batch(3.0), rel=0.02)
    assert found.intervals["alpha_B"][0] <= found.alpha_B <= found.intervals["alpha_B"][1]


def test_batches_too_few_or_too_alike_are_refused():
    with pytest.raises(UserError, match="at least 3 runs .* there are 2"):
        fit_critical_batch([10, 20], [100, 150])
    with pytest.raises(UserError, match="batches differ"):
        fit_critical_batch([10, 11, 12], [100, 110, 120])
    with pytest.raises(UserError, match="above 0"):
        fit_critical_batch([10, 20, np.nan], [100, 150, 300])
    with pytest.raises(UserError, match="at least 3 losses"):
        fit_batch_law([3.0, 2.0], [1e5, 1e6])
