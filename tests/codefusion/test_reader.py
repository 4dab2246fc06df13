"""A language model that reads the texts too: what it makes of a text is that text's alone, is kept, and is what code is learned with."""

import shutil
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.codefusion.candidates import open_candidates
from tenfold.codefusion.generate import load_fusion
from tenfold.codefusion.kept import sampled
from tenfold.codefusion.model import Text, fusion_count, init_fusion, read_text
from tenfold.codefusion.reader import open_reader, read_all, reader_fingerprint
from tenfold.codefusion.recipe import ReaderConfig
from tenfold.codefusion.run import read_fusion_run, shaped
from tenfold.codefusion.settings import Sampling
from tenfold.codefusion.train import train_fusion
from tenfold.errors import UserError
from tenfold.model.transformer import forward
from tiny_fusion import AUTOREGRESSIVE, FUSION, MASKED, PAIRS
from tiny_reader import GPT, write_gpt

TEXTS = [*PAIRS, "", "a", "a text of so many words that not all of them are read"]
TOKENS, LAYERS = 12, 2


@pytest.fixture(scope="module")
def gpt(tokenizer, tmp_path_factory):
    """(its folder, its weights)."""
    folder = tmp_path_factory.mktemp("reader") / "gpt"
    params = write_gpt(folder)
    tokenizer.save(folder / "tokenizer")
    return folder, params


@pytest.fixture(scope="module")
def config(gpt) -> ReaderConfig:
    return ReaderConfig(str(gpt[0]), LAYERS, TOKENS)


@pytest.fixture(scope="module")
def reader(config):
    return open_reader(config, reader_fingerprint(config))


def test_states_are_those_between_the_models_layers(gpt, reader, tokenizer):
    """Of each text alone, by the first layers of the stacked weights; each place has a root mean square of 1."""
    first = replace(GPT, layers=LAYERS)
    params = {"embedding": gpt[1]["embedding"], "blocks": jax.tree.map(lambda w: w[:LAYERS], gpt[1]["blocks"])}
    params |= {"position": gpt[1]["position"]} if "position" in gpt[1] else {}
    found = reader.states(TEXTS)
    assert found.shape == (len(TEXTS), TOKENS, GPT.embed) and found.dtype == np.float16
    for text, states in zip(TEXTS, found, strict=True):
        ids = tokenizer.encode(text)[:TOKENS]
        assert not states[len(ids) :].any()
        if ids:
            x = np.asarray(forward(params, first, jnp.asarray([ids])).x_BTD[0])
            np.testing.assert_allclose(states[: len(ids)], x / np.sqrt(np.square(x).mean(-1, keepdims=True) + 1e-6), atol=2e-3)


def test_states_are_a_texts_own(reader):
    """To the bit, whatever else is read; more texts than a batch takes are read all the same."""
    many = [f"text {n} of many" for n in range(40)] + TEXTS
    together = reader.states(many)
    for row in (0, 39, 40, 43, 46):
        np.testing.assert_array_equal(reader.states([many[row]])[0], together[row])


