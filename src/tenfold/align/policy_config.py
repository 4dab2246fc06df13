"""What a policy's training may be told, checked. Imports no JAX, so that the command line can refuse in a moment."""

import math
from dataclasses import dataclass, field
from typing import Literal

from tenfold.errors import UserError
from tenfold.train.recipe import Recipe

FILE = "align.yaml"
"""In a run's directory: all that made it, and what its command takes to make it again."""


Pool = Literal["mean", "deviation", "variance", "worst"]
"""How the scores of an ensemble become one: objectives/reward.py, `pooled`."""


@dataclass(frozen=True)
class RolloutConfig:
    """How completions are drawn."""

    completions: int = 8
    """Of each prompt, in a step: GRPO's group. train.batch is all completions of a step."""
    max_tokens: int = 64
    temperature: float = 1.0
    """Of the policy, of what it is compared with, and of what its KL is measured against: all are the same distribution."""
    top_k: int = 0
    """Refused: see top_p."""
    top_p: float = 1.0
    """Refused below 1: what is never drawn has no ratio, so an update by drawn tokens would be biased."""

    def __post_init__(self):
        for name in ("completions", "max_tokens"):
            if getattr(self, name) < 1:
                raise UserError(f"rollout.{name} is {getattr(self, name)}, but must be at least 1.")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise UserError(
                f"rollout.temperature is {self.temperature}, but must be above 0: without chance there is nothing to learn from."
            )
        if self.top_k or self.top_p != 1:
            named = f"top_k is {self.top_k}" if self.top_k else f"top_p is {self.top_p}"
            raise UserError(
                f"rollout.{named}: completions would be drawn from some tokens, and learned from as if drawn from all: the ratio of the "
                "policies, and so its gradient, would be biased.\n  Leave it out; a lower rollout.temperature is followed exactly."
            )


@dataclass(frozen=True)
class RewardConfig:
    """What completions are worth."""

    names: tuple[str, ...] = ()
    """Rewards that are added up: number, exact (the `answer` of a prompt's line), code (its `test`), a function of yours as FILE.py:name or
    module:name, or the directory of a reward model that `tenfold align reward` trained."""
    weights: tuple[float, ...] = ()
    """One for each. None: 1 each."""
    run_code: bool = False
    """Agree that programs of the model are run, in a sandbox."""
    workers: int = 0
    """Processes in which a function of yours scores completions one by one. 0: it is called here, with all of a step."""
    seconds: float = 60.0
    """For each completion, where there are workers."""
    late: float | None = None
    """The score of a completion that takes longer. None: it ends the run."""
    pool: Pool = "mean"
    """What a reward model that is an ensemble says: its members' mean, the mean less penalty times their standard deviation, or their
    variance, or the worst, which is the lowest."""
    penalty: float = 1.0

    def __post_init__(self):
        check_penalty("reward", self.penalty)
        if self.weights and len(self.weights) != len(self.names):
            raise UserError(
                f"reward.weights has {len(self.weights)} numbers for the {len(self.names)} of reward.names.\n  Give one each, or none."
            )
        if len(set(self.names)) < len(self.names):
            raise UserError(f"reward.names is {' '.join(self.names)}: each reward once.\n  Give it more in reward.weights.")
        if self.workers < 0 or self.seconds <= 0:
            raise UserError(f"reward.workers is {self.workers} and reward.seconds {self.seconds}: at least 0, and above 0.")


def check_penalty(name: str, penalty: float) -> None:
    """Refuses a weight of an ensemble's spread that would reward it, or is no number."""
    if not (math.isfinite(penalty) and penalty >= 0):
        raise UserError(f"{name}.penalty is {penalty}, but must be 0 or more; 1 is usual.")


@dataclass(frozen=True)
class Surrogate:
    """What GRPO and PPO share."""

    epochs: int = 1
    """Times that a step's completions are learned from."""
    minibatches: int = 1
    """Updates in each of them."""
    clip_low: float = 0.2
    clip_high: float = 0.2
    """The ratio of new and old policy counts between 1 - clip_low and 1 + clip_high; DAPO's clip_high is 0.28."""
    unended: float | None = None
    """The score of a completion that did not end within rollout.max_tokens; -1 is usual. None: its own."""

    def __post_init__(self):
        for name in ("epochs", "minibatches"):
            if getattr(self, name) < 1:
                raise UserError(f"{self.name}.{name} is {getattr(self, name)}, but must be at least 1.")
        if not (0 < self.clip_low < 1 and self.clip_high > 0):
            raise UserError(f"{self.name}.clip_low is {self.clip_low} and clip_high {self.clip_high}: between 0 and 1, and above 0.")

    @property
    def name(self) -> str:
        """grpo or ppo: where it stands in a recipe."""
        return type(self).__name__.lower()

    @property
    def updates(self) -> int:
        """Of a step."""
        return self.epochs * self.minibatches


