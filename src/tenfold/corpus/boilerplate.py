"""Lines that are the site's, not the page's: menus, notices and footers that come back on page after page.

The rule: a line is boilerplate where it stands, but for white space at its ends, in at least `documents` documents of one group and
in at least `share` of them. A group is a web site (the host of the address), or the source where there is no address.

Two passes, so that a collection of any size goes through in parts: `line_keys` of every part, whose (group, key) pairs are counted
by whoever holds the parts; then `without_lines` with the keys that `is_boilerplate` names.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

from tenfold.errors import UserError


@dataclass(frozen=True)
class Boilerplate:
    """How often a line must come back within its group to be taken for boilerplate."""

    documents: int = 10
    share: float = 0.1

    def __post_init__(self):
        if self.documents < 2:
            raise UserError(f"boilerplate.documents is {self.documents}: a line repeats from 2 documents on.\n  Give 2 or more.")
        if not 0 <= self.share <= 1:
            raise UserError(f"boilerplate.share is {self.share}: it is a share of a site's documents.\n  Give a number from 0 to 1.")


def group_of(url: str, source: str) -> str:
    """The host of an address without "www.", or the source's name where the address is unknown or has no host."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:  # an address with half a bracket in it
        host = ""
    return host.removeprefix("www.") or source


def line_key(line: str) -> int:
    """64 bits of BLAKE2b of the line without the white space at its ends; as a signed number, which every table can hold."""
    digest = hashlib.blake2b(line.strip().encode("utf-8"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def line_keys(texts: list[str]) -> list[np.ndarray]:
    """For each text, int64[lines]: the keys of its different lines, sorted. Empty lines have none."""
    return [np.array(sorted({line_key(line) for line in set(text.split("\n")) if line.strip()}), dtype=np.int64) for text in texts]


def is_boilerplate(rule: Boilerplate, documents_with_line: np.ndarray, documents_in_group: np.ndarray) -> np.ndarray:
    """bool[K]: which lines the rule takes, from the counts int[K] of documents that hold them and of documents in their group."""
    return (documents_with_line >= rule.documents) & (documents_with_line >= rule.share * documents_in_group)


def without_lines(texts: list[str], keys: list[Collection[int]]) -> list[str]:
    """Each text without the lines whose keys are in its own set of keys; the rest stays as it was, byte for byte."""
    return [_without(text, found) if found else text for text, found in zip(texts, keys, strict=True)]


def _without(text: str, keys: Collection[int]) -> str:
    return "\n".join(line for line in text.split("\n") if not line.strip() or line_key(line) not in keys)
