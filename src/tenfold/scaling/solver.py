"""Many fits at once: the Huber loss of logarithms, minimised by damped Gauss-Newton and Newton steps on all fits that have not ended.

What is minimised is Hoffmann et al.'s objective (2022, equation 3), the sum over points of weight x Huber(log L' - log L), whose
gradient and curvature are exact here. Where L-BFGS would be called thousands of times, as for a bootstrap, one step of all the fits is
a few matrix products.

Letters: B fits, N points, K terms, Q entries of theta in the terms, P entries of theta.
"""

from typing import NamedTuple

import numpy as np

from tenfold.scaling.forms import Terms

DELTA = 1e-3  # Hoffmann et al.'s: beyond 0.1% of the loss an error counts by its size, not by its square
FITS = 256  # at a time: their arrays stay in the caches
NEAR = 1e-5  # the first damping of fits that begin close to their end: Newton's steps from the first on
SMALLEST, FAR, LARGEST = 1e-9, 1e-4, 1e9  # damping: above FAR a step is Gauss-Newton's, below it Newton's


class Solved(NamedTuple):
    theta_BP: np.ndarray
    objective_B: np.ndarray
    converged_B: np.ndarray


class Model(NamedTuple):
    """The law at the points for each of the fits."""

    log_loss_BN: np.ndarray
    shares_BKN: np.ndarray
    sums_BN: np.ndarray
    scale_B: np.ndarray


def evaluate(terms: Terms, theta_BP: np.ndarray) -> Model:
    """The logarithm of the loss for each theta, and what its derivatives are made of."""
    K, N, Q = terms.slopes_KNQ.shape
    exponents_BKN = (theta_BP[:, :Q] @ terms.slopes_KNQ.reshape(K * N, Q).T).reshape(-1, K, N) + terms.offsets_KN
    top_BN = exponents_BKN.max(1)
    shares_BKN = np.exp(exponents_BKN - top_BN[:, None])
    sums_BN = shares_BKN.sum(1)
    shares_BKN /= sums_BN[:, None]
    logs_BN = top_BN + np.log(sums_BN)
    scale_B = np.exp(theta_BP[:, -1]) if terms.scaled else np.ones(len(theta_BP))
    return Model(scale_B[:, None] * logs_BN, shares_BKN, logs_BN, scale_B)


def huber(residual: np.ndarray, delta: float) -> np.ndarray:
    """residual^2 / 2 up to delta, and from there on a line."""
    size = np.abs(residual)
    return np.where(size <= delta, size**2 / 2, delta * (size - delta / 2))


