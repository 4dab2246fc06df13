"""The eight sizes of GPT-3: Brown et al. 2020, table 2.1 and appendix B.

Two rows of the table do not multiply out. XL prints 24 heads of 128 at width 2048 (24 x 128 = 3072): built with 16 heads, as EleutherAI
did. 13B prints width 5140 with 40 heads of 128 (= 5120): built 5120 wide. The vocabulary is built with 50,304 rows for 50,257 tokens, a
multiple of 128. The paper says that dense and locally banded layers alternate, but not the band's width: 256 here, as GPT-Neo.
The batch ramps from 32 thousand tokens "over the first 4-12 billion tokens of training, depending on the model size": which size took
how many is not printed; built as 4 billion up to 2.7B, 8 for 6.7B and 13B, 12 for 175B.
"""

from dataclasses import dataclass

from tenfold.model.config import ModelConfig
from tenfold.train.batch_schedule import BatchSchedule
from tenfold.train.recipe import OptimizerConfig, Recipe, TrainConfig

CONTEXT = 2048
TRAINING_TOKENS = 300_000_000_000
FIRST_BATCH = 16  # rows of 2048: 32 thousand tokens


@dataclass(frozen=True)
class Printed:
    """A row of table 2.1, as printed."""

    parameters: float
    layers: int
    embed: int
    heads: int
    head_dim: int
    batch_tokens: float
    learning_rate: float


TABLE: dict[str, Printed] = {
    "125m": Printed(125e6, 12, 768, 12, 64, 0.5e6, 6.0e-4),
    "350m": Printed(350e6, 24, 1024, 16, 64, 0.5e6, 3.0e-4),
    "760m": Printed(760e6, 24, 1536, 16, 96, 0.5e6, 2.5e-4),
    "1.3b": Printed(1.3e9, 24, 2048, 24, 128, 1e6, 2.0e-4),
    "2.7b": Printed(2.7e9, 32, 2560, 32, 80, 1e6, 1.6e-4),
    "6.7b": Printed(6.7e9, 32, 4096, 32, 128, 2e6, 1.2e-4),
    "13b": Printed(13e9, 40, 5140, 40, 128, 2e6, 1.0e-4),
    "175b": Printed(175e9, 96, 12288, 96, 128, 3.2e6, 0.6e-4),
}

BATCH_ROWS = {0.5e6: 256, 1e6: 512, 2e6: 1024, 3.2e6: 1568}  # of 2048 tokens: 524,288, 1,048,576, 2,097,152 and 3,211,264

BUILT = {  # only what differs from the print
    "1.3b": {"heads": 16},
    "13b": {"embed": 5120},
}


def gpt3(size: str) -> Recipe:
    """The recipe of one size: model, batch, learning rate and schedule as built; `notes` says what was printed otherwise."""
    printed = TABLE[size]
    built = BUILT.get(size, {})
    model = ModelConfig(
        vocab=50304,
        context=CONTEXT,
        layers=printed.layers,
        embed=built.get("embed", printed.embed),
        heads=built.get("heads", printed.heads),
        attention=("dense", "banded:256"),
        remat="block",
        scan=True,
    )
    batch = BATCH_ROWS[printed.batch_tokens]
    optimizer = OptimizerConfig(
        learning_rate=printed.learning_rate,
        warmup_tokens=375_000_000,
        decay_tokens=260_000_000_000,
        ramp_batch=FIRST_BATCH,
        ramp_tokens=ramp_tokens(printed.parameters),
    )
    steps = BatchSchedule(batch, CONTEXT, FIRST_BATCH, optimizer.ramp_tokens).steps_for(TRAINING_TOKENS)
    train = TrainConfig(steps=steps, batch=batch, evaluate_every=1000, checkpoint_every=1000, sample_every=5000)
    return Recipe(f"gpt3-{size}", notes(size), model=model, optimizer=optimizer, train=train)


def notes(size: str) -> str:
    source = "Brown et al. 2020, table 2.1 and appendix B."
    changes = [f"{field} printed {getattr(TABLE[size], field)}, built {value}" for field, value in BUILT.get(size, {}).items()]
    return " ".join([source, *(f"As printed and as built differ: {change}." for change in changes)])


def ramp_tokens(parameters: float) -> int:
    return 4_000_000_000 if parameters < 5e9 else 8_000_000_000 if parameters < 100e9 else 12_000_000_000


RECIPES = {f"gpt3-{size}": (lambda size=size: gpt3(size)) for size in TABLE}
