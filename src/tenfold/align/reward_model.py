"""A trained reward model, as a reward; and the demonstrations that say where its zero is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.align.comparison_config import ComparisonRecipe
from tenfold.align.comparisons import encoded
from tenfold.align.ensemble import of_members
from tenfold.align.headed import headed_params, last_scores, place_scores
from tenfold.align.policy_config import FILE
from tenfold.align.prompts import read_prompts
from tenfold.errors import UserError
from tenfold.generate.complete import TextTokenizer
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params, map_params
from tenfold.objectives.reward import Pool, pooled
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.tokens.tokenizer import Tokenizer
from tenfold.train.checkpoint import Checkpoints
from tenfold.train.frozen import Weights
from tenfold.train.lora import weights_of
from tenfold.train.recipe import load_as
from tenfold.train.start import base_params
from tenfold.train.state import tree_shardings

ROWS = 32
"""Texts that are scored at once."""


@dataclass
class ModelReward:
    """What a reward model thinks of completions; a reward like any other."""

    headed: Params
    base: Params | None
    weights: Weights
    config: ModelConfig
    tokenizer: TextTokenizer
    members: int = 1
    """Models of an ensemble, in the first axis of each of its weights."""
    pool: Pool = "mean"
    penalty: float = 1.0
    """What an ensemble's scores come to, and the weight of their spread in it: objectives/reward.py, `pooled`."""
    _scores: Any = field(init=False)

    def __post_init__(self):
        score = partial(_scores, self.weights, self.config)
        self._scores = jax.jit(jax.vmap(score, (0, None, None, None)) if self.members > 1 else score)

    def __call__(self, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        """f32 a text, at its end. Raises UserError for a text longer than the model's context."""
        return np.asarray(pooled(self.each(prompts, completions), self.pool, self.penalty)).tolist()

    def each(self, prompts: Sequence[str], completions: Sequence[str]) -> jax.Array:
        """f32[E, B]: what each member says of each text."""
        rows = [encoded(p, c, self.tokenizer, self.config.context)[0] for p, c in zip(prompts, completions, strict=True)]
        width = min(-(-max(map(len, rows), default=1) // 16) * 16, self.config.context)
        found = []
        for first in range(0, len(rows), ROWS):
            tokens_BT, length_B = np.zeros((ROWS, width), np.int32), np.ones(ROWS, np.int32)
            for b, ids in enumerate(rows[first : first + ROWS]):
                tokens_BT[b, : len(ids)], length_B[b] = ids, len(ids)
            found.append(np.atleast_2d(self._scores(self.headed, self.base, tokens_BT, length_B)))
        return jnp.asarray(np.concatenate(found, 1)[:, : len(rows)] if found else np.zeros((self.members, 0), np.float32))


def _scores(weights: Weights, config: ModelConfig, headed: Params, base: Params | None, tokens_BT, length_B) -> jax.Array:
    return last_scores(place_scores(headed, base, weights, config, tokens_BT), length_B)


def is_reward_model(path: Path) -> bool:
    """Whether a directory is a run of `tenfold align reward`."""
    return (path / FILE).exists() and "reward_model:" in (path / FILE).read_text()


def load_reward_model(path: Path | str, pool: Pool = "mean", penalty: float = 1.0) -> ModelReward:
    """The reward model, or the ensemble, of a run directory, on one device. Raises UserError where it holds none."""
    path = Path(path)
    if not is_reward_model(path) or (comparison := load_as(ComparisonRecipe, path / FILE)).reward_model is None:
        raise UserError(f"{path} is no run of `tenfold align reward`.\n  Name the directory of one.")
    recipe, mesh = comparison.recipe, make_mesh(MeshConfig(), jax.local_devices()[:1])
    members = comparison.reward_model.ensemble
    declared = of_members(headed_params(recipe.model, recipe.lora), members)
    where = tree_shardings(declared, mesh)
    shapes = map_params(lambda p: np.zeros(p.shape, np.float32), declared)
    like = jax.tree.map(lambda s, w: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=w), shapes, where)
    with Checkpoints(path / "checkpoints") as checkpoints:
        headed, _ = checkpoints.restore_params(like)
    base = base_params(recipe, mesh) if recipe.lora.rank else None
    return ModelReward(headed, base, weights_of(recipe), recipe.model, Tokenizer.load(path / "tokenizer"), members, pool, penalty)


def read_demonstrations(path: str) -> tuple[list[str], list[str]]:
    """(prompts, completions) of a file. Raises UserError naming the prompt of a line that has no completion."""
    examples = read_prompts([path])
    for example in examples:
        if not isinstance(example.get("completion"), str):
            raise UserError(f"{path}: the line of the prompt {example['prompt'][:60]!r} has no `completion`, a text.\n  Add it.")
    return [example["prompt"] for example in examples], [example["completion"] for example in examples]
