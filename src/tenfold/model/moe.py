"""A mixture of experts: a router sends each token to a few of E feed-forward layers and adds up what they return.

Switch (Fedus et al. 2022) sends a token to 1, Mixtral (Jiang et al. 2024) to 2; shared experts see every token (DeepSeekMoE, Dai et al.
2024, section 3.2). Tokens are sorted by expert, so that each expert's make one stretch, and one ragged product does them all. Without a
capacity nothing is dropped. Shapes: as config.py; N tokens, M = N X pairs of a token and one of its experts.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from tenfold.model.config import ModelConfig
from tenfold.model.forms import dense
from tenfold.model.layers import ACTIVATIONS, mlp
from tenfold.model.matmul import rows
from tenfold.model.params import Params
from tenfold.sharding.axes import batch_cuts


class Routing(NamedTuple):
    """What the routers of all layers did, added up; divide by `layers`."""

    balance_loss: jax.Array
    """E sum_e (share of tokens sent to e) (mean probability of e): 1 where all are used alike (Switch, eq. 4)."""
    z_loss: jax.Array
    """Mean of log(Z)^2 of the router's logits (ST-MoE, Zoph et al. 2022, eq. 5)."""
    load_E: jax.Array
    """Share of the pairs each expert was chosen for."""
    dropped: jax.Array
    """Share of the pairs that found no room."""
    layers: jax.Array

    def __add__(self, other: "Routing") -> "Routing":  # type: ignore[override]
        return Routing(*(a + b for a, b in zip(tuple(self), tuple(other), strict=True)))

    def scaled(self, factor: jax.Array) -> "Routing":
        """Every number times `factor`."""
        return Routing(*(a * factor for a in tuple(self)))

    def mean(self) -> "Routing":
        """Of one layer, on average."""
        return self.scaled(1 / self.layers)


def no_routing(config: ModelConfig) -> Routing:
    """The sum over no layers."""
    zero = jnp.float32(0)
    return Routing(zero, zero, jnp.zeros(config.experts, jnp.float32), zero, zero)


def moe(weights: Params, x_BTD: jax.Array, config: ModelConfig) -> tuple[jax.Array, Routing]:
    """f32[B, T, D] and what the router did. The router works in f32, whatever the compute type.

    On a mesh each device routes its own rows: it gathers the experts' weights, as it does those of any layer cut over fsdp, and no
    token leaves its device.
    """
    cuts = batch_cuts(x_BTD.shape[0])
    chosen = {name: w for name, w in weights.items() if name != "shared"}
    if cuts:
        rows_of_device = PartitionSpec(cuts)
        route_own = jax.shard_map(
            lambda weights, x_BTD: route(weights, x_BTD, config, cuts),
            in_specs=(PartitionSpec(), rows_of_device),
            out_specs=(rows_of_device, PartitionSpec()),
            axis_names=set(cuts),
        )
        y_BTD, routing = route_own(chosen, x_BTD)
    else:
        y_BTD, routing = route(chosen, x_BTD, config, ())
    return y_BTD + mlp(weights["shared"], x_BTD, config) if config.shared_experts else y_BTD, routing


def route(weights: Params, x_BTD: jax.Array, config: ModelConfig, cuts: tuple[str, ...]) -> tuple[jax.Array, Routing]:
    """The chosen experts' part of `moe`, of one device's rows where the batch is cut over the mesh axes `cuts`."""
    x_ND = rows(x_BTD)
    logits_NE = x_ND @ weights["router"]
    shares_NE = jax.nn.softmax(logits_NE)
    weight_NX, expert_NX = jax.lax.top_k(shares_NE, config.experts_per_token)
    if config.router_renormalised:
        weight_NX /= weight_NX.sum(-1, keepdims=True)
    expert_M = expert_NX.reshape(-1)
    order_M = jnp.argsort(expert_M, stable=True)
    chosen_E = jnp.bincount(expert_M, length=config.experts)
    kept_M = within_capacity(expert_M[order_M], chosen_E, config, cuts)
    token_M = order_M // config.experts_per_token
    y_MD = run_experts(weights, x_ND[token_M], chosen_E, expert_M[order_M], config)
    y_MD *= jnp.where(kept_M, weight_NX.reshape(-1)[order_M], 0)[:, None]
    y_BTD = jnp.zeros_like(x_ND).at[token_M].add(y_MD).reshape(x_BTD.shape)
    load_E = mean_over(chosen_E / expert_M.size, cuts)
    balance = config.experts * (load_E * mean_over(shares_NE.mean(0), cuts)).sum()
    z_loss = mean_over(jnp.square(jax.nn.logsumexp(logits_NE, -1)).mean(), cuts)
    return y_BTD, Routing(balance, z_loss, load_E, mean_over((~kept_M).mean(), cuts), jnp.float32(1))


def mean_over(x: jax.Array, cuts: tuple[str, ...]) -> jax.Array:
    """Means of devices' equal shares as the mean of all."""
    return jax.lax.pmean(x, cuts) if cuts else x


def within_capacity(expert_M: jax.Array, chosen_E: jax.Array, config: ModelConfig, cuts: tuple[str, ...]) -> jax.Array:
    """bool[M], of pairs sorted by expert: those that find room, the earliest tokens of the whole batch first."""
    if not config.expert_capacity:
        return jnp.ones_like(expert_M, bool)
    first_E, pairs = jnp.cumsum(chosen_E) - chosen_E, expert_M.size
    if cuts:  # rows of earlier devices come before
        chosen_PE = jax.lax.all_gather(chosen_E, cuts)
        earlier_P1 = jnp.arange(chosen_PE.shape[0])[:, None] < jax.lax.axis_index(cuts)
        first_E, pairs = first_E - jnp.where(earlier_P1, chosen_PE, 0).sum(0), pairs * chosen_PE.shape[0]
    room = int(config.expert_capacity * -(-pairs // config.experts))
    return jnp.arange(expert_M.size) - first_E[expert_M] < room


def run_experts(weights: Params, x_MD: jax.Array, sizes_E: jax.Array, expert_M: jax.Array, config: ModelConfig) -> jax.Array:
    """f32[M, D]: each row through its expert; rows are sorted by expert, `sizes_E` of each."""

    def product(x, name):
        w = dense(weights[name]).astype(config.dtype)
        y = jax.lax.ragged_dot(x.astype(config.dtype), w, sizes_E.astype(jnp.int32), preferred_element_type=jnp.float32)
        return y + weights[f"{name}_bias"][expert_M] if f"{name}_bias" in weights else y

    act = ACTIVATIONS[config.activation]
    hidden_MF = act(product(x_MD, "gate"))[0] * product(x_MD, "up") if config.gated else act(product(x_MD, "up"))[0]
    return product(hidden_MF, "down")
