"""`tenfold.load` and what it gives, on a model trained for a moment."""

import shutil
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

import tenfold
from tenfold import api
from tenfold.api import Model
from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.params import init_params
from tenfold.train.recipe import Recipe
from tiny_run import NAMES, tiny_recipe, write_shards

GOLDEN = Path(__file__).parent / "golden" / "families" / "llama_gqa"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """60 steps: enough to have learned which letters follow which."""
    folder = tmp_path_factory.mktemp("api")
    recipe = tiny_recipe(write_shards(folder), steps=60, optimizer=dict(learning_rate=1e-2))
    return tenfold.train(recipe, folder / "run").path


@pytest.fixture(scope="module")
def model(run) -> Model:
    return tenfold.load(run)


def test_a_run_gives_its_model(model, run):
    """Configuration, f32 weights and tokenizer of the run."""
    assert model.config.context == 32 and model.config.embed == 16
    assert {w.dtype for w in jax.tree.leaves(model.params)} == {np.dtype("float32")}
    assert model.tokenizer.decode(model.tokenizer.encode("def alpha")) == "def alpha"
    assert tenfold.load(str(run)).config == model.config


def test_logits(model):
    """f32[B, T, V]; a shorter row's are the longer one's first."""
    tokens = np.random.default_rng(0).integers(0, model.config.vocab, (2, 12))
    logits = model.logits(tokens)
    assert logits.shape == (2, 12, model.config.vocab) and logits.dtype == np.float32
    np.testing.assert_allclose(model.logits(tokens[:, :7]), logits[:, :7], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(model.logits(tokens.tolist()), logits)


@pytest.mark.parametrize(
    "tokens, message",
    [
        ([1, 2, 3], "takes whole numbers [rows, tokens], not int64 [3]"),
        ([[0.5]], "not float64 [1, 1]"),
        ([[0] * 33], "rows of 33 tokens, but the model's context is 32"),
        ([[384]], "token ids from 384 to 384; the model's lie from 0 to 383"),
        ([[-1]], "token ids from -1 to -1"),
    ],
)
def test_logits_of_what_is_no_batch_are_refused(model, tokens, message):
    with pytest.raises(UserError) as refused:
        model.logits(tokens)
    assert message in str(refused.value)


def test_log_probabilities_are_those_of_the_logits(model):
    """Each token's, given the start of a document and the tokens before it: log_softmax of `logits`, within 1e-5."""
    texts = ["def alpha(beta):", "x", "def gamma(delta):\n    return"]
    for text, scored in zip(texts, model.logprobs(texts), strict=True):
        ids = model.tokenizer.encode(text)
        assert scored.tokens == ids and "".join(scored.pieces) == text
        logits = model.logits([[model.tokenizer.end_of_text, *ids]])
        wanted = jax.nn.log_softmax(logits[0, :-1], axis=-1)[np.arange(len(ids)), np.array(ids)]
        np.testing.assert_allclose(scored.logprobs, wanted, rtol=0, atol=1e-5)
        assert scored.total == pytest.approx(float(wanted.sum()), abs=1e-4)


def test_log_probabilities_do_not_depend_on_company(model):
    alone, together = model.logprobs(["def alpha("]), model.logprobs(["return 7", "def alpha("])
    assert alone[0] == together[1]


def test_what_it_read_is_likelier_than_what_it_did_not(model):
    read, unread = model.logprobs(["def beta(iota):\n    return", "zq#@ W!k ~ 8}{"])
    assert read.total / len(read.tokens) > unread.total / len(unread.tokens) + 1


def test_log_probabilities_of_no_text_and_of_too_much(model):
    assert model.logprobs([]) == []
    assert model.logprobs([""])[0].logprobs == []
    with pytest.raises(UserError, match="but the model's context is 32"):
        model.logprobs([" ".join(NAMES * 20)])


def test_greedy_text_is_what_the_logits_say(model):
    """At temperature 0, each token written is the likeliest by `logits`, among the tokenizer's."""
    text = model.generate("def alpha(", max_tokens=8, temperature=0)
    ids = model.tokenizer.encode("def alpha(")
    written = []
    while len(written) < 8:
        likeliest = int(np.argmax(model.logits([ids + written])[0, -1, : model.tokenizer.vocab]))
        if likeliest == model.tokenizer.end_of_text:
            break
        written.append(likeliest)
    assert text == model.tokenizer.decode(written)
    assert text != ""


@pytest.mark.slow
def test_one_prompt_gives_a_text_and_several_a_list(model):
    """A seed repeats; streaming gives the same text piece by piece."""
    pieces: dict[int, str] = {0: "", 1: ""}

    def hear(row, piece):
        pieces[row] += piece

    one = model.generate("def ", max_tokens=6, seed=4)
    assert isinstance(one, str) and one == model.generate("def ", max_tokens=6, seed=4)
    both = model.generate(["def ", "return "], max_tokens=6, seed=4, on_text=hear)
    assert both[0] == one and [pieces[0], pieces[1]] == both


@pytest.mark.slow
def test_weights_are_prepared_for_writing_once(model, monkeypatch):
    """Until another form is asked for; a model with other weights prepares its own."""
    calls, prepare = [], api.prepare_for_decode
    monkeypatch.setattr(api, "prepare_for_decode", lambda *given: (calls.append(given[-1]), prepare(*given))[1])
    fresh = replace(model)
    texts = [fresh.generate("def ", max_tokens=6, seed=4) for _ in range(2)]
    assert calls == ["as trained"] and texts == [model.generate("def ", max_tokens=6, seed=4)] * 2
    calls.clear()
    for weights in ("int8", "int8", "as trained"):
        fresh.generate("def ", max_tokens=2, weights=weights)
    assert calls == ["int8", "as trained"]
    replace(fresh, params=model.params).generate("def ", max_tokens=2)
    assert calls == ["int8", "as trained", "as trained"]


def test_without_a_tokenizer_there_are_ids_only(model):
    bare = replace(model, tokenizer=None)
    assert bare.logits([[1, 2]]).shape == (1, 2, 384)
    with pytest.raises(UserError, match="this model has no tokenizer"):
        bare.generate("def ")


def test_a_directory_of_the_hugging_face_library():
    """Logits as that library computes them, within the rounding of bf16; exactly so in float32."""
    with np.load(GOLDEN / "expected.npz") as file:
        tokens, wanted = file["tokens"], file["logits"]
    loaded = tenfold.load(GOLDEN)
    assert loaded.tokenizer is None and loaded.config.dtype == "bfloat16"
    assert np.abs(loaded.logits(tokens) - wanted).max() < 0.03 * np.abs(wanted).max()
    exact = replace(loaded, config=replace(loaded.config, dtype="float32"))
    np.testing.assert_allclose(exact.logits(tokens), wanted, rtol=0, atol=5e-5)


@pytest.mark.parametrize("name", ["hugging-face", "model.gguf"])
def test_a_trained_model_is_saved_and_loaded(name, model, tmp_path):
    """The same tokenizer, and the same weights: exactly in a directory, to half precision in a GGUF file."""
    model.save(tmp_path / name)
    back = tenfold.load(tmp_path / name)
    assert back.tokenizer.encode("def alpha(") == model.tokenizer.encode("def alpha(")
    assert back.tokenizer.end_of_text == model.tokenizer.end_of_text and back.config.context == model.config.context
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6), back.params, model.params)
    if name == "hugging-face":
        jax.tree.map(np.testing.assert_array_equal, back.params, model.params)
        same = replace(back, config=replace(back.config, dtype=model.config.dtype))
        assert same.generate("def ", max_tokens=6, temperature=0) == model.generate("def ", max_tokens=6, temperature=0)


