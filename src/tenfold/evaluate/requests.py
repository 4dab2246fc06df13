"""What an evaluation asks of a model, and what it answers. Tasks make these; the engine answers them; scoring reads the answers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Continuation:
    """How likely is `text` after `context`? An empty context is the beginning of a document."""

    context: str
    text: str


@dataclass(frozen=True)
class Likelihood:
    """The answer to a Continuation."""

    total: float
    """Natural log of the probability of all its tokens."""
    tokens: int
    greedy: bool
    """Whether each of its tokens is the model's likeliest."""
    cut: int = 0
    """Tokens at the left of the context that the model's context had no room for."""


@dataclass(frozen=True)
class Writing:
    """Write on from `context` until one of `stop`, or so many tokens."""

    context: str
    stop: tuple[str, ...] = ()
    max_tokens: int = 64
    beams: int = 1
    """Above 1: beam search, which takes temperature 0 and one sample."""
    length_penalty: float = 0.6
    """Of beams: a text's log-probability is divided by ((5 + tokens) / 6) to this power (Wu et al. 2016, equation 14)."""
    temperature: float = 0.0
    samples: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Written:
    """The answer to a Writing: its samples, without the stop strings."""

    texts: tuple[str, ...]
    cut: int = 0
    """As of Likelihood."""
