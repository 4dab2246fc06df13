"""Batch sizes that grow with the tokens seen. Pure arithmetic of the step; imports no JAX.

GPT-3's batch grows linearly from 32 thousand tokens to its full size over the first 4 to 12 billion tokens (Brown et al. 2020, appendix
B). Here it grows by whole multiples of its first size, so that a run compiles one step for each size and no more.
"""

import bisect
import math
from dataclasses import dataclass
from functools import cached_property

from tenfold.train.recipe import Recipe


@dataclass(frozen=True)
class Stage:
    """A stretch of steps with one batch size."""

    first_step: int
    first_row: int
    rows: int


@dataclass(frozen=True)
class BatchSchedule:
    """Which rows of the data a step takes: contiguous, each row once, whatever the batch sizes."""

    rows: int
    context: int
    ramp_rows: int
    ramp_tokens: int

    @cached_property
    def stages(self) -> list[Stage]:
        first = self.ramp_rows if 0 < self.ramp_rows < self.rows and self.ramp_tokens else self.rows
        growths = math.ceil(self.rows / first) - 1
        stages, step, row = [], 0, 0
        for growth in range(growths):
            rows = first * (growth + 1)
            stages.append(Stage(step, row, rows))
            until = self.ramp_tokens * (growth + 1) / growths / self.context
            steps = max(0, math.ceil((until - row) / rows))
            step, row = step + steps, row + steps * rows
        return [*stages, Stage(step, row, self.rows)]

    def rows_before(self, step: int) -> int:
        """Rows taken by the steps before `step` (steps count from 0)."""
        stage = self._stage(step)
        return stage.first_row + (step - stage.first_step) * stage.rows

    def batch_rows(self, step: int) -> int:
        return self._stage(step).rows

    def tokens_before(self, step: int) -> int:
        return self.rows_before(step) * self.context

    def steps_for(self, tokens: int) -> int:
        """The fewest steps that see at least `tokens` tokens."""
        rows = math.ceil(tokens / self.context)
        stage = self.stages[bisect.bisect_right([s.first_row for s in self.stages], max(rows - 1, 0)) - 1]
        return stage.first_step + math.ceil((rows - stage.first_row) / stage.rows)

    def _stage(self, step: int) -> Stage:
        return self.stages[bisect.bisect_right([s.first_step for s in self.stages], step) - 1]


def batch_schedule(recipe: Recipe) -> BatchSchedule:
    """The schedule of a recipe."""
    return BatchSchedule(recipe.train.batch, recipe.model.context, recipe.optimizer.ramp_batch, recipe.optimizer.ramp_tokens)


def schedule_advice(recipe: Recipe) -> list[str]:
    """What is likely a slip in a schedule, in sentences: a short run with a long run's schedule."""
    batches, steps, optimizer = batch_schedule(recipe), recipe.train.steps, recipe.optimizer
    tokens = batches.tokens_before(steps)
    advice = []
    if optimizer.warmup_tokens > tokens:
        advice.append(
            f"the run sees {tokens:,} tokens, but its learning rate warms up over {optimizer.warmup_tokens:,} and never gets there; "
            f"perhaps --optimizer.warmup-tokens {tokens // 20} --optimizer.decay-tokens 0"
        )
    if batches.stages[-1].first_step > steps:
        advice.append(
            f"the run's {steps:,} steps end before its batch has grown to train.batch {recipe.train.batch}, which takes "
            f"{batches.stages[-1].first_step:,}; perhaps --optimizer.ramp-batch 0"
        )
    return advice
