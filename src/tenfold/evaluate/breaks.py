"""Does a score bend upward along log compute, or rise on a straight line?

Two curves are put through the models' scores by least squares, a straight line and a hinge, two straight pieces that meet at a break:

    y = a + b x        and        y = a + b x + d max(0, x - t),  d >= 0,    x = log10 of the training FLOPs

t lies from the second of the computes to the last but one, where each piece has two models. The statistic is by how much the best hinge
leaves less than the line, over what the hinge leaves a degree of freedom, but not below what the choice of items alone would leave. Its
distribution for scores that do lie on a line is simulated: the fitted line, with the items drawn anew (the same ones for all models, which
all answered them) and with scatter between models, as much as they have about the line beyond their items. So a line that wobbles from
model to model is not mistaken for a break, and nothing is found where there are too few models to tell the two apart.

A break by chance looks the same up or down, but what saturates bends down: only an upward one is asked for.

Source: the sup-F test of a kink with its place unknown, by a parametric bootstrap (Hansen 2017, "Regression kink with an unknown
threshold"), which here has two sources of noise. Shapes: N items, M models, R repeats, T places of a break.
"""

from dataclasses import dataclass

import numpy as np

from tenfold.errors import UserError
from tenfold.evaluate.statistics import bootstrap_means, interval

FEWEST = 5
"""Different computes: a hinge has four free numbers and passes through any four points, through three even with the break where one
likes."""
REPEATS = 2_000
PLACES = 81
"""Where a break is looked for, evenly, and at each model too."""
SAME = 0.01
"""Computes that are closer in log10 count as one."""
TINY = 1e-12  # of a variance: scores that are all alike leave nothing to divide by


@dataclass(frozen=True)
class Bend:
    """What the two curves say of one score."""

    line: tuple[float, float]
    """a and b of the straight line; b is the score gained for ten times the compute."""
    straight: float
    """The share of the scores' variance that the line explains; 1 where they are all alike."""
    rise_p: float
    """Of no rise: how often scores that are level, with this noise, give a line as steep."""
    p: float
    """Of no break: how often scores on the line, with this noise, give a hinge that is as much better."""
    at: float
    """log10 of the FLOPs where the best hinge breaks; NaN where no hinge that bends upward is better than the line."""
    low: float
    high: float
    """The 95% interval of `at`. An end that lies at the second compute, or the last but one, is as far as was looked."""
    before: float
    after: float
    """Slopes of the hinge."""
    start: float
    """The hinge's a."""
    scatter: float
    """Standard deviation of the models about the hinge beyond what their items explain."""


def computes(x_M) -> int:
    """How many different ones there are."""
    x_M = np.sort(np.asarray(x_M, np.float64))
    return int(len(x_M) > 0) + int((np.diff(x_M) > SAME).sum())


def bend(x_M, rows_NM, seed: int = 0, repeats: int = REPEATS) -> Bend:
    """Tests the means over items of `rows_NM`, each item's worth by each model, against x_M, log10 of their compute.

    Raises UserError for fewer than `FEWEST` different computes, and where there are no items.
    """
    x_M, rows_NM = np.asarray(x_M, np.float64), np.asarray(rows_NM, np.float64)
    if (count := computes(x_M)) < FEWEST:
        raise UserError(
            f"a break is looked for in at least {FEWEST} models of different compute, and there are {count}: "
            "a line with a break passes through any four points.\n  Train more sizes."
        )
    if not len(rows_NM):
        raise UserError("there are no items, so there is no score.\n  Ask for at least one, with a larger --limit.")
    rng = np.random.default_rng(seed)
    y_M, M = rows_NM.mean(axis=0), len(x_M)
    items_RM = bootstrap_means(rows_NM, seed, repeats) - y_M
    design = _Design.of(x_M)
    floor = float((design.residual_MM * np.cov(items_RM, rowvar=False)).sum() / (M - 2))
    level_M, line_M = np.full(M, y_M.mean()), y_M - design.residual_MM @ y_M

    def like(mean_M: np.ndarray, degrees: int) -> np.ndarray:
        """Scores that lie on `mean_M` but for the items and for scatter such as these models have. How much that is, so few models do not
        say: it is drawn too, as a variance from so many degrees of freedom."""
        variance_R1 = ((y_M - mean_M) ** 2).sum() / rng.chisquare(degrees, (repeats, 1))
        return mean_M + items_RM + np.sqrt(np.maximum(0, variance_R1 - floor)) * rng.standard_normal((repeats, M))

    rise_p = _p(design.rise(y_M[None], floor)[0], design.rise(like(level_M, M - 1), floor))
    p = _p(design.hinge(y_M[None], floor)[0][0], design.hinge(like(line_M, M - 2), floor)[0])
    slope = float(np.polyfit(x_M, y_M, 1)[0])
    total, left = float(((y_M - y_M.mean()) ** 2).sum()), float(((y_M - line_M) ** 2).sum())
    straight = 1.0 if total < TINY else 1 - left / total
    line = (float(y_M.mean() - slope * x_M.mean()), slope)
    gains_T = design.gains(y_M[None])[0]
    if gains_T.max() < TINY:
        return Bend(line, straight, rise_p, p, np.nan, np.nan, np.nan, slope, slope, line[0], _scatter(y_M - line_M, M - 2, floor))
    at = design.places_T[gains_T.argmax()]
    (start, before, more), hinge_M = design.fitted(y_M, at)
    again_RM = like(hinge_M, M - 4)
    _, found_R = design.hinge(again_RM, floor)
    bends_R = design.gains(again_RM)[np.arange(repeats), found_R] > TINY
    low, high = interval(design.places_T[found_R[bends_R]]) if bends_R.any() else (design.places_T[0], design.places_T[-1])
    scatter = _scatter(y_M - hinge_M, M - 4, floor)
    return Bend(line, straight, rise_p, p, float(at), low, high, before, before + more, start, scatter)


