"""What a training on comparisons needs while it runs: shapes, what is compiled, and rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from tenfold.align.comparison_config import ComparisonRecipe
from tenfold.align.comparison_step import Judge
from tenfold.align.comparisons import encoded, ranked
from tenfold.align.ensemble import judged_all, learn_all, of_members, own_share
from tenfold.align.forks import fork_length, forked
from tenfold.align.headed import headed_params
from tenfold.align.kto_step import kto_learn, kto_looked
from tenfold.align.labelled import labelled_rows
from tenfold.model.attention.kinds import takes_forks
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params
from tenfold.sharding.axes import sharding
from tenfold.tokens.tokenizer import Tokenizer
from tenfold.train.batch_schedule import batch_schedule
from tenfold.train.lora import trained_params, weights_of
from tenfold.train.optimizer import adamw_of
from tenfold.train.schedule import learning_rate
from tenfold.train.state import State, optimizer_shardings, tree_shardings

WORTH_IT = 0.95
"""Of the tokens of rows with an answer each, the share below which rows with all answers are taken."""


@dataclass
class Work:
    """All that a run needs while it runs."""

    comparison: ComparisonRecipe
    path: Path
    mesh: Mesh
    tokenizer: Tokenizer
    train: list[Any]
    """Comparisons; in KTO Labelled ones."""
    held_out: list[Any]

    def __post_init__(self):
        recipe, policy = self.comparison.recipe, self.comparison.reward_model is None
        self.answers, longest, answer = self._sizes([*self.train, *self.held_out], recipe.model.context)
        self.width = min(-(-longest // 8) * 8, recipe.model.context) + policy  # of which the last is a target alone
        config = replace(recipe.model, expert_capacity=0.0)  # no token is dropped for its neighbours' sake
        self.fork = self._fork_width(config, self.answers * self.width)
        self.rate = learning_rate(recipe.optimizer, batch_schedule(recipe), recipe.train.steps)
        self.declared = trained_params(recipe.model, recipe.lora) if policy else headed_params(recipe.model, recipe.lora)
        optimizer = adamw_of(recipe.optimizer, self.declared, self.rate)
        self.members = self.comparison.reward_model.ensemble if self.comparison.reward_model else 1
        self.declared = of_members(self.declared, self.members)
        self.judge = Judge(self.comparison.method, config, weights_of(recipe), optimizer, self.tokenizer.vocab, answer)
        opt_state = optimizer_shardings(self.declared, optimizer, self.mesh)
        self.where = State(sharding(self.mesh, ()), tree_shardings(self.declared, self.mesh), opt_state)  # type: ignore[arg-type]
        kto = self.comparison.kto is not None
        learn = partial(kto_learn, self.judge) if kto else partial(learn_all, self.judge, self.members)
        self.learn = jax.jit(learn, donate_argnums=0, out_shardings=(self.where, None))
        self.judged = jax.jit(partial(kto_looked, self.judge) if kto else partial(judged_all, self.judge, self.members))
        self.moments = jax.vmap(optimizer.init) if self.members > 1 else optimizer.init
        self.base: Params | None = None
        self.start: Params | None = None

    def _sizes(self, everything: list[Any], room: int) -> tuple[int, int, int]:
        """(answers of a prompt, tokens of the longest row, tokens of the longest answer)"""
        kto = self.comparison.kto is not None
        rows = [encoded(c.prompt, a, self.tokenizer, room) for c in everything for a in ([c.answer] if kto else c.answers)]
        answer = max(len(ids) - start for ids, start in rows)
        if kto:  # whose rows have another example's answer too
            return 2, min(max(start for _, start in rows) + answer, room), answer
        return max(len(each.answers) for each in everything), max(len(ids) for ids, _ in rows), answer

    def _fork_width(self, config: ModelConfig, apart: int) -> int:
        """Tokens of rows that read a prompt once; 0 where answers go by themselves, in `apart` tokens: that is all but DPO, and models that
        cannot do it, and prompts so short that it is not worth its wider attention."""
        if not self.comparison.dpo:
            return 0
        with jax.set_mesh(self.mesh):
            if not takes_forks(config):
                return 0
        width = -(-fork_length([*self.train, *self.held_out], self.tokenizer, config.context) // 8) * 8
        return width if width < WORTH_IT * apart else 0

    def share(self, member: int) -> list[Any]:
        """What a member learns from."""
        if self.members == 1:
            return self.train
        assert self.comparison.reward_model is not None
        share, seed = self.comparison.reward_model.share, self.comparison.recipe.data.seed + member
        return [self.train[i] for i in own_share(len(self.train), share, seed)]

    def rows(self, items: Sequence[Any]) -> Any:
        """Ranked, Forks or LabelledRows."""
        if self.comparison.kto:
            return labelled_rows(items, self.tokenizer, self.comparison.recipe.model.context, self.width)
        room = self.comparison.recipe.model.context
        if self.fork:
            return forked(items, self.tokenizer, room, self.answers, self.fork, self.judge.most)
        return ranked(items, self.tokenizer, room, self.answers, self.width)
