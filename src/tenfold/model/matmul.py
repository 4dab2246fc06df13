"""Matrix products: operands rounded to the compute type, sums in f32.

The gradient of a weight sums over tokens, a product whose left side lies the wrong way round in memory. XLA's CPU backend runs that at
two thirds of its speed or less; a real transposed copy of the left side first is quicker. In f32 it is the narrower side that is copied:
XLA makes a wide one anew inside of the copy, where that is slow. In bf16 some CPUs' backends refuse that form for some shapes, so it is
tried once for each shape and the plain form taken where it fails. Other backends, and meshes of several devices, always take the plain
form.

A weight may be an Int8: whole numbers up to 127 are exact in the compute type, so its scales, one an output, are left to multiply the sums.

Shapes: M inputs, N outputs, R rows (all leading axes flattened).
"""

import functools
import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.layout import Layout, with_layout_constraint

from tenfold.model.forms import Int8, Turned8
from tenfold.sharding.axes import on_one_device


def matmul(x: jax.Array, w_MN: jax.Array | Int8, dtype: str) -> jax.Array:
    """x[..., M] @ w -> f32[..., N]."""
    if isinstance(w_MN, Turned8):
        return matmul_turned8(x, w_MN)
    if isinstance(w_MN, Int8):
        return _matmul_int8(x, w_MN.values, w_MN.scale, dtype)
    return _matmul(x, w_MN, dtype)


def inner(a: jax.Array, b: jax.Array) -> jax.Array:
    """[..., K], [..., K] -> f32[...]: the sum over K of a times b.

    As a product, which is what XLA's CPU backend takes apart itself: of a sum over numbers that were multiplied it makes a call of a
    library that copies them to four times their size.
    """
    return jnp.einsum("...k,...k->...", a, b, precision=lax.Precision.HIGHEST, preferred_element_type=jnp.float32)


def matmul_many(x: jax.Array, weights: Sequence[jax.Array | Int8], dtype: str) -> list[jax.Array]:
    """x @ w for each of several w[M, N].

    Where gradients are asked for it is one product on one device, which reads x and its transposed copy once. Else the weights stay apart,
    as joining them costs more than it saves; on a mesh too, where joining would move parts of them between devices; and in 8 bits, which
    have no gradient.
    """
    if not on_one_device() or any(isinstance(w, Int8 | Turned8) for w in weights):
        return [matmul(x, w, dtype) for w in weights]
    return list(_matmul_many(x, tuple(weights), dtype))


def matmul_transposed(x: jax.Array, w_NM: jax.Array | Turned8, dtype: str) -> jax.Array:
    """x[..., M] @ w^T -> f32[..., N], without moving w."""
    if isinstance(w_NM, Turned8):
        return matmul_turned8(x, w_NM)
    return _matmul_transposed(x, w_NM, dtype)


def matmul_turned8(x: jax.Array, w: Turned8) -> jax.Array:
    """x[..., M] @ w -> f32[..., N], with both in 8 bits."""
    x_RM = rows(x).astype(jnp.float32)
    largest_R1 = jnp.abs(x_RM).max(-1, keepdims=True)
    scale_R1 = jnp.where(largest_R1 > 0, largest_R1, 1.0) / 127
    small_RM = jnp.round(x_RM / scale_R1).astype(jnp.int8)
    if small_RM.shape[0] == 1:
        small_RM = jnp.concatenate([small_RM, small_RM])  # as in `product`
    y_RN = fixed(lax.dot_general(small_RM, w.values_NM, (((1,), (1,)), ((), ())), preferred_element_type=jnp.int32))[: x_RM.shape[0]]
    return (y_RN.astype(jnp.float32) * scale_R1 * w.scale_N).reshape(*x.shape[:-1], -1)


def product(x: jax.Array, w: jax.Array, contract: int = 0) -> jax.Array:
    """x[..., M] @ w -> f32[..., N], of operands that are already of the compute type, summed over axis `contract` of w.

    A lone row in bf16 goes twice on CPUs: XLA turns a product of one row into a copy of the whole matrix in f32 and a matrix-vector
    product, 10 times slower than a product of two rows, which reads bf16 as it is.
    """
    over = ((x.ndim - 1,), (contract,))
    if x.size > x.shape[-1] or x.dtype != jnp.bfloat16 or jax.default_backend() != "cpu":
        return dot(x, w, over)
    twice = jnp.concatenate([rows(x), rows(x)])
    return fixed(dot(twice, w, ((1,), (contract,))))[:1].reshape(*x.shape[:-1], -1)


def dot(a: jax.Array, b: jax.Array, contract, batch=((), ())) -> jax.Array:
    """`lax.dot_general` with f32 sums."""
    return lax.dot_general(a, b, (contract, batch), preferred_element_type=jnp.float32)