def test_a_gguf_file_keeps_its_template_and_type(model, tmp_path):
    path = tmp_path / "a.gguf"
    replace(model, chat_template="{{ messages }}").save(path, "Q8_0")
    loaded = tenfold.load(path)
    assert loaded.chat_template == "{{ messages }}"
    loaded.save(tmp_path / "b.gguf")
    assert tenfold.load(tmp_path / "b.gguf").chat_template == "{{ messages }}"


def test_what_others_cannot_hold_is_not_saved(model, tmp_path):
    strange = replace(model, config=replace(model.config, residual="parallel", norm="rms"))
    for path in (tmp_path / "x.gguf", tmp_path / "x"):
        with pytest.raises(UserError):
            strange.save(path)
    assert not list(tmp_path.iterdir())


def test_a_run_is_told_from_a_checkpoint_by_its_recipe(run, tmp_path):
    """A run directory into which a config.json was put is still a run."""
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "config.json").write_text("{}")
    assert tenfold.load(copy).config == tenfold.load(run).config
    with pytest.raises(UserError, match="There is no GGUF file at"):
        tenfold.load(tmp_path / "none.gguf")
    with pytest.raises(UserError, match=r"with a config.json \(Hugging Face\), or a file whose name ends in .gguf"):
        tenfold.load(tmp_path)


