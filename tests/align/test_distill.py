"""A student learns from what a teacher's file says, and the teacher is read once."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tenfold.align.distill import Taught, distill, learn_step
from tenfold.align.distill_config import Distill, DistillRecipe
from tenfold.errors import UserError
from tenfold.model.params import init_params
from tenfold.model.transformer import forward, logits
from tenfold.objectives.distill import forward_kl, stored
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.train.recipe import LoraConfig
from tenfold.train.state import state_of
from tenfold.train.step import DeviceBatch
from tenfold.train.train import train
from tiny_policy import CONFIG
from tiny_run import tiny_recipe, write_shards


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Shards, and a teacher that has learned a little."""
    folder = tmp_path_factory.mktemp("distill")
    train(tiny_recipe(write_shards(folder), steps=40, checkpoint_every=40, evaluate_every=40), folder / "teacher")
    return folder


def student(folder, **changes) -> DistillRecipe:
    recipe = tiny_recipe(folder / "prepared" / "data", model=dict(layers=1), steps=6, checkpoint_every=3)
    return replace(DistillRecipe(recipe, Distill(str(folder / "teacher"), top=16)), **changes)


@pytest.mark.parametrize(("weight", "microbatches"), [(1.0, 1), (0.25, 2)])
def test_a_step_follows_the_gradient_of_the_whole_distributions(weight, microbatches):
    """With all tokens stored; written down again without microbatches, weights of 0 left out of the means."""
    key = jax.random.split(jax.random.key(0), 4)
    params, teacher = (init_params(k, CONFIG) for k in key[:2])
    tokens, targets = (jax.random.randint(k, (4, 8), 0, CONFIG.vocab) for k in key[2:])
    weights = jnp.ones((4, 8)).at[0, 3:].set(0)
    said = logits(teacher, CONFIG, forward(teacher, CONFIG, tokens).x_BTD)

    def loss(params):
        own = logits(params, CONFIG, forward(params, CONFIG, tokens).x_BTD)
        nll = optax.softmax_cross_entropy_with_integer_labels(own, targets)
        return ((weight * forward_kl(said, own, 2.0) + (1 - weight) * nll) * weights).sum() / weights.sum()

    cut = lambda x: x.reshape(microbatches, -1, *x.shape[1:])  # noqa: E731
    optimizer = optax.sgd(1.0)
    expected = jax.tree.map(lambda p, g: p - g, params, jax.jit(jax.grad(loss))(params))
    state = state_of(params, CONFIG, optimizer, make_mesh(MeshConfig(), jax.devices()[:1]))
    taught = Taught(DeviceBatch(*map(cut, (tokens, targets, weights)), None), *map(cut, stored(said, CONFIG.vocab, 2.0)))
    step = jax.jit(partial(learn_step, CONFIG, optimizer, Distill("t", 2.0, CONFIG.vocab, weight)))
    found, metrics = step(state, taught, None)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), found.params, expected)
    assert float(metrics.loss) > 0


@pytest.fixture(scope="module")
def trained(folder):
    """(the run, what was said)."""
    said = []
    return distill(student(folder), folder / "student", say=said.append), said


@pytest.mark.slow
def test_a_student_is_trained_resumes_and_asks_the_teacher_once(trained, folder):
    run, said = trained
    assert run.result["finished"] and run.result["command"] == "align distill"
    assert said[0] == "the teacher reads 6 batches" and len(list((folder / "student" / "teacher").glob("*.npz"))) == 6
    losses = [row["held_out_loss"] for row in run.metrics() if "held_out_loss" in row]
    assert losses[-1] < losses[0]
    again = []
    distill(student(folder), folder / "student", say=again.append)
    assert not again


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (dict(distill=Distill("")), "distill.teacher names no model"),
        (dict(distill=Distill("nowhere")), "nowhere does not exist"),
        (dict(model=dict(context=64)), "model.context is 64, but the teacher knows 32 positions"),
        (dict(model=dict(vocab=256)), "256"),
    ],
)
def test_what_cannot_work_is_refused(folder, tmp_path, changes, said):
    asked = student(folder)
    if "model" in changes:
        asked = replace(asked, recipe=replace(asked.recipe, model=replace(asked.recipe.model, **changes["model"])))
    else:
        asked = replace(asked, **changes)
    with pytest.raises(UserError, match=said):
        distill(asked, tmp_path / "out")


@pytest.mark.slow
def test_another_teacher_or_temperature_is_another_run(trained, folder):
    with pytest.raises(UserError, match="was begun with another distill"):
        distill(student(folder, distill=Distill(str(folder / "teacher"), 1.0, 16)), folder / "student")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: Distill(temperature=0), "distill.temperature is 0"),
        (lambda: Distill(top=0), "distill.top is 0"),
        (lambda: Distill(weight=0), "distill.weight is 0"),
        (lambda: DistillRecipe(replace(tiny_recipe("a"), start="b", lora=LoraConfig(8))), "a student is trained with all its weights"),
    ],
)
def test_wrong_values_die_at_once(change, said):
    with pytest.raises(UserError, match=said):
        change()
