"""The learning rate: a linear warm-up, and a cosine or a polynomial down, all counted in tokens.

GPT-3 (Brown et al. 2020, appendix B): up over 375 million tokens, then a cosine down to 10% at 260 billion, then level.
"""

import jax.numpy as jnp

from tenfold.train.batch_schedule import BatchSchedule, Stage
from tenfold.train.recipe import OptimizerConfig


def learning_rate(config: OptimizerConfig, batches: BatchSchedule, steps: int):
    """A function of the step (from 0), traced or not: the learning rate at the tokens seen once the step is done."""
    decay_tokens = float(config.decay_tokens or batches.tokens_before(steps))  # float: billions of tokens are no int32
    warmup_tokens = min(float(config.warmup_tokens), decay_tokens)
    marks = [*batches.stages, Stage(batches.stages[-1].first_step + 1, batches.rows_before(batches.stages[-1].first_step + 1), 0)]
    mark_steps = jnp.array([m.first_step for m in marks], jnp.float32)
    mark_tokens = jnp.array([m.first_row * batches.context for m in marks], jnp.float32)
    last_rate = float(batches.rows * batches.context)

    def rate(step):
        seen = jnp.asarray(step, jnp.float32) + 1
        beyond = jnp.maximum(seen - mark_steps[-1], 0) * last_rate
        tokens = jnp.interp(seen, mark_steps, mark_tokens) + beyond
        progress = jnp.clip((tokens - warmup_tokens) / max(decay_tokens - warmup_tokens, 1), 0, 1)
        left = 0.5 * (1 + jnp.cos(jnp.pi * progress)) if config.decay == "cosine" else (1 - progress) ** config.decay_power
        fraction = config.final_fraction + (1 - config.final_fraction) * left
        return config.learning_rate * jnp.minimum(tokens / max(warmup_tokens, 1), 1) * fraction

    return rate
