"""How snippets are sampled. Imports no JAX."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from tenfold.errors import UserError

OTHERS = {
    "codefusion": ("temperature", "order"),
    "masked": ("eta", "estimate", "grounding", "frames"),
    "autoregressive": ("steps", "eta", "estimate", "grounding", "frames", "order", "guidance"),
}
"""Settings that mean nothing to a kind."""


@dataclass(frozen=True)
class Sampling:
    """Settings of one call; what does not belong to the model's kind is refused where it is not as it stands here."""

    steps: int = 0
    """Passes of the denoiser, or of the stack that unmasks; 0 means all of model.steps, and one a token of a masked model."""
    eta: float = 1.0
    """Noise added on the way back: 1 as much as the posterior has (the published sampler), 0 none (DDIM)."""
    guidance: float = 1.0
    """How far the text pulls; 1: as the model has it. Needs a model that was trained with train.drop_text."""
    estimate: Literal["denoiser", "decoder"] = "denoiser"
    """What each step takes for the snippet: the denoiser's estimate, or the mean embedding by what decoder and head read in it (score
    interpolation, Dieleman et al. 2022)."""
    grounding: Literal["decoder", "nearest"] = "decoder"
    """What turns the last estimate into tokens: decoder and head, or the nearest embedding, an ablation."""
    temperature: float = 1.0
    """Of masked and autoregressive models; 0 takes the likeliest token each time."""
    order: Literal["random", "confident"] = "random"
    """Which tokens a masked model uncovers first: any, or those it is surest of."""
    frames: int = 1
    """Looks at the snippet on the way, the last at its end. The steps must be a multiple."""
    samples: int = 1
    """Snippets for each text."""
    draws: int = 0
    """Snippets drawn for each text, of which the likeliest different ones are kept, by the bound that `rank_by` asks for; 0: as many as
    `samples`, all of them kept."""
    distinct: Literal["letters", "meaning"] = "letters"
    """Which of more codes than are kept count as different: those of other letters, or those that mean something else, the likeliest
    meaning first (meaning.py): another template of Bash, another tree of Python, a rule that does something else to the cells."""
    rank_by: int = 0
    """Passes with which the model's own bound of each sample's likelihood is estimated, to sort by, best first; 0: in order of drawing."""
    retrieved: int = 0
    """Codes of the nearest training texts that are judged beside what is drawn, by the same bound, and answered where both the bound and
    the nearness speak for them (drafts.py); 0: none."""
    batch: int = 64
    """Rows sampled at once; it changes no snippet."""
    seed: int = 0

    def __post_init__(self):
        for name in ("steps", "draws", "rank_by", "retrieved"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} is {getattr(self, name)}, but must be 0 or more.")
        for name in ("frames", "samples", "batch"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}, but must be at least 1.")
        if self.draws and (self.draws < self.samples or not self.rank_by):
            raise UserError(
                f"draws is {self.draws}, samples {self.samples} and rank_by {self.rank_by}, but the best of more are kept by their bound.\n"
                "  Draw at least as many as are kept, and set rank_by, to 16 for example."
            )
        if self.retrieved and not self.rank_by:
            raise UserError(
                f"retrieved is {self.retrieved} and rank_by 0, but retrieved codes are judged by the model's bound."
                "\n  Set rank_by, to 16 for example."
            )
        if self.distinct == "meaning" and not (self.draws or self.retrieved):
            raise UserError("distinct is meaning, but no more codes are made than are kept.\n  Set draws, to 16 for example.")
        if not 0 <= self.eta <= 1:
            raise UserError(f"eta is {self.eta}, but must lie between 0 (DDIM) and 1 (the posterior's noise).")
        if not (math.isfinite(self.guidance) and self.guidance >= 0):
            raise UserError(f"guidance is {self.guidance}, but must be 0 (no text) or more; 1 leaves the model as it is.")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise UserError(f"temperature is {self.temperature}, but must be 0 or more.")
        if not 0 <= self.seed < 2**32:
            raise UserError(f"seed is {self.seed}, but must be at least 0 and below 2^32.")

    def count(self, whole: int) -> int:
        """Passes, where `whole` are all of them."""
        return self.steps or whole

    @property
    def alone(self) -> "Sampling":
        """The settings of one sample a text, as it is drawn."""
        return replace(self, samples=1, draws=0, distinct="letters", rank_by=0, retrieved=0)

    @property
    def compiled(self) -> "Sampling":
        """The settings without those that no sampler reads, which compiles for each of the others."""
        return replace(self.alone, batch=1, seed=0)

    def of_kind(self, kind: str, whole: int) -> "Sampling":
        """The settings without those that a model of this kind has none of; a masked one's steps are `whole`, its tokens, at most."""
        own = replace(self, **{name: getattr(Sampling(), name) for name in OTHERS[kind]})
        return replace(own, steps=min(own.steps, whole)) if kind == "masked" else own

    def check(self, kind: str, whole: int) -> None:
        """Refuses what a model of this kind, with so many steps in all, cannot do."""
        for name in OTHERS[kind]:
            if getattr(self, name) != getattr(Sampling(), name):
                raise UserError(f"{name} is {getattr(self, name)}, but the model's kind is {kind}, which has none.\n  Leave it out.")
        if kind != "autoregressive" and self.count(whole) > whole:
            raise UserError(f"steps is {self.steps}, but the model has {whole}.\n  Use at most as many; 16 to 64 are quick.")
        if self.count(whole) % self.frames:
            raise UserError(f"frames is {self.frames}, which does not divide steps {self.count(whole)}.\n  Use a divisor.")
