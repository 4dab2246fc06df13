"""Frozen weights stay as they are to the last bit, and the optimiser keeps nothing for them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.train.frozen import frozen_mask, still_weights
from tenfold.train.optimizer import adamw
from tenfold.train.recipe import OptimizerConfig
from tenfold.train.state import init_state, state_shardings
from tenfold.train.step import DeviceBatch, jit_train_step

CONFIG = ModelConfig(vocab=67, context=8, layers=2, embed=16, heads=2, dtype="float32")


def batch() -> DeviceBatch:
    tokens, targets = np.random.default_rng(0).integers(0, 67, (2, 1, 4, 8)).astype(np.int32)
    return DeviceBatch(jnp.asarray(tokens), jnp.asarray(targets), jnp.ones((1, 4, 8)), None)


@pytest.mark.parametrize("frozen", [("embedding", "position"), ("blocks.0",), ("blocks.1.mlp", "final_norm.scale")])
def test_frozen_weights_do_not_move(frozen):
    """After three steps with weight decay, with every other weight moved, and as many moments as weights that move."""
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    optimizer = adamw(OptimizerConfig(weight_decay=0.5), CONFIG, 1e-2, frozen=frozen)
    mask = frozen_mask(CONFIG, frozen)
    step = jit_train_step(CONFIG, optimizer, 0.0, state_shardings(CONFIG, optimizer, mesh), weights=still_weights(CONFIG, frozen))
    state = init_state(CONFIG, optimizer, mesh, 0)
    before = jax.tree.map(np.array, state.params)
    for _ in range(3):
        state, metrics = step(state, batch())
    moved = jax.tree.map(lambda now, then: np.asarray(now).tobytes() != then.tobytes(), state.params, before)
    assert moved == jax.tree.map(lambda still: not still, mask)
    moving = sum(w.size for w, still in zip(jax.tree.leaves(before), jax.tree.leaves(mask), strict=True) if not still)
    assert sum(leaf.size for leaf in jax.tree.leaves(state.opt_state) if leaf.ndim) == 2 * moving
    assert float(metrics.grad_norm) > 0


@pytest.mark.slow
def test_the_gradient_is_clipped_and_measured_without_frozen_weights():
    """The norm is that of the weights that move: less than that of all."""
    mesh, norms = make_mesh(MeshConfig(), jax.devices()[:1]), []
    for frozen in ((), ("embedding",)):
        optimizer = optax.sgd(0.0)
        weights = still_weights(CONFIG, frozen)
        step = jit_train_step(CONFIG, optimizer, 0.0, state_shardings(CONFIG, optimizer, mesh), weights=weights)
        norms.append(float(step(init_state(CONFIG, optimizer, mesh, 0), batch())[1].grad_norm))
    assert norms[1] < 0.999 * norms[0]


@pytest.mark.parametrize(
    ("frozen", "model", "message"),
    [
        (
            ("embeding",),
            {},
            "train.frozen names 'embeding', which is no weight of this model.\n  It has blocks, embedding, final_norm, position",
        ),
        (("blocks.2",), {}, "train.frozen names 'blocks.2'"),
        (("blocks.0",), dict(scan=True), "model.scan does not keep the blocks apart"),
        (("embedding", "position", "blocks", "final_norm"), {}, "which are all of the model's weights"),
    ],
)
def test_names_that_freeze_nothing_or_all_are_refused(frozen, model, message):
    config = partial(ModelConfig, vocab=67, context=8, layers=2, embed=16, heads=2)(**model)
    with pytest.raises(UserError, match=message):
        frozen_mask(config, frozen)
