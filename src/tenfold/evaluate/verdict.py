"""Does an ability appear, or was it only measured coarsely? The rules, and the answer in words.

    appears               exact match breaks upward, and so does every finer measure
    measured coarsely     a finer measure rises on a straight line, while exact match breaks, or does not rise
    smooth                a finer measure rises on a straight line, and so does exact match
    flat                  nothing rises, and the largest model is not above chance
    cannot tell           anything else, and fewer than five models of different compute

"Breaks" and "rises" are the tests of breaks.py at 5%. "On a straight line" is more than no break found: the line must also explain nine
tenths of the variance between the models. Models beyond the first that reaches nine tenths of what can be reached are left out of all
tests: what is done cannot rise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tenfold.evaluate.breaks import FEWEST, Bend, computes
from tenfold.evaluate.grades import COARSE, FINER, NAMED

LEVEL = 0.05
STRAIGHT = 0.9
CEILING = 0.9
"""Of exact match, centred."""

WORDS: dict[str, str] = {
    "appears": "appears",
    "coarse": "smooth: only measured coarsely",
    "smooth": "smooth",
    "flat": "flat",
    "unknown": "cannot tell",
}


@dataclass(frozen=True)
class Verdict:
    """What is said of a task at one number of shots."""

    word: str
    """A key of `WORDS`."""
    why: str

    @property
    def said(self) -> str:
        """In words."""
        return WORDS[self.word]


def breaks(found: Bend) -> bool:
    """Whether it bends upward more than a line with this noise does."""
    return found.p < LEVEL


def rises(found: Bend) -> bool:
    """Whether it rises at all."""
    return found.rise_p < LEVEL or breaks(found)


def straight(found: Bend) -> bool:
    """Whether it rises on a straight line."""
    return rises(found) and not breaks(found) and found.straight >= STRAIGHT


def below_ceiling(x_M: np.ndarray, centred_M: np.ndarray) -> list[int]:
    """Which models are tested, by compute: up to the first of which exact match reaches the ceiling, and what had no more compute."""
    order = sorted(range(len(x_M)), key=lambda m: x_M[m])
    done = [x_M[m] for m in order if centred_M[m] >= CEILING]
    return [m for m in order if not done or x_M[m] <= min(done)]


def too_few(x_M: np.ndarray, tested: Sequence[int]) -> Verdict | None:
    """Where the models do not allow a test; None where they do."""
    count = computes(x_M[list(tested)])
    if count >= FEWEST:
        return None
    left = len(x_M) - len(tested)
    models = f"{count} model{'s' if count != 1 else ''} of different compute"
    why = f"there {'is' if count == 1 else 'are'} {models} to test, and a break needs {FEWEST}: a line with a break passes through any four"
    return Verdict("unknown", why + (f"; {left} more are at the ceiling, so train smaller ones" if left else "; train more sizes"))


def verdict(bends: Mapping[str, Bend], above_chance: bool) -> Verdict:
    """By the rules above. `above_chance`: whether the largest model's exact match is, for sure."""
    coarse, finer = bends[COARSE], {name: bends[name] for name in FINER if name in bends}
    lines, broken = [name for name in finer if straight(finer[name])], [name for name in finer if breaks(finer[name])]
    seen = (
        f"exact match bends upward {_where(coarse)}" if breaks(coarse) else f"exact match {'rises' if rises(coarse) else 'does not rise'}"
    )
    if breaks(coarse) and len(broken) == len(finer):
        return Verdict("appears", f"{seen}, and so do {_list(broken)}")
    if lines and (breaks(coarse) or not rises(coarse)):
        return Verdict("coarse", f"{seen}; on a straight line in log compute: {_list(lines)}")
    if lines and straight(coarse):
        return Verdict("smooth", f"on a straight line in log compute: exact match, {_list(lines)}")
    rising = [name for name in finer if rises(finer[name])]
    if rising or rises(coarse):
        return Verdict(
            "unknown", f"{seen}; finer ones that bend: {_list(broken)}; on a line: {_list(lines)}; that rise at all: {_list(rising)}"
        )
    if above_chance:
        return Verdict("unknown", "nothing rises with compute, though the largest model is above chance")
    return Verdict("flat", "neither exact match nor a finer measure rises, and the largest model is not above chance")


def _where(found: Bend) -> str:
    return f"at 10^{found.at:.1f} FLOPs (95%: {found.low:.1f} to {found.high:.1f})"


def _list(names: Sequence[str]) -> str:
    return ", ".join(NAMED[name] for name in names) or "none"
