"""Adapters: nothing changes before they are trained, nothing but they is trained, and runs of them are as whole as any."""

import json
import shutil
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import tenfold
from tenfold.api import export
from tenfold.convert.hugging_face import open_checkpoint
from tenfold.convert.peft import save_adapters
from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.forms import dense_params, quantised_params
from tenfold.model.params import init_params, restack
from tenfold.objectives.causal import causal_loss
from tenfold.objectives.spans import span_loss
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.train.checkpoint import load_params
from tenfold.train.lora import beside, init_adapters, merge, trained_params, unmerge
from tenfold.train.recipe import LORA_TARGETS, LoraConfig
from tenfold.train.run import read_run
from tenfold.train.state import State
from tenfold.train.step import DeviceBatch, train_step
from tenfold.train.train import Quiet, train
from tiny_checkpoint import tiny_finetune, write_checkpoint, write_text

CONFIG = ModelConfig(
    vocab=67, context=8, layers=4, embed=16, heads=4, kv_heads=2, gated=True, attention=("dense", "banded:4"), dtype="float32"
)
LORA = LoraConfig(rank=3, alpha=6.0, targets=LORA_TARGETS)


@pytest.fixture(scope="module")
def base():
    return init_params(jax.random.key(0), CONFIG)


def noisy(adapters):
    random = np.random.default_rng(1)
    return jax.tree.map(lambda w: jnp.asarray(random.normal(0, 0.3, w.shape), jnp.float32), adapters)


def loss(params, config=CONFIG):
    tokens = jnp.asarray(np.random.default_rng(2).integers(0, 67, (4, 9)), jnp.int32)
    if config.encoder_layers:
        return span_loss(params, config, tokens[:, :-1], tokens[:, :-1], tokens[:, 1:], jnp.ones((4, 8))).loss
    return causal_loss(params, config, tokens[:, :-1], tokens[:, 1:], jnp.ones((4, 8))).loss


def test_new_adapters_change_nothing(base):
    """To the last bit, though A is not zero."""
    adapters = init_adapters(jax.random.key(1), CONFIG, LORA)
    jax.tree.map(np.testing.assert_array_equal, merge(base, adapters, LORA), base)
    assert all((np.asarray(pair["a"]) != 0).all() for b in adapters["blocks"] for targets in b.values() for pair in targets.values())


def test_merging_adds_the_product_of_each_layer(base):
    """Equation 3, for a weight with one axis going in (query) and one with two (out); what is no target stays."""
    lora = replace(LORA, targets=("query", "out"))
    adapters = noisy(init_adapters(jax.random.key(1), CONFIG, lora))
    merged = merge(base, adapters, lora)
    for was, pairs, now in zip(base["blocks"], adapters["blocks"], merged["blocks"], strict=True):
        q, o = pairs["attention"]["query"], pairs["attention"]["out"]
        added = 2.0 * np.einsum("nir,nrhk->nihk", q["a"], q["b"])
        np.testing.assert_allclose(now["attention"]["query"] - was["attention"]["query"], added, rtol=0, atol=1e-6)
        added = 2.0 * np.einsum("nhkr,nro->nhko", o["a"], o["b"])
        np.testing.assert_allclose(now["attention"]["out"] - was["attention"]["out"], added, rtol=0, atol=1e-6)
        assert now["attention"]["key"] is not None and (now["attention"]["key"] == was["attention"]["key"]).all()


def test_unmerging_undoes_merging(base):
    adapters = noisy(init_adapters(jax.random.key(1), CONFIG, LORA))
    there = merge(base, adapters, LORA)
    assert float(loss(there)) != pytest.approx(float(loss(base)), rel=1e-3)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=0, atol=1e-6), unmerge(there, adapters, LORA), base)


def test_only_adapters_have_gradients(base):
    """The base gets none, and every A and B has one."""
    adapters = noisy(init_adapters(jax.random.key(1), CONFIG, LORA))
    of_adapters, of_base = jax.grad(lambda adapters, base: loss(beside(base, adapters, LORA)), (0, 1))(adapters, base)
    assert all((np.asarray(g) != 0).any() for g in jax.tree.leaves(of_adapters))
    assert not any(np.asarray(g).any() for g in jax.tree.leaves(of_base))


