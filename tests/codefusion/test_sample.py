"""Sampling: a row's snippet is its own, what is given stays, and settings that mean nothing are refused. The models know nothing."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.codefusion import sample, sample_tokens
from tenfold.codefusion.generate import FusionModel
from tenfold.codefusion.model import Text, code_table, denoise, expected, init_fusion, keep_text, read_text
from tenfold.codefusion.sample import FREE, Asked, sample_fusion
from tenfold.codefusion.sample_tokens import sample_autoregressive, sample_masked
from tenfold.codefusion.settings import Sampling
from tenfold.codefusion.snippets import Snippet, different_first
from tenfold.errors import UserError
from tiny_fusion import AUTOREGRESSIVE, FUSION, MASKED, PAIRS

STEPS = 6


def asked(rows: int, given=None) -> Asked:
    """The first `rows` of four texts."""
    text = jnp.arange(4 * 5).reshape(4, 5) % 37 + 3
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(7), jnp.arange(4))
    given = jnp.full((4, FUSION.length), FREE) if given is None else given
    return Asked(Text(text[:rows], jnp.ones((rows, 5), bool)), given[:rows], keys[:rows])


@pytest.fixture(scope="module")
def wild(params) -> dict:
    """Weights ten times as large as first ones, so that texts and noise show in what is written."""
    return jax.tree.map(lambda w: 10 * w, params)


@pytest.fixture(scope="module")
def four(wild) -> np.ndarray:
    """Two looks at four rows, int32[2, 4, T]."""
    return np.asarray(sample_fusion(wild, FUSION, asked(4), Sampling(steps=STEPS, frames=2).compiled))


def test_a_rows_snippet_is_its_own(wild, four):
    """The same alone as among four; rows differ, and so do the looks on the way."""
    alone = np.asarray(sample_fusion(wild, FUSION, asked(1), Sampling(steps=STEPS, frames=2).compiled))
    np.testing.assert_array_equal(alone[:, 0], four[:, 0])
    assert (four[1, 0] != four[1, 1]).any() and (four[0] != four[1]).any()


def test_a_step_may_go_by_what_the_decoder_reads(wild):
    """The mean of embeddings by the head's probabilities; another snippet than by the denoiser's estimate, and still a row's own."""
    d = 3 * jax.random.normal(jax.random.key(1), (2, FUSION.length, FUSION.width))
    weights = jax.nn.softmax((d @ wild["head"].T + wild["head_bias"])[..., : FUSION.mask], -1)
    np.testing.assert_allclose(expected(wild, FUSION, d), weights @ code_table(wild, FUSION)[: FUSION.mask], atol=1e-4)
    how = Sampling(steps=2, estimate="decoder").compiled
    found, alone = (np.asarray(sample_fusion(wild, FUSION, asked(rows), how)) for rows in (4, 1))
    np.testing.assert_array_equal(alone[:, 0], found[:, 0])
    assert (found != np.asarray(sample_fusion(wild, FUSION, asked(4), Sampling(steps=2).compiled))).any()


@pytest.mark.parametrize("config", [FUSION, MASKED, AUTOREGRESSIVE], ids=lambda config: config.kind)
def test_a_texts_keys_are_worked_out_once_and_change_no_token(config, wild, monkeypatch):
    """With the keys and values of the text kept over all passes, and anew at each."""
    params = wild if config is FUSION else jax.tree.map(lambda w: 10 * w, jax.jit(init_fusion, static_argnums=1)(jax.random.key(0), config))
    module, name, rest = {
        "codefusion": (sample, "sample_fusion", (Sampling(steps=3).compiled,)),
        "masked": (sample_tokens, "sample_masked", (Sampling(steps=3, guidance=1.5).compiled,)),
        "autoregressive": (sample_tokens, "sample_autoregressive", (Sampling().compiled, jnp.int32(0))),
    }[config.kind]
    once = np.asarray(getattr(module, name)(params, config, asked(4), *rest))
    calls = []
    monkeypatch.setattr(module, "keep_text", lambda params, config, encoded: calls.append(config) or params)
    anew = jax.jit(lambda params, asked: getattr(module, name).__wrapped__(params, config, asked, *rest))
    np.testing.assert_array_equal(np.asarray(anew(params, asked(4))), once)
    assert calls == [config] and (once[-1, 0] != once[-1, 1]).any()


