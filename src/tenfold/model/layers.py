"""The parts of a block that are not attention. Only operands of matrix products are rounded to the compute type; all else is f32."""

import functools
import math

import jax
import jax.numpy as jnp

from tenfold.model.config import ModelConfig
from tenfold.model.matmul import dot, matmul, matmul_many, rows, weight_gradient
from tenfold.model.params import Params
from tenfold.sharding.axes import constrain


def norm(weights: Params, x_BTD: jax.Array, config: ModelConfig) -> jax.Array:
    """LayerNorm over D (Ba et al. 2016, eq. 4): f32[B, T, D]."""
    centred = x_BTD - x_BTD.mean(-1, keepdims=True)
    variance = jnp.square(centred).mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + config.norm_eps) * weights["scale"] + weights["bias"]


def linear(x: jax.Array, w: jax.Array, bias: jax.Array, config: ModelConfig, contract: int = 1) -> jax.Array:
    """x[..., in] @ w[in, out] + bias[out], f32, where `in` stands for the first `contract` axes of w and `out` for the others."""
    ins, outs = w.shape[:contract], w.shape[contract:]
    leading = x.shape[: x.ndim - contract]
    y = matmul(x.reshape(*leading, math.prod(ins)), w.reshape(math.prod(ins), math.prod(outs)), config.dtype)
    return y.reshape(*leading, *outs) + bias


def linear_many(x: jax.Array, ws: list[jax.Array], biases: list[jax.Array], config: ModelConfig) -> list[jax.Array]:
    """`linear` with each of several weights w[in, out...]."""
    products = matmul_many(x, [w.reshape(w.shape[0], -1) for w in ws], config.dtype)
    return [y.reshape(*x.shape[:-1], *w.shape[1:]) + bias for y, w, bias in zip(products, ws, biases, strict=True)]


def mlp(weights: Params, x_BTD: jax.Array, config: ModelConfig) -> jax.Array:
    """The feed-forward layer: f32[B, T, D]. gelu by its tanh approximation, as GPT-2 and GPT-3 (Hendrycks and Gimpel 2016)."""
    return _mlp(x_BTD, weights["up"], weights["up_bias"], weights["down"], config.dtype) + weights["down_bias"]


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _mlp(x_BTD, up_DF, up_F, down_FD, dtype):
    """gelu(x up + up_F) down.

    The backward pass keeps gelu's value and slope, rounded to the compute type, instead of its input: one tanh for both, and half the
    memory. The value is rounded for its product in any case; the slope's rounding is the only one a plain gradient would not have.
    """
    return _mlp_forward(x_BTD, up_DF, up_F, down_FD, dtype)[0]


def _mlp_forward(x_BTD, up_DF, up_F, down_FD, dtype):
    x, up, down = x_BTD.astype(dtype), up_DF.astype(dtype), down_FD.astype(dtype)
    value_BTF, slope_BTF = _gelu_and_slope(dot(x, up, ((2,), (0,))) + up_F)
    value_BTF, slope_BTF = (constrain(a.astype(dtype), "batch", None, "mlp") for a in (value_BTF, slope_BTF))
    return dot(value_BTF, down, ((2,), (0,))), (x, up, down, value_BTF, slope_BTF, jnp.zeros((), x_BTD.dtype))


def _mlp_backward(dtype, saved, dy_BTD):
    x_BTD, up_DF, down_FD, value_BTF, slope_BTF, like = saved
    dy_BTD = dy_BTD.astype(dtype)
    dh_BTF = dot(dy_BTD, down_FD, ((2,), (1,))) * slope_BTF.astype(jnp.float32)
    dup_F, dh_BTF = dh_BTF.sum((0, 1)), dh_BTF.astype(dtype)
    dx_BTD = dot(dh_BTF, up_DF, ((2,), (1,))).astype(like.dtype)
    return dx_BTD, weight_gradient(rows(x_BTD), rows(dh_BTF)), dup_F, weight_gradient(rows(value_BTF), rows(dy_BTD))


_mlp.defvjp(_mlp_forward, _mlp_backward)


def _gelu_and_slope(h):
    """gelu(h) = h (1 + tanh u) / 2 with u = sqrt(2 / pi) (h + 0.044715 h^3), and its derivative."""
    root = math.sqrt(2 / math.pi)
    t = jnp.tanh(root * (h + 0.044715 * h**3))
    return 0.5 * h * (1 + t), 0.5 * (1 + t) + 0.5 * h * (1 - t * t) * root * (1 + 3 * 0.044715 * h * h)