def weight_gradient(x: jax.Array, dy: jax.Array) -> jax.Array:
    """x[..., M]^T @ dy[..., N] -> f32[M, N], summed over all leading axes, of operands that are already of the compute type."""
    if not on_one_device():  # flattened, axes that are both cut would have to be gathered
        leading = tuple(range(x.ndim - 1))
        return dot(x, dy, (leading, leading))
    x_RM, dy_RN = rows(x), rows(dy)
    if not on_one_device("cpu"):
        return _plain(x_RM, dy_RN)
    if x_RM.dtype == jnp.float32:
        return _with_copy(x_RM, dy_RN) if x_RM.shape[1] <= dy_RN.shape[1] else _with_copy(dy_RN, x_RM).T
    return (_with_copy if _copy_works(*x_RM.shape, dy_RN.shape[1]) else _plain)(x_RM, dy_RN)


def fixed(x: jax.Array) -> jax.Array:
    """x, at a point across which the compiler moves no transpose.

    XLA's CPU backend folds a transpose beside a product into it, and then may answer UNIMPLEMENTED (BF16 x BF16 = F32) to the form it made.
    """
    return lax.optimization_barrier(x) if jax.default_backend() == "cpu" else x


def rows(x: jax.Array) -> jax.Array:
    """[..., M] as [R, M]."""
    return x.reshape(-1, x.shape[-1])


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _matmul(x, w_MN, dtype):
    return product(x.astype(dtype), w_MN.astype(dtype))


def _matmul_forward(x, w_MN, dtype):
    x_rounded, w_rounded = x.astype(dtype), w_MN.astype(dtype)
    return product(x_rounded, w_rounded), (x_rounded, w_rounded, jnp.zeros((), x.dtype))


def _matmul_backward(dtype, saved, dy, transposed=False):
    """Of x @ w, or of x @ w^T."""
    x, w, like = saved
    dy = dy.astype(dtype)
    dx = dot(dy, w, ((dy.ndim - 1,), (0 if transposed else 1,))).astype(like.dtype)
    dw_MN = weight_gradient(x, dy)
    return dx, dw_MN.T if transposed else dw_MN


_matmul.defvjp(_matmul_forward, _matmul_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _matmul_transposed(x, w_NM, dtype):
    # Of rows: for more axes XLA's CPU would turn w around.
    y_RN = product(rows(x).astype(dtype), w_NM.astype(dtype), contract=1)
    return y_RN.reshape(*x.shape[:-1], -1)


def _matmul_transposed_forward(x, w_NM, dtype):
    x_rounded, w_rounded = x.astype(dtype), w_NM.astype(dtype)
    return _matmul_transposed(x_rounded, w_rounded, dtype), (x_rounded, w_rounded, jnp.zeros((), x.dtype))


_matmul_transposed.defvjp(_matmul_transposed_forward, functools.partial(_matmul_backward, transposed=True))


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _matmul_int8(x, values_MN, scale_1N, dtype):
    """x @ (values * scale). The weight has no gradient, and is turned to the compute type anew in the backward pass, not kept so."""
    return dot(x.astype(dtype), values_MN.astype(dtype), ((x.ndim - 1,), (0,))) * scale_1N[0]


def _matmul_int8_forward(x, values_MN, scale_1N, dtype):
    return _matmul_int8(x, values_MN, scale_1N, dtype), (values_MN, scale_1N, jnp.zeros((), x.dtype))


def _matmul_int8_backward(dtype, saved, dy):
    values_MN, scale_1N, like = saved
    values_MN, dy = lax.optimization_barrier((values_MN, dy))  # else the compiler would keep the forward pass's copy until here
    dy = (dy * scale_1N[0]).astype(dtype)
    return dot(dy, values_MN.astype(dtype), ((dy.ndim - 1,), (1,))).astype(like.dtype), None, None


_matmul_int8.defvjp(_matmul_int8_forward, _matmul_int8_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _matmul_many(x, weights, dtype):
    return tuple(_matmul(x, w_MN, dtype) for w_MN in weights)


def _matmul_many_forward(x, weights, dtype):
    ends = list(itertools.accumulate(w.shape[1] for w in weights))
    joined_MN = jnp.concatenate([w.astype(dtype) for w in weights], 1)
    y, saved = _matmul_forward(x, joined_MN, dtype)
    return tuple(jnp.split(y, ends[:-1], axis=-1)), (saved, ends)


def _matmul_many_backward(dtype, saved, dys):
    saved, ends = saved
    dx, dw_MN = _matmul_backward(dtype, saved, jnp.concatenate([dy.astype(dtype) for dy in dys], -1))
    return dx, tuple(jnp.split(dw_MN, ends[:-1], axis=1))


_matmul_many.defvjp(_matmul_many_forward, _matmul_many_backward)


def _plain(x_RM, dy_RN):
    return dot(x_RM, dy_RN, ((0,), (0,)))


def _with_copy(x_RM, dy_RN):
    x_MR = with_layout_constraint(lax.optimization_barrier(x_RM.T), Layout((0, 1)))
    return fixed(dot(x_MR, fixed(dy_RN), ((1,), (0,))))


@functools.cache
def _copy_works(R: int, M: int, N: int) -> bool:
    """Whether this CPU's backend runs `_with_copy` at this shape; some answer UNIMPLEMENTED."""
    try:
        with jax.ensure_compile_time_eval():
            jax.jit(_with_copy)(jnp.zeros((R, M), jnp.bfloat16), jnp.zeros((R, N), jnp.bfloat16)).block_until_ready()
        return True
    except (jax.errors.JaxRuntimeError, NotImplementedError):
        return False
