"""What a measurement of over-optimisation may be told, checked. Imports no JAX, so that the command line can refuse in a moment."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tenfold.align.comparison_config import check_members
from tenfold.align.policy_config import Pool, RewardConfig, RolloutConfig, check_penalty
from tenfold.errors import UserError

FILE = "overoptimize.yaml"
"""In its folder: all that made it, and what its command takes to make it again."""
MAY_CHANGE = ("fit.",)
"""What may be asked anew of a folder: nothing but the fits rests on it."""
SIZE = re.compile(r"([1-9]\d*)x([1-9]\d*)")


@dataclass(frozen=True)
class Comparisons:
    """What proxies learn from: pairs of completions of the start, of which the gold reward says the better one."""

    counts: tuple[int, ...] = (500, 2000)
    """Pairs, a proxy for each number; the fewer are the first of the more."""
    noise: float = 0.0
    """The share of pairs that are labelled the wrong way round."""
    held_out: int = 256
    """Pairs, without noise, on prompts that no proxy learns from: their accuracy says how good a proxy is."""

    def __post_init__(self):
        if not self.counts or min(self.counts) < 1 or len(set(self.counts)) < len(self.counts):
            raise UserError(f"comparisons.counts is {' '.join(map(str, self.counts)) or 'empty'}.\n  Give numbers above 0, each once.")
        if not 0 <= self.noise < 0.5:
            raise UserError(f"comparisons.noise is {self.noise}, but must be at least 0 and below 0.5, where labels would say nothing.")
        if self.held_out < 1:
            raise UserError(f"comparisons.held_out is {self.held_out}, but must be at least 1.")


@dataclass(frozen=True)
class Proxies:
    """The reward models that are optimised against in the gold reward's stead."""

    sizes: tuple[str, ...] = ()
    """LAYERSxEMBED, such as 1x32 2x64: of the start's own width, its first layers; of another, new weights. Or a directory with a model to
    begin from. Empty: the start itself."""
    epochs: float = 1.0
    batch: int = 32
    learning_rate: float = 1e-4
    ensemble: int = 1
    """Reward models of each proxy, which are optimised against together."""
    share: float = 1.0
    """Of the pairs, the share that each of them learns from, drawn by its own seed."""
    own_bodies: bool = False
    """Each of them begins as new weights of its own; needs sizes."""
    pool: Pool = "mean"
    """What they say together: their mean, the mean less penalty times their standard deviation, or their variance, or the worst."""
    penalty: float = 1.0

    def __post_init__(self):
        check_penalty("proxies", self.penalty)
        check_members("proxies", self.ensemble, self.share)
        if self.ensemble == 1 and self.own_bodies:
            raise UserError("proxies.own_bodies is of an ensemble's members.\n  Leave it out, or say --proxies.ensemble 4.")
        if self.own_bodies and any(layers_and_embed(size) is None for size in self.sizes or ("",)):
            raise UserError(
                "proxies.own_bodies asks for new weights, of a size that proxies.sizes does not say.\n  Say --proxies.sizes 1x64."
            )
        names = [Path(size).name for size in self.sizes]
        if len(set(names)) < len(names):
            raise UserError(f"proxies.sizes is {' '.join(self.sizes)}: two have one name.\n  Give each once, and directories unlike names.")
        if not (self.epochs > 0 and self.batch >= 1):
            raise UserError(f"proxies.epochs is {self.epochs} and proxies.batch {self.batch}: above 0, and at least 1.")


@dataclass(frozen=True)
class BestOf:
    """Optimising by choice: the best of n completions by the proxy."""

    pool: int = 512
    """Completions of each measured prompt, from which all n are read off; so also the largest n."""

    def __post_init__(self):
        if self.pool < 8:
            raise UserError(f"best_of.pool is {self.pool}, but must be at least 8: n is 1, 2, 4 and so on up to it.")

    @property
    def n(self) -> tuple[int, ...]:
        """1, 2, 4 and so on."""
        return tuple(2**power for power in range(int(math.log2(self.pool)) + 1))


