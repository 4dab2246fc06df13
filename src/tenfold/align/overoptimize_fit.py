"""The laws of over-optimisation, fitted: what the gold score does as a policy moves away from where it started.

Source: Gao, Schulman and Hilton 2022, section 3.1: with d = sqrt(KL(policy || start)), best-of-n has R = d (alpha - beta d) and
reinforcement learning R = d (alpha - beta log d), R(0) = 0. Both are linear in alpha and beta, so that least squares needs no search. The
peaks follow by setting the slopes to 0: d* = alpha / (2 beta), and log d* = alpha / beta - 1.

Shapes: P prompts that were measured, K points (n's, or steps), R repeats of the bootstrap. Scores are those above the start's.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from tenfold.evaluate.statistics import LEVEL

Form = Literal["best_of_n", "rl"]
Verdict = Literal["peak", "nearer", "beyond", "rises", "few"]
FEWEST = 3
"""Points away from the start: two would be met exactly by any alpha and beta."""


@dataclass(frozen=True)
class Estimate:
    """A number and the interval that holds it at the level of 95%. None: there is none, or no end to the interval."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Fit:
    """A law, and where it has its peak."""

    form: Form
    verdict: Verdict
    """peak: within what was fitted. nearer: between it and the start, or at the start. beyond: further out. rises: the law has none. few:
    too few points to fit anything, and all numbers are None."""
    points: int
    """That were fitted."""
    nearest: float
    farthest: float
    """The least and the largest d that were fitted."""
    alpha: Estimate
    beta: Estimate
    peak: Estimate
    """d*. Outside of what was fitted it says where the law has its peak, which nothing has seen."""
    peak_score: float | None
    """R(d*)."""
    explained: float | None
    """1 - the squares that are left over those of the scores about their mean."""
    within: float | None
    """The share of the bootstrap's samples whose peak is within what was fitted."""

    def written(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def law(form: Form, alpha: float, beta: float, d_K: np.ndarray) -> np.ndarray:
    """R(d), f64[K]."""
    return features(form, d_K) @ np.array([alpha, beta])


def features(form: Form, d_K: np.ndarray) -> np.ndarray:
    """f64[K, 2]: what alpha and beta are multiplied with."""
    d_K = np.asarray(d_K, np.float64)
    away_K = np.log(np.where(d_K > 0, d_K, 1.0)) if form == "rl" else d_K
    return np.stack([d_K, -d_K * away_K], axis=-1)


def least_squares(form: Form, d_K: np.ndarray, score_K: np.ndarray) -> tuple[float, float]:
    """(alpha, beta)."""
    found, *_ = np.linalg.lstsq(features(form, d_K), np.asarray(score_K, np.float64), rcond=None)
    return float(found[0]), float(found[1])


def peak(form: Form, alpha: float, beta: float) -> float:
    """d*, where the law is highest: inf where it rises for ever, 0 where it falls from the start on."""
    if form == "best_of_n":
        if alpha <= 0:
            return 0.0 if beta >= 0 else np.inf
        return alpha / (2 * beta) if beta > 0 else np.inf
    if beta <= 0:
        return 0.0 if beta == 0 and alpha <= 0 else np.inf
    return float(np.exp(min(alpha / beta - 1, 700.0)))


def fit(
    form: Form, kl_PK: np.ndarray, score_PK: np.ndarray, cut: float = 0.0, repeats: int = 1000, seed: int = 0, until: float | None = None
) -> Fit:
    """The law of the mean scores of P prompts, with intervals from samples of the prompts, drawn with replacement.

    `kl_PK` is in nats, of each prompt. Points nearer to the start than d = `cut` are left out, as at 0 the law of reinforcement learning
    has no finite slope; and so are those further out than `until`. The scatter from one training to another is not in the intervals.
    """
    kl_PK, score_PK = np.asarray(kl_PK, np.float64), np.asarray(score_PK, np.float64)
    d_K = _distance(kl_PK.mean(0))
    used_K = (d_K > 0) & (d_K >= cut) & (d_K <= (np.inf if until is None else until))
    count, farthest = int(used_K.sum()), float(d_K[used_K].max(initial=0.0))
    nearest = float(d_K[used_K].min(initial=farthest))
    nothing = Estimate(None, None, None)
    if count < FEWEST or np.linalg.matrix_rank(features(form, d_K[used_K])) < 2:
        return Fit(form, "few", count, nearest, farthest, nothing, nothing, nothing, None, None, None)
    score_K = score_PK.mean(0)
    alpha, beta = least_squares(form, d_K[used_K], score_K[used_K])
    at = peak(form, alpha, beta)
    drawn_R = np.array([_drawn(form, kl_PK, score_PK, used_K, each_P) for each_P in samples(len(kl_PK), repeats, seed)])
    peaks_R = drawn_R[:, 2]
    left_K = score_K[used_K] - law(form, alpha, beta, d_K[used_K])
    spread = float(((score_K[used_K] - score_K[used_K].mean()) ** 2).sum())
    return Fit(
        form,
        _verdict(at, nearest, farthest),
        count,
        nearest,
        farthest,
        Estimate(alpha, *_interval(drawn_R[:, 0])),
        Estimate(beta, *_interval(drawn_R[:, 1])),
        Estimate(_finite(at), *_interval(peaks_R)),
        float(law(form, alpha, beta, np.array([at]))[0]) if np.isfinite(at) else None,
        1 - float(left_K @ left_K) / spread if spread > 0 else None,
        float(((peaks_R >= nearest) & (peaks_R <= farthest)).mean()),
    )


def samples(prompts: int, repeats: int, seed: int) -> np.ndarray:
    """f64[R, P]: how much of a sample of P prompts, drawn with replacement, each prompt is. The same seed gives the same ones."""
    return np.random.default_rng(seed).multinomial(prompts, np.full(prompts, 1 / prompts), size=repeats) / prompts


def _drawn(form: Form, kl_PK: np.ndarray, score_PK: np.ndarray, used_K: np.ndarray, share_P: np.ndarray) -> tuple[float, float, float]:
    d_K = _distance(share_P @ kl_PK)[used_K]
    alpha, beta = least_squares(form, d_K, (share_P @ score_PK)[used_K])
    return alpha, beta, peak(form, alpha, beta)


def _distance(kl_K: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(kl_K, 0.0))


def _verdict(at: float, nearest: float, farthest: float) -> Verdict:
    if np.isinf(at):
        return "rises"
    if at < nearest:
        return "nearer"
    return "peak" if at <= farthest else "beyond"


def _interval(drawn_R: np.ndarray) -> tuple[float | None, float | None]:
    """Of numbers some of which may be infinite, so that none is made up between two."""
    low, high = np.quantile(drawn_R, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")
    return _finite(low), _finite(high)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
