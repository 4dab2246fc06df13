"""What training on comparisons may be told, checked. Imports no JAX."""

from dataclasses import dataclass, field
from typing import Literal

from tenfold.errors import UserError
from tenfold.train.recipe import Recipe


@dataclass(frozen=True)
class RewardModel:
    """A reward model as InstructGPT's: all pairs of a prompt's answers in one element of the batch."""

    demonstrations: str | None = None
    """JSON lines with `prompt` and `completion`, by people: at the end of training they are made to score 0 on average."""


@dataclass(frozen=True)
class Dpo:
    """Learning from pairs without a reward model."""

    beta: float = 0.1
    """How near to its start the policy stays; larger is nearer."""
    loss: Literal["dpo", "ipo"] = "dpo"

    def __post_init__(self):
        if not self.beta > 0:
            raise UserError(f"dpo.beta is {self.beta}, but must be above 0; 0.1 is usual.")


@dataclass(frozen=True)
class ComparisonRecipe:
    """Everything that decides a training on comparisons; train.batch counts prompts (reward models) or pairs (DPO)."""

    recipe: Recipe = field(default_factory=Recipe)
    reward_model: RewardModel | None = None
    dpo: Dpo | None = None

    def __post_init__(self):
        if (self.reward_model is None) == (self.dpo is None):
            raise UserError("a recipe of comparisons has both or neither of reward_model and dpo.\n  Leave one of them.")
        if self.recipe.start is None:
            raise UserError("start names no model to train.\n  Name a run, a Hugging Face directory or a .gguf.")
        if self.recipe.mesh.sequence > 1:
            raise UserError(f"mesh.sequence is {self.recipe.mesh.sequence}, but answers are read on whole rows.\n  Leave it at 1.")
