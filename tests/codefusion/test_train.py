"""Training: gradients reach what they should, batches are cut as one likes, and whatever stops a run, it goes on to the same bytes."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tenfold.codefusion.data import Example
from tenfold.codefusion.model import init_fusion
from tenfold.codefusion.recipe import FusionRecipe
from tenfold.codefusion.rows import RowMaker, encode_examples
from tenfold.codefusion.run import first_params, prepare_fusion, read_fusion_run, shaped
from tenfold.codefusion.step import fusion_optimizer, fusion_step
from tenfold.codefusion.train import place_rows, train_fusion
from tenfold.errors import UserError
from tenfold.model.params import init_params
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.tokens.tokenizer import train_tokenizer
from tenfold.train.checkpoint import Checkpoints
from tenfold.train.recipe import Recipe, TrainConfig, save_recipe
from tenfold.train.state import State, state_of
from tenfold.train.train import Quiet
from tiny_fusion import AUTOREGRESSIVE, FUSION, MASKED, PAIRS, PUBLISHED

BOTH = ("pairs", "code", "denoising")


def mesh():
    return make_mesh(MeshConfig(), jax.devices()[:1])


def one_step(recipe: FusionRecipe, tokenizer) -> tuple[dict, State, float, float]:
    """(first weights, the state after a step, its loss, its gradient's norm)."""
    examples = [Example(text, code) for text, code in PAIRS.items()]
    maker = RowMaker(recipe, encode_examples(examples, tokenizer, recipe.model.length), tokenizer)
    optimizer, params = fusion_optimizer(recipe), jax.jit(init_fusion, static_argnums=1)(jax.random.key(1), recipe.model)
    state = State(jnp.int32(0), params, jax.jit(optimizer.init)(params))
    rows = place_rows(maker.batch(0), mesh(), recipe.train.microbatch)
    state, metrics = jax.jit(lambda state, rows: fusion_step(recipe, optimizer, tokenizer.end_of_text, state, rows))(state, rows)
    return params, state, float(metrics.loss), float(metrics.grad_norm)


SLOW = pytest.mark.slow
KINDS = [pytest.param(FUSION, id="small"), pytest.param(MASKED, id="masked", marks=SLOW)]
KINDS += [pytest.param(PUBLISHED, id="published", marks=SLOW), pytest.param(AUTOREGRESSIVE, id="autoregressive", marks=SLOW)]


@pytest.mark.parametrize("model", KINDS)
def test_a_step_moves_every_weight_and_all_numbers_are_finite(recipe, tokenizer, model):
    """All tasks in one batch, so that every weight has a gradient. A denoiser's estimate is read only in half of the steps."""
    before, state, loss, norm = one_step(recipe(model, tasks=BOTH, batch=6), tokenizer)
    assert np.isfinite(loss) and 0 < norm < 1e4
    still = []
    for (path, old), new in zip(jax.tree_util.tree_flatten_with_path(before)[0], jax.tree.leaves(state.params), strict=True):
        assert np.isfinite(new).all()
        if (old == new).all():
            still.append(jax.tree_util.keystr(path))
    assert [name for name in still if "estimate" not in name] == []


@SLOW
def test_a_batch_in_parts_is_the_same_batch(recipe, tokenizer):
    whole, parts = (one_step(recipe(MASKED, batch=6, tasks=BOTH, microbatch=size), tokenizer) for size in (0, 2))
    assert parts[2:] == pytest.approx(whole[2:], rel=1e-5)


@SLOW
def test_an_encoder_that_stays_stays(recipe, tokenizer):
    before, state, _, _ = one_step(recipe(AUTOREGRESSIVE, tasks=BOTH, batch=6, train_encoder=False), tokenizer)
    for name in ("encoder", "position"):
        pairs = zip(jax.tree.leaves(before[name]), jax.tree.leaves(state.params[name]), strict=True)
        assert all((old == new).all() for old, new in pairs) == (name == "encoder")


def lines(run: Path) -> bytes:
    return (run / "metrics.jsonl").read_bytes()


class Stop(Quiet):
    """Sends this process a signal once a step's numbers have been written."""

    def step(self, step: int, *figures) -> None:
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory) -> Path:
    """Phase 1, uninterrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert train_fusion(recipe(tasks=("code", "denoising")), out).result["finished"]
    return out


@pytest.mark.slow
def test_a_run_that_was_stopped_writes_the_same_bytes(whole, recipe, tmp_path):
    chosen = recipe(tasks=("code", "denoising"))
    stopped = train_fusion(chosen, tmp_path / "run", Stop()).result
    assert not stopped["finished"] and 3 <= stopped["steps"] < 6
    assert train_fusion(chosen, tmp_path / "run").result["finished"]
    assert lines(tmp_path / "run") == lines(whole)


@pytest.mark.slow
def test_a_run_that_was_killed_after_a_checkpoint_writes_the_same_bytes(whole, recipe, tmp_path):
    """The last checkpoint is gone, the metrics are ahead of what is left, and their last line is cut."""
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    shutil.rmtree(run / "checkpoints" / "6")
    (run / "result.json").unlink()
    (run / "metrics.jsonl").write_bytes(lines(whole) + b'{"step": 7, "lo')
    assert train_fusion(recipe(tasks=("code", "denoising")), run).result["finished"]
    assert lines(run) == lines(whole)


def test_a_run_says_what_its_loss_is_made_of(whole):
    first, *_, last = map(json.loads, lines(whole).splitlines())
    assert first["loss"] == pytest.approx(first["noise"] + first["embedding"] + first["tokens"], rel=1e-5)
    assert first["embedding_size"] == pytest.approx(1, rel=1e-3)
    assert last["held_out_loss"] == pytest.approx(last["held_out_noise"] + last["held_out_embedding"] + last["held_out_tokens"], rel=1e-5)


def test_phase_2_starts_from_phase_1(whole, recipe, tmp_path):
    """Its weights, looped over or not, its shape and its tokenizer; the start's name need not say its shape again."""
    chosen = shaped(replace(recipe(replace(FUSION, embed=32, scan=True)), start=str(whole)))
    assert chosen.model == replace(FUSION, scan=True)
    found, before = first_params(chosen, mesh()), read_fusion_run(whole).params(mesh())[0]
    for old, new in zip(*(jax.tree.leaves(params) for params in (before, found)), strict=True):
        np.testing.assert_array_equal(old, new)
    assert prepare_fusion(chosen, tmp_path / "run").tokenizer.fingerprint == read_fusion_run(whole).tokenizer().fingerprint