@pytest.mark.parametrize(
    "changes",
    [
        dict(),
        dict(gated=False),
        pytest.param(dict(attention=("dense",), encoder_layers=2, positions="relative"), marks=pytest.mark.slow),
    ],
)
def test_beside_the_weights_is_merged_into_them(changes):
    """The same loss and gradients of A and B, for a gated, a plain and an encoder-decoder's feed-forward, self- and cross-attention."""
    config = replace(CONFIG, **changes)
    lora = replace(LORA, targets=tuple(t for t in LORA_TARGETS if config.gated or t != "gate"))
    base = init_params(jax.random.key(0), config)
    adapters = noisy(init_adapters(jax.random.key(1), config, lora))
    (one, ones), (other, others) = (
        jax.jit(jax.value_and_grad(lambda adapters, put=put: loss(put(base, adapters, lora), config)))(adapters) for put in (beside, merge)
    )
    assert float(one) == pytest.approx(float(other), rel=1e-5) and abs(float(one) - float(loss(base, config))) > 0.1
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-4 * np.abs(b).max()), ones, others)
    if config.encoder_layers:
        assert all(set(block) == {"attention", "cross", "mlp"} for block in adapters["blocks"]) and "encoder" in adapters


def test_scanned_and_unrolled_adapters_start_alike(base):
    """The same key gives a scanned model the same adapters, and with them the same loss."""
    scanned = replace(CONFIG, scan=True)
    two = [init_adapters(jax.random.key(1), config, LORA) for config in (CONFIG, scanned)]
    jax.tree.map(np.testing.assert_array_equal, restack(two[0]["blocks"], 2), two[1]["blocks"])
    adapters = noisy(two[0])
    stacked = merge(base | {"blocks": restack(base["blocks"], 2)}, {"blocks": restack(adapters["blocks"], 2)}, LORA)
    assert float(loss(stacked, scanned)) == pytest.approx(float(loss(merge(base, adapters, LORA))), rel=1e-6)


@pytest.mark.parametrize(
    ("model", "targets", "message"),
    [
        (dict(gated=False), ("gate",), "lora.targets names gate, which the blocks of this model have not"),
        (dict(experts=4), ("up",), "They have query, key, value, out"),
    ],
)
def test_targets_a_model_has_not_are_refused(model, targets, message):
    with pytest.raises(UserError, match=message):
        trained_params(replace(CONFIG, **model), replace(LORA, targets=targets))


@pytest.mark.slow
def test_gradients_beside_int8_are_the_slopes(base):
    """Of the loss of the model in 8 bits, along a random direction of all A and B, by differences."""
    small = quantised_params(CONFIG, base)
    adapters, way = noisy(init_adapters(jax.random.key(1), CONFIG, LORA)), noisy(init_adapters(jax.random.key(2), CONFIG, LORA))
    at = jax.jit(lambda step: loss(beside(small, jax.tree.map(lambda w, d: w + step * d, adapters, way), LORA)))
    slope, (up, down) = jax.jit(jax.grad(at))(0.0), (float(at(step)) for step in (1e-3, -1e-3))
    assert float(slope) == pytest.approx((up - down) / 2e-3, rel=1e-2) and abs(float(slope)) > 1


def test_merging_into_int8_gives_plain_weights(base):
    small = quantised_params(CONFIG, base)
    adapters = noisy(init_adapters(jax.random.key(1), CONFIG, LORA))
    merged = merge(small, adapters, LORA)
    assert jax.tree.structure(merged) == jax.tree.structure(base)
    jax.tree.map(np.testing.assert_array_equal, merged, merge(dense_params(small), adapters, LORA))
    assert float(loss(merged)) == pytest.approx(float(loss(beside(small, adapters, LORA))), rel=1e-5)


