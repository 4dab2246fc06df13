"""What a law is fitted to: one point a trained model, and which points are fit to be used.

Losses are held-out ones, in nats a token or bits a byte. A loss a token depends on the tokenizer, bits a byte do not.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from tenfold.errors import UserError

LEAST = 3  # points: through two, any curve passes
TWICE = 2.0  # the compute from which on a larger run must have the lower loss: at 2x the laws fall by more than runs differ by chance

Measure = Literal["loss", "bits_per_byte"]


@dataclass(frozen=True)
class Point:
    """A trained model: what it cost and what came of it."""

    name: str
    tokens: float
    """D, trained on; repeated ones count again."""
    flops: float
    """C, floating-point operations of the training."""
    loss: float
    """Held out, nats a token."""
    parameters: float | None = None
    """N with embeddings: all weights."""
    non_embedding: float | None = None
    """N without embeddings: all but the tables of tokens and positions and a head of its own."""
    bits_per_byte: float | None = None
    batch: float | None = None
    """Tokens a step."""
    learning_rate: float | None = None
    tokenizer: str | None = None
    """Its fingerprint."""
    data: str | None = None
    """The fingerprint of the tokens trained on."""
    path: str = ""
    """The run directory, or the file and row."""
    fault: str = ""
    """Why it cannot be used, where whoever read it already knows."""

    def __post_init__(self):
        if self.parameters is None and self.non_embedding is None:
            raise UserError(f"{self.name or 'a point'} has no size.\n  Give parameters, non_embedding, or both.")
        for field in ("tokens", "flops", "parameters", "non_embedding", "batch"):
            value = getattr(self, field)
            if value is not None and not 0 < value < math.inf:
                raise UserError(f"{self.name}: {field} is {value}, but must be a number above 0.")

    def size(self, embeddings: bool) -> float:
        """N with or without embeddings. Raises UserError where the point does not know it."""
        size = self.parameters if embeddings else self.non_embedding
        if size is None:
            asked, other = ("parameters", "without") if embeddings else ("non_embedding", "with")
            raise UserError(f"{self.name} does not say its {asked}.\n  Give it, or count parameters {other} embeddings.")
        return float(size)

    def measured(self, measure: Measure) -> float:
        """The loss in nats a token, or in bits a byte. Raises UserError where the point does not know it."""
        value = getattr(self, measure)
        if value is None:
            raise UserError(f"{self.name} has no bits_per_byte.\n  Measure the run on held-out text, or fit the loss a token.")
        return float(value)

    def record(self) -> dict[str, Any]:
        """For JSON: numbers that are none become None."""
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(self).items()}


class Aside(NamedTuple):
    """A point that is not fitted."""

    point: Point
    reason: str


class Chosen(NamedTuple):
    """Points to fit, by compute, and those set aside."""

    kept: list[Point]
    aside: list[Aside]


def counted(points: list[Point], embeddings: bool) -> bool:
    """How N is counted: as asked, where every point knows it so, else the other way."""
    known = [p.parameters if embeddings else p.non_embedding for p in points]
    return embeddings if all(size is not None for size in known) else not embeddings


def chosen(points: list[Point], embeddings: bool, measure: Measure = "loss") -> Chosen:
    """Sets aside what diverged, what is there twice, and what a smaller run outdid; the rest by compute.

    Raises UserError where fewer than three are left, where losses a token come from different tokenizers, and where the largest run is no
    better than the smallest.
    """
    kept: list[Point] = []
    aside: list[Aside] = []
    ordered = sorted(points, key=lambda p: (p.flops, p.size(embeddings), p.name))
    for point in ordered:
        reason = _fault(point, measure) or _twin(point, ordered, embeddings, measure)
        (aside.append(Aside(point, reason)) if reason else kept.append(point))
    _same_tokenizer(kept, measure)
    for point in list(kept):
        if better := _outdone(point, kept, embeddings, measure):
            kept.remove(point)
            aside.append(Aside(point, better))
    if len(kept) < LEAST:
        rows = "".join(f"\n    {a.point.name}: {a.reason}" for a in aside)
        raise UserError(
            f"a law needs at least {LEAST} points, and there {'is' if len(kept) == 1 else 'are'} {len(kept)} to fit"
            f"{', as these were set aside:' + rows if rows else '.'}\n  Train more sizes, or mend these."
        )
    return Chosen(kept, aside)


def _fault(point: Point, measure: Measure) -> str:
    if point.fault:
        return point.fault
    value = point.measured(measure)
    return "" if 0 < value < math.inf else f"diverged: its {measure} is {value}"


def _twin(point: Point, points: list[Point], embeddings: bool, measure: Measure) -> str:
    """Of runs with the same size and tokens the best one stays: the others were tuned worse."""
    same = [
        other
        for other in points
        if other is not point
        and not _fault(other, measure)
        and math.isclose(other.size(embeddings), point.size(embeddings), rel_tol=1e-6)
        and math.isclose(other.tokens, point.tokens, rel_tol=1e-6)
    ]
    mine = (point.measured(measure), points.index(point))
    better = min(((other.measured(measure), points.index(other), other.name) for other in same), default=None)
    return f"the same size and tokens as {better[2]}, whose loss is no higher" if better and better[:2] < mine else ""


def _outdone(point: Point, kept: list[Point], embeddings: bool, measure: Measure) -> str:
    mine = point.measured(measure)
    for other in kept:
        smaller = other.size(embeddings) <= point.size(embeddings) and other.tokens <= point.tokens
        if other is not point and smaller and point.flops >= TWICE * other.flops and mine >= other.measured(measure):
            return (
                f"its loss, {mine:.4g}, is no lower than the {other.measured(measure):.4g} of {other.name}, "
                f"which had {point.flops / other.flops:.3g} times less compute"
            )
    return ""


def _same_tokenizer(points: list[Point], measure: Measure) -> None:
    tokenizers = {p.tokenizer for p in points if p.tokenizer}
    if measure == "loss" and len(tokenizers) > 1:
        raise UserError(
            f"the points come from {len(tokenizers)} tokenizers ({', '.join(sorted(tokenizers))}), whose losses a token do not compare.\n"
            "  Fit bits per byte instead, or points of one tokenizer."
        )
