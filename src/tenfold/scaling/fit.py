"""A law fitted to points: its constants, how sure they are, and what it predicts.

The fit is Hoffmann et al.'s (2022, section 3.3 and appendix D.3) for every law: the Huber loss, delta 1e-3, between logarithms of the
predicted and the measured loss, minimised from each place of a grid, the best kept. Intervals are a bootstrap's: points drawn with
repetition, fitted again from the constants of the whole.

Letters: B fits of the bootstrap, N points, P constants.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tenfold.errors import UserError
from tenfold.scaling.forms import FORMS, Terms
from tenfold.scaling.laws import EXPONENTS, LAWS, PF_DAY, Law, named_law
from tenfold.scaling.points import Aside, Measure, Point, chosen, counted
from tenfold.scaling.solver import NEAR, evaluate, minimise

LEVEL = 0.95  # of every interval
ROUNDS = ((8, 400), (25, 40), (300, 1))  # from the grid: so many steps, then so many of the best go on
SAME_BUDGET = 1.05  # points whose compute is within 5% are of one budget
LEAST_BUDGETS = 3  # that a law is fitted to, where it is not fitted to all
BETTER = 1e-4  # by which fewer points must foretell the largest better to be preferred
TOGETHER = "tokens rise with the sizes along one line: what each of the two does cannot be told apart, so trust predictions along it only"
APART = 0.05  # in logarithms: how far tokens must stray from a line in the sizes for the two to be told apart


@dataclass(frozen=True)
class Cost:
    """Operations that a token costs, by parameters: factor N^power. 6 N (Kaplan et al. 2020, section 2.1) until points say otherwise."""

    factor: float = 6.0
    power: float = 1.0

    def a_token(self, N):
        return self.factor * N**self.power

    def size(self, flops_per_token):
        """N of a model that costs so much."""
        return (flops_per_token / self.factor) ** (1 / self.power)


@dataclass(frozen=True)
class Fit:
    """A law with constants, from points."""

    law: Law
    constants: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    """Of each constant, 95%; nan where there was no bootstrap."""
    embeddings: bool
    """Whether N counts embeddings, in the constants and in all that is asked of the fit."""
    measure: Measure
    points: list[Point]
    """Those fitted, by compute."""
    aside: list[Aside]
    residuals: np.ndarray
    """float64[N]: measured / predicted - 1."""
    objective: float
    cost: Cost
    together: bool
    """Whether tokens rise with the sizes along one line, so that what each of the two does cannot be told apart."""
    warnings: tuple[str, ...]
    theta_BP: np.ndarray = field(repr=False)
    """The bootstrap's constants, in the form of `forms.py`; of resamples by which the loss falls."""
    seed: int = 0

    def loss(self, N=None, D=None, flops=None):
        """What the law says of N parameters on D tokens, or of so many FLOPs; numbers or arrays. Compute is N's and D's where not given."""
        N, D, C = (None if each is None else np.multiply(1.0, each) for each in (N, D, self._compute(N, D, flops)))
        with np.errstate(over="ignore"):  # a power of so many tokens that it leaves nothing of its term
            return self.law.loss(self.constants, N, D, C)

    def predict(self, N=None, D=None, flops=None) -> tuple[float, float, float]:
        """(loss, low, high) of one new run: 95% of them lie in between if the law is right.

        The interval is of the bootstrap's predictions, about the fit's, and of a run's own noise, as Student's t with the fit's degrees
        of freedom; with few points both are widened for the freedom that the constants took. nan without a bootstrap.
        """
        loss, band = float(self.loss(N, D, flops)), self.band(N, D, flops)
        if not len(band):
            return loss, math.nan, math.nan
        freedom, n = len(self.points) - len(self.constants), len(self.points)
        scale = math.sqrt(float(np.sum(np.log1p(self.residuals) ** 2)) / freedom)
        noise = np.random.default_rng(self.seed).standard_t(freedom, len(band)) * scale
        low, high = np.exp(quantiles(np.log(band / loss) * math.sqrt(n / freedom) + noise))
        return loss, loss * float(low), loss * float(high)

    def band(self, N=None, D=None, flops=None) -> np.ndarray:
        """float64[B]: what each fit of the bootstrap says of it."""
        C = self._compute(N, D, flops)
        form = FORMS[self.law.name]
        given = {"N": N, "D": D, "C": None if C is None else C / PF_DAY}
        logs = [np.log(np.atleast_1d(np.asarray(given[letter], float))) for letter in self.law.reads]
        return np.exp(evaluate(form.terms(*logs), self.theta_BP).log_loss_BN[:, 0]) if len(self.theta_BP) else np.zeros(0)

    def _compute(self, N, D, flops):
        if "C" not in self.law.reads or flops is not None:
            return flops
        if N is None or D is None:
            raise UserError(f"the law {self.law.name} reads compute.\n  Give flops, or both N and D.")
        return self.cost.a_token(N) * D

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "law": self.law.name,
            "equation": self.law.equation,
            "source": self.law.source,
            "constants": {name: plain(value) for name, value in self.constants.items()},
            "intervals": {name: [plain(low), plain(high)] for name, (low, high) in self.intervals.items()},
            "level": LEVEL,
            "parameters": "with embeddings" if self.embeddings else "without embeddings",
            "measure": self.measure,
            "compute": "PF/s-days",
            "flops_per_token": f"{self.cost.factor:.6g} N^{self.cost.power:.6g}",
            "objective": self.objective,
            "bootstrap": len(self.theta_BP),
            "seed": self.seed,
            "warnings": list(self.warnings),
            "points": [p.record() | {"residual": r} for p, r in zip(self.points, self.residuals.tolist(), strict=True)],
            "aside": [a.point.record() | {"reason": a.reason} for a in self.aside],
        }