@pytest.mark.slow
def test_what_drops_out_is_a_function_of_the_seed_and_the_step(base):
    """However the batch is cut into microbatches; another step, seed or row draws anew, and dropout 0 draws nothing."""
    adapters, optimizer = noisy(init_adapters(jax.random.key(1), CONFIG, LORA)), optax.sgd(0.1)
    tokens = jnp.asarray(np.random.default_rng(2).integers(0, 67, (4, 9)), jnp.int32)

    @cache
    def compiled(dropout, seed, scan):
        def put(adapters, base, keys_B):
            return beside(base, adapters, replace(LORA, dropout=dropout), keys_B)

        return jax.jit(partial(train_step, replace(CONFIG, scan=scan), optimizer, 0.0, weights=put, seed=seed))

    def update(step=3, seed=5, microbatches=1, dropout=0.3, scan=False):
        cut = [a.reshape(microbatches, -1, 8) for a in (tokens[:, :-1], tokens[:, 1:], jnp.ones((4, 8)))]
        laid = [tree | {"blocks": restack(tree["blocks"], 2)} if scan else tree for tree in (base, adapters)]
        state = State(jnp.int32(step), laid[1], optimizer.init(laid[1]))
        state, metrics = compiled(dropout, seed, scan)(state, DeviceBatch(*cut, None), base=laid[0])
        return float(metrics.loss), state.params

    (first, one), (again, _), (cut, other) = update(), update(), update(microbatches=2)
    assert first == again and first == pytest.approx(cut, rel=1e-6)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=0, atol=1e-5), one, other)
    assert first == pytest.approx(update(scan=True)[0], rel=1e-6)
    whole = update(dropout=0.0)[0]
    assert whole == pytest.approx(float(loss(merge(base, adapters, LORA))) / 32, rel=1e-6)
    assert len({first, update(step=4)[0], update(seed=6)[0], whole}) == 4


@pytest.mark.slow
def test_an_update_on_a_mesh_is_that_of_one_device(run_python):
    """Adapters with dropout over int8, cut over data, fsdp and tensor: the same draws, and the scales lie with their outputs."""
    found = json.loads(run_python(Path(__file__).parent / "adapters_on_eight_devices.py"))
    assert found["loss"][1] == pytest.approx(found["loss"][0], rel=1e-6) and found["far"] < 1e-5
    assert found["shards"] == [[1, 8, 32], [1, 1, 32]]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A checkpoint, a text, and a run of adapters, with dropout, from the one on the other."""
    folder = tmp_path_factory.mktemp("lora")
    write_checkpoint(folder / "checkpoint")
    recipe = tiny_finetune(
        folder / "checkpoint", write_text(folder / "text"), lora=replace(LORA, dropout=0.2), optimizer=dict(learning_rate=3e-2)
    )
    assert train(recipe, folder / "run").result["finished"]
    return folder, recipe


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.optimised
def test_a_run_starts_at_the_base_and_learns(place):
    """Measured before the first step: a run that trains nothing but a step of no size measures the same."""
    folder, recipe = place
    measured = [line["held_out_loss"] for line in lines(folder / "run") if "held_out_loss" in line]
    whole = replace(recipe, lora=LoraConfig(), train=replace(recipe.train, steps=1))
    train(whole, folder / "whole")
    assert lines(folder / "whole")[0] == lines(folder / "run")[0] and lines(folder / "run")[0]["step"] == 0
    (loss,) = [line["loss"] for line in lines(folder / "whole") if "loss" in line]
    rounding = 0 if jax.__version_info__ < (0, 11) else 1e-6  # newer releases add up the two programs' numbers in different orders
    assert loss == pytest.approx(lines(folder / "run")[1]["loss"], rel=rounding, abs=0)
    assert measured[-1] < measured[0] - 0.3


def test_checkpoints_hold_adapters_and_load_puts_them_into_the_base(place):
    """The weights that are no target are the checkpoint's to the last bit; what was measured last is measured again."""
    folder, _ = place
    recipe, mesh = read_run(folder / "run").recipe, make_mesh(MeshConfig(), jax.devices()[:1])
    adapters, step = load_params(folder / "run", recipe.model, mesh, recipe.lora)
    base = open_checkpoint(folder / "checkpoint", "float32").params(mesh)
    assert step == 12 and set(adapters) == {"blocks"}
    loaded = tenfold.load(folder / "run")
    jax.tree.map(np.testing.assert_array_equal, loaded.params, jax.jit(partial(merge, lora=recipe.lora))(base, adapters))
    for name in ("embedding", "final_norm"):
        jax.tree.map(np.testing.assert_array_equal, loaded.params[name], base[name])
    assert (loaded.params["blocks"][0]["attention"]["query"] != base["blocks"][0]["attention"]["query"]).any()
    size = sum(path.stat().st_size for path in (folder / "run" / "checkpoints" / "12").rglob("*"))
    assert loaded.tokenizer is not None and size < 1_000_000


