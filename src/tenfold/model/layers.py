"""The parts of a block that are not attention. Only operands of matrix products are rounded to the compute type; all else is f32."""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from tenfold.model.config import ModelConfig
from tenfold.model.forms import FORMS, Adapted, dense, matrix
from tenfold.model.matmul import dot, matmul, matmul_many, product, weight_gradient
from tenfold.model.params import Params
from tenfold.sharding.axes import constrain


def norm(weights: Params, x_BTD: jax.Array, config: ModelConfig) -> jax.Array:
    """LayerNorm over D (Ba et al. 2016, eq. 4), or RMSNorm (Zhang and Sennrich 2019, eq. 4): f32[B, T, D]."""
    if config.norm == "layer":
        x_BTD = x_BTD - x_BTD.mean(-1, keepdims=True)
    x_BTD = x_BTD * jax.lax.rsqrt(jnp.square(x_BTD).mean(-1, keepdims=True) + config.norm_eps) * weights["scale"]
    return x_BTD + weights["bias"] if "bias" in weights else x_BTD


def sub_norm(weights: Params, x: jax.Array, config: ModelConfig) -> jax.Array:
    """x[B, T, ...] with the norm that a half of a block has before its last projection, over all of `...`; as it is where there is none
    (Sub-LN of MAGNETO, Wang et al. 2022)."""
    if "sub_scale" not in weights:
        return x
    inner = {name: weights[f"sub_{name}"].reshape(-1) for name in ("scale", "bias") if f"sub_{name}" in weights}
    return norm(inner, x.reshape(*x.shape[:2], -1), config).reshape(x.shape)


def linear(x: jax.Array, w, bias: jax.Array | None, config: ModelConfig, contract: int = 1) -> jax.Array:
    """x[..., in] @ w[in, out] + bias[out], f32, where `in` stands for the first `contract` axes of w and `out` for the others.

    `w` is an array or a form of forms.py; what an Adapted one adds is that of its adapter.
    """
    if isinstance(w, Adapted):
        return linear(x, w.weight, bias, config, contract) + low_rank(x, w, config, contract)
    ins, outs = w.shape[:contract], w.shape[contract:]
    leading = x.shape[: x.ndim - contract]
    y = matmul(x.reshape(*leading, math.prod(ins)), matrix(w, contract), config.dtype)
    return plus(y.reshape(*leading, *outs), bias)


def linear_many(weights: Params, names: Sequence[str], x: jax.Array, config: ModelConfig) -> list[jax.Array]:
    """`linear` with each of the weights named, w[in, out...]."""
    ws = [weights[name] for name in names]
    products = matmul_many(x, [matrix(w.weight if isinstance(w, Adapted) else w, 1) for w in ws], config.dtype)
    shaped = [y.reshape(*x.shape[:-1], *w.shape[1:]) for y, w in zip(products, ws, strict=True)]
    ys = [plus(y, weights.get(f"{name}_bias")) for y, name in zip(shaped, names, strict=True)]
    return [y + low_rank(x, w, config) if isinstance(w, Adapted) else y for y, w in zip(ys, ws, strict=True)]


def low_rank(x: jax.Array, w: Adapted, config: ModelConfig, contract: int = 1) -> jax.Array:
    """What an adapter adds to x[B, ..., in] @ w: factor dropout(x) a b."""
    if w.keys_B is not None:
        kept = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - w.rate, x.shape[1:]))(w.keys_B)
        x = jnp.where(kept, x / (1 - w.rate), 0)
    return w.factor * linear(linear(x, w.a, None, config, contract), w.b, None, config)


def lookup(table, ids: jax.Array) -> jax.Array:
    """Rows of a table [V, D], whole in D: f32[..., D]."""
    # Whole, as the head needs it too: cut over fsdp there, each device would look up every row of the batch and then exchange them.
    return dense(jax.tree.map(lambda w: constrain(w, "vocab", None)[ids], table))


def plus(y: jax.Array, bias: jax.Array | None) -> jax.Array:
    """y + bias, where there is one."""
    return y if bias is None else y + bias


