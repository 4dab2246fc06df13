"""LongNet's four sizes: Ding et al. 2023 (arXiv 2307.02486), sections 4.1 and 4.4, tables 3 and 4.

The paper trains on The Stack with the tokens of cl100k_base, 100,277 of them: built with 100,352 rows, a multiple of 128. It trains 2.7B on
300 billion tokens and the others of table 4 on about 40 billion; the base model of table 2, which is the 125M, for 300,000 steps.
"""

from dataclasses import dataclass

from tenfold.model.config import ModelConfig
from tenfold.train.recipe import OptimizerConfig, Recipe, TrainConfig

CONTEXT = 32768
SCHEDULE = "dilated:2048x1,4096x2,8192x4,16384x6,32768x12"


@dataclass(frozen=True)
class Printed:
    """A row of table 4, as printed, with the tokens it trains on."""

    layers: int
    embed: int
    heads: int
    learning_rate: float
    batch_tokens: float
    training_tokens: float


TABLE: dict[str, Printed] = {
    "125m": Printed(12, 768, 12, 6e-4, 0.5e6, 300_000 * 524_288),
    "350m": Printed(24, 1024, 16, 6e-4, 0.5e6, 40e9),
    "760m": Printed(24, 1536, 16, 6e-4, 0.5e6, 40e9),
    "2.7b": Printed(32, 2560, 32, 2e-4, 4e6, 300e9),
}
BATCH_ROWS = {0.5e6: 16, 4e6: 128}  # of 32,768 tokens: 524,288 and 4,194,304
WARMUP_STEPS = 750

NOTES = (
    "Ding et al. 2023, tables 3 and 4. The power of the polynomial decay is not printed: 1. As printed and as built differ: weight decay "
    "built on matrices only."
)


def longnet(size: str) -> Recipe:
    """The recipe of one size, at 32,768 tokens of context."""
    printed = TABLE[size]
    model = ModelConfig(
        vocab=100352,
        context=CONTEXT,
        layers=printed.layers,
        embed=printed.embed,
        heads=printed.heads,
        attention=(SCHEDULE,),
        positions="xpos",
        sub_norm=True,
        init="magneto",
        remat="block",
        scan=True,
    )
    batch = BATCH_ROWS[printed.batch_tokens]
    optimizer = OptimizerConfig(
        learning_rate=printed.learning_rate,
        beta2=0.98,
        weight_decay=0.01,
        clip=2.0,
        warmup_tokens=WARMUP_STEPS * batch * CONTEXT,
        decay="polynomial",
        final_fraction=0.0,
    )
    steps = round(printed.training_tokens / (batch * CONTEXT))
    train = TrainConfig(steps=steps, batch=batch, evaluate_every=1000, checkpoint_every=1000, sample_every=5000)
    return Recipe(f"longnet-{size}", NOTES, model=model, optimizer=optimizer, train=train)


RECIPES = {f"longnet-{size}": (lambda size=size: longnet(size)) for size in TABLE}
