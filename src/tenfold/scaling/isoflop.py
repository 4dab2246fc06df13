"""How size and tokens should grow with compute: the three approaches of Hoffmann et al. 2022, section 3.

    N_opt = g C^a,  D_opt = h C^b,  C in operations

1. the least loss at each compute over the curves of runs; 2. the lowest place of a parabola in log N through the runs of one budget
(IsoFLOP); 3. the fitted law, in closed form.

Letters: B bootstrap, C budgets, R runs.
"""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tenfold.errors import UserError
from tenfold.scaling.fit import SAME_BUDGET, Fit, plain, quantiles
from tenfold.scaling.forms import FORMS
from tenfold.scaling.points import LEAST, Measure, Point, chosen, counted
from tenfold.scaling.read import Curve

BUDGETS = 1500  # of approach 1, as Hoffmann et al.
OF_CURVES = "1: least loss over the curves of runs"
OF_PARABOLAS = "2: IsoFLOP parabolas"
OF_LAW = "3: the fitted law"


@dataclass(frozen=True)
class Allocation:
    """How the best size and tokens grow with compute, by one approach."""

    approach: str
    size_exponent: float
    token_exponent: float
    size_interval: tuple[float, float]
    token_interval: tuple[float, float]
    """Of the exponents, 95%; nan where nothing tells how sure they are."""
    size_factor: float
    token_factor: float
    embeddings: bool
    """Whether N counts embeddings."""
    budgets: list[dict[str, float]] = field(default_factory=list)
    """flops, parameters and tokens where the best was read off."""
    aside: list[str] = field(default_factory=list)
    """What was not used, and why."""

    def size(self, flops: float) -> float:
        """N of the best model."""
        return self.size_factor * flops**self.size_exponent

    def tokens(self, flops: float) -> float:
        """D of the best model."""
        return self.token_factor * flops**self.token_exponent

    def record(self) -> dict[str, Any]:
        """For JSON."""
        intervals = {k: [plain(x) for x in getattr(self, k)] for k in ("size_interval", "token_interval")}
        return asdict(self) | intervals | {"parameters": "with embeddings" if self.embeddings else "without embeddings"}


@dataclass(frozen=True)
class Profile:
    """The runs of one budget, and the parabola through them."""

    flops: float
    points: list[Point]
    coefficients: tuple[float, float, float]
    """Of log N squared, log N, and one."""
    fault: str = ""
    """Why its lowest place is not used."""

    def loss(self, size):
        """The parabola at those sizes."""
        return np.polyval(self.coefficients, np.log(size))


def approach_1(curves: list[Curve], seed: int = 0, bootstrap: int = 200, embeddings: bool = True) -> Allocation:
    """From the curves of runs. Budgets whose best run is the smallest or the largest that reached them are left out: a better one may lie
    beyond. Runs are drawn with repetition for the interval.

    A run's loss before its learning rate has come down is above that of a run made for so many tokens, which Hoffmann et al. say too.
    """
    embeddings = counted([curve.point for curve in curves], embeddings)
    usable = [c for c in curves if len(c.tokens_M) >= 2 and np.isfinite(c.loss_M).all()]
    aside = [f"{c.point.name}: fewer than two finite losses along the run" for c in curves if c not in usable]
    sizes_R = np.array([c.point.size(embeddings) for c in usable])
    if len(set(sizes_R)) < LEAST:
        raise UserError(f"approach 1 needs curves of at least {LEAST} sizes, and there are {len(set(sizes_R))}.\n  Train more sizes.")
    reached = [(c.point.flops / c.point.tokens) * c.tokens_M[[0, -1]] for c in usable]
    grid_C = np.geomspace(min(low for low, _ in reached), max(high for _, high in reached), BUDGETS)
    losses_RC = np.stack([_along(c, grid_C) for c in usable])
    tokens_RC = np.stack([grid_C * c.point.tokens / c.point.flops for c in usable])
    best_R = np.arange(len(usable))
    found = _envelope(best_R, sizes_R, losses_RC, tokens_RC, grid_C)
    if found is None:
        raise UserError("approach 1 finds no budget at which a middle size is the best.\n  Train sizes further apart, or for longer.")
    chance = np.random.default_rng(seed)
    drawn = [_envelope(chance.integers(0, len(usable), len(usable)), sizes_R, losses_RC, tokens_RC, grid_C) for _ in range(bootstrap)]
    lines_B = [each[:2] for each in drawn if each]
    return _allocation(OF_CURVES, found, lines_B, embeddings, aside)