def fit(
    law_name: str,
    points: list[Point],
    seed: int = 0,
    bootstrap: int = 1000,
    embeddings: bool | None = None,
    measure: Measure = "loss",
) -> Fit:
    """The law of that name fitted to the points. `bootstrap` 0: no intervals.

    `embeddings` None counts N as the law's authors did, if every point knows it so. Raises UserError where there are too few points for
    the law, or they are not fit to be used (`points.chosen`).
    """
    law = named_law(law_name)
    embeddings = counted(points, law.embeddings) if embeddings is None else embeddings
    kept, aside = chosen(points, embeddings, measure)
    _enough(law, kept, embeddings)
    terms, log_loss_N = _data(law, kept, embeddings, measure)
    theta_P, objective = search(law, kept, embeddings, measure)
    theta_BP = resample(terms, log_loss_N, theta_P, bootstrap, seed)
    theta_BP, form = theta_BP[falls(law, theta_BP)], FORMS[law.name]
    with np.errstate(over="ignore"):
        samples = form.constants(theta_BP)
        values = form.constants(theta_P)
    predicted_N = evaluate(terms, theta_P[None]).log_loss_BN[0]
    together = _together(law, kept, embeddings)
    return Fit(
        law=law,
        constants={name: float(value) for name, value in zip(law.constants, values, strict=True)},
        intervals={name: quantiles(sample) for name, sample in zip(law.constants, samples, strict=True)},
        embeddings=embeddings,
        measure=measure,
        points=kept,
        aside=aside,
        residuals=np.expm1(log_loss_N - predicted_N),
        objective=objective,
        cost=cost_of(kept, embeddings),
        together=together,
        warnings=(*((TOGETHER,) if together else ()), *_unsure(len(theta_BP), bootstrap)),
        theta_BP=theta_BP,
        seed=seed,
    )


def search(law: Law, points: list[Point], embeddings: bool, measure: Measure) -> tuple[np.ndarray, float]:
    """The best constants from all the starts by which the loss falls, float64[P], and their objective. UserError where it falls by none."""
    logs, log_loss_N = _logs(law, points, embeddings), np.log([p.measured(measure) for p in points])
    form = FORMS[law.name]
    terms, theta_SP = form.terms(*logs), form.starts(*logs, log_loss_N)
    for steps, best in ROUNDS:
        solved = minimise(terms, log_loss_N, np.ones((len(theta_SP), len(points))), theta_SP, steps=steps)
        order = np.lexsort((solved.objective_B, ~falls(law, solved.theta_BP)))[:best]
        theta_SP, objective_S = solved.theta_BP[order], solved.objective_B[order]
    if not falls(law, theta_SP)[0]:
        raise UserError(
            f"by these points the loss does not fall with all that the law {law.name} reads.\n  Train runs further apart, or fit another."
        )
    return theta_SP[0], float(objective_S[0])


