"""`generate`: what comes back, and what is said on the way."""

import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.errors import UserError
from tenfold.generate.complete import generate


@pytest.fixture
def ask(tiny, noisy_params, tokenizer):
    """`ask(prompts, **settings)` -> the completions and the pieces of each, of one small model."""
    config = tiny(layers=1)
    params = noisy_params(config)

    def run(prompts, **settings):
        pieces = [[] for _ in prompts]
        settings = {"max_tokens": 40, "temperature": 1.0} | settings
        return generate(params, config, tokenizer, prompts, **settings, on_text=lambda row, piece: pieces[row].append(piece)), pieces

    return run


def test_streamed_pieces_join_to_the_text(ask):
    completions, pieces = ask(["def ", "", "né"], seed=4)
    assert [c.text for c in completions] == ["".join(p) for p in pieces]
    assert all(piece for row in pieces for piece in row)
    assert len({c.text for c in completions}) == 3


def test_the_text_is_that_of_the_tokens(ask, tokenizer):
    for completion in ask(["def ", "class"], seed=5)[0]:
        read = tokenizer.decode_bytes(completion.tokens).decode(errors="replace")
        assert read.startswith(completion.text) and read[len(completion.text) :] in ("", "\ufffd")


def test_lengths_and_reasons(ask):
    completions, _ = ask(["a", "b", "c", "d", "e", "f"], max_tokens=50, temperature=1.5, seed=1)
    assert {c.finish_reason for c in completions} <= {"length", "end_of_text"}
    for completion in completions:
        assert (len(completion.tokens) == 50) == (completion.finish_reason == "length")


def test_end_of_text_ends_a_row_and_is_not_among_its_tokens(ask, tokenizer):
    completions, _ = ask(["a"] * 16, max_tokens=60, temperature=3.0, seed=2)
    ended = [c for c in completions if c.finish_reason == "end_of_text"]
    assert ended and all(tokenizer.end_of_text not in c.tokens and len(c.tokens) < 60 for c in ended)


def test_a_stop_ends_the_text_before_it(ask, tokenizer):
    """The stop is cut from the text that greedy writes without it; tokens go on to the one that completed it."""
    (free,), _ = ask(["def "], temperature=0.0)
    middle = free.text[len(free.text) // 2 :][:2]
    for stop in (middle, [middle], ("never comes", middle)):
        (stopped,), pieces = ask(["def "], temperature=0.0, stop=stop)
        assert stopped.finish_reason == "stop"
        assert stopped.text == free.text[: free.text.index(middle)] == "".join(pieces[0])
        assert stopped.tokens == free.tokens[: len(stopped.tokens)]
        read = tokenizer.decode_bytes(stopped.tokens).decode(errors="replace")
        assert middle in read and middle not in tokenizer.decode_bytes(stopped.tokens[:-1]).decode(errors="replace")


def test_the_same_seed_writes_the_same_and_row_0_does_not_know_the_others(ask):
    (alone,), _ = ask(["def "], seed=9)
    (first, *_), _ = ask(["def ", "a longer one", ""], seed=9)
    (other,), _ = ask(["def "], seed=10)
    assert alone == first != other


def test_an_empty_prompt_starts_from_end_of_text(ask, tokenizer, monkeypatch):
    (empty,), _ = ask([""], temperature=0.0)
    monkeypatch.setattr(type(tokenizer), "encode", lambda self, text: [tokenizer.end_of_text])
    (explicit,), _ = ask(["whatever"], temperature=0.0)
    assert empty == explicit


def test_no_prompts_give_no_completions(ask):
    assert ask([]) == ([], [])


def test_weights_that_are_not_numbers_are_named(tiny, noisy_params, tokenizer):
    config = tiny(layers=1)
    params = noisy_params(config)
    params["position"] = jnp.full_like(params["position"], np.nan)
    with pytest.raises(UserError, match="logits are NaN"):
        generate(params, config, tokenizer, ["a"], max_tokens=8)


def test_a_tokenizer_larger_than_the_model_is_refused(tiny, noisy_params, tokenizer):
    config = tiny(vocab=128)
    with pytest.raises(UserError, match="258 tokens, but model.vocab is 128"):
        generate(noisy_params(config), config, tokenizer, ["a"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"temperature": -1}, "temperature is -1"), ({"top_p": 2}, "top_p is 2"), ({"max_tokens": 64}, r"4 \+ 64 = 68 positions")],
    ids=str,
)
def test_bad_settings_are_refused_before_anything_runs(ask, settings, message):
    with pytest.raises(UserError, match=message):
        ask(["def "], **settings)


def test_one_text_for_prompts_is_refused(ask):
    with pytest.raises(UserError, match="prompts is one text, 'def '"):
        ask("def ")
