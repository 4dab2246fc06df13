"""Where torchscale's dilated attention leaves the paper's equations: each difference from its formula in NumPy, beside the equations.

The formulas are those of torchscale/component/dilated_attention.py at commit 4d1e0e8, read, not run.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from golden import longnet as oracle
from tenfold.model.attention.blocked import Pattern
from tenfold.model.attention.dilated import dilated_attention
from tenfold.model.attention.tiles import Distance, Places, _decays
from tenfold.model.config import Dilated, ModelConfig
from tenfold.model.positions import xpos_decay

KIND, T, H, K = Dilated((4, 13), (1, 3)), 13, 3, 4


def numbers(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, 1, T, H, K))


@partial(jax.jit, static_argnums=(3, 4))
def ours(q, k, v, kind=KIND, causal=True):
    how = Pattern(None, K**-0.5, "float32", None, causal)
    return dilated_attention(*(jnp.asarray(x, jnp.float32) for x in (q, k, v)), None, kind, how)


def test_gradients_stop_at_the_weights_of_the_mixture():
    """scattering() computes the weights under no_grad: each branch's own gradient, times its weight. It misses the true one by a tenth."""
    q, k, v, g = numbers(4)
    pairs = list(zip(KIND.segments, KIND.dilations, strict=True))
    parts = [oracle.branch(q, k, v, w, r) for w, r in pairs]
    total = sum(denominator for _, denominator in parts)
    stopped = 0
    for (w, r), (_, denominator) in zip(pairs, parts, strict=True):
        stopped += oracle.longnet_gradients(q, k, v, g * (denominator / total)[..., None], Dilated((w,), (r,)))[0]
    true = oracle.longnet_gradients(q, k, v, g, KIND)[0]
    assert np.abs(stopped - true).max() > 0.1 * np.abs(true).max()
    found = jax.jit(jax.grad(lambda q: (ours(q, k, v) * g).sum()))(jnp.asarray(q, jnp.float32))
    np.testing.assert_allclose(found, true, rtol=0, atol=1e-5)


def test_keys_of_the_own_device_are_missing():
    """gather_kv() takes the ranks before its own: over two devices, a query of the second sees nothing of its own half, not even itself."""
    q, k, v = numbers(3)
    whole, half = Dilated((T,), (1,)), 7
    wanted = oracle.longnet(q, k, v, whole)[0, half]
    weights = np.exp(np.einsum("hk,shk->hs", q[0, half], k[0, :half]) / np.sqrt(K))
    theirs = np.einsum("hs,shk->hk", weights / weights.sum(1, keepdims=True), v[0, :half])
    assert np.abs(theirs - wanted).max() > 0.1
    np.testing.assert_allclose(ours(q, k, v, whole)[0, half], wanted, rtol=0, atol=1e-5)


def test_strides_start_anew_on_each_device():
    """Counted from each device's first row, as there, a dilation that does not divide a device's rows takes other positions."""
    rows, r, head = 8, 3, 1
    equations = [t for t in range(2 * rows) if oracle.taken(t, head, 2 * rows, r)]
    local = [t for t in range(2 * rows) if (t % rows) % r == head % r]
    assert equations == [1, 4, 7, 10, 13] and local == [1, 4, 7, 9, 12, 15]


def test_xpos_overflows():
    """zeta^((p - N / 2) / 512) at the least zeta, 0.4 / 1.4, in f32: finite at 65,000 positions, not at 80,000. Here decay counts
    from a tile's first query, and the smallest factor of a key that a query sees is the decay itself."""
    with np.errstate(over="ignore"):
        largest = {N: np.float32(0.4 / 1.4) ** np.float32(-N / 2 / 512) for N in (65_000, 80_000)}
    assert np.isfinite(largest[65_000]) and np.isinf(largest[80_000])
    decay = xpos_decay(ModelConfig(context=2**30, positions="xpos"))
    places = [Places(jnp.arange(first, first + 4), None) for first in (2**30 - 4, 2**30 - 604)]
    queries, keys = _decays(*places, Distance(None, np.float32(decay)))
    np.testing.assert_allclose(queries[2, 0] * keys[1, 0], (0.4 / 1.4) ** (601 / 512), rtol=1e-5)
    assert queries.max() == 1 and keys.max() < 1


def test_some_positions_are_taken_by_no_head():
    """Head h starts at h // ceil(H / r): of 12 heads and a dilation of 8, none at 6 or 7. By equations 13 to 15 all 8 are taken."""
    heads, r = 12, 8
    theirs = {head // -(-heads // r) for head in range(heads)}
    assert set(range(r)) - theirs == {6, 7}
    assert {head % r for head in range(heads)} == set(range(r))


def test_padding_is_seen_both_ways():
    """Rows that fill up a segment are zero keys with a weight of exp(0), which shrink the result."""
    q, k, v = numbers(3)
    kind, filled = Dilated((16,), (1,)), [np.pad(x, ((0, 0), (0, 3), (0, 0), (0, 0))) for x in (q, k, v)]
    wanted = oracle.longnet(q, k, v, kind, causal=False)
    theirs = oracle.longnet(*filled, kind, causal=False)[:, :T]
    assert np.abs(theirs - wanted).max() > 0.05
    np.testing.assert_allclose(ours(q, k, v, kind, causal=False), wanted, rtol=0, atol=1e-5)


def test_a_denominator_of_one_is_taken_for_none():
    """A log-sum-exp of exactly 0 is read as "not selected": the first position with a query of zero loses every branch it is in."""
    q, k, v = numbers(3)
    q[:, 0] = 0
    denominators = np.stack([oracle.branch(q, k, v, w, r)[1][0, 0] for w, r in zip(KIND.segments, KIND.dilations, strict=True)])
    lse = np.log(denominators, where=denominators > 0, out=np.full_like(denominators, -1e8))
    assert lse[0, 0] == 0  # a real one
    lse[0, 0] = -1e8
    assert np.exp(lse[0, 0] - 0) == 0
    np.testing.assert_allclose(ours(q, k, v)[0, 0], v[0, 0], rtol=0, atol=1e-5)