def falls(law: Law, theta_BP: np.ndarray) -> np.ndarray:
    """bool[B]: whether every exponent is above 0."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        constants = dict(zip(law.constants, FORMS[law.name].constants(theta_BP), strict=True))
    return np.logical_and.reduce([constants[name] > 0 for name in law.constants if name in EXPONENTS])


def resample(terms: Terms, log_loss_N: np.ndarray, theta_P: np.ndarray, bootstrap: int, seed: int) -> np.ndarray:
    """float64[B, P]: fits to points drawn with repetition, each from `theta_P` on. A draw of fewer different points than there are
    constants fits itself exactly and says nothing: it is drawn again."""
    N, P = len(log_loss_N), len(theta_P)
    chance, weights_BN = np.random.default_rng(seed), np.zeros((bootstrap, N))
    poor = np.arange(bootstrap)
    while len(poor):
        weights_BN[poor] = chance.multinomial(N, np.full(N, 1 / N), size=len(poor))
        poor = poor[(weights_BN[poor] > 0).sum(1) < P]
    return (
        minimise(terms, log_loss_N, weights_BN, np.tile(theta_P, (bootstrap, 1)), damping=NEAR).theta_BP if bootstrap else np.zeros((0, P))
    )


@dataclass(frozen=True)
class Compared:
    """A law beside the others: fitted, and fitted again without the largest budget's points, which it then predicts."""

    law: Law
    fit: Fit | None
    errors: dict[str, float]
    """predicted / measured - 1 of each point left out, by name."""
    refused: str = ""
    """Why it could not be fitted, or could not without the largest."""
    budgets: int = 0
    """Of how many of the largest budgets the points are that it is fitted to, with the largest and without. 0: all of them."""

    @property
    def error(self) -> float:
        """The error furthest from 0; inf where there is none."""
        return max(self.errors.values(), key=abs, default=math.inf)


def compare(
    points: list[Point], seed: int = 0, bootstrap: int = 200, embeddings: bool | None = None, measure: Measure = "loss"
) -> list[Compared]:
    """Every law beside the others, best first by its error on the points of the largest compute, left out of the fit.

    The smallest models are often not yet on the line of the larger ones. So a law of one variable is also fitted to the largest budgets
    alone, three or more of them, and shown so where as many budgets below the largest predicted that better than all of them did.
    """
    asked = (seed, bootstrap, embeddings, measure)
    return sorted((_on_its_best_points(law, points, *asked) for law in LAWS.values()), key=lambda c: abs(c.error))


def _on_its_best_points(law: Law, points: list[Point], seed: int, bootstrap: int, embeddings: bool | None, measure: Measure) -> Compared:
    whole = _compared(law, points, seed, bootstrap, embeddings, measure)
    if whole.fit is None or len(law.reads) > 1:
        return whole
    of_all, best = budgets(whole.fit.points), whole
    for few in range(LEAST_BUDGETS, len(of_all) - 1):
        tried = _compared(law, [p for budget in of_all[-few - 1 :] for p in budget], seed, 0, whole.fit.embeddings, measure)
        if abs(tried.error) < abs(best.error) - BETTER and (of_largest := _of_largest(whole.fit, few, bootstrap)):
            best = replace(tried, budgets=few, fit=of_largest)
    return best


def _of_largest(whole: Fit, few: int, bootstrap: int) -> Fit | None:
    """The law fitted to the largest budgets of a fit's points alone; the others are set aside. None where these alone give no law."""
    kept = [p for budget in budgets(whole.points)[-few:] for p in budget]
    try:
        found = fit(whole.law.name, kept, whole.seed, bootstrap, whole.embeddings, whole.measure)
    except UserError:
        return None
    reason = f"below the {few} largest budgets, which alone foretell the largest better"
    return replace(found, aside=[*whole.aside, *(Aside(p, reason) for p in whole.points if p not in kept)])


