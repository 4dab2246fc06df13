"""The critical batch size: from where on a larger batch saves few steps.

McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", equation 2.11: runs that reach one loss with S steps and E = B S
examples at a batch of B obey (S / S_min - 1) (E / E_min - 1) = 1, and B_crit = E_min / S_min. That is S = S_min + E_min / B, two powers of
B, so it is fitted as the laws are. Kaplan et al. 2020, equation 1.4: B_crit = B* / L^(1 / alpha_B), whatever the model's size.

Examples and batches are in tokens with Kaplan, and here.
"""

import math
from dataclasses import dataclass

import numpy as np

from tenfold.errors import UserError
from tenfold.scaling.fit import quantiles, resample
from tenfold.scaling.forms import Terms, line
from tenfold.scaling.points import LEAST
from tenfold.scaling.solver import minimise

KAPLAN_BATCH = {"B_star": 2e8, "alpha_B": 0.21}
"""Kaplan et al.'s constants: tokens, and an exponent."""


@dataclass(frozen=True)
class CriticalBatch:
    """Of one loss; tokens and steps. The interval is a bootstrap's, 95%."""

    batch: float
    interval: tuple[float, float]
    least_steps: float
    least_tokens: float
    residuals: np.ndarray
    """measured / predicted steps - 1."""


@dataclass(frozen=True)
class BatchLaw:
    """B_crit = B_star / L^(1 / alpha_B)."""

    B_star: float
    alpha_B: float
    intervals: dict[str, tuple[float, float]]

    def batch(self, loss):
        """B_crit in tokens at that loss."""
        return critical_batch(loss, self.B_star, self.alpha_B)


def critical_batch(loss, B_star: float = KAPLAN_BATCH["B_star"], alpha_B: float = KAPLAN_BATCH["alpha_B"]):
    """B_crit in tokens at a loss in nats a token. Kaplan et al., equation 1.4."""
    return B_star / loss ** (1 / alpha_B)


def fit_critical_batch(steps_N: np.ndarray, tokens_N: np.ndarray, seed: int = 0, bootstrap: int = 1000) -> CriticalBatch:
    """From the steps and the tokens that runs at different batches took to one loss.

    Raises UserError where there are fewer than three, or all of one batch.
    """
    steps_N, tokens_N = np.asarray(steps_N, float), np.asarray(tokens_N, float)
    if len(steps_N) != len(tokens_N) or not (np.isfinite(steps_N) & (steps_N > 0) & np.isfinite(tokens_N) & (tokens_N > 0)).all():
        raise UserError("steps and tokens must be as many numbers above 0 each.\n  Leave out runs that never had that loss.")
    batch_N = tokens_N / steps_N
    if len(steps_N) < LEAST or np.ptp(np.log(batch_N)) < math.log(1.5):
        raise UserError(
            f"the critical batch needs at least {LEAST} runs whose batches differ, and there are {len(steps_N)} from "
            f"{batch_N.min(initial=math.inf):.3g} to {batch_N.max(initial=0):.3g} tokens.\n  Train to the same loss at batches far apart."
        )
    one, none = np.ones(len(steps_N)), np.zeros(len(steps_N))
    terms = Terms(np.stack([np.stack([one, none], 1), np.stack([none, one], 1)]), np.stack([none, -np.log(batch_N)]))
    grid = [[np.log(steps_N.min() * share), np.log(tokens_N.min() * rest)] for share in (0.01, 0.3, 0.9) for rest in (0.01, 0.3, 0.9)]
    solved = minimise(terms, np.log(steps_N), np.ones((len(grid), len(steps_N))), np.array(grid))
    theta_P = solved.theta_BP[solved.objective_B.argmin()]
    theta_BP = resample(terms, np.log(steps_N), theta_P, bootstrap, seed)
    S, E = np.exp(theta_P)
    residuals = steps_N / (S + E / batch_N) - 1
    return CriticalBatch(float(E / S), quantiles(np.exp(theta_BP[:, 1] - theta_BP[:, 0])), float(S), float(E), residuals)


def fit_batch_law(loss_N: np.ndarray, critical_N: np.ndarray, seed: int = 0, bootstrap: int = 1000) -> BatchLaw:
    """B* and alpha_B from the critical batches of at least three losses."""
    loss_N, critical_N = np.log(np.asarray(loss_N, float)), np.log(np.asarray(critical_N, float))
    if len(loss_N) < LEAST or np.ptp(loss_N) < 1e-6:
        raise UserError(f"B* and alpha_B need the critical batches of at least {LEAST} losses, and there are {len(loss_N)}.\n  Give more.")
    start = np.linalg.lstsq(np.stack([np.ones_like(loss_N), -loss_N], 1), critical_N, rcond=None)[0]
    theta_P = minimise(line(loss_N), critical_N, np.ones((1, len(loss_N))), start[None]).theta_BP[0]
    theta_BP = resample(line(loss_N), critical_N, theta_P, bootstrap, seed)
    intervals = {"B_star": quantiles(np.exp(theta_BP[:, 0])), "alpha_B": quantiles(1 / theta_BP[:, 1])}
    return BatchLaw(float(np.exp(theta_P[0])), float(1 / theta_P[1]), intervals)