def minimise(
    terms: Terms,
    log_loss_N: np.ndarray,
    weights_BN: np.ndarray,
    theta_BP: np.ndarray,
    steps: int = 200,
    damping: float = 1e-2,
    delta: float = DELTA,
) -> Solved:
    """The fits from `theta_BP` on, each with its weights of the points; never worse than where it began. `damping` is the first step's."""
    parts = []
    for first in range(0, len(theta_BP), FITS):
        part = slice(first, first + FITS)
        parts.append(_descend(terms, log_loss_N, weights_BN[part], theta_BP[part], steps, damping, delta))
    return Solved(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _descend(terms: Terms, log_loss_N, weights_BN, theta_BP, steps: int, damping: float, delta: float) -> Solved:
    theta_BP = theta_BP.astype(float).copy()
    model = evaluate(terms, theta_BP)
    objective_B = (weights_BN * huber(model.log_loss_BN - log_loss_N, delta)).sum(1)
    damping_B, small_B = np.full(len(theta_BP), damping), np.zeros(len(theta_BP), int)
    left = np.arange(len(theta_BP))  # the fits that go on
    for _ in range(steps):
        if not len(left):
            break
        step_BP, promised_B = _steps(terms, log_loss_N, weights_BN[left], theta_BP[left], damping_B[left], delta)
        trial_BP = theta_BP[left] + step_BP
        with np.errstate(over="ignore", invalid="ignore"):
            trial_B = (weights_BN[left] * huber(evaluate(terms, trial_BP).log_loss_BN - log_loss_N, delta)).sum(1)
        better = trial_B < objective_B[left]
        gain_B = np.where(better, objective_B[left] - trial_B, 0)
        small_B[left] = np.where(gain_B <= 1e-10 * objective_B[left], small_B[left] + 1, 0)
        theta_BP[left[better]], objective_B[left[better]] = trial_BP[better], trial_B[better]
        damping_B[left] = np.clip(np.where(better, damping_B[left] / 8, damping_B[left] * 4), SMALLEST, LARGEST)
        settled = (small_B[left] >= 12) | ((small_B[left] > 0) & (np.abs(promised_B) <= 1e-12 * objective_B[left]))
        left = left[~settled & (objective_B[left] > 1e-28)]
    converged_B = np.ones(len(theta_BP), bool)
    converged_B[left] = False
    return Solved(theta_BP, objective_B, converged_B)


def _steps(terms: Terms, log_loss_N, weights_BN, theta_BP, damping_B, delta: float) -> tuple[np.ndarray, np.ndarray]:
    """float64[B, P], and what the gradient promises of each step, float64[B]: (H + damping x M) step = -gradient.

    Far from the end H is the Gauss-Newton matrix of the weighted squares that touch the Huber loss from above, which goes downhill whatever
    the signs of the curvature; near it H is the true one, whose steps end in a few. M is the diagonal of the former.
    """
    model = evaluate(terms, theta_BP)
    residual_BN = model.log_loss_BN - log_loss_N
    size_BN = np.abs(residual_BN)
    slope_BN = weights_BN * np.clip(residual_BN, -delta, delta)
    above_BN = weights_BN * np.minimum(1, delta / np.maximum(size_BN, delta))
    far_B1 = damping_B[:, None] > FAR
    curvature_BN = np.where(far_B1, above_BN, np.where(size_BN <= delta, weights_BN, 0))
    bent_BN = np.where(far_B1, 0, slope_BN)
    first_BNP = _jacobian(terms, model)
    gradient_BP = np.einsum("bn,bnp->bp", slope_BN, first_BNP)
    metric_BP = np.einsum("bn,bnp->bp", above_BN, first_BNP**2)
    H = np.matmul((first_BNP * curvature_BN[..., None]).swapaxes(1, 2), first_BNP) + _second(terms, model, first_BNP, bent_BN)
    metric_BP = np.maximum(metric_BP, 1e-12 * metric_BP.max(1, keepdims=True) + 1e-30)
    diagonal = np.arange(H.shape[1])
    H[:, diagonal, diagonal] += damping_B[:, None] * metric_BP
    scale_BP = 1 / np.sqrt(metric_BP)
    scaled = H * scale_BP[:, :, None] * scale_BP[:, None, :]
    scaled[:, diagonal, diagonal] += 1e-14
    step_BP = -scale_BP * np.linalg.solve(scaled, (gradient_BP * scale_BP)[..., None])[..., 0]
    return step_BP, (step_BP * gradient_BP).sum(1)


def _jacobian(terms: Terms, model: Model) -> np.ndarray:
    """float64[B, N, P]: how log L changes with theta."""
    shares = model.shares_BKN * model.scale_B[:, None, None]
    first_BNQ = sum(shares[:, k, :, None] * slopes_NQ for k, slopes_NQ in enumerate(terms.slopes_KNQ))
    return np.concatenate([first_BNQ, model.log_loss_BN[..., None]], 2) if terms.scaled else first_BNQ


def _second(terms: Terms, model: Model, first_BNP: np.ndarray, slope_BN: np.ndarray) -> np.ndarray:
    """float64[B, P, P]: the sum over points of slope x the second derivatives of log L."""
    K, N, Q = terms.slopes_KNQ.shape
    B, P = len(slope_BN), first_BNP.shape[2]
    squares = np.einsum("knp,knq->knpq", terms.slopes_KNQ, terms.slopes_KNQ).reshape(K * N, Q * Q)
    mixed_BKN = model.shares_BKN * (slope_BN * model.scale_B[:, None])[:, None]
    first_BNQ = first_BNP[..., :Q]
    H = np.zeros((B, P, P))
    H[:, :Q, :Q] = (mixed_BKN.reshape(B, K * N) @ squares).reshape(B, Q, Q)
    H[:, :Q, :Q] -= np.matmul((first_BNQ * (slope_BN / model.scale_B[:, None])[..., None]).swapaxes(1, 2), first_BNQ)
    if terms.scaled:
        H[:, :Q, Q] = H[:, Q, :Q] = np.einsum("bn,bnq->bq", slope_BN, first_BNQ)
        H[:, Q, Q] = (slope_BN * model.log_loss_BN).sum(1)
    return H
