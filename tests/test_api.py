"""`tenfold.load` and what it gives, on a model trained for a moment."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

import tenfold
from tenfold.api import Model
from tenfold.errors import UserError
from tenfold.train.recipe import Recipe
from tiny_run import NAMES, tiny_recipe, write_shards


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


def test_one_prompt_gives_a_text_and_several_a_list(model):
    """A seed repeats; streaming gives the same text piece by piece."""
    pieces: dict[int, str] = {0: "", 1: ""}

    def hear(row, piece):
        pieces[row] += piece

    one = model.generate("def ", max_tokens=6, seed=4)
    assert isinstance(one, str) and one == model.generate("def ", max_tokens=6, seed=4)
    both = model.generate(["def ", "return "], max_tokens=6, seed=4, on_text=hear)
    assert both[0] == one and [pieces[0], pieces[1]] == both


def test_without_a_tokenizer_there_are_ids_only(model):
    bare = replace(model, tokenizer=None)
    assert bare.logits([[1, 2]]).shape == (1, 2, 384)
    with pytest.raises(UserError, match="this model has no tokenizer"):
        bare.generate("def ")


def test_what_is_no_run_and_what_has_no_checkpoint(tmp_path, run):
    with pytest.raises(UserError, match="is not a run: it holds no recipe.yaml"):
        tenfold.load(tmp_path)
    (tmp_path / "recipe.yaml").write_text((run / "recipe.yaml").read_text())
    with pytest.raises(UserError, match="holds no checkpoint"):
        tenfold.load(tmp_path)
    with pytest.raises(UserError, match="data.paths is empty"):
        tenfold.train(Recipe(), tmp_path / "new")