@pytest.mark.slow
def test_kept_keys_are_what_a_pass_reads():
    """With them, what was encoded says nothing more, and N's estimate is the same as without: in layers that are looped over too."""
    config = replace(FUSION, denoiser_layers=2, scan=True)
    params = jax.tree.map(lambda w: 10 * w, jax.jit(init_fusion, static_argnums=1)(jax.random.key(0), config))
    text = asked(2)
    encoded = jax.jit(read_text, static_argnums=1)(params, config, text.text)
    x_BTW, t_B = jax.random.normal(jax.random.key(1), (2, config.length, config.width)), jnp.array([3, 9])
    found = jax.jit(lambda params, encoded: denoise(params, config, x_BTW, t_B, encoded).x0_BTW)
    expected, kept = found(params, encoded), keep_text(params, config, encoded)
    blank = encoded._replace(memory_BSD=jnp.zeros_like(encoded.memory_BSD))
    np.testing.assert_allclose(found(kept, blank), expected, rtol=1e-5, atol=1e-5)
    assert np.abs(found(params, blank) - expected).max() > 1e-3


def test_what_is_given_stays_and_changes_the_rest(wild, four):
    given = jnp.full((4, FUSION.length), FREE).at[:, 3].set(42).at[:, 9:].set(0)
    found = np.asarray(sample_fusion(wild, FUSION, asked(4, given), Sampling(steps=STEPS, frames=2).compiled))
    assert (found[:, :, 3] == 42).all() and (found[:, :, 9:] == 0).all()
    assert (found[1, :, :3] != four[1, :, :3]).any()


def test_masked_rows_are_their_own_whole_and_hold_what_is_given():
    """No mask is left after all steps, nor after few; a step for each token uncovers them all."""
    params = jax.tree.map(lambda w: 10 * w, jax.jit(init_fusion, static_argnums=1)(jax.random.key(0), MASKED))
    given = jnp.full((4, MASKED.length), FREE).at[:, 3].set(42)
    for how in (Sampling(steps=3), Sampling(steps=5, order="confident", temperature=0.0)):
        found = np.asarray(sample_masked(params, MASKED, asked(4, given), how.compiled))[0]
        assert (found != MASKED.mask).all() and (found[:, 3] == 42).all()
    alone = np.asarray(sample_masked(params, MASKED, asked(1, given), how.compiled))[0]
    np.testing.assert_array_equal(alone[0], found[0])


def test_autoregressive_rows_end_with_their_first_pad():
    params = jax.tree.map(lambda w: 10 * w, jax.jit(init_fusion, static_argnums=1)(jax.random.key(0), AUTOREGRESSIVE))
    params["head"] = params["head"].at[0].add(0.3)  # so that some rows end
    found = np.asarray(sample_autoregressive(params, AUTOREGRESSIVE, asked(4), Sampling(temperature=3.0).compiled, jnp.int32(0)))[0]
    ended = np.cumsum(found == 0, axis=1) > 0
    assert (found[ended] == 0).all() and (found[:, 0] != MASKED.mask).all()


@pytest.fixture(scope="module")
def model(params, tokenizer) -> FusionModel:
    return FusionModel(FUSION, params, tokenizer)


@pytest.mark.parametrize(
    "texts, how, message",
    [
        (["fine", " "], {}, "text 2 of 2 is empty"),
        (["sort a list " * 40], {}, r"text 1 of 1 has \d+ tokens, but the model reads 31 .*\n  Shorten it to about its first \d+ letters"),
        (["x"], {"steps": 21}, "steps is 21, but the model has 20"),
        (["x"], {"steps": 10, "frames": 4}, "frames is 4, which does not divide steps 10"),
        (["x"], {"temperature": 0.5}, "temperature is 0.5, but the model's kind is codefusion"),
    ],
)
def test_what_cannot_be_written_is_refused(model, texts, how, message):
    with pytest.raises(UserError, match=message):
        model.generate(texts, Sampling(**how))


