"""Products in the compute type: values and gradients against NumPy in f64 and finite differences, whatever rules lie behind them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.model.matmul import matmul, matmul_transposed, rows, weight_gradient

SHAPES = [((5, 7), 3), ((2, 1, 4), 6), ((1, 3, 1), 2)]
TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-2}  # of the largest entry; bf16 keeps 8 bits of each factor


def arrays(shape, N, seed=0):
    a, b = jax.random.split(jax.random.key(seed))
    return jax.random.normal(a, shape), jax.random.normal(b, (shape[-1], N))


def close(found, wanted, dtype):
    wanted = np.asarray(wanted)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE[dtype] * np.abs(wanted).max())


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape, N", SHAPES)
class TestProducts:
    def test_values(self, shape, N, dtype):
        x, w = arrays(shape, N)
        wanted = np.asarray(x, np.float64) @ np.asarray(w, np.float64)
        for found in (matmul(x, w, dtype), matmul_transposed(x, w.T, dtype)):
            assert found.dtype == jnp.float32 and found.shape == (*shape[:-1], N)
            close(found, wanted, dtype)

    def test_gradients(self, shape, N, dtype):
        """d/dx = dy w^T and d/dw = x^T dy, in f64, for both products, and the weight gradient by itself."""
        x, w = arrays(shape, N)
        dy, _ = arrays((*shape[:-1], N), 1, seed=1)
        x64, w64, dy64 = (np.asarray(a, np.float64) for a in (x, w, dy))
        dx_wanted = dy64 @ w64.T
        dw_wanted = x64.reshape(-1, shape[-1]).T @ dy64.reshape(-1, N)
        dx, dw = jax.vjp(lambda x, w: matmul(x, w, dtype), x, w)[1](dy)
        close(dx, dx_wanted, dtype)
        close(dw, dw_wanted, dtype)
        dx, dw = jax.vjp(lambda x, w: matmul_transposed(x, w, dtype), x, w.T)[1](dy)
        close(dx, dx_wanted, dtype)
        close(dw, dw_wanted.T, dtype)
        close(weight_gradient(rows(x.astype(dtype)), rows(dy.astype(dtype))), dw_wanted, dtype)
        assert dx.dtype == dw.dtype == jnp.float32


@pytest.mark.parametrize("product", [matmul, lambda x, w, dtype: matmul_transposed(x, w.T, dtype)], ids=["plain", "transposed"])
def test_gradients_match_finite_differences(product):
    """f32: a product is linear in each factor, so a central difference is exact but for rounding."""
    factors = arrays((3, 4, 6), 5)
    weights, _ = arrays((3, 4, 5), 1, seed=1)

    @jax.jit
    def scalar(x, w):
        return (product(x, w, "float32") * weights).sum()

    gradients = jax.grad(scalar, argnums=(0, 1))(*factors)
    for number, gradient in enumerate(gradients):
        way, _ = arrays(gradient.shape, 1, seed=2 + number)
        ahead, behind = (scalar(*[f + sign * way if n == number else f for n, f in enumerate(factors)]) for sign in (1, -1))
        assert float((gradient * way).sum()) == pytest.approx(float(ahead - behind) / 2, rel=1e-4, abs=1e-4)


def test_both_factors_are_rounded_to_the_compute_type_and_sums_are_not():
    """1 + 2^-9 rounds to 1 in bf16; 512 ones times 1 and one more add up past bf16's whole numbers."""
    assert float(matmul(jnp.array([[1 + 2**-9]]), jnp.ones((1, 1)), "bfloat16")[0, 0]) == 1.0
    assert float(matmul(jnp.array([[1 + 2**-9]]), jnp.ones((1, 1)), "float32")[0, 0]) == 1 + 2**-9
    assert float(matmul(jnp.ones((1, 513)), jnp.ones((513, 1)), "bfloat16")[0, 0]) == 513.0
