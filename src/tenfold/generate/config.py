"""What a caller may ask of `generate`, checked. Imports no JAX, so that the command line can refuse in a moment."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from tenfold.errors import UserError

Weights = Literal["as trained", "float32", "bfloat16", "int8"]


@dataclass(frozen=True)
class ChatOptions:
    """A question instead of a text to continue."""

    chat: str = ""
    """What the user says; the model answers, as its chat template has it."""
    system: str = ""
    """What the system says before."""
    template: str = "model"
    """The chat template: the model's own, or one of `tenfold align sft`."""


@dataclass(frozen=True)
class GenerateConfig:
    """How to write on from a prompt."""

    max_tokens: int = 64
    """Tokens to write at most, for each prompt."""
    temperature: float = 0.8
    """0 always takes the likeliest token; 1 draws from the model's own distribution; above 1 is wilder."""
    top_k: int = 0
    """Draw only from the k likeliest tokens; 0 means all."""
    top_p: float = 1.0
    """Draw only from the likeliest tokens that together have this probability; 1 means all."""
    stop: str | tuple[str, ...] = ()
    """The text ends before the first of these, or before this one."""
    seed: int = 0
    weights: Weights = "as trained"
    """What the weights are rounded to while writing: the model's own compute type, or another. int8 is the quickest on CPUs."""

    def __post_init__(self):
        if self.max_tokens < 1:
            raise UserError(f"max_tokens is {self.max_tokens}, but must be at least 1.")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise UserError(f"temperature is {self.temperature}, but must be 0 (always the likeliest token) or more, such as 0.8.")
        if self.top_k < 0:
            raise UserError(f"top_k is {self.top_k}, but must be at least 1, or 0 for all tokens.")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p is {self.top_p}, but must be above 0 and at most 1 (all tokens).")
        if "" in self.stops:
            raise UserError(f"stop is {self.stop!r}, but an empty text stands before every first character.\n  Leave it out.")
        if self.weights not in get_args(Weights):
            raise UserError(f"weights is {self.weights!r}, but must be one of {', '.join(map(repr, get_args(Weights)))}.")
        if not 0 <= self.seed < 2**32:
            raise UserError(f"seed is {self.seed}, but must be at least 0 and below 2^32.")

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else self.stop
