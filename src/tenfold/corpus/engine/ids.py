"""Ids as numbers, and the ranges of ids that parts are."""

from collections.abc import Iterable

import numpy as np

DIGITS = 16


def numbers_of(ids: Iterable[str]) -> np.ndarray:
    """uint64[N] of ids as they are written, 16 hexadecimal digits each; they sort alike."""
    return np.frombuffer(bytes.fromhex("".join(ids)), ">u8").astype(np.uint64)


def written(numbers: np.ndarray) -> list[str]:
    """Ids as they are written."""
    digits = numbers.astype(">u8").tobytes().hex()
    return [digits[begin : begin + DIGITS] for begin in range(0, len(digits), DIGITS)]


def part_of(numbers: np.ndarray, parts: int) -> np.ndarray:
    """int64[N]: which of `parts` equal ranges each id lies in."""
    begins = np.array([-(-(part << 64) // parts) for part in range(1, parts)], np.uint64)
    return np.searchsorted(begins, numbers, "right")
