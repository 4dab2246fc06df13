"""A ladder before it is trained: what is asked for, and the rungs that this makes.

Letters: N parameters with embeddings, D tokens, C floating-point operations as `model/flops.py` counts them.
"""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.scaling.dial import RATE, Dial, at_size, for_tokens, turned
from tenfold.scaling.points import LEAST
from tenfold.scaling.read import embedding_parameters, flops_per_token
from tenfold.tokens.config import DataConfig
from tenfold.train.batch_schedule import batch_schedule
from tenfold.train.recipe import Recipe

HELD_OUT_TOKENS = 262_144
SEED = "-seed"  # stands before the number of a later seed at the end of a rung's name


@dataclass(frozen=True)
class Ladder:
    """A ladder of sizes, all made of one recipe."""

    recipe: Recipe = field(default_factory=Recipe)
    sizes: tuple[int, ...] = (2, 3, 4, 6, 8)
    """Heads of each model, of the recipe's own width: one dial that sets width, depth, batch and learning rate together."""
    tokens_per_parameter: tuple[float, ...] = (20.0,)
    """Every size is trained at each of these ratios of tokens to parameters, embeddings counted. 20 is Chinchilla's."""
    tokens: tuple[int, ...] = ()
    """Every size is also trained on each of these numbers of tokens, the same for all: what the size alone does, as in Kaplan's L(N)."""
    isoflop: tuple[float, ...] = ()
    """Budgets in FLOPs: every size is also trained on what each budget leaves it, C / (FLOPs a token)."""
    dial: Dial = "gpt3"
    """How depth grows with width: as in GPT-3's table, in proportion (nanochat), or not at all (width), for small sizes, whose few layers
    would grow by jumps."""
    rate_power: float = RATE
    """The learning rate grows as N^this, N the weights outside the embeddings: -0.295 is GPT-3's table; -0.5 goes as 1 / width."""
    seeds: int = 1
    """From how many seeds each model is trained; laws are fitted to the mean loss of these. Other weights and another order of the same
    data show how far a loss is chance."""
    target: int = 0
    """A size above all others, predicted when these are done. 0: say `tenfold ladder predict` for it."""
    held_out_tokens: int = HELD_OUT_TOKENS
    """How many held-out tokens every model is measured on at its end, the same for all."""

    def __post_init__(self):
        _check_sizes(self)
        for name in ("tokens_per_parameter", "tokens", "isoflop"):
            values = getattr(self, name)
            if bad := [value for value in values if not 0 < value < math.inf]:
                raise UserError(f"{name} has {bad[0]}, but must be above 0.")
            if len(set(values)) < len(values):
                raise UserError(f"{name} names a value twice: {' '.join(f'{v:g}' for v in values)}.\n  Name each once.")
        if self.seeds < 1:
            raise UserError(f"seeds is {self.seeds}, but must be at least 1.")
        count = len(self.sizes) * (len(self.tokens_per_parameter) + len(self.tokens) + len(self.isoflop))
        if count < LEAST:
            raise UserError(f"this ladder has {count} rungs, but a law needs at least {LEAST} points.\n  Name more sizes.")
        if not -2 <= self.rate_power <= 0:
            raise UserError(f"rate_power is {self.rate_power:g}, but must be from -2 to 0: GPT-3's is {RATE}, -0.5 goes as 1 / width.")
        if self.held_out_tokens < 1:
            raise UserError(f"held_out_tokens is {self.held_out_tokens}, but must be at least 1; {HELD_OUT_TOKENS} is usual.")
        if self.recipe.start or self.recipe.lora.rank:
            raise UserError(
                f"start is {self.recipe.start}, but a ladder's models start from nothing: a trained one has its size."
                "\n  Use a recipe without a start."
            )
        for size in self.sizes:
            turned(self.recipe.model, size, self.dial)


