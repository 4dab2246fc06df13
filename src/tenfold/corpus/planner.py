"""How often a planned run would see each source: epochs, the different tokens it sees, and what it lacks."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from tenfold.errors import UserError

MOST_EPOCHS = 4.0
"""Up to about four epochs, repeated tokens are worth nearly what new ones are (Muennighoff et al. 2023)."""


class Held(NamedTuple):
    """What there is of a source."""

    documents: int
    tokens: int
    weight: float
    """Share of the mixture, in proportion to the other sources'."""


class Planned(NamedTuple):
    """A row of the table."""

    source: str
    documents: int
    tokens: int
    weight: float
    """The weights of all rows add up to 1."""
    epochs: float
    """How often the planned run sees each token of the source."""
    unique_tokens: int
    """Different tokens of the source that it sees."""
    shortfall: int
    """How many of the tokens that the run takes from the source are repeats: what it lacks to be seen once."""
    warning: str
    """"" or a sentence."""


def plan(sources: Mapping[str, Held], planned_tokens: float, most_epochs: float = MOST_EPOCHS) -> list[Planned]:
    """The table of a mixture, in the order of `sources`, for a run of so many tokens.

    Within a source a run sees every token once before it sees one twice. Raises UserError for weights or lengths that cannot be.
    """
    if not sources:
        raise UserError("The mixture has no sources.\n  Name at least one.")
    for what, number in (("planned_tokens", planned_tokens), ("most_epochs", most_epochs)):
        if not (math.isfinite(number) and number > 0):
            raise UserError(f"mixture.{what} is {number}.\n  Give a number above 0.")
    for name, held in sources.items():
        if not (math.isfinite(held.weight) and held.weight >= 0):
            raise UserError(f"The weight of source {name!r} is {held.weight}.\n  Give 0 or more.")
        if held.weight and not held.tokens:
            raise UserError(f"The source {name!r} has weight {held.weight} but no tokens.\n  Give it documents, or weight 0.")
    total = math.fsum(held.weight for held in sources.values())
    if not total:
        raise UserError("The weights of all sources are 0.\n  Give one of them more.")
    return [_row(name, held, held.weight / total, planned_tokens, most_epochs) for name, held in sources.items()]


def _row(name: str, held: Held, weight: float, planned_tokens: float, most_epochs: float) -> Planned:
    seen = weight * planned_tokens
    epochs = seen / held.tokens if held.tokens else 0.0
    warning = ""
    if epochs > most_epochs:
        more = math.ceil(seen / most_epochs) - held.tokens
        warning = f"{name} is seen {epochs:,.1f} times, over {most_epochs:g}: add {more:,} tokens, or give it less weight"
    shortfall = max(0, round(seen) - held.tokens)
    return Planned(name, held.documents, held.tokens, weight, epochs, round(min(seen, held.tokens)), shortfall, warning)


def weights_of_epochs(tokens: Mapping[str, int], epochs: Mapping[str, float]) -> dict[str, float]:
    """The weights of a mixture given by epochs, as The Pile is: tokens x epochs, adding up to 1. Raises UserError where nothing is left."""
    shares = {name: count * epochs[name] for name, count in tokens.items()}
    total = math.fsum(shares.values())
    if not total:
        raise UserError("The sources of the mixture have no tokens, or no epochs.\n  Give one of them some of both.")
    return {name: share / total for name, share in shares.items()}