def approach_2(points: list[Point], seed: int = 0, bootstrap: int = 1000, embeddings: bool = True, measure: Measure = "loss") -> Allocation:
    """From parabolas through the runs of each budget. The interval is of parabolas through losses made anew from the residuals of all;
    where each budget has three runs alone there are none, and it is nan."""
    embeddings = counted(points, embeddings)
    found = profiles(points, embeddings, measure)
    good = [profile for profile in found if not profile.fault]
    aside = [f"{p.flops:.3g} FLOPs: {p.fault}" for p in found if p.fault]
    if len(good) < 2:
        rows = "".join(f"\n    {each}" for each in aside)
        raise UserError(
            f"approach 2 needs at least two budgets with {LEAST} sizes each and the best among them; there are {len(good)}.{rows}"
            "\n  Train more sizes at each budget."
        )
    lowest = [_lowest(p, np.array(p.coefficients)[None], embeddings) for p in good]
    flops_C = np.array([p.flops for p in good])
    sizes_C, tokens_C = (np.array([low[i][0] for low in lowest]) for i in (0, 1))
    lines = _line(flops_C, sizes_C), _line(flops_C, tokens_C)
    drawn_BC = [_lowest(p, drawn, embeddings) for p, drawn in zip(good, _redrawn(good, seed, bootstrap, embeddings, measure), strict=True)]
    lines_B = []
    for b in range(len(drawn_BC[0][0])):
        sizes, tokens = (np.array([each[i][b] for each in drawn_BC]) for i in (0, 1))
        if np.isfinite(sizes).all():
            lines_B.append((_line(flops_C, sizes), _line(flops_C, tokens)))
    return _allocation(OF_PARABOLAS, (*lines, flops_C, sizes_C, tokens_C), lines_B, embeddings, aside)


def approach_3(fit: Fit) -> Allocation:
    """From a fitted law of N and D, in closed form. At a cost of k N^p a token, alpha A / N^alpha = p beta B / D^beta gives
    N^(alpha + p beta) = alpha A / (p beta B) (C / k)^beta; p is 1 with Hoffmann et al. Kaplan's L^(1 / alpha_D) is of the same form."""
    if fit.law.reads != "ND":
        raise UserError(
            f"approach 3 needs a law of size and tokens, and {fit.law.name} is of {fit.law.reads}.\n  Fit chinchilla or kaplan-nd."
        )
    a, b, factor = _closed(fit, tuple(fit.constants[name] for name in fit.law.constants))
    with np.errstate(all="ignore"):
        a_B, b_B, _ = _closed(fit, FORMS[fit.law.name].constants(fit.theta_BP))
    tokens = 1 / (fit.cost.factor * factor**fit.cost.power)
    return Allocation(OF_LAW, a, b, quantiles(a_B), quantiles(b_B), factor, tokens, fit.embeddings)


def _closed(fit: Fit, constants: tuple) -> tuple:
    """(exponent of N, of D, factor of N) of constants, each a number or float64[B]."""
    k, p = fit.cost.factor, fit.cost.power
    if fit.law.name == "chinchilla":
        _, A, B, alpha, beta = constants
        ratio = alpha * A / (p * beta * B)
    else:
        N_c, D_c, alpha_N, alpha_D = constants
        alpha, beta = alpha_N / alpha_D, 1.0
        ratio = alpha * N_c**alpha / (p * D_c)
    whole = alpha + p * beta
    return beta / whole, alpha / whole, (ratio / k**beta) ** (1 / whole)


def profiles(points: list[Point], embeddings: bool = True, measure: Measure = "loss") -> list[Profile]:
    """The parabola of each budget that has at least three sizes, by compute."""
    kept = chosen(points, embeddings, measure).kept
    budgets: list[list[Point]] = []
    for point in kept:  # by compute
        if budgets and point.flops <= SAME_BUDGET * budgets[-1][0].flops:
            budgets[-1].append(point)
        else:
            budgets.append([point])
    return [_profile(runs, embeddings, measure) for runs in budgets if len({p.size(embeddings) for p in runs}) >= LEAST]


def _profile(runs: list[Point], embeddings: bool, measure: Measure) -> Profile:
    logs = np.log([p.size(embeddings) for p in runs])
    square, slope, level = np.polyfit(logs, [p.measured(measure) for p in runs], 2)
    flops = float(np.exp(np.mean(np.log([p.flops for p in runs]))))
    fault = ""
    if square <= 0:
        fault = "the parabola through its losses opens downwards"
    elif not logs.min() < (lowest := -slope / (2 * square)) < logs.max():
        fault = f"its lowest loss lies {'below' if lowest <= logs.min() else 'above'} the sizes that were trained"
    return Profile(flops, runs, (float(square), float(slope), float(level)), fault)


