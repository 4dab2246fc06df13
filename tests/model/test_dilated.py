"""Dilated attention against the paper's equations, values and gradients; what leaks, what is refused, and how its work grows."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from golden import longnet as oracle
from tenfold.errors import UserError
from tenfold.model.attention import dilated
from tenfold.model.attention.kinds import attend
from tenfold.model.config import Dense, Dilated, ModelConfig, attention_kind, geometric
from tenfold.model.flops import mean_positions_seen

K = 4
SCHEDULES = {
    "whole": (24, Dilated((8, 24), (1, 4))),
    "no multiple of w": (29, Dilated((6, 29), (1, 4))),
    "r does not divide w": (25, Dilated((11, 25), (2, 4))),
    "longer than the row": (13, Dilated((4, 64), (1, 3))),
    "one branch, some positions of which are nobody's": (12, Dilated((12,), (5,))),
}


def config(heads: int, T: int, **more) -> ModelConfig:
    return ModelConfig(vocab=8, context=T, layers=1, embed=heads * K, heads=heads, dtype="float32", **more)


def documents(T: int) -> np.ndarray:
    return np.array([[1 + (t > 6) + (t > 7) + (t > 20) for t in range(T)], [4 - (t < 11) for t in range(T)]])


def numbers(T: int, heads: int, count: int = 4) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (count, 2, T, heads, K)).astype(np.float32)


def value_and_gradients(kind, shape, q, k, v, g, segments=None, causal=True):
    @jax.jit
    def both(q, k, v):
        value, pull = jax.vjp(lambda q, k, v: attend(kind, shape, q, k, v, segments, causal=causal), q, k, v)
        return value, *pull(jnp.asarray(g))

    return both(q, k, v)


@pytest.mark.parametrize(
    "name, causal, packed",
    [
        ("whole", True, False),
        ("no multiple of w", True, True),
        ("r does not divide w", False, False),
        ("longer than the row", False, True),
        ("one branch, some positions of which are nobody's", True, False),
    ],
)
def test_values_and_gradients_are_the_papers(monkeypatch, name, causal, packed):
    """To 1e-5, with 3 heads, which no dilation but 3 divides, and segments attended to a few at a time."""
    monkeypatch.setattr(dilated, "ROWS_AT_ONCE", 16)
    T, kind = SCHEDULES[name]
    q, k, v, g = numbers(T, 3)
    ids = documents(T) if packed else None
    found = value_and_gradients(kind, config(3, T), q, k, v, g, None if ids is None else jnp.asarray(ids), causal)
    exact = [x.astype(np.float64) for x in (q, k, v, g)]
    wanted = oracle.longnet(*exact[:3], kind, causal, ids), *oracle.longnet_gradients(*exact, kind, causal, ids)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * max(1, np.abs(theirs).max()))


def test_the_oracles_gradients_are_its_derivatives():
    """Central differences of equations 6 to 10, through the weights of the mixture too."""
    T, kind = 13, Dilated((4, 13), (1, 3))
    q, k, v, g = numbers(T, 2).astype(np.float64)
    gradients = oracle.longnet_gradients(q, k, v, g, kind)
    way = np.random.default_rng(1).normal(0, 1, (3, *q.shape))
    up, down = (oracle.longnet(*(x + step * d for x, d in zip((q, k, v), way, strict=True)), kind) for step in (1e-5, -1e-5))
    slope = sum((gradient * d).sum() for gradient, d in zip(gradients, way, strict=True))
    assert ((up - down) * g).sum() / 2e-5 == pytest.approx(slope, rel=1e-7)


def test_bf16_rounds_operands_only():
    """Within 3% of the largest, as the other kinds are."""
    T, kind = 40, Dilated((16, 40), (1, 3))
    operands = numbers(T, 3)
    exact = value_and_gradients(kind, config(3, T), *operands)
    rounded = value_and_gradients(kind, replace(config(3, T), dtype="bfloat16"), *operands)
    for ours, theirs in zip(rounded, exact, strict=True):
        assert ours.dtype == jnp.float32
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=0.03 * max(1.0, np.abs(theirs).max()))


def test_a_position_reaches_what_the_equations_say():
    """The gradient of one output with respect to each value is zero exactly where no branch sees it."""
    T, heads, kind = 24, 3, Dilated((8, 24), (1, 4))
    q, k, v = numbers(T, heads, 3)[:, :1]

    @jax.jit
    def influence(v):
        return jax.jacrev(lambda v: attend(kind, config(heads, T), q, k, v)[0, :, :, 0])(v)[:, :, 0, :, :, 0]

    reached = np.asarray(influence(v)) != 0  # [T, H, S, H]
    for t in range(T):
        for h in range(heads):
            seen = {s for w, r in zip(kind.segments, kind.dilations, strict=True) for s in oracle.keys(t, h, w, r, T, True)}
            np.testing.assert_array_equal(reached[t, h, :, h], [s in seen for s in range(T)])


compiled = jax.jit(attend, static_argnums=(0, 1))


def test_heads_of_keys_are_shared():
    """Four heads of queries on two of keys: the offsets are those of the queries' heads."""
    T, kind = 24, Dilated((8, 24), (1, 4))
    q, (k, v) = numbers(T, 4, 1)[0], numbers(T, 2, 2)
    found = compiled(kind, config(4, T, kv_heads=2), q, k, v)
    wanted = oracle.longnet(*(x.astype(np.float64) for x in (q, k.repeat(2, 2), v.repeat(2, 2))), kind)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