@pytest.mark.parametrize(
    "given, holes, message",
    [
        (["x"], 1, "has no <hole>"),
        (["x<hole>", "<hole>"], 1, "2 snippets are given for 1 texts"),
        (["x<hole>y"], 40, "has 42 tokens with its holes, but the model writes 16"),
        (["x<hole>"], 0, "holes is 0"),
    ],
)
def test_what_cannot_be_filled_is_refused(model, given, holes, message):
    with pytest.raises(UserError, match=message):
        model.generate(["x"], Sampling(), given, holes)


def test_an_autoregressive_model_fills_no_holes(model):
    with pytest.raises(UserError, match="from left to right"):
        replace(model, config=AUTOREGRESSIVE).generate(["x"], Sampling(), ["<hole>"])


@pytest.mark.parametrize(
    "wrong", [{"eta": 2.0}, {"guidance": -1.0}, {"samples": 0}, {"steps": -1}, {"temperature": float("nan")}, {"seed": -1}]
)
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        Sampling(**wrong)


def test_a_snippet_goes_by_its_texts_place_and_long_texts_are_cut(model):
    """Asked alone, with its place, a text has the snippets that it has among others; the end of a text that is too long says nothing."""
    how = Sampling(steps=2, samples=2, batch=4)
    texts = ["sort a list " * 40, "print hello", "sort a list"]
    together = model.generate(texts, how, cut=True)
    alone = model.generate([texts[2], "sort a list " * 41], how, places=[2, 0], cut=True)
    assert alone == [together[2], together[0]]
    assert model.generate(texts[2:], how) != alone[:1]


def test_the_programs_bytes_hold_the_weights(model):
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(model.params))
    found = model.program_bytes(Sampling(steps=2, batch=4))
    assert found is None or found > weights


def test_the_best_of_more_are_kept_and_copies_come_last(model):
    """Of the same draws: those with the least bounds, each once; of too few, copies fill up."""
    how = Sampling(steps=2, samples=8, rank_by=2, batch=4)
    every, best = model.generate(list(PAIRS)[:2], how), model.generate(list(PAIRS)[:2], replace(how, samples=3, draws=8))
    for all_of_them, kept in zip(every, best, strict=True):
        bounds = sorted({each.code: each.bound for each in all_of_them}.values())
        assert len(bounds) >= 3 and [each.bound for each in kept] == bounds[:3] and len({each.code for each in kept}) == 3
    a, b, c = (Snippet(code, [], None, [code]) for code in "aba")
    assert different_first([a, b, c]) == [a, b, c] and different_first([a, c, b]) == [a, b, c]
    with pytest.raises(UserError, match="draws is 8, samples 9 and rank_by 2"):
        replace(how, samples=9, draws=8)


def test_samples_are_grouped_ranked_and_fill_what_is_given(model):
    """Two texts, three samples each, whatever the batch; each group sorted by its bound."""
    how = Sampling(steps=2, samples=3, rank_by=2, batch=4)
    found = model.generate(list(PAIRS)[:2], how, ["x.<hole>()", "f<hole>"], holes=2)
    assert [len(group) for group in found] == [3, 3]
    for group in found:
        assert [each.bound for each in group] == sorted(each.bound for each in group)
        assert all(np.isfinite(each.bound) and each.frames[-1] == each.code for each in group)
    dot, call = (model.tokenizer.encode(part) for part in ("x.", "()"))
    for each in found[0]:
        assert each.tokens[: len(dot)] == dot
        assert each.tokens[-len(call) :] == call  # behind a hole that took fewer tokens, too
        assert len(dot) + len(call) <= len(each.tokens) <= len(dot) + 2 + len(call)
