"""AdamW as GPT-3 (Brown et al. 2020, appendix B; Loshchilov and Hutter 2019, algorithm 2), by optax."""

import jax
import optax

from tenfold.model.config import ModelConfig
from tenfold.model.params import Params, map_params
from tenfold.train.batch_schedule import batch_schedule
from tenfold.train.frozen import frozen_mask
from tenfold.train.lora import trained_params
from tenfold.train.recipe import LoraConfig, OptimizerConfig, Recipe
from tenfold.train.schedule import learning_rate


def make_optimizer(recipe: Recipe) -> optax.GradientTransformation:
    rate = learning_rate(recipe.optimizer, batch_schedule(recipe), recipe.train.steps)
    return adamw(recipe.optimizer, recipe.model, rate, recipe.lora, recipe.train.frozen)


def adamw(
    config: OptimizerConfig, model: ModelConfig, rate, lora: LoraConfig | None = None, frozen: tuple[str, ...] = ()
) -> optax.GradientTransformation:
    """Clip, Adam, decay of matrices, learning rate. `rate` is a number or a function of the step.

    Frozen weights have no moments and do not decay; their gradients, which are zero, pass through.
    """
    steps = adamw_of(config, trained_params(model, lora or LoraConfig()), rate)
    return optax.masked(steps, jax.tree.map(lambda still: not still, frozen_mask(model, frozen))) if frozen else steps


def adamw_of(config: OptimizerConfig, declared: Params, rate) -> optax.GradientTransformation:
    """The same for any tree of Params, all of which is trained."""
    decayed = map_params(lambda p: p.is_matrix, declared)
    return optax.chain(
        optax.clip_by_global_norm(config.clip) if config.clip else optax.identity(),
        optax.scale_by_adam(b1=config.beta1, b2=config.beta2, eps=config.eps),
        optax.add_decayed_weights(config.weight_decay, mask=decayed),
        optax.scale_by_learning_rate(rate),
    )
