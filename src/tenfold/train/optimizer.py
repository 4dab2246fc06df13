"""AdamW as GPT-3 (Brown et al. 2020, appendix B; Loshchilov and Hutter 2019, algorithm 2), by optax."""

import optax

from tenfold.model.config import ModelConfig
from tenfold.model.params import map_params, model_params
from tenfold.train.batch_schedule import batch_schedule
from tenfold.train.recipe import OptimizerConfig, Recipe
from tenfold.train.schedule import learning_rate


def make_optimizer(recipe: Recipe) -> optax.GradientTransformation:
    rate = learning_rate(recipe.optimizer, batch_schedule(recipe), recipe.train.steps)
    return adamw(recipe.optimizer, recipe.model, rate)


def adamw(config: OptimizerConfig, model: ModelConfig, rate) -> optax.GradientTransformation:
    """Clip, Adam, decay of matrices, learning rate. `rate` is a number or a function of the step."""
    decayed = map_params(lambda p: p.is_matrix, model_params(model))
    return optax.chain(
        optax.clip_by_global_norm(config.clip) if config.clip else optax.identity(),
        optax.scale_by_adam(b1=config.beta1, b2=config.beta2, eps=config.eps),
        optax.add_decayed_weights(config.weight_decay, mask=decayed),
        optax.scale_by_learning_rate(rate),
    )
