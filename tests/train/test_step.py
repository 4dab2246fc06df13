"""One update: accumulation, AdamW against NumPy, what decays, what is donated."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tenfold.model.config import ModelConfig
from tenfold.model.params import map_params, model_params
from tenfold.model.transformer import forward, logits
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.train.optimizer import adamw
from tenfold.train.recipe import OptimizerConfig
from tenfold.train.state import State, init_state, state_shardings
from tenfold.train.step import DeviceBatch, RouterLosses, jit_train_step, train_step

CONFIG = ModelConfig(vocab=67, context=8, layers=2, embed=16, heads=2, dtype="float32")


def batch(microbatches: int, masked=True) -> DeviceBatch:
    """8 rows with uneven weights, cut into so many microbatches."""
    random = np.random.default_rng(0)
    tokens, targets = random.integers(0, 67, (2, 8, 8)).astype(np.int32)
    weights = random.choice([0.0, 1.0], (8, 8), p=[0.4, 0.6]).astype(np.float32)
    segments = np.sort(random.integers(1, 3, (8, 8)), axis=1).astype(np.int32)
    cut = [jnp.asarray(a.reshape(microbatches, 8 // microbatches, 8)) for a in (tokens, targets, weights, segments)]
    return DeviceBatch(*cut[:3], cut[3] if masked else None)


def noisy(config=CONFIG) -> dict:
    random = np.random.default_rng(1)
    return map_params(lambda p: jnp.asarray(random.normal(0, 0.2, p.shape), jnp.float32), model_params(config))


@pytest.mark.parametrize("microbatches", [2, 8])
def test_accumulating_gradients_is_one_big_batch(microbatches):
    """Loss, gradient norm and the weights after plain gradient descent, though microbatches hold unequal numbers of real tokens."""
    optimizer = optax.sgd(0.5)
    step = jax.jit(partial(train_step, CONFIG, optimizer, 1e-3))
    params = noisy()
    one, many = (step(State(jnp.int32(0), params, optimizer.init(params)), batch(n)) for n in (1, microbatches))
    assert float(many[1].loss) == pytest.approx(float(one[1].loss), rel=1e-6)
    assert float(many[1].grad_norm) == pytest.approx(float(one[1].grad_norm), rel=1e-5)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=0, atol=1e-6), one[0].params, many[0].params)
    moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), one[0].params, params)
    assert min(jax.tree.leaves({k: v for k, v in moved.items() if k != "blocks"})) > 1e-3


MIXTURE = replace(CONFIG, experts=4, gated=True, shared_experts=1)


@pytest.mark.slow
@pytest.mark.parametrize("microbatches", [1, 2])
def test_a_mixture_adds_its_router_losses_by_the_tokens_that_count(microbatches):
    """The gradient is that of mean loss + sum over microbatches of their share of tokens x (weights x layers' means), plainly."""
    optimizer, cut = optax.sgd(1.0), batch(microbatches)
    params, share_A = noisy(MIXTURE), cut.weights_ABT.sum((1, 2)) / cut.weights_ABT.sum()
    assert microbatches == 1 or np.ptp(share_A) > 0.02

    def plain(params):
        loss, router, routings = 0.0, 0.0, []
        for a in range(microbatches):
            x_BTD, _, routing = forward(params, MIXTURE, cut.tokens_ABT[a], cut.segments_ABT[a])
            nll_BT = optax.softmax_cross_entropy_with_integer_labels(logits(params, MIXTURE, x_BTD), cut.targets_ABT[a])
            loss += (nll_BT * cut.weights_ABT[a]).sum() / cut.weights_ABT.sum()
            router += share_A[a] * (0.3 * routing.balance_loss + 0.02 * routing.z_loss) / MIXTURE.layers
            routings.append(routing)
        return loss + router, (loss, routings)

    step = jax.jit(partial(train_step, MIXTURE, optimizer, 0.0, router=RouterLosses(0.3, 0.02)))
    state, metrics = step(State(jnp.int32(0), params, optimizer.init(params)), cut)
    wanted, (loss, routings) = jax.jit(jax.grad(plain, has_aux=True))(params)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=0, atol=2e-5), jax.tree.map(jnp.subtract, params, state.params), wanted)
    assert float(metrics.loss) == pytest.approx(float(loss), rel=1e-5)
    for name in ("balance_loss", "z_loss", "load_E", "dropped"):
        mean = sum(share * getattr(routing, name) / MIXTURE.layers for share, routing in zip(share_A, routings, strict=True))
        np.testing.assert_allclose(getattr(metrics.routing, name), mean, rtol=1e-5, atol=1e-6, err_msg=name)
    assert float(metrics.routing.load_E.sum()) == pytest.approx(1)


@pytest.mark.slow
def test_the_balance_loss_spreads_tokens_over_experts():
    """A router that sends nearly all to one expert: 60 steps with the loss bring every expert to a fair part, without it they do not."""
    least = {}
    for weight in (0.0, 1.0):
        optimizer, params = optax.adam(1e-2), noisy(replace(MIXTURE, layers=1))
        for layer in params["blocks"]:
            layer["moe"]["router"] = 0.1 * layer["moe"]["router"].at[..., 0].add(3.0)
            layer["mlp_norm"]["bias"] = layer["mlp_norm"]["bias"] + 0.5
        state, step = (
            State(jnp.int32(0), params, optimizer.init(params)),
            jax.jit(partial(train_step, replace(MIXTURE, layers=1), optimizer, 0.0, router=RouterLosses(weight))),
        )
        for _ in range(60):
            state, metrics = step(state, batch(1))
        least[weight] = float(metrics.routing.load_E.min())
    assert least[1.0] > 0.15 and least[1.0] > least[0.0] + 0.05


