"""The demo's model: GPT-3's shape, small enough to learn something from Python's standard library in two minutes on two cores."""

from dataclasses import replace

from tenfold.model.config import ModelConfig
from tenfold.tokens.config import DataConfig
from tenfold.train.recipe import OptimizerConfig, Recipe, TrainConfig

VOCAB = 4096


def demo() -> Recipe:
    """About 2.2 million parameters; `tenfold demo` sets the steps to fit its minutes."""
    model = ModelConfig(vocab=VOCAB, context=256, layers=3, embed=192, heads=3)
    train = TrainConfig(steps=600, batch=8, log_every=10, evaluate_rows=64, prompts=PROMPTS, sample_tokens=80)
    return Recipe(
        "demo",
        "A small model of GPT-3's shape; the learning rate is higher than in table 2.1, as smaller models bear.",
        model=model,
        data=DataConfig(paths=("stdlib",)),
        optimizer=OptimizerConfig(learning_rate=3e-3, warmup_tokens=100_000),
        train=train,
    )


PROMPTS = ("def ", "class ", "import ")


def sized(recipe: Recipe, steps: int) -> Recipe:
    """The recipe with its length set, and what is counted in tokens with it."""
    tokens = steps * recipe.train.batch * recipe.model.context
    optimizer = replace(recipe.optimizer, warmup_tokens=min(recipe.optimizer.warmup_tokens, tokens // 10))
    return replace(recipe, train=replace(recipe.train, steps=steps), optimizer=optimizer)


RECIPES = {"demo": demo}
