"""What a run learns from and is measured on, as the loop takes it: documents here, conversations in align/sft.py."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tenfold.errors import UserError
from tenfold.generate.complete import TextTokenizer
from tenfold.tokens.evaluation import evaluation_rows
from tenfold.tokens.loader import Batch, Loader
from tenfold.tokens.prepare import Prepared
from tenfold.train.batch_schedule import batch_schedule
from tenfold.train.batches import RowSource
from tenfold.train.noise import HELD_OUT, Noise, Rows, noise_of, row_tokens
from tenfold.train.recipe import Recipe


@dataclass(frozen=True)
class Feed:
    """Rows, and what is done to them before a step takes them."""

    loader: RowSource
    noise: Noise
    held_out: list[Rows]
    """Batches of the rows that are measured during training."""
    tokenizer: TextTokenizer | None
    """Of samples, whose prompts it encodes, and of bits per byte."""
    fingerprint: str
    """Of every token and weight: a run that goes on must find the one it began with."""
    most: int = 0
    """No row to train on has more places that count; 0: all may."""
    found: dict = field(default_factory=dict)
    """What result.json says beside the figures of any run."""


MakeFeed = Callable[[Recipe, Path], Feed]
"""(a recipe as it will run, the run's directory) -> its Feed; what it writes there is named in `train.run.PREPARED`."""


def document_feed(recipe: Recipe, data: Prepared) -> Feed:
    """Documents as the recipe's objective learns from them."""
    noise, size = noise_of(recipe, data), held_out_size(recipe)
    plain = held_out_batches(data, row_tokens(recipe), size, recipe.train.evaluate_rows)
    loader = Loader(data.train, data.weights, row_tokens(recipe), recipe.data.seed)
    return Feed(loader, noise, with_noise(noise, plain), data.tokenizer, data.fingerprint)


def held_out_size(recipe: Recipe) -> int:
    """Rows of a batch that is measured: as many as a step holds at once."""
    return recipe.train.microbatch or batch_schedule(recipe).batch_rows(0)


def with_noise(noise: Noise, batches: list[Batch]) -> list[Rows]:
    """Held-out batches as the objective reads them; the numbers of their rows count through all."""
    firsts = [sum(len(batch.tokens_BT) for batch in batches[:i]) for i in range(len(batches))]
    return [noise(batch, range(first, first + len(batch.tokens_BT)), HELD_OUT) for first, batch in zip(firsts, batches, strict=True)]


def held_out_batches(data: Prepared, context: int, rows: int, most: int | None = None, stride: int | None = None) -> list[Batch]:
    """Up to about `most` rows of the held-out documents in order, in batches of `rows`."""
    batches = (batch for shards in data.held_out for batch in evaluation_rows(shards, context, stride or context).batches(rows))
    return list(islice(batches, -(-most // rows) if most else None))


def check_prompts(recipe: Recipe, tokenizer: TextTokenizer | None) -> None:
    """Refuses prompts that leave no room for a sample, before a run finds out at its first one."""
    for prompt in recipe.train.prompts if tokenizer and recipe.train.objective == "causal" else ():
        length = len(tokenizer.encode(prompt)) if tokenizer else 0
        if length >= recipe.model.context:
            raise UserError(
                f"train.prompts has one of {length} tokens ({prompt[:40]!r}), but model.context is {recipe.model.context}.\n"
                "  Shorten it: a sample needs room for at least one token."
            )
