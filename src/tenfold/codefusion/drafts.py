"""Codes of the nearest training texts as further candidates: the model judges them beside what it has drawn.

An order by the model's bound and one by nearness become one (together.py). Where words of the text are slots, a draft has this text's
words in place of its own text's.
"""

import math
from collections.abc import Sequence

from tenfold.codefusion.data import plain
from tenfold.codefusion.retrieval import Found
from tenfold.codefusion.slots import Slotted, slots_in, slotted, with_slots
from tenfold.codefusion.together import reciprocal_ranks


def draft(found: Found, read: Slotted, words: frozenset[str] | None) -> str:
    """The code of a near text, in the slots of the text that is read; where it takes others, as it is but for words of that text."""
    if words is None:
        return found.code
    own = with_slots(found.code, slotted(found.text, words).slots)
    return own if slots_in(own) <= set(read.slots.values()) else with_slots(found.code, read.slots)


def fused(codes: Sequence[str], bounds: Sequence[float | None], drawn: int) -> list[int]:
    """The numbers of the different codes, best first. The first `drawn` were drawn, the others are drafts, nearest first; the bound
    of a draft that is too long for the model is None. Of codes worth the same the likelier comes first."""
    keys = [plain(code) for code in codes]
    likeliest = sorted(range(len(keys)), key=lambda n: math.inf if (bound := bounds[n]) is None else bound)
    worth = reciprocal_ranks([keys[n] for n in order] for order in (likeliest, range(drawn, len(keys))))
    first: dict[str, int] = {}
    for n in likeliest:
        first.setdefault(keys[n], n)
    return sorted(first.values(), key=lambda n: -worth[keys[n]])
