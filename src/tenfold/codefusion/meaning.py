"""What code means, so that answers that mean the same are one answer: a person who is shown five wants five.

    bash      its template: the same utilities, flags and structure (bash.py)
    python    its syntax tree
    cf        what the rule does to the cells, or to made columns where there are none (rules/match.py)

A meaning is as likely as all codes that have it together. So the order by it is that of the sum of exp(-bound) over different codes
(AlphaCode's clusters by behaviour, Li et al. 2022, arXiv 2203.07814, weighed by likelihood and not by count).
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tenfold.codefusion.bash import template
from tenfold.codefusion.languages import LANGUAGES, syntax_tree
from tenfold.codefusion.rules.match import effects
from tenfold.codefusion.slots import slots_in
from tenfold.errors import UserError


@dataclass(frozen=True)
class Meanings:
    """How the codes for texts are understood. Raises UserError for an unknown language."""

    language: str
    data: Sequence[Sequence[Sequence[Any]]] = field(default=())
    """Of rules: each text's header and rows; empty where nothing is known of the cells."""

    def __post_init__(self):
        if self.language not in LANGUAGES:
            raise UserError(f"language is {self.language!r}, of which no meanings are known.\n  Give one of {', '.join(LANGUAGES)}.")

    def take(self, places: Sequence[int]) -> "Meanings":
        """Those of the texts of these places."""
        return Meanings(self.language, [self.data[place] for place in places] if self.data else ())

    def of(self, place: int, codes: Sequence[str]) -> list[Hashable | None]:
        """What each code for the text of that place means; None of code that the language's parser does not read, and of code in which a
        slot stands that the text has no word for. Meanings of one call can be compared: made columns are of all its rules' constants."""
        return [None if slots_in(code) else meaning for code, meaning in zip(codes, self._of(place, codes), strict=True)]

    def _of(self, place: int, codes: Sequence[str]) -> Sequence[Hashable | None]:
        if self.language == "bash":
            return [template(code) for code in codes]
        if self.language == "python":
            return [syntax_tree(code) for code in codes]
        return effects(codes, self.data[place] if self.data else ())


def by_meaning(codes: Sequence[str], meanings: Sequence[Hashable | None], bounds: Sequence[float | None], sort: bool = True) -> list[int]:
    """The numbers of all codes: the likeliest of each meaning; then others that mean the same, those without a meaning, and copies last.
    Each part is in the order of how likely the meanings are or, without `sort`, in that given. `bounds` are of -log p."""
    likeliest = sorted(range(len(codes)), key=lambda n: nats(bounds[n]))
    different = {codes[n]: n for n in reversed(likeliest)}.values()
    worth: dict[Hashable, float] = {}
    for n in different:
        worth[meanings[n]] = _added(worth.get(meanings[n], -math.inf), -nats(bounds[n]))
    order = sorted(likeliest, key=lambda n: -worth[meanings[n]]) if sort else list(range(len(codes)))
    codes_seen: set[str] = set()
    meanings_seen: set[Hashable] = set()

    def part(n: int) -> int:
        copied, known = codes[n] in codes_seen, meanings[n] in meanings_seen
        codes_seen.add(codes[n])
        meanings_seen.add(meanings[n])
        return 3 if copied else 2 if meanings[n] is None else int(known)

    parts = {n: part(n) for n in order}
    return sorted(order, key=lambda n: parts[n])


def nats(bound: float | None) -> float:
    """To sort by: what is too long for a model, without a bound, comes last; where nothing is ranked all are alike."""
    return math.inf if bound is None else bound


def _added(one: float, other: float) -> float:
    """log(exp(one) + exp(other))."""
    high, low = max(one, other), min(one, other)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
