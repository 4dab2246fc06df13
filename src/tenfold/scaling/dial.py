"""The dial: one number, the size, makes a recipe larger or smaller in everything that should change with it.

A size counts heads: a model of size 4 is four of the recipe's heads wide. The recipe itself lies on the line, and the rest follows by the
proportions of GPT-3's eight models (Brown et al. 2020, table 2.1), each a least-squares line through the table in logarithms:

    layers         ~ embed^0.61        from 12 at 768 wide to 96 at 12,288; nanochat's rule instead: layers ~ embed; or they stay (width)
    learning rate  ~ N^-0.295          N = 12 layers embed^2, weights outside the embeddings; or ~ N^ what is asked for
    batch          ~ N^0.29            rows; the context stays

The width of a head stays, as do the ratio of the feed-forward layer's width to the model's and that of heads to heads of keys and values.
What a schedule counts in tokens or steps keeps its share of the run.
"""

from dataclasses import replace
from typing import Literal

from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.train.batch_schedule import BatchSchedule, batch_schedule
from tenfold.train.recipe import OptimizerConfig, Recipe, TrainConfig

Dial = Literal["gpt3", "nanochat", "width"]

DEPTH = {"gpt3": 0.612, "nanochat": 1.0, "width": 0.0}  # layers ~ embed^this
RATE = -0.295  # learning rate ~ N^this
BATCH = 0.290  # rows ~ N^this


def turned(config: ModelConfig, size: int, dial: Dial) -> ModelConfig:
    """The model of that size. Raises UserError for a size below 1 and for models that have no such line."""
    if size < 1:
        raise UserError(f"sizes has {size}, but a size counts heads and must be at least 1.")
    if config.encoder_layers or config.experts:
        what = f"encoder_layers {config.encoder_layers}" if config.encoder_layers else f"experts {config.experts}"
        raise UserError(f"model.{what}: the dial knows decoders and BERTs without experts only.\n  Use a recipe of one of those.")
    embed, pattern = size * config.width, len(config.attention)
    layers = pattern * max(1, round(config.layers * (embed / config.embed) ** DEPTH[dial] / pattern))
    heads = max(1, round(config.heads * embed / config.embed))
    return replace(
        config,
        embed=embed,
        layers=layers,
        heads=heads,
        head_dim=config.width,
        kv_heads=_divisor(heads, heads * config.groups / config.heads) if config.kv_heads else 0,
        mlp=round(config.mlp * embed / config.embed) if config.mlp else 0,
    )


def block_weights(config: ModelConfig) -> float:
    """12 layers embed^2: what the rules for the learning rate and the batch count as N."""
    return 12.0 * config.layers * config.embed**2


def at_size(recipe: Recipe, size: int, dial: Dial, parts: int = 1, rate: float = RATE) -> Recipe:
    """The recipe at a size; its length is still the recipe's steps. `parts`: devices that a batch is cut over, which divide its rows.
    `rate`: the power of N that the learning rate follows."""
    model = turned(recipe.model, size, dial)
    growth = block_weights(model) / block_weights(recipe.model)
    rows = parts * max(1, round(recipe.train.batch * growth**BATCH / parts))
    ramp, microbatch = recipe.optimizer.ramp_batch, recipe.train.microbatch
    ramp = parts * _divisor(rows // parts, rows / parts * ramp / recipe.train.batch) if ramp else 0
    microbatch = parts * _divisor((ramp or rows) // parts, microbatch / parts) if microbatch else 0
    optimizer = replace(recipe.optimizer, learning_rate=recipe.optimizer.learning_rate * growth**rate, ramp_batch=ramp)
    train = replace(recipe.train, batch=rows, microbatch=microbatch)
    return replace(recipe, model=model, optimizer=optimizer, train=train)


def for_tokens(sized: Recipe, tokens: float, recipe: Recipe) -> Recipe:
    """A recipe of `at_size` that sees at least so many tokens: the fewest steps that do. Shares of the run are those of `recipe`."""
    share = tokens / batch_schedule(recipe).tokens_before(recipe.train.steps)
    old = sized.optimizer
    optimizer = replace(old, **{name: round(getattr(old, name) * share) for name in ("warmup_tokens", "decay_tokens", "ramp_tokens")})
    if old.decay_tokens:  # 0 would mean the end of the run
        optimizer = replace(optimizer, decay_tokens=max(1, optimizer.decay_tokens))
    steps = _schedule(sized, optimizer).steps_for(max(1, round(tokens)))
    return replace(sized, optimizer=optimizer, train=_intervals(sized.train, steps))


def _schedule(recipe: Recipe, optimizer: OptimizerConfig) -> BatchSchedule:
    return BatchSchedule(recipe.train.batch, recipe.model.context, optimizer.ramp_batch, optimizer.ramp_tokens)


def _intervals(train: TrainConfig, steps: int) -> TrainConfig:
    """The run made so long; what is done every so many steps is done as often as it was. 0 stays a tenth of the run."""
    names = ("evaluate_every", "checkpoint_every", "sample_every")
    often = {name: max(1, round(getattr(train, name) * steps / train.steps)) for name in names if getattr(train, name)}
    return replace(train, steps=steps, **often)


def _divisor(of: int, near: float) -> int:
    """The largest divisor of a number that is not above `near`, at least 1."""
    return max(d for d in range(1, of + 1) if of % d == 0 and d <= max(1.0, near))
