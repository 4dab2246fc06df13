"""How Excel compares and searches.

Numbers come before texts and texts before booleans; a blank is 0, "" or FALSE, whichever it is compared with; case does not count. Texts
are ordered by the code points of their folded case, where Excel asks the locale. Source: Microsoft's reference of operators and of SEARCH.
"""

import datetime
import functools
import re

from tenfold.codefusion.rules.cells import Cell, serial

_EMPTY: dict[int, float | str | bool] = {0: 0.0, 1: "", 2: False}


def compare(left: Cell, right: Cell) -> int:
    """-1, 0 or 1: left before, equal to or after right. Neither may be an error."""
    (left_rank, left_key), (right_rank, right_key) = _ordered(left), _ordered(right)
    if left is None:
        left_rank, left_key = right_rank, _EMPTY[right_rank]
    if right is None:
        right_rank, right_key = left_rank, _EMPTY[left_rank]
    return _sign((left_rank, left_key), (right_rank, right_key))


def _ordered(cell: Cell) -> tuple[int, float | str | bool]:
    if isinstance(cell, bool):
        return 2, cell
    if isinstance(cell, str):
        return 1, cell.casefold()
    if isinstance(cell, datetime.datetime):
        return 0, serial(cell)
    return 0, cell if isinstance(cell, float) else 0.0


def _sign(left: tuple, right: tuple) -> int:
    return (left > right) - (left < right)


@functools.lru_cache(maxsize=1024)
def pattern(text: str) -> re.Pattern:
    """What SEARCH looks for: ? is any letter, * any letters, and ~ before either makes it itself."""
    parts = re.findall(r"~[*?~]|.", text, re.DOTALL)
    wild = {"?": ".", "*": ".*"}
    return re.compile("".join(wild.get(part) or re.escape(part[-1]) for part in parts), re.IGNORECASE | re.DOTALL)


def contains(text: str, part: str) -> bool:
    """Whether SEARCH finds `part` in `text`."""
    return pattern(part).search(text) is not None