def _compared(law: Law, points: list[Point], seed: int, bootstrap: int, embeddings: bool | None, measure: Measure) -> Compared:
    whole = None
    try:
        whole = fit(law.name, points, seed, bootstrap, embeddings, measure)
        left = budgets(whole.points)[-1]
        part = fit(law.name, [p for p in whole.points if p not in left], seed, 0, whole.embeddings, measure)
        errors = {p.name: float(part.loss(p.size(whole.embeddings), p.tokens, p.flops)) / p.measured(measure) - 1 for p in left}
        return Compared(law, whole, errors)
    except UserError as refused:
        return Compared(law, whole, {}, str(refused))


def budgets(points: list[Point]) -> list[list[Point]]:
    """The points by compute, those of one budget together, the largest last: from each budget's largest down, within 5%."""
    found: list[list[Point]] = []
    for point in sorted(points, key=lambda p: -p.flops):
        if not found or point.flops * SAME_BUDGET < found[0][-1].flops:
            found.insert(0, [])
        found[0].insert(0, point)
    return found


def cost_of(points: list[Point], embeddings: bool) -> Cost:
    """Operations a token by size, as the points have it: a straight line in logarithms; of one size alone, a multiple of it."""
    sizes, costs = np.array([p.size(embeddings) for p in points]), np.array([p.flops / p.tokens for p in points])
    if np.ptp(np.log(sizes)) < 0.1:
        return Cost(float(np.exp(np.mean(np.log(costs / sizes)))))
    power, factor = np.polyfit(np.log(sizes), np.log(costs), 1)
    return Cost(float(np.exp(factor)), float(power))


def quantiles(sample_B: np.ndarray) -> tuple[float, float]:
    """The middle 95% of a sample; nan of none."""
    if not len(sample_B):
        return math.nan, math.nan
    low, high = np.quantile(sample_B, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="nearest")
    return float(low), float(high)


def plain(value: float) -> float | None:
    """For JSON, which knows no nan and no inf."""
    return value if math.isfinite(value) else None


def _logs(law: Law, points: list[Point], embeddings: bool) -> list[np.ndarray]:
    columns = {"D": [p.tokens for p in points], "C": [p.flops / PF_DAY for p in points]}
    if "N" in law.reads:
        columns["N"] = [p.size(embeddings) for p in points]
    return [np.log(np.array(columns[letter], float)) for letter in law.reads]


def _data(law: Law, points: list[Point], embeddings: bool, measure: Measure) -> tuple[Terms, np.ndarray]:
    return FORMS[law.name].terms(*_logs(law, points, embeddings)), np.log([p.measured(measure) for p in points])


def _unsure(kept: int, bootstrap: int) -> tuple[str, ...]:
    """Resamples by which the loss rises with something are no fits of a law; many of them say that the points do not hold it."""
    if kept >= 0.8 * bootstrap:
        return ()
    return (
        f"in {bootstrap - kept} of {bootstrap} resamples the loss does not fall with all that the law reads: these points hold it poorly",
    )


def _enough(law: Law, points: list[Point], embeddings: bool) -> None:
    if len(points) <= len(law.constants):
        raise UserError(
            f"the law {law.name} has {len(law.constants)} constants, {', '.join(law.constants)}, and only {len(points)} points.\n"
            f"  Train at least {len(law.constants) + 1} different runs, or fit a law with fewer constants."
        )
    for letter, values in zip(law.reads, _logs(law, points, embeddings), strict=True):
        what = {"N": "size", "D": "number of tokens", "C": "compute"}[letter]
        if np.ptp(values) < 1e-6:
            raise UserError(f"all points have the same {what}, so the law {law.name} has nothing to see.\n  Vary it, or fit another law.")


def _together(law: Law, points: list[Point], embeddings: bool) -> bool:
    if law.reads != "ND":
        return False
    n_N, d_N = _logs(law, points, embeddings)
    return float((d_N - np.polyval(np.polyfit(n_N, d_N, 1), n_N)).std()) < APART
