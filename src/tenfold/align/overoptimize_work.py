"""What all stages of a measurement of over-optimisation share: the start, the prompts, the gold reward, and how completions are drawn.

Shapes: B rows and T places as in rollouts.py, P measured prompts.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from tenfold.align.overoptimize_config import FILE, MAY_CHANGE, OveroptimizeRecipe, layers_and_embed
from tenfold.align.prompts import Example, read_prompts
from tenfold.align.rewards import Weighted
from tenfold.align.rollouts import Rollouts, check_prompts, roll_out, row_keys
from tenfold.corpus.files import fingerprint, write_atomically
from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params
from tenfold.model.transformer import forward, logits
from tenfold.objectives.distill import forward_kl
from tenfold.scaling.dial import turned
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.tokens.config import DataConfig
from tenfold.tokens.tokenizer import Tokenizer
from tenfold.train.recipe import Recipe, differences, load_as, save_recipe
from tenfold.train.run import Run, check_same
from tenfold.train.start import Start, fitted, open_start, start_params

ROWS = 256
"""Completions that are drawn at once."""
DRAWN = "comparisons"
"""In a folder: what is drawn first, and written when all of it can be used."""
OF_THE_DEMO = ("start", "prompts.jsonl")
"""What may lie in a folder before anything is measured in it."""
LOOKED_AT = 16
"""Completions of which two models' probabilities of all tokens are held at once."""
POOL, MEASURED, PAIRS = 2**31 - 3, 2**31 - 2, 2**30
"""Steps whose keys no training draws with: of the pool, of measurements (alike each time), and of the first pairs to compare."""


class Quiet:
    """Is told how it goes, and says nothing."""

    def stage(self, text: str) -> None:
        """Something begins, or was done before."""

    def step(self, step: int, steps: int, figures: dict[str, Any]) -> None:
        """A training is at `step` of `steps`."""


