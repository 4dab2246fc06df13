"""What a rule is, and what rules look at. Rules of one document share the work of taking it apart."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import filterfalse
from typing import NamedTuple

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
    def odd_words(self) -> list[str]:
        """The words with anything but letters in them."""
        return list(filterfalse(str.isalpha, self.words))

    @cached_property
    def unreal_words(self) -> list[str]:
        """The words without a letter or digit."""
        return [word for word in self.odd_words if not (word.isalnum() or any(map(str.isalnum, word)))]

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

    @cached_property
    def line_pieces(self) -> "Pieces":
        """What runs of line ends separate; at an end of the text they separate an empty piece."""
        pieces = [line for line in self.text.split("\n") if line]
        empty = max(self.text.startswith("\n") + self.text.endswith("\n"), not pieces)
        return Pieces.of(pieces + [""] * empty)

    @cached_property
    def paragraph_pieces(self) -> "Pieces":
        """What runs of two or more line ends separate, after those around the text."""
        pieces = [piece.lstrip("\n") for piece in self.text.strip().split("\n\n")]
        return Pieces.of([piece for piece in pieces if piece] or [""])

    def repeats(self, n: int) -> "Repeats":
        """The runs of `n` words, 2 or more, that are there more than once."""
        if n not in self._repeats:
            self._repeats[n] = self._longer(self.repeats(n - 1), n) if n > 2 else self._longer(None, 2)
        return self._repeats[n]

    @cached_property
    def _repeats(self) -> dict[int, "Repeats"]:
        return {}

    def _longer(self, shorter: "Repeats | None", n: int) -> "Repeats":
        """A run that is there again begins with a shorter one that is: only those have to be sorted."""
        words = self.word_numbers.view(np.uint64)
        places, numbers = shorter or (np.arange(len(words)), words)
        inside = places <= len(words) - n
        places, numbers = places[inside], numbers[inside]
        numbers = numbers * np.uint64(0x9E3779B97F4A7C15) + words[places + n - 1]
        order = np.argsort(numbers)
        places, numbers = places[order], numbers[order]
        kept = np.zeros(len(numbers), bool)
        kept[1:] = numbers[1:] == numbers[:-1]
        kept[:-1] |= kept[1:]
        return Repeats(places[kept], numbers[kept])


class Pieces(NamedTuple):
    """How a text is cut, and how much of it had been there before."""

    pieces: int
    again: int
    letters_again: int

    @classmethod
    def of(cls, pieces: list[str]) -> "Pieces":
        """The counts of a text's pieces."""
        different = set(pieces)
        return cls(len(pieces), len(pieces) - len(different), sum(map(len, pieces)) - sum(map(len, different)))


class Repeats(NamedTuple):
    """Runs of n words that a text has more than once, sorted by their numbers."""

    places: np.ndarray
    """int64[R], the first word of each."""
    numbers: np.ndarray
    """uint64[R]: equal runs have equal numbers, in this process only."""

    @property
    def heads(self) -> np.ndarray:
        """int64[D]: where each different run's begin."""
        return np.flatnonzero(np.append(True, self.numbers[1:] != self.numbers[:-1])) if len(self.numbers) else np.zeros(0, np.int64)

    @property
    def firsts(self) -> np.ndarray:
        """int64[D]: the first place of each different run."""
        return np.minimum.reduceat(self.places, self.heads) if len(self.places) else self.places


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
