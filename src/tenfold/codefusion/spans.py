"""What is said of a piece of code: where its parser breaks, and where its names and keywords lie."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["identifier", "keyword"]


@dataclass(frozen=True)
class Problem:
    """Why code does not parse."""

    message: str
    at: int
    """Characters before the place, from 0."""


@dataclass(frozen=True)
class Span:
    """code[start:end] is an identifier or a keyword."""

    start: int
    end: int
    kind: Kind