def mlp(weights: Params, x_BTD: jax.Array, config: ModelConfig) -> jax.Array:
    """The feed-forward layer: f32[B, T, D]. With `gated`, act(x gate) * (x up) goes down (Shazeer 2020, eq. 6), else act(x up)."""
    act = ACTIVATIONS[config.activation]
    if config.gated:
        gate_BTF, up_BTF = linear_many(weights, ("gate", "up"), x_BTD, config)
        hidden_BTF = act(gate_BTF)[0] * up_BTF
    elif config.sub_norm or any(isinstance(weights[n], FORMS) for n in ("up", "down")):
        hidden_BTF = act(linear(x_BTD, weights["up"], weights.get("up_bias"), config))[0]
    else:
        y_BTD = _mlp(x_BTD, weights["up"], weights.get("up_bias"), weights["down"], (config.activation, config.dtype))
        return plus(y_BTD, weights.get("down_bias"))
    hidden_BTF = sub_norm(weights, constrain(hidden_BTF, "batch", "positions", "mlp"), config)
    return linear(hidden_BTF, weights["down"], weights.get("down_bias"), config)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _mlp(x_BTD, up_DF, up_F, down_FD, how):
    """act(x up + up_F) down.

    The backward pass keeps the activation's value and slope, rounded to the compute type, instead of its input: one tanh for both, and
    half the memory. The value is rounded for its product in any case; the slope's rounding is the only one a plain gradient would not have.
    """
    return _mlp_forward(x_BTD, up_DF, up_F, down_FD, how)[0]


def _mlp_forward(x_BTD, up_DF, up_F, down_FD, how):
    activation, dtype = how
    x, up, down = x_BTD.astype(dtype), up_DF.astype(dtype), down_FD.astype(dtype)
    value_BTF, slope_BTF = ACTIVATIONS[activation](plus(product(x, up), up_F))
    value_BTF, slope_BTF = (constrain(a.astype(dtype), "batch", "positions", "mlp") for a in (value_BTF, slope_BTF))
    return product(value_BTF, down), (x, up, down, value_BTF, slope_BTF, jnp.zeros((), x_BTD.dtype), up_F)


def _mlp_backward(how, saved, dy_BTD):
    x_BTD, up_DF, down_FD, value_BTF, slope_BTF, like, up_F = saved
    dtype = how[1]
    dy_BTD = dy_BTD.astype(dtype)
    dh_BTF = dot(dy_BTD, down_FD, ((2,), (1,))) * slope_BTF.astype(jnp.float32)
    dup_F, dh_BTF = None if up_F is None else dh_BTF.sum((0, 1)), dh_BTF.astype(dtype)
    dx_BTD = dot(dh_BTF, up_DF, ((2,), (1,))).astype(like.dtype)
    return dx_BTD, weight_gradient(x_BTD, dh_BTF), dup_F, weight_gradient(value_BTF, dy_BTD)


def gelu_tanh(h):
    """gelu(h) = h (1 + tanh u) / 2 with u = sqrt(2 / pi) (h + 0.044715 h^3), and its derivative (Hendrycks and Gimpel 2016; GPT-2's)."""
    root = math.sqrt(2 / math.pi)
    t = jnp.tanh(root * (h + 0.044715 * h**3))
    return 0.5 * h * (1 + t), 0.5 * (1 + t) + 0.5 * h * (1 - t * t) * root * (1 + 3 * 0.044715 * h * h)


def gelu(h):
    """h Phi(h), and its derivative: gelu without approximation."""
    phi = 0.5 * (1 + jax.lax.erf(h * math.sqrt(0.5)))
    return h * phi, phi + h * jnp.exp(-0.5 * h * h) / math.sqrt(2 * math.pi)


def relu(h):
    return jnp.maximum(h, 0), (h > 0).astype(h.dtype)


def silu(h):
    """h sigmoid(h), and its derivative."""
    s = jax.nn.sigmoid(h)
    return h * s, s * (1 + h * (1 - s))


ACTIVATIONS = {"gelu_tanh": gelu_tanh, "gelu": gelu, "relu": relu, "silu": silu}
"""Each gives (value, derivative)."""

_mlp.defvjp(_mlp_forward, _mlp_backward)