def refused(recipe: FusionRecipe, out: Path, message: str) -> None:
    with pytest.raises(UserError, match=message):
        train_fusion(recipe, out)


def test_what_cannot_be_trained_is_refused(whole, recipe, pairs, tmp_path):
    """Before anything is compiled, and nothing is left behind."""
    plain, out = recipe(), tmp_path / "run"
    refused(recipe(steps=7, tasks=("code", "denoising")), whole, "is a run of another recipe:\n    train.steps: 6 there, 7 asked for")
    refused(replace(plain, data=replace(plain.data, paths=())), out, "data.paths is empty")
    refused(replace(plain, data=replace(plain.data, language="cobol")), out, "data.language is 'cobol'")
    code = tmp_path / "code.jsonl"
    code.write_text('{"code": "x"}\n')
    refused(replace(plain, data=replace(plain.data, paths=(str(code),))), out, "1 of the 5 lines of data have no text")
    code.write_text(json.dumps({"code": "x + " * 200}) + "\n")
    refused(replace(recipe(tasks=("code",)), data=replace(plain.data, paths=(str(code),))), out, "None of the 1 snippets")
    other = train_tokenizer(["something else, something else"], 280).save(tmp_path / "other")
    named = replace(plain.data, tokenizer=str(whole / "tokenizer"))
    refused(replace(recipe(replace(FUSION, vocab=250)), data=named), out, "model.vocab is 250, but the tokenizer has 2..")
    refused(replace(plain, start=str(tmp_path)), out, "holds no recipe.yaml")
    refused(replace(plain, encoder=str(tmp_path)), out, "holds no config.json")
    refused(replace(plain, start=str(whole), data=replace(plain.data, tokenizer=str(other))), out, "has learned other tokens")
    assert not out.exists()


def test_other_data_is_refused(whole, recipe, pairs, tmp_path):
    """A run's examples may not change under it."""
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    before = pairs.read_text()
    try:
        pairs.write_text(before + '{"text": "more", "code": "more"}\n')
        refused(recipe(tasks=("code", "denoising")), run, "was begun with other data")
    finally:
        pairs.write_text(before)


def test_an_imported_encoder_takes_its_place(recipe, tokenizer, tmp_path):
    """Its weights, its table and its tokenizer, whether blocks are looped over or not; another shape is refused, with what to say."""
    theirs = replace(FUSION.encoder, layers=1, scan=True)
    state = state_of(init_params(jax.random.key(5), theirs), theirs, optax.sgd(0.1), mesh())
    with Checkpoints(tmp_path / "t5" / "checkpoints", keep=1) as checkpoints:
        checkpoints.save(state)
    save_recipe(Recipe(model=theirs, train=TrainConfig(objective="span")), tmp_path / "t5" / "recipe.yaml")
    tokenizer.save(tmp_path / "t5" / "tokenizer")
    chosen = replace(recipe(), encoder=str(tmp_path / "t5"))
    found = first_params(chosen, mesh())
    assert found is not None
    np.testing.assert_array_equal(found["embedding"], state.params["embedding"])
    for old, new in zip(jax.tree.leaves(state.params["encoder"]), jax.tree.leaves(found["encoder"]), strict=True):
        np.testing.assert_array_equal(old, new)
    assert prepare_fusion(chosen, tmp_path / "run").tokenizer.fingerprint == tokenizer.fingerprint
    with pytest.raises(
        UserError, match="which has embed 16, mlp 32, and the recipe's model has not.\n  Say --model.embed 16 --model.mlp 32"
    ):
        first_params(replace(chosen, model=replace(FUSION, embed=32, mlp=64)), mesh())