def _lowest(profile: Profile, coefficients_BP: np.ndarray, embeddings: bool) -> tuple[np.ndarray, np.ndarray]:
    """float64[B] each: N and D of the lowest place of parabolas; nan where there is none near the sizes. D as the runs have it by size."""
    logs = np.log([p.size(embeddings) for p in profile.points])
    with np.errstate(all="ignore"):
        n_B = -coefficients_BP[:, 1] / (2 * coefficients_BP[:, 0])
    room = logs.max() - logs.min()
    n_B = np.where((coefficients_BP[:, 0] > 0) & (logs.min() - room < n_B) & (n_B < logs.max() + room), n_B, np.nan)
    return np.exp(n_B), np.exp(np.polyval(np.polyfit(logs, np.log([p.tokens for p in profile.points]), 1), n_B))


def _redrawn(good: list[Profile], seed: int, bootstrap: int, embeddings: bool, measure: Measure) -> list[np.ndarray]:
    """float64[B, 3] a profile: parabolas through losses made of the fitted ones and residuals drawn from all budgets."""
    sizes = [np.log([p.size(embeddings) for p in each.points]) for each in good]
    fitted = [np.polyval(each.coefficients, logs) for each, logs in zip(good, sizes, strict=True)]
    measured = [[p.measured(measure) for p in each.points] for each in good]
    residuals = np.concatenate([np.array(m) - f for m, f in zip(measured, fitted, strict=True)])
    freedom = len(residuals) - 3 * len(good)
    if freedom < 1:
        return [np.zeros((0, 3)) for _ in good]
    residuals = residuals * math.sqrt(len(residuals) / freedom)
    chance, drawn = np.random.default_rng(seed), []
    for logs, level in zip(sizes, fitted, strict=True):
        losses_BN = level + chance.choice(residuals, (bootstrap, len(level)))
        drawn.append(np.polyfit(logs, losses_BN.T, 2).T)
    return drawn


def _along(curve: Curve, grid_C: np.ndarray) -> np.ndarray:
    """float64[C]: the run's loss when it had cost so much; inf outside of what was measured."""
    costs_M = curve.tokens_M * curve.point.flops / curve.point.tokens
    logs = np.interp(np.log(grid_C), np.log(costs_M), np.log(curve.loss_M), left=np.inf, right=np.inf)
    return np.exp(logs)


def _envelope(runs_R: np.ndarray, sizes_R, losses_RC, tokens_RC, grid_C):
    """The lines through the best of those runs at each budget: (size line, token line, budgets, sizes, tokens), or None without any."""
    losses_RC = losses_RC[runs_R]
    best_C = losses_RC.argmin(0)
    there_RC = np.isfinite(losses_RC)
    sizes = sizes_R[runs_R][:, None]
    largest_C = np.where(there_RC, sizes, -np.inf).max(0)
    smallest_C = np.where(there_RC, sizes, np.inf).min(0)
    best_sizes_C, best_tokens_C = sizes_R[runs_R][best_C], tokens_RC[runs_R][best_C, np.arange(len(grid_C))]
    inner = (best_sizes_C < largest_C) & (best_sizes_C > smallest_C)
    if len(set(best_sizes_C[inner])) < 2:
        return None
    C, N, D = grid_C[inner], best_sizes_C[inner], best_tokens_C[inner]
    return _line(C, N), _line(C, D), C, N, D


def _line(flops_C: np.ndarray, values_C: np.ndarray) -> tuple[float, float]:
    """(exponent, factor) of a power of compute, by least squares of logarithms."""
    slope, level = np.polyfit(np.log(flops_C), np.log(values_C), 1)
    return float(slope), float(np.exp(level))


def _allocation(approach: str, found: tuple, lines_B: list, embeddings: bool, aside: list[str]) -> Allocation:
    (a, g), (b, h), flops_C, sizes_C, tokens_C = found
    a_B, b_B = (np.array([lines[i][0] for lines in lines_B]) for i in (0, 1))
    rows = [{"flops": float(C), "parameters": float(N), "tokens": float(D)} for C, N, D in zip(flops_C, sizes_C, tokens_C, strict=True)]
    return Allocation(approach, a, b, quantiles(a_B), quantiles(b_B), g, h, embeddings, rows, aside)
