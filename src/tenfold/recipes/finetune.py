"""Fine-tuning: `tenfold train finetune --from CHECKPOINT --data PATH`."""

from tenfold.model.config import ModelConfig
from tenfold.train.recipe import OptimizerConfig, Recipe, TrainConfig


def finetune() -> Recipe:
    """Small steps from a trained model, whose shape replaces the one here but for the context."""
    return Recipe(
        "finetune",
        "The model is that of `start`; the learning rate is for all weights, and adapters bear about ten times as much.",
        start="",
        model=ModelConfig(context=256),
        optimizer=OptimizerConfig(learning_rate=1e-5, warmup_tokens=20_000),
        train=TrainConfig(steps=500, batch=8, prompts=("",)),
    )


RECIPES = {"finetune": finetune}