@dataclass(frozen=True)
class Rl:
    """Optimising by reinforcement learning, measured as it goes."""

    method: Literal["grpo", "ppo"] = "grpo"
    steps: int = 100
    batch: int = 64
    """Completions of a step."""
    learning_rate: float = 1e-5
    """Constant, so that a step late in the run goes as far as one before."""
    kl: float = 0.0
    """Weight of KL(policy || start) in the loss (GRPO) or the reward (PPO), the proxy being in standard deviations of the start's."""
    every: int = 5
    """Steps between measurements of gold, proxy and KL, each of which is a checkpoint too."""
    samples: int = 16
    """Completions of each measured prompt in a measurement."""

    def __post_init__(self):
        for name in ("steps", "every", "samples"):
            if getattr(self, name) < 1:
                raise UserError(f"rl.{name} is {getattr(self, name)}, but must be at least 1.")
        if self.kl < 0:
            raise UserError(f"rl.kl is {self.kl}, but must be 0 or more.")

    @property
    def measured(self) -> tuple[int, ...]:
        """The steps after which there is a measurement."""
        return tuple(sorted({*range(self.every, self.steps + 1, self.every), self.steps}))


@dataclass(frozen=True)
class FitConfig:
    """How the laws are fitted; another choice fits anew what is measured already."""

    cut: float = 0.1
    """Points with a sqrt(KL) below it are left out."""
    repeats: int = 1000
    """Samples of the bootstrap over the measured prompts."""
    seed: int = 0
    until: float | None = None
    """Points with a sqrt(KL) above it are left out: of a policy that has collapsed, a law of its way there says nothing. None: all."""

    def __post_init__(self):
        if self.cut < 0 or self.repeats < 1:
            raise UserError(f"fit.cut is {self.cut} and fit.repeats {self.repeats}: at least 0, and at least 1.")
        if self.until is not None and not self.until > self.cut:
            raise UserError(f"fit.until is {self.until}, but must be above fit.cut, {self.cut}: no point is left.")


@dataclass(frozen=True)
class OveroptimizeRecipe:
    """Everything that decides a measurement of over-optimisation."""

    start: str = ""
    """The policy before it is optimised: a run, a Hugging Face directory or a .gguf."""
    data: tuple[str, ...] = ()
    """Prompts that proxies and policies learn from: JSON lines, an object with `prompt` in each, and what the gold reward reads."""
    held_out: str | None = None
    """Prompts that all is measured on. None: every fourth of the others."""
    gold: RewardConfig = field(default_factory=RewardConfig)
    """What completions are truly worth."""
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    comparisons: Comparisons = field(default_factory=Comparisons)
    proxies: Proxies = field(default_factory=Proxies)
    best_of: BestOf = field(default_factory=BestOf)
    rl: Rl = field(default_factory=Rl)
    fit: FitConfig = field(default_factory=FitConfig)
    seed: int = 0

    def __post_init__(self):
        if not self.start:
            raise UserError("start names no model to optimise.\n  Name a run, a Hugging Face directory or a .gguf.")
        if self.seed < 0:
            raise UserError(f"seed is {self.seed}, but must be 0 or more.")
        if self.rl.batch < 1 or self.rl.batch % self.rollout.completions:
            raise UserError(
                f"rl.batch is {self.rl.batch}, which rollout.completions {self.rollout.completions} of each prompt do not divide.\n"
                f"  Try rl.batch {max(1, -(-self.rl.batch // self.rollout.completions)) * self.rollout.completions}."
            )
        if self.rl.method == "grpo" and self.rollout.completions < 2:
            raise UserError("rollout.completions is 1, but GRPO compares a completion with others of its prompt.\n  Use 2 or more.")

    @property
    def sizes(self) -> tuple[str, ...]:
        """What proxies begin as."""
        return self.proxies.sizes or (self.start,)


def layers_and_embed(size: str) -> tuple[int, int] | None:
    """(2, 64) of 2x64; None where it names a directory. Raises UserError where it is neither."""
    if found := SIZE.fullmatch(size):
        return int(found[1]), int(found[2])
    if not Path(size).expanduser().exists():
        raise UserError(f"proxies.sizes has {size!r}, which is no LAYERSxEMBED, such as 2x64, and no directory.\n  Give one of them.")
    return None


def size_name(size: str) -> str:
    """What it is called in the folder and on the page."""
    return Path(size).name
