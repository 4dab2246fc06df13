"""What training on comparisons may be told, checked. Imports no JAX."""

from dataclasses import dataclass, field
from typing import Literal

from tenfold.errors import UserError
from tenfold.train.recipe import Recipe


def check_members(section: str, ensemble: int, share: float) -> None:
    """Refuses a number of reward models, or a share of the pairs for each, that cannot be. `section` is whose fields they are."""
    if ensemble < 1:
        raise UserError(f"{section}.ensemble is {ensemble}, but must be at least 1; 4 or 5 are usual.")
    if not 0 < share <= 1:
        raise UserError(f"{section}.share is {share}, but must be above 0 and at most 1; with 0.5 each member learns from half.")
    if ensemble == 1 and share < 1:
        raise UserError(f"{section}.share is {share}, but there is one model.\n  Leave it out, or say {section}.ensemble 4.")


@dataclass(frozen=True)
class RewardModel:
    """A reward model as InstructGPT's: all pairs of a prompt's answers in one element of the batch."""

    demonstrations: str | None = None
    """JSON lines with `prompt` and `completion`, by people: at the end of training they are made to score 0 on average."""
    ensemble: int = 1
    """Models that are trained side by side, each with a head and an order of prompts of its own. Where they are a reward, reward.pool says
    what they score together."""
    share: float = 1.0
    """Of the training prompts, the share that each of them learns from, drawn by its own seed: what is wrong in few pairs is then not wrong
    in all members (Breiman 1996, Bagging predictors)."""
    starts: tuple[str, ...] = ()
    """What they begin as, in turn, instead of all as `start`: models of its shape and tokenizer. Unlike bodies disagree more (Eisenstein et
    al. 2024, arXiv 2312.09244)."""

    def __post_init__(self):
        check_members("reward_model", self.ensemble, self.share)
        if self.ensemble == 1 and self.starts:
            raise UserError("reward_model.starts are of an ensemble's members.\n  Leave it out, or say --ensemble 4.")
        if len(self.starts) > self.ensemble:
            raise UserError(f"reward_model.starts names {len(self.starts)} models for {self.ensemble} members.\n  Name at most as many.")


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
class Kto:
    """Learning from answers of which each is good or bad by itself (Ethayarajh et al. 2024)."""

    beta: float = 0.1
    """How near to its start the policy stays; larger is nearer."""
    good_weight: float = 1.0
    bad_weight: float = 1.0
    """Of good and of bad answers in the loss. Where one kind is rare its weight goes up: good_weight x good ones over bad_weight x bad ones
    is best between 1 and 4/3."""

    def __post_init__(self):
        if not self.beta > 0:
            raise UserError(f"kto.beta is {self.beta}, but must be above 0; 0.1 is usual.")
        for name in ("good_weight", "bad_weight"):
            if not getattr(self, name) >= 0:
                raise UserError(f"kto.{name} is {getattr(self, name)}, but must be 0 or more.")


@dataclass(frozen=True)
class ComparisonRecipe:
    """Everything that decides a training on comparisons; train.batch counts prompts (reward models), pairs (DPO) or answers (KTO)."""

    recipe: Recipe = field(default_factory=Recipe)
    reward_model: RewardModel | None = None
    dpo: Dpo | None = None
    kto: Kto | None = None

    def __post_init__(self):
        if sum(each is not None for each in (self.reward_model, self.dpo, self.kto)) != 1:
            raise UserError("a recipe of comparisons has one of reward_model, dpo and kto, and no other.\n  Leave one of them.")
        if self.recipe.start is None:
            raise UserError("start names no model to train.\n  Name a run, a Hugging Face directory or a .gguf.")
        if self.recipe.mesh.sequence > 1:
            raise UserError(f"mesh.sequence is {self.recipe.mesh.sequence}, but answers are read on whole rows.\n  Leave it at 1.")
        if self.reward_model and self.reward_model.starts and self.recipe.lora.rank:
            raise UserError("reward_model.starts are bodies of members, but adapters share one.\n  Leave it out, or --lora.rank.")

    @property
    def method(self) -> RewardModel | Dpo | Kto:
        """How it is learned."""
        found = self.reward_model or self.dpo or self.kto
        assert found is not None
        return found

    @property
    def action(self) -> Literal["reward", "dpo", "kto"]:
        """What `tenfold align` calls it."""
        return "reward" if self.reward_model else "dpo" if self.dpo else "kto"
