"""All that a step changes: weights, optimiser state, step. One tree, its shardings read from the Params."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from tenfold.model.config import ModelConfig
from tenfold.model.params import Params, init_tree, map_params
from tenfold.sharding.axes import check_divides, sharding
from tenfold.train.lora import trained_params
from tenfold.train.recipe import LoraConfig

NO_LORA = LoraConfig()


@jax.tree_util.register_dataclass
@dataclass
class State:
    """`step` counts the updates made, so it is also the number (from 0) of the next one. `params` is what is trained: the weights, or the
    adapters of a model that stays as it is."""

    step: jax.Array
    params: Params
    opt_state: optax.OptState


def param_shardings(config: ModelConfig, mesh: Mesh, lora: LoraConfig = NO_LORA) -> Any:
    """Where everything that is trained lies on the mesh; refuses a mesh that does not divide it."""
    return tree_shardings(trained_params(config, lora), mesh)


def tree_shardings(declared: Params, mesh: Mesh) -> Any:
    """Where a tree of Params lies on the mesh; raises UserError for a mesh that does not divide it."""
    shapes = jax.tree_util.tree_flatten_with_path(map_params(lambda p: p, declared))[0]
    for path, p in shapes:
        name = "model." + ".".join(str(getattr(k, "key", getattr(k, "idx", k))) for k in path)
        check_divides(name, p.shape, p.axes, mesh)
    return map_params(lambda p: sharding(mesh, p.axes), declared)


def state_shardings(config: ModelConfig, optimizer: optax.GradientTransformation, mesh: Mesh, lora: LoraConfig = NO_LORA) -> Any:
    """A State of shardings: the optimiser's moments lie with their weights, counters on every device."""
    declared = trained_params(config, lora)
    opt_state = optimizer_shardings(declared, optimizer, mesh)
    return State(step=sharding(mesh, ()), params=tree_shardings(declared, mesh), opt_state=opt_state)  # type: ignore[arg-type]


def optimizer_shardings(declared: Params, optimizer: optax.GradientTransformation, mesh: Mesh) -> Any:
    """Where the optimiser's state of a tree of Params lies: moments with their weights, counters on every device."""
    return optax.tree_utils.tree_map_params(
        optimizer,
        lambda moment, s: moment if isinstance(moment, optax.MaskedNode) else s,  # frozen weights have none
        jax.eval_shape(lambda: optimizer.init(map_params(lambda p: jnp.zeros(p.shape, jnp.float32), declared))),
        tree_shardings(declared, mesh),
        transform_non_params=lambda _: sharding(mesh, ()),
        is_leaf=lambda node: isinstance(node, optax.MaskedNode),
    )


def init_state(config: ModelConfig, optimizer: optax.GradientTransformation, mesh: Mesh, seed: int, lora: LoraConfig = NO_LORA) -> State:
    """A new State, each device making its own part."""

    def start(key):
        params = init_tree(key, config, trained_params(config, lora))
        return State(jnp.int32(0), params, optimizer.init(params))

    return jax.jit(start, out_shardings=state_shardings(config, optimizer, mesh, lora))(jax.random.key(seed))


def state_of(params: Params, config: ModelConfig, optimizer: optax.GradientTransformation, mesh: Mesh, lora: LoraConfig = NO_LORA) -> State:
    """A State at step 0 of weights or adapters that exist, which it takes over."""
    shardings = state_shardings(config, optimizer, mesh, lora)
    opt_state = jax.jit(optimizer.init, out_shardings=shardings.opt_state)(params)
    return State(jax.device_put(jnp.int32(0), shardings.step), params, opt_state)


def abstract_state(config: ModelConfig, optimizer: optax.GradientTransformation, mesh: Mesh, lora: LoraConfig = NO_LORA) -> State:
    """Shapes and shardings of a State, for restoring one or compiling for one."""
    shapes = jax.eval_shape(lambda: State(jnp.int32(0), _shapes(config, lora), optimizer.init(_shapes(config, lora))))
    return jax.tree.map(
        lambda s, where: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=where), shapes, state_shardings(config, optimizer, mesh, lora)
    )


def abstract_params(config: ModelConfig, mesh: Mesh, lora: LoraConfig = NO_LORA) -> Params:
    """Shapes and shardings of what is trained, without the optimiser's state."""
    return jax.tree.map(
        lambda p, where: jax.ShapeDtypeStruct(p.shape, p.dtype, sharding=where),
        jax.eval_shape(lambda: _shapes(config, lora)),
        param_shardings(config, mesh, lora),
    )


def _shapes(config: ModelConfig, lora: LoraConfig):
    return map_params(lambda p: jnp.zeros(p.shape, jnp.float32), trained_params(config, lora))