@pytest.mark.slow
def test_a_base_in_8_bits_learns_too(place):
    """Beside the run of the same base in f32: as low a loss; what it is loaded as is what it measured, and exports as any model does."""
    folder, recipe = place
    recipe = replace(recipe, lora=replace(recipe.lora, base="int8"))
    run = train(recipe, folder / "int8")
    measured, whole = ([line["held_out_loss"] for line in lines(folder / name) if "held_out_loss" in line] for name in ("int8", "run"))
    assert np.abs(np.subtract(measured, whole)).max() < 0.02 and measured[0] != whole[0]
    model = tenfold.load(run.path)
    assert {w.dtype for w in jax.tree.leaves(model.params)} == {jnp.float32.dtype}
    model.save(folder / "out")
    second = train(replace(recipe, start=str(folder / "out"), lora=LoraConfig(), train=replace(recipe.train, steps=1)), folder / "second")
    assert lines(second.path)[0]["held_out_loss"] == pytest.approx(measured[-1], rel=1e-6)
    assert sum(path.stat().st_size for path in (folder / "int8" / "checkpoints" / "12").rglob("*")) < 1_000_000


@pytest.mark.slow
def test_adapters_of_peft_go_on_or_are_merged(place):
    """They begin where they were: the loss before the first step is that of the model they make, either way; other ranks are refused."""
    folder, recipe = place
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    recipe = replace(recipe, train=replace(recipe.train, steps=1))
    adapters, _ = load_params(folder / "run", read_run(folder / "run").recipe.model, mesh, recipe.lora)
    save_adapters(folder / "peft", open_checkpoint(folder / "checkpoint").config, adapters, LORA.alpha, "base")
    last = lines(folder / "run")[-1]["held_out_loss"]
    for rank in (3, 0):
        lora = LoraConfig(rank=rank, adapter=str(folder / "peft"))
        run = train(replace(recipe, lora=lora), folder / f"peft-{rank}")
        assert lines(run.path)[0]["held_out_loss"] == pytest.approx(last, rel=1e-5)
    assert read_run(folder / "peft-3").recipe.lora.targets == LORA_TARGETS
    with pytest.raises(UserError, match="lora.rank is 4, but .* holds adapters of rank 3"):
        train(replace(recipe, lora=replace(lora, rank=4)), folder / "peft-4")


def test_an_export_merges_a_weight_at_a_time(place, tmp_path):
    """What is written is what `load` puts together, but for rounding, and bit for bit where there is no adapter."""
    folder, _ = place
    export(folder / "run", tmp_path / "out")
    found, loaded = tenfold.load(tmp_path / "out").params, tenfold.load(folder / "run").params
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-6), found, loaded)
    np.testing.assert_array_equal(found["blocks"][1]["mlp"]["up"], loaded["blocks"][1]["mlp"]["up"])


class Stopping(Quiet):
    """Ends the run as a kill would, once a step's numbers are written."""

    def step(self, step, *figures):
        if step == 6:
            raise KeyboardInterrupt


def test_a_stopped_run_goes_on_as_if_nothing_had_happened(place):
    folder, recipe = place
    with pytest.raises(KeyboardInterrupt):
        train(recipe, folder / "stopped", Stopping())
    assert train(recipe, folder / "stopped").result["finished"]
    assert (folder / "stopped" / "metrics.jsonl").read_bytes() == (folder / "run" / "metrics.jsonl").read_bytes()


def test_another_base_under_the_adapters_is_refused(place, tmp_path):
    """By content, for the run that goes on and for the model that is loaded."""
    folder, recipe = place
    shutil.copytree(folder / "run", tmp_path / "run")
    weights = folder / "checkpoint" / "model.safetensors"
    kept = weights.read_bytes()
    try:
        weights.write_bytes(kept[:-4] + b"\0\0\0\1")
        for use in (lambda: train(recipe, tmp_path / "run"), lambda: tenfold.load(tmp_path / "run")):
            with pytest.raises(UserError, match="was begun from another model"):
                use()
    finally:
        weights.write_bytes(kept)
