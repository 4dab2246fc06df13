"""Pretraining text beside a policy's completions, for PPO-ptx (Ouyang et al. 2022, equation 2)."""

from dataclasses import replace
from pathlib import Path

from tenfold.align.policy_config import PolicyRecipe
from tenfold.tokens.loader import Batch, Loader
from tenfold.tokens.prepare import prepare


class Pretraining:
    """Rows of `model.context` tokens, those of an update being a function of (seed, the update's number)."""

    def __init__(self, policy: PolicyRecipe, path: Path):
        assert policy.ppo is not None
        data = replace(policy.recipe.data, paths=policy.ppo.ptx_data, held_out=None, weights=())
        prepared = prepare(data, path / "data" / "ptx", policy.recipe.model.vocab)
        self.rows = policy.ppo.ptx_rows
        self.fingerprint = prepared.fingerprint
        self._loader = Loader(prepared.train, prepared.weights, policy.recipe.model.context, data.seed)

    def __call__(self, number: int) -> Batch:
        """The rows of the update numbered `number` from 0."""
        return self._loader.rows(number * self.rows, self.rows)