def _check_sizes(ladder: Ladder) -> None:
    sizes = ladder.sizes
    if twice := sorted({size for size in sizes if sizes.count(size) > 1}):
        raise UserError(f"sizes names {twice[0]} twice: {' '.join(map(str, sizes))}.\n  Name each size once.")
    if list(sizes) != sorted(sizes):
        raise UserError(f"sizes is {' '.join(map(str, sizes))}.\n  Name them from small to large.")
    if ladder.target and sizes and ladder.target <= sizes[-1]:
        raise UserError(f"target is {ladder.target}, but must be above the largest size, {sizes[-1]}.")


@dataclass(frozen=True)
class Rung:
    """One model of a ladder."""

    name: str
    """Of its folder under OUT/rungs."""
    size: int
    recipe: Recipe
    budget: str
    """What set its tokens, such as "20 tokens a parameter"."""

    @cached_property
    def parameters(self) -> int:
        """N, embeddings counted."""
        return count(self.recipe.model)

    @cached_property
    def non_embedding(self) -> int:
        """N, embeddings left out."""
        return self.parameters - embedding_parameters(self.recipe.model)

    @cached_property
    def tokens(self) -> int:
        """D: what its steps see."""
        return batch_schedule(self.recipe).tokens_before(self.recipe.train.steps)

    @cached_property
    def flops(self) -> float:
        """C, of training."""
        return flops_per_token(self.recipe) * self.tokens


def count(config: ModelConfig) -> int:
    """N, embeddings counted. JAX is imported here, so that words are refused without it."""
    from tenfold.model.params import parameter_count

    return parameter_count(config)


def rungs(ladder: Ladder, data: DataConfig, parts: int = 1) -> list[Rung]:
    """All rungs, cheapest first, on prepared data. `parts`: devices that a batch is cut over."""
    made = [by_ratio(ladder, size, ratio, data, parts) for size in ladder.sizes for ratio in ladder.tokens_per_parameter]
    made += [by_tokens(ladder, size, tokens, data, parts) for size in ladder.sizes for tokens in ladder.tokens]
    made += [_by_budget(ladder, size, flops, data, parts) for size in ladder.sizes for flops in ladder.isoflop]
    made = [_again(rung, seed) for rung in made for seed in range(ladder.seeds)]
    return sorted(made, key=lambda rung: (rung.flops, rung.name))


def by_ratio(ladder: Ladder, size: int, ratio: float, data: DataConfig, parts: int = 1) -> Rung:
    """The rung of a size with so many tokens a parameter."""
    sized = _sized(ladder, size, parts)
    return _rung(ladder, sized, size, ratio * count(sized.model), data, f"{ratio:g}x", f"{ratio:g} tokens a parameter")


def by_tokens(ladder: Ladder, size: int, tokens: int, data: DataConfig, parts: int = 1) -> Rung:
    """The rung of a size on so many tokens."""
    sized = _sized(ladder, size, parts)
    return _rung(ladder, sized, size, tokens, data, f"{tokens / 1e6:g}M", f"{tokens / 1e6:g} million tokens")


def _by_budget(ladder: Ladder, size: int, flops: float, data: DataConfig, parts: int) -> Rung:
    """The rung of a size with the tokens that a budget leaves it."""
    sized = _sized(ladder, size, parts)
    return _rung(ladder, sized, size, flops / flops_per_token(sized), data, f"{flops:.3g}flops", f"{flops:.3g} FLOPs")


def _again(rung: Rung, seed: int) -> Rung:
    """The rung from a later seed of weights and of the data's order; 0: as it is."""
    if not seed:
        return rung
    name, recipe = f"{rung.name}{SEED}{seed}", rung.recipe
    data, train = replace(recipe.data, seed=recipe.data.seed + seed), replace(recipe.train, seed=recipe.train.seed + seed)
    return Rung(name, rung.size, replace(recipe, name=name, data=data, train=train), rung.budget)


def _sized(ladder: Ladder, size: int, parts: int) -> Recipe:
    return at_size(ladder.recipe, size, ladder.dial, parts, ladder.rate_power)


def _rung(ladder: Ladder, sized: Recipe, size: int, tokens: float, data: DataConfig, short: str, budget: str) -> Rung:
    name = f"size{size}-{short}".replace("+", "")
    return Rung(name, size, replace(for_tokens(sized, tokens, ladder.recipe), name=name, data=data), budget)
