"""Each law in the form in which it is fitted: the logarithm of a sum of powers, whose exponents are linear in what is sought.

    log L = s log sum over k of exp(offsets_k + slopes_k . theta)

s is 1, or exp of theta's last entry where the law as a whole is raised to a power. Hoffmann et al. 2022, equation 3, is this for their law:
theta = (e, a, b, alpha, beta), with E = exp e, A = exp a, B = exp b.

Letters: N points, K terms, Q entries of theta in the terms, P entries of theta, S starts.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Terms:
    """A law at given points."""

    slopes_KNQ: np.ndarray
    offsets_KN: np.ndarray
    scaled: bool = False


@dataclass(frozen=True)
class Form:
    """How a law is fitted. Its functions take the logarithm of each quantity that the law reads, float64[N]."""

    terms: Callable[..., Terms]
    constants: Callable[[np.ndarray], tuple[np.ndarray, ...]]
    """float64[..., P] to the law's constants, each float64[...]."""
    starts: Callable[..., np.ndarray]
    """Of those logarithms and the loss's, float64[N]: float64[S, P], where the search begins."""


def _columns(*terms: tuple) -> np.ndarray:
    """float64[K, N, Q] of a row of columns a term; numbers are columns of that number."""
    N = next(len(c) for term in terms for c in term if isinstance(c, np.ndarray))
    return np.stack([np.stack([np.broadcast_to(np.asarray(c, float), (N,)) for c in term], 1) for term in terms])


def line(x_N: np.ndarray) -> Terms:
    return Terms(_columns((1, -x_N)), np.zeros((1, len(x_N))))


def line_starts(x_N: np.ndarray, loss_N: np.ndarray) -> np.ndarray:
    """Least squares alone: a line has one best place."""
    return np.linalg.lstsq(np.stack([np.ones_like(x_N), -x_N], 1), loss_N, rcond=None)[0][None]


def offset(x_N: np.ndarray) -> Terms:
    return Terms(_columns((1, 0, 0), (0, 1, -x_N)), np.zeros((2, len(x_N))))


def offset_starts(x_N: np.ndarray, loss_N: np.ndarray) -> np.ndarray:
    """Shares of the least loss that no compute takes away, by exponents; each passes through the middle of the points."""
    x, loss, least = np.median(x_N), np.exp(np.median(loss_N)), np.exp(loss_N.min())
    grid = np.array([(share * least, b) for share in (0.01, 0.3, 0.6, 0.8, 0.95) for b in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)])
    rest = np.maximum(loss - grid[:, 0], 0.01 * loss)
    return np.stack([np.log(grid[:, 0]), np.log(rest) + grid[:, 1] * x, grid[:, 1]], 1)


def joint(n_N: np.ndarray, d_N: np.ndarray) -> Terms:
    """theta = (log D_c, ratio log N_c, ratio, log alpha_D), where ratio = alpha_N / alpha_D."""
    return Terms(_columns((0, 1, -n_N), (1, 0, 0 * d_N)), np.stack([0 * n_N, -d_N]), scaled=True)


def joint_starts(n_N: np.ndarray, d_N: np.ndarray, loss_N: np.ndarray) -> np.ndarray:
    """Exponents by ratios, by the share that N has of L^(1 / alpha_D) in the middle of the points."""
    n, d, loss = np.median(n_N), np.median(d_N), np.median(loss_N)
    grid = [(a, r, share) for a in (0.03, 0.1, 0.3, 1.0) for r in (0.3, 0.7, 1.0, 2.0) for share in (0.05, 0.5, 0.95)]
    return np.array([[np.log(1 - share) + loss / a + d, np.log(share) + loss / a + r * n, r, np.log(a)] for a, r, share in grid])


def three(n_N: np.ndarray, d_N: np.ndarray) -> Terms:
    return Terms(_columns((1, 0, 0, 0 * n_N, 0), (0, 1, 0, -n_N, 0), (0, 0, 1, 0, -d_N)), np.zeros((3, len(n_N))))


def three_starts(n_N: np.ndarray, d_N: np.ndarray, loss_N: np.ndarray) -> np.ndarray:
    """The grid of Hoffmann et al. 2022, appendix D.3, 4,500 starts: it is the same whatever the points are."""
    e, ab, exponents = np.linspace(-1, 1, 5), np.linspace(0, 25, 6), np.linspace(0, 2, 5)
    return np.stack(np.meshgrid(e, ab, ab, exponents, exponents, indexing="ij"), -1).reshape(-1, 5)


def _scale(theta: np.ndarray) -> tuple[np.ndarray, ...]:
    return np.exp(theta[..., 0] / theta[..., 1]), theta[..., 1]


def _joint_constants(theta: np.ndarray) -> tuple[np.ndarray, ...]:
    alpha_D = np.exp(theta[..., 3])
    return np.exp(theta[..., 1] / theta[..., 2]), np.exp(theta[..., 0]), theta[..., 2] * alpha_D, alpha_D


FORMS = {
    **{name: Form(line, _scale, line_starts) for name in ("kaplan-n", "kaplan-d", "kaplan-c")},
    "kaplan-nd": Form(joint, _joint_constants, joint_starts),
    "power": Form(line, lambda theta: (np.exp(theta[..., 0]), theta[..., 1]), line_starts),
    "power-offset": Form(offset, lambda theta: (np.exp(theta[..., 0]), np.exp(theta[..., 1]), theta[..., 2]), offset_starts),
    "chinchilla": Form(three, lambda theta: (*np.moveaxis(np.exp(theta[..., :3]), -1, 0), theta[..., 3], theta[..., 4]), three_starts),
}
"""By the name of the law."""
