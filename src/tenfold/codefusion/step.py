"""One update of a model that writes code, and one measurement. Pure. Letters: config.py; A microbatches."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from tenfold.codefusion.config import FusionConfig
from tenfold.codefusion.losses import Sums, batch_loss
from tenfold.codefusion.model import fusion_axes, fusion_params, init_fusion
from tenfold.codefusion.recipe import FusionRecipe
from tenfold.codefusion.rows import Rows
from tenfold.model.params import Param, Params, map_params
from tenfold.sharding.axes import check_divides, sharding
from tenfold.train.batch_schedule import BatchSchedule
from tenfold.train.schedule import learning_rate
from tenfold.train.state import State
from tenfold.train.step import row_keys

STILL = ("encoder", "embedding")  # what train_encoder False leaves as it is
HELD_OUT_SEED = 2**31  # of the noise in what is measured


class FusionMetrics(NamedTuple):
    """Of a step, each a mean over the tokens that count."""

    loss: jax.Array
    grad_norm: jax.Array
    parts: dict[str, jax.Array]


def fusion_rate(recipe: FusionRecipe):
    """The learning rate, a function of the step; a token is a place of a snippet's row."""
    batches = BatchSchedule(recipe.train.batch, recipe.model.length, 0, 0)
    return learning_rate(recipe.optimizer, batches, recipe.train.steps)


def fusion_optimizer(recipe: FusionRecipe) -> optax.GradientTransformation:
    """AdamW (the paper's), whose decay leaves gains, biases and an encoder that stays alone."""
    config, declared = recipe.optimizer, fusion_params(recipe.model)
    decayed = map_params(lambda p: p.is_matrix, declared)
    if not recipe.train.train_encoder:
        decayed |= {name: jax.tree.map(lambda _: False, decayed[name]) for name in STILL}
    return optax.chain(
        optax.clip_by_global_norm(config.clip) if config.clip else optax.identity(),
        optax.scale_by_adam(b1=config.beta1, b2=config.beta2, eps=config.eps),
        optax.add_decayed_weights(config.weight_decay, mask=decayed),
        optax.scale_by_learning_rate(fusion_rate(recipe)),
    )


def check_mesh(config: FusionConfig, mesh: Mesh) -> None:
    """Refuses a mesh that does not divide a weight, naming it."""

    def check(path, p: Param) -> None:
        check_divides("model." + ".".join(str(getattr(k, "key", getattr(k, "idx", k))) for k in path), p.shape, p.axes, mesh)

    jax.tree_util.tree_map_with_path(check, fusion_params(config), is_leaf=lambda p: isinstance(p, Param))


def fusion_shardings(config: FusionConfig, optimizer: optax.GradientTransformation, mesh: Mesh) -> Any:
    """A State of shardings: the optimiser's moments lie with their weights, counters on every device."""
    whole, params = sharding(mesh, ()), fusion_axes(config, partial(sharding, mesh))
    shapes = jax.eval_shape(optimizer.init, _shapes(config))
    opt_state = optax.tree_utils.tree_map_params(optimizer, lambda _, where: where, shapes, params, transform_non_params=lambda _: whole)
    return State(whole, params, opt_state)  # type: ignore[arg-type]


def fusion_state_of(params: Params, config: FusionConfig, optimizer: optax.GradientTransformation, mesh: Mesh) -> State:
    """A State at step 0 of weights that exist."""
    where = fusion_shardings(config, optimizer, mesh)
    params = jax.tree.map(jax.device_put, params, where.params)
    return State(jax.device_put(jnp.int32(0), where.step), params, jax.jit(optimizer.init, out_shardings=where.opt_state)(params))


def abstract_fusion_state(config: FusionConfig, optimizer: optax.GradientTransformation, mesh: Mesh) -> State:
    """Shapes and shardings of a State, for restoring one."""
    shapes = jax.eval_shape(lambda: State(jnp.int32(0), _arrays(config), optimizer.init(_arrays(config))))
    where = fusion_shardings(config, optimizer, mesh)
    return jax.tree.map(lambda s, place: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place), shapes, where)