@dataclass(frozen=True)
class Grpo(Surrogate):
    """GRPO (Shao et al. 2024) and its variants: no critic, a group's mean is what a completion is compared with."""

    kl: float = 0.0
    """Weight of KL(policy || start) in the loss, by the estimator k3; GRPO's was 0.04. 0: the start is not read."""
    over: Literal["token", "sequence", "longest"] = "token"
    """What the loss is a mean over: token (DAPO), sequence (GRPO), longest (Dr. GRPO)."""
    scaled: bool = True
    """Divide by the group's standard deviation. Dr. GRPO does not."""

    def __post_init__(self):
        super().__post_init__()
        if self.kl < 0:
            raise UserError(f"grpo.kl is {self.kl}, but must be 0 or more.")


@dataclass(frozen=True)
class Ppo(Surrogate):
    """PPO as InstructGPT and "The N implementation details" have it: a critic, and the KL to the start in each token's reward."""

    epochs: int = 4
    kl: float = 0.05
    """Weight of KL(policy || start) in each token's reward, by the estimator k1; where kl_target is set, the first one."""
    kl_target: float = 0.0
    """Nats a completion that kl is adapted to reach; 6 in Ziegler et al. 2019. 0: kl stays."""
    kl_horizon: float = 10_000.0
    """Completions over which it adapts."""
    gamma: float = 1.0
    lam: float = 0.95
    value_weight: float = 0.1
    value_clip: float = 0.2
    whiten_rewards: bool = False
    """Divide rewards by their standard deviation, their mean left as it is."""
    ptx: float = 0.0
    """Weight of the loss on pretraining text; InstructGPT's was 27.8."""
    ptx_data: tuple[str, ...] = ()
    """That text: what `tenfold train --data` takes."""
    ptx_rows: int = 8
    """Rows of it in each update."""

    def __post_init__(self):
        super().__post_init__()
        for name in ("kl", "kl_target", "value_weight", "ptx"):
            if getattr(self, name) < 0:
                raise UserError(f"ppo.{name} is {getattr(self, name)}, but must be 0 or more.")
        for name in ("gamma", "lam"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"ppo.{name} is {getattr(self, name)}, but must lie between 0 and 1.")
        if bool(self.ptx) != bool(self.ptx_data):
            raise UserError(f"ppo.ptx is {self.ptx} and ppo.ptx_data {' '.join(self.ptx_data) or 'empty'}: give both, or neither.")


@dataclass(frozen=True)
class PolicyRecipe:
    """Everything that decides a policy's training: a training recipe, and what is learned from."""

    recipe: Recipe = field(default_factory=Recipe)
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    grpo: Grpo | None = None
    ppo: Ppo | None = None

    def __post_init__(self):
        if (self.grpo is None) == (self.ppo is None):
            raise UserError("a policy's recipe has both or neither of grpo and ppo.\n  Leave one of them.")
        train, rollout = self.recipe.train, self.rollout
        if self.recipe.start is None:
            raise UserError("start names no model to align.\n  Name a run, a Hugging Face directory or a .gguf.")
        if train.batch % rollout.completions:
            raise UserError(
                f"train.batch is {train.batch} completions, which rollout.completions {rollout.completions} of each prompt do not divide."
                f"\n  Try train.batch {-(-train.batch // rollout.completions) * rollout.completions}."
            )
        if self.grpo and rollout.completions < 2:
            raise UserError(
                "rollout.completions is 1, but GRPO compares a completion with others of its prompt.\n  Use 2 or more; 8 is usual."
            )
        rows, name, minibatches = train.batch, self.method.name, self.method.minibatches
        if rows % minibatches or (train.microbatch and (rows // minibatches) % train.microbatch):
            raise UserError(
                f"train.batch is {rows}: {minibatches} {name}.minibatches of it, in microbatches of {train.microbatch or 'all'} "
                "rows, do not come out even.\n  Choose sizes that divide each other."
            )
        if self.ppo and train.frozen:
            raise UserError(
                f"train.frozen names {' '.join(train.frozen)}, but PPO's critic learns with all weights.\n"
                "  Leave it out, or train adapters: --lora.rank 8."
            )
        if self.recipe.mesh.sequence > 1:
            raise UserError(f"mesh.sequence is {self.recipe.mesh.sequence}, but completions are decoded on whole rows.\n  Leave it at 1.")

    @property
    def looks(self) -> bool:
        """Whether a step looks at its completions before it learns: for a critic's advantages, for a KL to the start, or for what later
        updates are compared with. A single update compares the policy with itself."""
        return self.ppo is not None or self.method.kl > 0 or self.method.updates > 1

    @property
    def method(self) -> Grpo | Ppo:
        """How it is learned."""
        found = self.grpo or self.ppo
        assert found is not None
        return found