@dataclass
class Work:
    """All that the stages need."""

    recipe: OveroptimizeRecipe
    out: Path
    start: Recipe
    """A recipe that trains the start on its own shape; the stages' recipes come of it."""
    tokenizer: Tokenizer
    gold: Weighted
    learned: list[Example]
    measured: list[Example]
    watch: Quiet
    mesh: Mesh = field(init=False)
    longest: int = field(init=False)
    """Tokens of the longest prompt."""
    config: ModelConfig = field(init=False)
    params: Params = field(init=False)
    """Of the start."""
    kl: Callable = field(init=False)

    def __post_init__(self):
        prompts = [self.encode(example["prompt"]) for example in (*self.learned, *self.measured)]
        self.longest = check_prompts(self.start.model, prompts, self.recipe.rollout.max_tokens)
        self.mesh = make_mesh(MeshConfig(), jax.local_devices()[:1])
        self.config = replace(self.start.model, expert_capacity=0.0)  # no token is dropped for its neighbours' sake
        self.params = start_params(self.start, self.mesh)
        self.kl = jax.jit(partial(_kl, self.config, self.recipe.rollout.temperature, self.tokenizer.vocab))

    def encode(self, prompt: str) -> list[int]:
        """A prompt's tokens; an empty one is the beginning of a document."""
        return self.tokenizer.encode(prompt) or [self.tokenizer.end_of_text]

    def draw(self, params: Params, examples: Sequence[Example], step: int) -> list[Rollouts]:
        """A completion of each example by a policy's weights, ROWS at a time; the last rows of the last are more of the same."""
        keys = row_keys(self.recipe.seed, step, -(-len(examples) // ROWS) * ROWS)
        prompts = [self.encode(example["prompt"]) for example in examples]
        parts = []
        with jax.set_mesh(self.mesh):
            for first in range(0, len(prompts), ROWS):
                some = prompts[first : first + ROWS]
                some = [some[row % len(some)] for row in range(ROWS)]
                drawn = roll_out(
                    params, self.start.model, self.tokenizer, some, keys[first : first + ROWS], self.recipe.rollout, 0, self.longest
                )
                parts.append(drawn)
        return parts

    def texts(self, params: Params, examples: Sequence[Example], step: int) -> list[str]:
        """The completions alone."""
        return [text for part in self.draw(params, examples, step) for text in part.completions][: len(examples)]

    def worth(self, examples: Sequence[Example], texts: Sequence[str]) -> np.ndarray:
        """Their gold scores, f64[B]."""
        return np.asarray(self.gold([example["prompt"] for example in examples], texts, examples), np.float64)

    def distance(self, params: Params, part: Rollouts) -> np.ndarray:
        """f64[B]: nats of KL(policy || start) of each completion, summed over its places, each of them exact."""
        rows = [np.asarray(x).reshape(-1, LOOKED_AT, x.shape[-1]) for x in (part.tokens_BT, part.mask_BT)]
        with jax.set_mesh(self.mesh):
            return np.asarray(self.kl(params, self.params, *rows), np.float64).reshape(-1)


def _kl(config: ModelConfig, temperature: float, vocab: int, params: Params, start: Params, tokens_ABT, mask_ABT) -> jax.Array:
    """f32[A, B]: the mean over completions is the KL, as the log-ratio of what was drawn has it, with less scatter (Rao-Blackwell)."""

    def microbatch(rows):
        tokens_BT, mask_BT = rows

        def said(weights):
            logits_BTV = logits(weights, config, forward(weights, config, tokens_BT).x_BTD) / temperature
            return jnp.where(jnp.arange(logits_BTV.shape[-1]) < vocab, logits_BTV, -jnp.inf)

        return (forward_kl(said(params), said(start)) * mask_BT).sum(-1)

    return jax.lax.map(microbatch, (tokens_ABT, mask_ABT))


def open_work(recipe: OveroptimizeRecipe, out: Path, gold: Weighted, watch: Quiet) -> Work:
    """Checks everything that can be checked before anything is computed, and notes in `out` what it was begun with.

    Raises UserError for what cannot work, and where the folder was begun with something else.
    """
    found = open_start(Recipe("start", start=recipe.start))
    tokenizer = found.tokenizer()
    if tokenizer is None:
        raise UserError(f"{recipe.start} has no tokenizer to encode prompts with.\n  Name a run that has one.")
    start = _start_recipe(recipe, found, out)
    for size in recipe.proxies.sizes:
        if asked := layers_and_embed(size):
            sized(start.model, *asked)
        else:
            open_start(Recipe("size", start=size))
    learned, measured = _prompts(recipe)
    work = Work(recipe, out, start, tokenizer, gold, learned, measured, watch)
    _begin(work, found)
    return work


def sized(config: ModelConfig, layers: int, embed: int) -> ModelConfig:
    """The start's shape with so many layers, so wide; heads stay as wide as they are. Raises UserError for what is none."""
    if embed == config.embed and layers > config.layers:
        raise UserError(f"proxies.sizes has {layers}x{embed}, but the start has {config.layers} layers.\n  Use {config.layers} or fewer.")
    if embed % config.width:
        raise UserError(
            f"proxies.sizes has {layers}x{embed}, but the start's heads are {config.width} wide.\n"
            f"  Use a multiple of it, such as {layers}x{max(1, embed // config.width) * config.width}."
        )
    return replace(config if embed == config.embed else turned(config, embed // config.width, "width"), layers=layers)


def _start_recipe(recipe: OveroptimizeRecipe, found: Start, out: Path) -> Recipe:
    """With all of the start's positions, in its own numbers."""
    model = ModelConfig(context=found.config.context, dtype=found.config.dtype)
    plain = Recipe("start", start=recipe.start, model=model, data=DataConfig(paths=recipe.data))
    return fitted(plain, found, out)


def _prompts(recipe: OveroptimizeRecipe) -> tuple[list[Example], list[Example]]:
    """(learned from, measured on), which share none."""
    examples = read_prompts(recipe.data)
    if recipe.held_out:
        measured, learned = read_prompts([recipe.held_out]), examples
        known = {example["prompt"] for example in measured}
        if both := [example["prompt"] for example in learned if example["prompt"] in known]:
            raise UserError(
                f"the prompt {both[0][:60]!r} is in data and in held_out: it would be learned from and measured on.\n"
                "  Leave it out of one of them."
            )
    else:
        unlike = list({example["prompt"]: example for example in examples}.values())
        measured = unlike[3::4]
        learned = [example for number, example in enumerate(unlike) if number % 4 != 3]
    if len(measured) < 2:
        raise UserError(
            f"{len(measured)} prompts are measured: an interval needs at least 2, and is of use from a dozen on.\n"
            "  Give more prompts with --data (every fourth is measured), or name some with --held-out."
        )
    return learned, measured


def _begin(work: Work, found: Start) -> None:
    """Notes what the folder is of. Where nothing was drawn yet another recipe may begin, or a refused one would be in its mend's way."""
    recipe, out, file = work.recipe, work.out, work.out / FILE
    if file.exists() and not (out / DRAWN).exists():
        for name in ("data.json", "start.json"):
            (out / name).unlink(missing_ok=True)
    elif file.exists():
        changed = {n: v for n, v in differences(load_as(OveroptimizeRecipe, file), recipe).items() if not n.startswith(MAY_CHANGE)}
        if changed:
            rows = "\n".join(f"    {name}: {old} there, {new} asked for" for name, (old, new) in changed.items())
            raise UserError(f"{out} was begun with another recipe:\n{rows}\n  Continue it with its own {FILE}, or say --out.")
    elif out.exists() and any(each.name not in OF_THE_DEMO for each in out.iterdir()):
        raise UserError(f"{out} exists, is not empty and holds no {FILE}.\n  Choose another place with --out, or empty it.")
    out.mkdir(parents=True, exist_ok=True)
    run = Run(out, work.start)
    check_same(run, "data", fingerprint(work.learned, work.measured))
    check_same(run, "start", found.fingerprint())
    save_recipe(recipe, file)
    for name, examples in (("learned", work.learned), ("measured", work.measured)):
        write_atomically(prompts_file(out, name), "".join(json.dumps(example) + "\n" for example in examples))


def prompts_file(out: Path, name: str) -> Path:
    """The prompts that are `learned` from, or `measured` on."""
    return out / "prompts" / f"{name}.jsonl"