def abstract_fusion_params(config: FusionConfig, mesh: Mesh) -> Params:
    """Shapes and shardings of the weights."""
    return map_params(lambda p: jax.ShapeDtypeStruct(p.shape, jnp.float32, sharding=sharding(mesh, p.axes)), fusion_params(config))


def _arrays(config: FusionConfig) -> Params:
    return map_params(lambda p: jnp.zeros(p.shape, jnp.float32), fusion_params(config))


def _shapes(config: FusionConfig) -> Params:
    return map_params(lambda p: jax.ShapeDtypeStruct(p.shape, jnp.float32), fusion_params(config))


def fusion_step(recipe: FusionRecipe, optimizer, pad: int, state: State, rows_A: Rows) -> tuple[State, FusionMetrics]:
    """One update. Losses are means over the batch's tokens, however it is cut into microbatches; noise is of (seed, step, row)."""
    config, train = recipe.model, recipe.train
    keys_AB = row_keys(train.seed, state.step, rows_A.alone_B.shape)
    first_estimate = jax.random.bernoulli(jax.random.fold_in(jax.random.key(train.seed), state.step))
    weight = jnp.maximum(_total_weight(config, rows_A, pad), 1)

    def objective(params, rows: Rows, key_B):
        if not train.train_encoder:
            params = params | {name: jax.lax.stop_gradient(params[name]) for name in STILL}
        sums = batch_loss(params, config, rows, key_B, pad, first_estimate)
        return sums.loss / weight, {name: x / weight for name, x in sums.parts.items()}

    gradient = jax.value_and_grad(objective, has_aux=True)

    def add(carry, part):
        return jax.tree.map(jnp.add, carry, gradient(state.params, *part)), None

    first = jax.tree.map(lambda x: x[0], (rows_A, keys_AB))
    if rows_A.alone_B.shape[0] == 1:
        (loss, parts), grads = gradient(state.params, *first)
    else:
        zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(gradient, state.params, *first))
        ((loss, parts), grads), _ = jax.lax.scan(add, zero, (rows_A, keys_AB))
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    new = State(state.step + 1, optax.apply_updates(state.params, updates), opt_state)
    return new, FusionMetrics(loss, optax.tree.norm(grads), parts)


def _total_weight(config: FusionConfig, rows_A: Rows, pad: int) -> jax.Array:
    """Tokens that count in a batch, as the losses count them."""
    if config.kind != "autoregressive":
        return rows_A.weight_BT.sum()
    is_pad = rows_A.code_BT == pad
    ended = jnp.cumsum(is_pad, axis=-1) - is_pad > 0
    return jnp.where(ended | rows_A.held_BT, 0.0, 1.0).sum()


class Programs(NamedTuple):
    """What a run is trained with."""

    optimizer: optax.GradientTransformation
    new_state: Callable[[jax.Array], State]
    """Of a key: a State at step 0, each device making its own part."""
    step: Callable
    """(State, Rows) -> (State, FusionMetrics), the first of which is donated and stays where it lies."""


@lru_cache(4)
def programs(recipe: FusionRecipe, pad: int, mesh: Mesh) -> Programs:
    """The programs of a recipe, compiled when they are first called: once for all runs of it in a process."""
    config, optimizer = recipe.model, fusion_optimizer(recipe)
    shardings = fusion_shardings(config, optimizer, mesh)

    def start(key):
        params = init_fusion(key, config)
        return State(jnp.int32(0), params, optimizer.init(params))

    step = jax.jit(partial(fusion_step, recipe, optimizer, pad), donate_argnums=0, out_shardings=(shardings, None))
    return Programs(optimizer, jax.jit(start, out_shardings=shardings), step)


def fusion_measure(config: FusionConfig, pad: int, params: Params, rows: Rows, number: jax.Array) -> Sums:
    """Loss sums of held-out rows, with noise that is the same at each measurement."""
    keys_B = row_keys(HELD_OUT_SEED, number, rows.alone_B.shape)
    return batch_loss(params, config, rows, keys_B, pad)