def test_what_is_no_run_and_what_has_no_checkpoint(tmp_path, run):
    with pytest.raises(UserError, match="is not a run: it holds no recipe.yaml"):
        tenfold.load(tmp_path)
    (tmp_path / "recipe.yaml").write_text((run / "recipe.yaml").read_text())
    with pytest.raises(UserError, match="holds no checkpoint"):
        tenfold.load(tmp_path)
    with pytest.raises(UserError, match="data.paths is empty"):
        tenfold.train(Recipe(), tmp_path / "new")


def untrained(**model) -> Model:
    config = ModelConfig(vocab=67, context=12, layers=1, embed=16, heads=2, dtype="float32", **model)
    return Model(config, init_params(jax.random.key(0), config), None)


def test_logits_of_an_encoder_decoder_take_both():
    """f32[B, U, V]: the decoder sees all of the encoder's row, and of its own only what came before."""
    model = untrained(encoder_layers=1, positions="relative")
    tokens, decoder = np.arange(10).reshape(2, 5), np.arange(20, 28).reshape(2, 4)
    found = model.logits(tokens, decoder)
    assert found.shape == (2, 4, 67) and found.dtype == np.float32
    later = model.logits(tokens, np.where(np.arange(4) == 3, 50, decoder))
    np.testing.assert_array_equal(found[:, :3], later[:, :3])
    assert (model.logits(np.where(np.arange(5) == 4, 60, tokens), decoder) != found).any(2).all()


@pytest.mark.parametrize(
    "model, arguments, message",
    [
        (dict(encoder_layers=1), [[[1, 2]]], "is an encoder-decoder: logits also takes decoder_tokens_BU"),
        (dict(), [[[1, 2]], [[1]]], "has no encoder (model.encoder_layers is 0): logits takes no decoder_tokens_BU"),
        (dict(encoder_layers=1), [[[1, 2]], [[1], [2]]], "got 1 rows of tokens_BT and 2 of decoder_tokens_BU"),
        (dict(encoder_layers=1), [[[1, 2]], [[67]]], "decoder_tokens_BU: logits got token ids from 67 to 67"),
        (dict(encoder_layers=1), [[[1, 2]], [1]], "decoder_tokens_BU: logits takes whole numbers [rows, tokens], not int64 [1]"),
    ],
)
def test_the_wrong_combination_is_refused_by_name(model, arguments, message):
    with pytest.raises(UserError) as refused:
        untrained(**model).logits(*arguments)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "change, message", [(dict(causal=False), "model.causal is False"), (dict(encoder_layers=1), "model.encoder_layers is 1")]
)
def test_models_that_do_not_continue_a_text_say_so(model, change, message):
    """Neither generate nor logprobs; the message says what to ask instead."""
    other = replace(untrained(**change), tokenizer=model.tokenizer)
    for ask in (lambda: other.generate("def "), lambda: other.logprobs(["def "])):
        with pytest.raises(UserError, match=f"{message}.*\n  Ask it for model.logits"):
            ask()