def test_one_branch_without_dilation_is_dense_attention():
    q, k, v = numbers(50, 2, 3)
    for positions in ("none", "alibi"):
        shape = config(2, 50, positions=positions)
        found, wanted = (compiled(kind, shape, q, k, v) for kind in (Dilated((50,), (1,)), Dense()))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


def test_alibi_counts_positions_and_not_rows():
    """In a branch whose rows stand 3 apart: the textbook's softmax over the positions taken, with 3 slopes between neighbours."""
    q, k, v = numbers(12, 1, 3)[:, :1]
    shape = config(1, 12, positions="alibi")
    found = compiled(Dilated((12,), (3,)), shape, q, k, v)[0, ::3, 0]
    q, k, v = (x[0, ::3, 0].astype(np.float64) for x in (q, k, v))
    distance = 3 * (np.arange(4)[:, None] - np.arange(4))
    scores = np.where(distance >= 0, q @ k.T / 2 - 2.0**-8 * distance, -np.inf)
    weights = np.exp(scores)
    np.testing.assert_allclose(found, weights / weights.sum(1, keepdims=True) @ v, rtol=0, atol=1e-5)


def test_words_of_a_configuration():
    assert attention_kind("dilated:2048x1,4096x2,8192x4", 8192) == Dilated((2048, 4096, 8192), (1, 2, 4))
    assert attention_kind("geometric:2048,2", 8192) == Dilated((2048, 4096, 8192), (1, 2, 4))
    assert geometric(2048, 4, 20_000) == Dilated((2048, 8192, 20_000), (1, 4, 16))
    assert geometric(64, 2, 10) == Dilated((10,), (1,))
    assert len(geometric(2048, 2, 2**30).segments) == 20


@pytest.mark.parametrize(
    "word, message",
    [
        ("dilated:4x8,16x8", "whose dilation 8 is not from 1 to its segment 4"),
        ("dilated:8x0,16x1", "whose dilation 0 is not from 1"),
        ("dilated:8x1,8x2", "whose segments do not increase: 8 comes before 8"),
        ("dilated:4x1,8x2", "whose longest segment is 8, but model.context is 16: positions 8 to 15 would see nothing before position 8"),
        ("dilated:8x2,16x4", "none of whose dilations is 1: a head would see nothing, not even itself"),
        ("geometric:8,1", "names no kind of attention"),
        ("dilated:8", "such as dilated:2048x1,4096x2"),
    ],
)
def test_schedules_that_cannot_be_are_refused(word, message):
    with pytest.raises(UserError) as refused:
        ModelConfig(context=16, attention=(word,))
    assert message in str(refused.value)


def test_relative_buckets_are_refused():
    with pytest.raises(UserError, match="dilated attention does not have"):
        ModelConfig(context=16, attention=("geometric:4,2",), positions="relative")


@pytest.mark.parametrize("kind", [Dilated((6, 14, 40), (1, 2, 3)), Dilated((5, 40), (2, 4))], ids=str)
@pytest.mark.parametrize("causal", [True, False])
def test_positions_seen_are_counted_one_by_one(kind, causal):
    T, heads, pairs = 23, 3, list(zip(kind.segments, kind.dilations, strict=True))
    counted = sum(len(oracle.keys(t, h, w, r, T, causal)) for t in range(T) for h in range(heads) for w, r in pairs)
    assert mean_positions_seen(kind, T, causal, heads) == pytest.approx(counted / (T * heads))


def compiled_flops(T: int, causal: bool) -> float:
    """XLA's count for one layer's attention, forward, with segments and dilations that grow with T at a constant ratio of both."""
    shape = config(4, T, attention=("geometric:128,4",))
    operand = jax.ShapeDtypeStruct((1, T, 4, K), jnp.float32)
    run = jax.jit(lambda q, k, v: attend(shape.kinds[0], shape, q, k, v, causal=causal))
    return run.lower(operand, operand, operand).compile().cost_analysis()["flops"]


def test_compiled_work_grows_as_the_length(monkeypatch):
    """XLA's count per token from 512 to 32,768 positions stays within the paper's bound for all lengths (equation 18: a / (a - 1) of the
    first segment's), where dense attention's grows 64-fold. All segments at once, as XLA counts the body of a loop once."""
    monkeypatch.setattr(dilated, "ROWS_AT_ONCE", 10**9)
    counts = {T: compiled_flops(T, causal=False) / T for T in (512, 32768)}
    assert counts[512] < counts[32768] < 1.3 * counts[512], counts
    seen = {T: mean_positions_seen(geometric(128, 4, T), T, False, 4) for T in counts}
    assert seen[512] == 128 + 32 and seen[32768] < 128 * 4 / 3