def test_a_dense_model_has_no_routing():
    optimizer, params = optax.sgd(0.5), noisy()
    assert (
        jax.eval_shape(partial(train_step, CONFIG, optimizer, 0.0), State(0, params, optimizer.init(params)), batch(2))[1].routing is None
    )


def test_a_batch_of_no_real_tokens_changes_nothing_and_is_finite():
    """Weights of zero: loss 0, gradient 0, not a division by zero."""
    optimizer = optax.sgd(0.5)
    params, empty = noisy(), batch(1)._replace(weights_ABT=jnp.zeros((1, 8, 8)))
    state, metrics = jax.jit(partial(train_step, CONFIG, optimizer, 0.0))(State(jnp.int32(0), params, optimizer.init(params)), empty)
    assert float(metrics.loss) == float(metrics.grad_norm) == 0
    jax.tree.map(np.testing.assert_array_equal, state.params, params)


def test_the_optimiser_is_adamw_as_written_down():
    """Three updates against Loshchilov and Hutter's algorithm 2 in NumPy f64, after clipping by the global norm; decay on matrices only."""
    config = OptimizerConfig(weight_decay=0.3, clip=0.5, eps=1e-8)
    optimizer, rates = adamw(config, CONFIG, lambda step: jnp.array([0.1, 0.05, 0.02])[step]), [0.1, 0.05, 0.02]
    matrices = map_params(lambda p: p.is_matrix, model_params(CONFIG))
    random = np.random.default_rng(2)
    params = noisy()
    state, wanted = optimizer.init(params), jax.tree.map(np.float64, params)
    m, v = (jax.tree.map(np.zeros_like, wanted) for _ in range(2))
    update = jax.jit(optimizer.update)
    for t in range(3):
        gradients = jax.tree.map(lambda w: jnp.asarray(random.normal(0, 1, w.shape), jnp.float32), params)
        updates, state = update(gradients, state, params)
        params = optax.apply_updates(params, updates)
        norm = np.sqrt(sum((np.float64(g) ** 2).sum() for g in jax.tree.leaves(gradients)))
        clipped = jax.tree.map(lambda g, norm=norm: np.float64(g) * min(1, 0.5 / norm), gradients)
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, clipped)
        v = jax.tree.map(lambda v, g: 0.95 * v + 0.05 * g * g, v, clipped)
        wanted = jax.tree.map(
            lambda w, m, v, matrix, t=t: (
                w - rates[t] * (m / (1 - 0.9 ** (t + 1)) / (np.sqrt(v / (1 - 0.95 ** (t + 1))) + 1e-8) + 0.3 * matrix * w)
            ),
            wanted,
            m,
            v,
            matrices,
        )
    jax.tree.map(partial(np.testing.assert_allclose, rtol=0, atol=1e-5), params, wanted)


def test_without_gradients_only_matrices_shrink():
    optimizer = adamw(OptimizerConfig(weight_decay=0.5), CONFIG, 0.1)
    params = noisy()
    updates, _ = jax.jit(optimizer.update)(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    for path, shrunk in jax.tree_util.tree_flatten_with_path(jax.tree.map(lambda u, w: np.asarray(u / w), updates, params))[0]:
        matrix = path[-1].key in {"query", "key", "value", "out", "up", "down", "embedding", "position"}
        np.testing.assert_allclose(shrunk, -0.05 if matrix else 0.0, rtol=1e-5, err_msg=jax.tree_util.keystr(path))


def test_a_step_takes_its_state_and_counts():
    """The state given is donated, its memory gone; the step goes up by one; master weights and moments are f32 under bf16 compute."""
    config = ModelConfig(vocab=67, context=8, layers=1, embed=16, heads=2, dtype="bfloat16")
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    optimizer = adamw(OptimizerConfig(), config, 1e-2)
    state = init_state(config, optimizer, mesh, 0)
    after, metrics = jit_train_step(config, optimizer, 0.0, state_shardings(config, optimizer, mesh))(state, batch(1))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.params))
    assert int(after.step) == 1 and metrics.loss.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves((after.params, after.opt_state)) if leaf.ndim} == {jnp.dtype("float32")}


def test_training_learns():
    """30 steps on one batch bring the loss from log V to under a third of it."""
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    optimizer = adamw(OptimizerConfig(), CONFIG, 3e-2)
    state = init_state(CONFIG, optimizer, mesh, 0)
    step = jit_train_step(CONFIG, optimizer, 0.0, state_shardings(CONFIG, optimizer, mesh))
    losses = []
    for _ in range(30):
        state, metrics = step(state, batch(1, masked=False))
        losses.append(float(metrics.loss))
    assert losses[0] == pytest.approx(np.log(67), rel=0.02)
    assert losses[-1] < losses[0] / 3
