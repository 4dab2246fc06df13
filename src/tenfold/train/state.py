"""All that a step changes: weights, optimiser state, step. One tree, its shardings read from the Params."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from tenfold.model.config import ModelConfig
from tenfold.model.params import Params, init_params, map_params, model_params
from tenfold.sharding.axes import check_divides, sharding


@jax.tree_util.register_dataclass
@dataclass
class State:
    """`step` counts the updates made, so it is also the number (from 0) of the next one."""

    step: jax.Array
    params: Params
    opt_state: optax.OptState


def param_shardings(config: ModelConfig, mesh: Mesh) -> Any:
    """Where every weight lies on the mesh; refuses a mesh that does not divide one."""
    shapes = jax.tree_util.tree_flatten_with_path(map_params(lambda p: p, model_params(config)))[0]
    for path, p in shapes:
        name = "model." + ".".join(str(getattr(k, "key", getattr(k, "idx", k))) for k in path)
        check_divides(name, p.shape, p.axes, mesh)
    return map_params(lambda p: sharding(mesh, p.axes), model_params(config))


def state_shardings(config: ModelConfig, optimizer: optax.GradientTransformation, mesh: Mesh) -> Any:
    """A State of shardings: the optimiser's moments lie with their weights, counters on every device."""
    whole = sharding(mesh, ())
    params = param_shardings(config, mesh)
    shapes = jax.eval_shape(lambda: optimizer.init(_shapes(config)))
    opt_state = optax.tree_utils.tree_map_params(optimizer, lambda _, s: s, shapes, params, transform_non_params=lambda _: whole)
    return State(step=whole, params=params, opt_state=opt_state)  # type: ignore[arg-type]


def init_state(config: ModelConfig, optimizer: optax.GradientTransformation, mesh: Mesh, seed: int) -> State:
    """A new State, each device making its own part."""

    def start(key):
        params = init_params(key, config)
        return State(jnp.int32(0), params, optimizer.init(params))

    return jax.jit(start, out_shardings=state_shardings(config, optimizer, mesh))(jax.random.key(seed))


def abstract_state(config: ModelConfig, optimizer: optax.GradientTransformation, mesh: Mesh) -> State:
    """Shapes and shardings of a State, for restoring one or compiling for one."""
    shapes = jax.eval_shape(lambda: State(jnp.int32(0), _shapes(config), optimizer.init(_shapes(config))))
    return jax.tree.map(
        lambda s, where: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=where), shapes, state_shardings(config, optimizer, mesh)
    )


def abstract_params(config: ModelConfig, mesh: Mesh) -> Params:
    """Shapes and shardings of the weights alone."""
    return jax.tree.map(
        lambda p, where: jax.ShapeDtypeStruct(p.shape, p.dtype, sharding=where),
        jax.eval_shape(lambda: _shapes(config)),
        param_shardings(config, mesh),
    )


def _shapes(config: ModelConfig):
    return map_params(lambda p: jnp.zeros(p.shape, jnp.float32), model_params(config))
