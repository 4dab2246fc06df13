"""Several answers to one question become one: orders are added up by reciprocal rank fusion (Cormack et al. 2009).

What stands at a place, counted from 0, is worth 1 / (FUSED + place), and what stands in several orders the sum. Only places count, so
models whose bounds of likelihood cannot be compared, as diffusion's and an autoregressive model's, can be put together.
"""

from collections.abc import Hashable, Iterable, Sequence

from tenfold.codefusion.data import plain

FUSED = 3
"""Chosen on pairs held out of Bash's training ones, where the paper's 60, made for longer orders, was worse."""


def reciprocal_ranks(orders: Iterable[Iterable[Hashable]]) -> dict[Hashable, float]:
    """What each thing in the orders is worth; what stands twice in one order counts where it stands first."""
    worth: dict[Hashable, float] = {}
    for order in orders:
        for place, thing in enumerate(dict.fromkeys(order)):
            worth[thing] = worth.get(thing, 0.0) + 1 / (FUSED + place)
    return worth


def together(lists: Sequence[Sequence[str]], meanings: Sequence[Sequence[Hashable | None]] | None = None) -> list[tuple[int, int]]:
    """Lists of codes, each best first, as one: the list and the place in it of each different code, best first; of those worth the same,
    the earlier list's. With `meanings`, one of each list's codes, codes of one meaning are one, and those without (None) come last."""
    keys: list[list[tuple[bool, Hashable]]] = [[(False, plain(code)) for code in codes] for codes in lists]
    if meanings is not None:
        for own, codes in zip(keys, meanings, strict=True):
            own[:] = [(True, key[1]) if meaning is None else (False, meaning) for key, meaning in zip(own, codes, strict=True)]
    worth = reciprocal_ranks(keys)
    first: dict[tuple[bool, Hashable], tuple[int, int]] = {}
    for number, own in enumerate(keys):
        for place, key in enumerate(own):
            first.setdefault(key, (number, place))
    return [first[key] for key in sorted(first, key=lambda key: (key[0], -worth[key]))]
