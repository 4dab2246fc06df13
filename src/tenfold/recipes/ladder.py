"""Named ladders, and ladders of any recipe."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from tenfold.model.config import ModelConfig
from tenfold.recipes.registry import find_recipe
from tenfold.scaling.budget import Budget
from tenfold.scaling.rungs import Ladder
from tenfold.tokens.config import DataConfig
from tenfold.train.recipe import OptimizerConfig, Recipe, TrainConfig, from_dict


@dataclass(frozen=True)
class Work:
    """Where a ladder is written, and the most it may take."""

    out: Path | None = None
    """The folder of the ladder. None: ladders/NAME."""
    budget_flops: float = 0.0
    """Refuse a ladder that takes more floating-point operations than this. 0: no bound."""
    budget_minutes: float = 0.0
    """Refuse a ladder that would take longer on this machine. 0: no bound."""

    at_once: int = 1
    """Models trained at once, each in a process on its share of this machine's cores: quicker where models are small. CPUs only."""

    @property
    def budget(self) -> Budget:
        """The two bounds."""
        return Budget(self.budget_flops, self.budget_minutes)


def ladder_demo() -> Ladder:
    """Five models of 53 to 325 thousand parameters from two seeds each, and the prediction of a sixth, on Python's standard library.

    Chosen for a straight road from small to large (docs/ladder.md): one layer, as a ladder of two bent in its middle; a vocabulary of
    512 and narrow heads, as embeddings would have most of such small models; rates that were tuned at small sizes first, as one that is
    too low for the smallest makes the line too steep.
    """
    recipe = Recipe(
        "ladder-demo",
        "One layer, the width alone grows; learning rates are higher than in GPT-3's table 2.1, as smaller models bear.",
        model=ModelConfig(vocab=512, context=128, layers=1, embed=160, heads=10, positions="rotary"),
        data=DataConfig(paths=("stdlib",)),
        optimizer=OptimizerConfig(learning_rate=3.2e-3, beta2=0.99, warmup_tokens=100_000),
        train=TrainConfig(steps=1000, batch=8, checkpoint_every=250, prompts=(), tensorboard=False, keep=1),
    )
    return Ladder(recipe, sizes=(3, 4, 5, 7, 9), tokens_per_parameter=(20.0,), dial="width", rate_power=-0.56, seeds=2, target=14)


LADDERS: dict[str, Callable[[], Ladder]] = {"ladder-demo": ladder_demo}


def find_ladder(name: str) -> Ladder:
    """The ladder of that name, of a folder with a ladder.yaml, or of the recipe of that name or file."""
    if name in LADDERS:
        return LADDERS[name]()
    file = Path(name) / "ladder.yaml" if Path(name).is_dir() else Path(name)
    if file.name == "ladder.yaml" and file.exists():
        return from_dict(Ladder, yaml.safe_load(file.read_text()))
    return Ladder(find_recipe(name))