@dataclass(frozen=True)
class _Design:
    """What depends on the computes alone."""

    x_M: np.ndarray
    residual_MM: np.ndarray
    """Takes the straight line out."""
    slope_M: np.ndarray
    """The direction of a slope, of length 1."""
    places_T: np.ndarray
    bend_TM: np.ndarray
    """The directions of a break at each place that no line has, of length 1."""

    @classmethod
    def of(cls, x_M: np.ndarray) -> "_Design":
        M, sorted_M = len(x_M), np.sort(x_M)
        different = sorted_M[np.r_[True, np.diff(sorted_M) > SAME]]
        centred_M = x_M - x_M.mean()
        slope_M = centred_M / np.linalg.norm(centred_M)
        residual_MM = np.eye(M) - np.full((M, M), 1 / M) - np.outer(slope_M, slope_M)
        places_T = np.union1d(np.linspace(different[1], different[-2], PLACES), different[1:-1])
        bend_TM = np.maximum(0, x_M - places_T[:, None]) @ residual_MM
        return cls(x_M, residual_MM, slope_M, places_T, bend_TM / np.linalg.norm(bend_TM, axis=1, keepdims=True))

    def gains(self, y_RM: np.ndarray) -> np.ndarray:
        """f64[R, T]: by how much a hinge with an upward break at each place leaves less than the line, in squares."""
        return np.maximum(0, y_RM @ self.bend_TM.T) ** 2

    def hinge(self, y_RM: np.ndarray, floor: float) -> tuple[np.ndarray, np.ndarray]:
        """The statistic of each row, f64[R], and which place is best, int[R]."""
        gains_RT = self.gains(y_RM)
        best_R = gains_RT.argmax(axis=1)
        gain_R = gains_RT[np.arange(len(y_RM)), best_R]
        left_R = ((y_RM @ self.residual_MM) ** 2).sum(axis=1) - gain_R
        return gain_R / np.maximum(left_R / (len(self.x_M) - 4), max(floor, TINY)), best_R

    def rise(self, y_RM: np.ndarray, floor: float) -> np.ndarray:
        """f64[R]: the same of the line against a level."""
        gain_R = np.maximum(0, y_RM @ self.slope_M) ** 2
        left_R = ((y_RM @ self.residual_MM) ** 2).sum(axis=1)
        return gain_R / np.maximum(left_R / (len(self.x_M) - 2), max(floor, TINY))

    def fitted(self, y_M: np.ndarray, at: float) -> tuple[tuple[float, float, float], np.ndarray]:
        """(a, b, d) of the hinge that breaks there, and f64[M], its scores."""
        columns_M3 = np.stack((np.ones_like(self.x_M), self.x_M, np.maximum(0, self.x_M - at)), axis=1)
        a, b, d = np.linalg.lstsq(columns_M3, y_M, rcond=None)[0]
        return (float(a), float(b), float(d)), columns_M3 @ (a, b, d)


def _scatter(left_M: np.ndarray, degrees: int, floor: float) -> float:
    """Standard deviation of what is left beyond what the items explain."""
    return float(np.sqrt(max(0.0, (left_M**2).sum() / degrees - floor)))


def _p(found: float, simulated_R: np.ndarray) -> float:
    return float((1 + (simulated_R >= found).sum()) / (1 + len(simulated_R)))
