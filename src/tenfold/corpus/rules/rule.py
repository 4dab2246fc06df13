"""What a rule is, and what rules look at. Rules of one document share the work of taking it apart."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from tenfold.errors import UserError


class Parts:
    """A document taken apart, each way at most once and only if a rule asks for it."""

    def __init__(self, text: str):
        self.text = text

    @cached_property
    def lower(self) -> str:
        """The text in lower case."""
        return self.text.lower()

    @cached_property
    def words(self) -> list[str]:
        """What white space separates."""
        return self.text.split()

    @cached_property
    def real_words(self) -> list[str]:
        """The words with a letter or digit in them."""
        return [word for word in self.words if word.isalnum() or any(map(str.isalnum, word))]

    @cached_property
    def lines(self) -> list[str]:
        """The lines, empty ones too."""
        return self.text.splitlines()

    @cached_property
    def word_numbers(self) -> np.ndarray:
        """int64[W]: equal words have equal numbers, in this process only."""
        return np.fromiter(map(hash, self.words), np.int64, len(self.words))

    @cached_property
    def word_lengths(self) -> np.ndarray:
        """int64[W], in characters"""
        return np.fromiter(map(len, self.words), np.int64, len(self.words))

    def grams(self, n: int) -> np.ndarray:
        """uint64[W - n + 1]: equal runs of `n` words have equal numbers, in this process only."""
        words = self.word_numbers.view(np.uint64)
        run = np.zeros(max(0, len(words) - n + 1), np.uint64)
        for place in range(n):
            run *= np.uint64(0x9E3779B97F4A7C15)
            run += words[place : place + len(run)]
        return run


@dataclass(frozen=True)
class Rule(ABC):
    """A predicate of one document. Its fields are its thresholds; the first line of its docstring says what it asks for."""

    @property
    def description(self) -> str:
        """What the rule asks for, with its thresholds."""
        text = (type(self).__doc__ or "").split("\n")[0]
        values = ((each.name, getattr(self, each.name)) for each in fields(self))
        shown = ", ".join(f"{name} {_shown(value)}" for name, value in values if value not in (float("inf"), float("-inf")))
        return f"{text.rstrip('.')} ({shown})." if shown else text

    @abstractmethod
    def breaks(self, parts: Parts) -> bool:
        """Whether the document is refused."""


def _shown(value) -> str:
    if isinstance(value, tuple):
        return f"{len(value)} of them" if len(value) > 12 else ", ".join(map(repr, value)) or "none"
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Between(Rule):
    """A number that must lie between two others."""

    least: float = float("-inf")
    most: float = float("inf")

    def __post_init__(self):
        if self.least > self.most:
            raise UserError(
                f"{type(self).__name__}.least is {self.least} but most is {self.most}: no document has such a number.\n  Swap them."
            )

    @abstractmethod
    def measure(self, parts: Parts) -> float:
        """The number."""

    def breaks(self, parts: Parts) -> bool:
        """Whether the number is outside."""
        return not self.least <= self.measure(parts) <= self.most


@dataclass(frozen=True)
class AtMost(Rule):
    """A share of the document that must not be larger."""

    most: float = 1.0

    def __post_init__(self):
        if not 0 <= self.most <= 1:
            raise UserError(f"{type(self).__name__}.most is {self.most}: it is a share.\n  Give a number from 0 to 1.")

    @abstractmethod
    def measure(self, parts: Parts) -> float:
        """The share, 0 of a document that has nothing to count."""

    def breaks(self, parts: Parts) -> bool:
        """Whether the share is larger."""
        return self.measure(parts) > self.most
