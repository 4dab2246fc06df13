"""What to train for a budget, and what it costs to train something smaller for longer.

Compute is the fit's own cost of a token (`fit.Cost`) times D. For Hoffmann et al.'s law with 6 N a token the answer is equation 4 of their
paper, N = G (C / 6)^(beta / (alpha + beta)); here it is found for any law of N and D, by golden section.
"""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from tenfold.errors import UserError
from tenfold.scaling.fit import Cost, Fit, plain, quantiles
from tenfold.scaling.forms import FORMS
from tenfold.scaling.laws import Law

SPAN = math.log(1e3), math.log(1e15)  # parameters looked at
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Optimum:
    """The best that a budget buys, by a fit. Intervals are 95%."""

    flops: float
    parameters: float
    """Counted as the fit counts them."""
    tokens: float
    loss: float
    parameters_interval: tuple[float, float]
    tokens_interval: tuple[float, float]
    loss_interval: tuple[float, float]

    @property
    def tokens_per_parameter(self) -> float:
        return self.tokens / self.parameters

    def record(self) -> dict[str, Any]:
        """For JSON."""
        intervals = {k: [plain(x) for x in v] for k, v in asdict(self).items() if k.endswith("interval")}
        return asdict(self) | intervals | {"tokens_per_parameter": self.tokens_per_parameter}


@dataclass(frozen=True)
class OverTrained:
    """A model `factor` times smaller than the best, with its price."""

    factor: float
    parameters: float
    tokens: float
    """To reach the best model's loss; inf where no number of tokens does."""
    flops_ratio: float
    """Compute for that, over the budget."""
    same_budget_tokens: float
    same_budget_loss: float
    """Of the smaller model on the whole budget."""

    def record(self) -> dict[str, Any]:
        """For JSON: what cannot be reached is None."""
        return {k: plain(v) for k, v in asdict(self).items()}


def compute_optimal(fit: Fit, flops: float, cost: Cost | None = None) -> Optimum:
    """The size and tokens with the least loss for a budget of floating-point operations.

    `cost` None is that of the fit's points. Raises UserError for laws that do not say what size and tokens do, and for points that cannot
    tell them apart.
    """
    _check(fit, flops)
    cost = cost or fit.cost
    size = float(optimal_sizes(fit.law, tuple(np.array([fit.constants[name]]) for name in fit.law.constants), flops, cost)[0])
    tokens = flops / cost.a_token(size)
    loss, low, high = fit.predict(size, tokens)
    sizes = optimal_sizes(fit.law, FORMS[fit.law.name].constants(fit.theta_BP), flops, cost)
    return Optimum(flops, size, tokens, loss, quantiles(sizes), quantiles(flops / cost.a_token(sizes)), (low, high))


def over_training(fit: Fit, flops: float, factors: tuple[float, ...] = (1, 2, 4, 8), cost: Cost | None = None) -> list[OverTrained]:
    """The price of models smaller than the best by these factors: what the same loss costs, and what the same budget gives."""
    best, cost = compute_optimal(replace(fit, theta_BP=fit.theta_BP[:0]), flops, cost), cost or fit.cost
    prices = []
    for factor in factors:
        if not factor > 0:
            raise UserError(f"a model {factor} times smaller than the best is none.\n  Give factors above 0, such as 2 4 8.")
        size = best.parameters / factor
        tokens, whole = tokens_to_reach(fit, size, best.loss), flops / cost.a_token(size)
        ratio = cost.a_token(size) * tokens / flops
        prices.append(OverTrained(factor, size, tokens, ratio, whole, float(fit.loss(size, whole))))
    return prices


def tokens_to_reach(fit: Fit, size: float, loss: float) -> float:
    """D with which a model of that size has that loss; inf where it never has."""
    low, high = 0.0, math.log(1e30)
    if fit.loss(size, math.exp(high)) > loss:
        return math.inf
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if fit.loss(size, math.exp(middle)) > loss else (low, middle)
    return math.exp(high)


def optimal_sizes(law: Law, constants: tuple, flops: float, cost: Cost) -> np.ndarray:
    """float64[B]: for each set of constants, float64[B] each, the N whose loss is least where D is what the budget leaves."""

    def loss(n_B: np.ndarray) -> np.ndarray:
        N_B = np.exp(n_B)
        with np.errstate(over="ignore", invalid="ignore"):
            return law.function(N_B, flops / cost.a_token(N_B), *constants)

    low_B, high_B = (np.full(len(constants[0]), end) for end in SPAN)
    for _ in range(100):
        inner = GOLDEN * (high_B - low_B)
        right = loss(low_B + inner) < loss(high_B - inner)
        low_B, high_B = np.where(right, high_B - inner, low_B), np.where(right, high_B, low_B + inner)
    return np.exp((low_B + high_B) / 2)


def _check(fit: Fit, flops: float) -> None:
    if fit.law.reads != "ND":
        raise UserError(
            f"the law {fit.law.name} does not say what size and tokens each do, so it names no best size.\n  Use chinchilla or kaplan-nd."
        )
    if fit.together:
        raise UserError(
            "the points name no best size, as their tokens rise with the sizes along one line.\n  Train some sizes on more tokens."
        )
    if not 0 < flops < math.inf:
        raise UserError(f"flops is {flops}, but must be a number of operations above 0, such as 1e18.")
