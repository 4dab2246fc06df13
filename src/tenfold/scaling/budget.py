"""The bounds of a ladder: what its rungs cost beside what it may take. Imports no JAX; `timing.py` measures the seconds."""

from dataclasses import dataclass

from tenfold.errors import UserError
from tenfold.scaling.rungs import Rung


@dataclass(frozen=True)
class Cost:
    """What a rung takes."""

    rung: Rung
    seconds: float
    """Predicted, compilation included."""
    done: bool = False
    """Nothing more, as it is trained already."""


@dataclass(frozen=True)
class Budget:
    """The most that a ladder may take. 0: no bound."""

    flops: float = 0.0
    minutes: float = 0.0

    def __post_init__(self):
        for name in ("flops", "minutes"):
            if not getattr(self, name) >= 0:
                raise UserError(f"--budget-{name} is {getattr(self, name)}, but must be above 0.")


def check_flops(rungs: list[Rung], budget: Budget) -> None:
    """Refuses rungs that take more FLOPs than the budget has, before anything is timed."""
    total = sum(rung.flops for rung in rungs)
    if budget.flops and total > budget.flops:
        raise UserError(
            f"this ladder takes {total:.3g} FLOPs, and --budget-flops is {budget.flops:.3g}.\n  "
            + _mend([(rung, rung.flops) for rung in rungs], budget.flops)
        )


def check_minutes(costs: list[Cost], budget: Budget) -> None:
    """Refuses rungs that would take longer than the budget has; what is trained already costs nothing."""
    left = [cost for cost in costs if not cost.done]
    total = sum(cost.seconds for cost in left) / 60
    if budget.minutes and total > budget.minutes:
        raise UserError(
            f"this ladder takes about {total:.1f} minutes on this machine, and --budget-minutes is {budget.minutes:g}.\n  "
            + _mend([(cost.rung, cost.seconds / 60) for cost in left], budget.minutes)
        )


def _mend(prices: list[tuple[Rung, float]], budget: float) -> str:
    """Which sizes would fit."""
    fits, spent = [], 0.0
    for size in sorted({rung.size for rung, _ in prices}):
        spent += sum(price for rung, price in prices if rung.size == size)
        fits += [size] if spent <= budget else []
    less = "fewer --tokens-per-parameter"
    return f"Try --sizes {' '.join(map(str, fits))}, or {less}." if len(fits) > 2 else f"Try smaller sizes, or {less}."
