"""What a distillation may be told, checked. Imports no JAX."""

import math
from dataclasses import dataclass, field

from tenfold.errors import UserError
from tenfold.train.recipe import Recipe


@dataclass(frozen=True)
class Distill:
    """Learning from a teacher's probabilities, which are stored before the student's first step."""

    teacher: str = ""
    """A run or a Hugging Face directory, whose tokenizer the student then has. `tenfold convert import` makes a run of a .gguf."""
    temperature: float = 2.0
    """Of teacher and student; Hinton et al. 2015."""
    top: int = 32
    """Likeliest tokens whose probabilities are stored of each place; what the others have together is known too."""
    weight: float = 0.5
    """Of the teacher in the loss; the rest is that of the text. 1: of the teacher alone."""

    def __post_init__(self):
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise UserError(f"distill.temperature is {self.temperature}, but must be above 0; 2 is usual.")
        if self.top < 1:
            raise UserError(f"distill.top is {self.top}, but must be at least 1.")
        if not 0 < self.weight <= 1:
            raise UserError(f"distill.weight is {self.weight}, but must be above 0 and at most 1; 0.5 is usual.")


@dataclass(frozen=True)
class DistillRecipe:
    """Everything that decides a distillation: the student's recipe, and what it learns from beside the text."""

    recipe: Recipe = field(default_factory=Recipe)
    distill: Distill = field(default_factory=Distill)

    def __post_init__(self):
        recipe = self.recipe
        if recipe.train.objective != "causal" or recipe.chat.template:
            what = f"train.objective {recipe.train.objective}" if recipe.train.objective != "causal" else "conversations"
            raise UserError(f"the recipe is of {what}, but a teacher is asked for the next token of documents.\n  Use a causal recipe.")
        if recipe.lora.rank or recipe.mesh.sequence > 1 or recipe.model.experts or recipe.train.frozen:
            raise UserError(
                "a student is trained with all its weights, on whole rows, without experts.\n"
                "  Leave out lora.rank, mesh.sequence, model.experts and train.frozen."
            )