def test_what_was_stopped_goes_on(reader, tmp_path):
    """From a file that ends anywhere; what is there is not read again, and the bytes are those of one that was not stopped."""
    read: list[int] = []
    whole = read_all(reader, TEXTS, tmp_path / "whole", lambda done, total: read.append(done))
    assert read[0] == 0 and read[-1] == len({*TEXTS} - {""})
    np.testing.assert_array_equal(whole.states(TEXTS), reader.states(TEXTS))
    (file,) = tmp_path.rglob("states.f16")
    before, read[:] = file.read_bytes(), []
    read_all(reader, TEXTS[::-1], tmp_path / "whole", lambda done, total: read.append(done))
    assert read == [6]
    file.write_bytes(before[: len(before) // 2 + 7])
    read_all(reader, TEXTS, tmp_path / "whole", lambda done, total: read.append(done))
    assert 0 < read[1] < 6 and file.read_bytes() == before


def test_no_texts_have_no_states(reader, tmp_path):
    assert not read_all(reader, ["", ""], tmp_path, lambda done, total: None).states(["", ""]).any()


@pytest.mark.parametrize("kind", [FUSION, MASKED, AUTOREGRESSIVE], ids=lambda config: config.kind)
def test_places_behind_the_text_are_not_attended_to(kind):
    """States are read, and those of no tokens are none: more of them change nothing, and other states change what is encoded."""
    config = replace(kind, reader_width=6)
    params = init_fusion(jax.random.key(0), config)
    assert params["reader"].shape == (6, config.embed) and fusion_count(config) == fusion_count(kind) + 6 * config.embed
    ids, real = jnp.ones((1, 4), jnp.int32), jnp.ones((1, 4), bool)
    states = np.zeros((1, 5, 6), np.float16)
    states[0, :3] = np.random.default_rng(0).normal(size=(3, 6))
    found = read_text(params, config, Text(ids, real, states))
    assert found.real_BS is not None
    np.testing.assert_array_equal(found.real_BS[0], [True] * 7 + [False] * 2)
    np.testing.assert_allclose(found.memory_BSD[0, 4:7], states[0, :3].astype(np.float32) @ np.asarray(params["reader"]), atol=1e-5)
    np.testing.assert_array_equal(found.memory_BSD[:, :4], read_text(params, config, Text(ids, real)).memory_BSD)


@pytest.fixture(scope="module")
def run(recipe, config, tmp_path_factory):
    """A run that has read with the reader."""
    out = tmp_path_factory.mktemp("read") / "run"
    train_fusion(replace(recipe(AUTOREGRESSIVE), reader=config), out)
    return out


def test_a_run_learns_with_what_is_read(run, recipe, config, gpt, tmp_path):
    """Its width is found, the weights for it are learned, and snippets are written with what it reads, batch by batch the same."""
    model = load_fusion(str(run))
    assert model.config.reader_width == GPT.embed and model.reader is not None
    first = init_fusion(jax.random.key(0), model.config)
    assert (np.asarray(first["reader"]) != np.asarray(model.params["reader"])).any()
    how = Sampling(samples=3, rank_by=1, batch=2)
    found = model.generate(list(PAIRS), how)
    assert found == model.generate(list(PAIRS), replace(how, batch=5))
    other = replace(model, reader=replace(model.reader, params=jax.tree.map(lambda w: -2 * w + 0.1, model.reader.params)))
    assert [[each.bound for each in group] for group in other.generate(list(PAIRS), how)] != [[s.bound for s in group] for group in found]


def test_kept_states_are_shared_and_change_nothing(run, recipe, config, tmp_path):
    """In a folder of their own, which another run takes them from without reading; metrics have the same bytes."""
    kept = tmp_path / "kept"
    shutil.copytree(run / "states", kept)
    read: list[tuple[int, int]] = []
    chosen = replace(recipe(AUTOREGRESSIVE), reader=replace(config, kept=str(kept)))
    train_fusion(chosen, tmp_path / "run", reading=lambda done, total: read.append((done, total)))
    assert read == [(4, 4)] and not (tmp_path / "run" / "states").exists()
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == (run / "metrics.jsonl").read_bytes()


def test_a_start_brings_its_reader(run, recipe, config, tmp_path):
    chosen = replace(recipe(AUTOREGRESSIVE), start=str(run))
    assert shaped(chosen).reader == config and shaped(chosen).model.reader_width == GPT.embed
    with pytest.raises(UserError, match="Leave reader.path, layers and tokens out"):
        shaped(replace(chosen, reader=replace(config, layers=1)))


def test_scores_tell_readers_apart(run, tmp_path):
    """The reader is among what a model's kept samples are known by."""
    (candidate,) = open_candidates([str(run)])
    assert candidate.about["reader"]["fingerprint"] == read_fusion_run(run).reader().fingerprint  # type: ignore[union-attr]
    changed = replace(candidate, about=candidate.about | {"reader": {"path": "", "fingerprint": "other"}})
    for each in (candidate, changed):
        sampled(each, Sampling(), list(PAIRS), [0], tmp_path, lambda done, total: None)
    assert len([*tmp_path.glob("*.jsonl")]) == 2


def test_another_model_in_its_place_is_refused(run, recipe, config, gpt, tmp_path):
    moved = tmp_path / "gpt"
    shutil.copytree(gpt[0], moved)
    trained = train_fusion(replace(recipe(AUTOREGRESSIVE, steps=1), reader=replace(config, path=str(moved))), tmp_path / "run")
    shutil.rmtree(moved / "checkpoints")
    write_gpt(moved, seed=4)
    with pytest.raises(UserError, match="is no longer what was learned with"):
        trained.reader()
    with pytest.raises(UserError, match="was begun with other data"):
        train_fusion(trained.recipe, tmp_path / "run")


def test_what_cannot_read_is_refused(config, recipe, tokenizer, tmp_path):
    def refused(message: str, **changed) -> None:
        with pytest.raises(UserError, match=message):
            train_fusion(replace(recipe(), reader=replace(config, **changed)), tmp_path / "run")
        assert not (tmp_path / "run").exists()

    refused("so there is no model to start from", path=str(tmp_path / "none"))
    refused("reader.layers is 4, but .* has 3.\n  Use at most as many, or 0", layers=4)
    refused("reader.tokens is 17, but .* knows 16 positions", tokens=17)
    write_gpt(tmp_path / "bare")
    refused("has no tokenizer", path=str(tmp_path / "bare"))
    write_gpt(tmp_path / "both", replace(GPT, causal=False), objective="masked")
    refused("reads both ways", path=str(tmp_path / "both"))


@pytest.mark.parametrize("wrong", [dict(layers=-1), dict(tokens=0)])
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(UserError, match=f"reader.{[*wrong][0]} is"):
        ReaderConfig("gpt", **wrong)
