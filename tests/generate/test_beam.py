"""Beam search finds the best text where its beams hold all there is, and else what a plain search without a cache finds."""

import functools
import itertools

import numpy as np
import pytest

from tenfold.errors import UserError
from tenfold.generate.beam import Search, beam_search
from tenfold.generate.decode import prepare_for_decode
from tenfold.model.transformer import forward, logits


class Letters:
    """A token for each of a few letters, then end_of_text."""

    def __init__(self, letters: str):
        self.letters = letters
        self.vocab, self.end_of_text = len(letters) + 1, len(letters)

    def encode(self, text: str) -> list[int]:
        return [self.letters.index(letter) for letter in text]

    def decode_bytes(self, ids) -> bytes:
        return "".join(self.letters[i] for i in ids).encode()


@pytest.fixture
def scorer(tiny, noisy_params):
    """`scorer(config)` -> prepared params and config, and a function from tokens to the next one's log-probabilities, without a cache."""
    import jax

    def make(vocab, **changes):
        config = tiny(vocab=vocab, **changes)
        params = noisy_params(config)
        run = jax.jit(lambda tokens_BT: jax.nn.log_softmax(logits(params, config, forward(params, config, tokens_BT).x_BTD)))

        @functools.cache
        def after(tokens):
            padded = np.zeros((1, config.context), np.int32)
            padded[0, : len(tokens)] = tokens
            return np.asarray(run(padded))[0, len(tokens) - 1].astype(np.float64)

        return *prepare_for_decode(params, config), lambda tokens: after(tuple(tokens))

    return make


def penalty(count: int, a: float) -> float:
    return ((5 + count) / 6) ** a


def all_texts(next_logprobs, prompt, vocab, end, most, a, stops=()):
    """(score, tokens) of every text of at most `most` tokens."""
    for count in range(most + 1):
        for text in itertools.product([t for t in range(vocab) if t != end], repeat=count):
            logprobs = [next_logprobs([*prompt, *text[:n]])[t] for n, t in enumerate(text)]
            if any(t in stops for t in text[:-1]):
                continue
            stopped = count > 0 and text[-1] in stops
            if stopped or count == most:
                yield sum(logprobs) / penalty(count, a), text
            else:
                yield (sum(logprobs) + next_logprobs([*prompt, *text])[end]) / penalty(count + 1, a), text


def plain_search(next_logprobs, prompt, tokenizer, width, search):
    """The same rules with lists, one prompt, and no cache."""
    live, finished = [(0.0, ())], []
    for count in range(1, search.max_tokens + 1):
        candidates = []
        for total, text in live:
            after = next_logprobs([*prompt, *text])[: tokenizer.vocab]
            candidates += [(total + value, (*text, token)) for token, value in enumerate(after)]
        live = []
        for total, text in sorted(candidates, reverse=True)[: 2 * width]:
            written = "".join(tokenizer.letters[t] for t in text if t != tokenizer.end_of_text)
            if text[-1] == tokenizer.end_of_text or any(stop in written for stop in search.stop):
                finished.append((total / penalty(count, search.length_penalty), text))
            else:
                live.append((total, text))
        live = live[:width]
    finished += [(total / penalty(search.max_tokens, search.length_penalty), text) for total, text in live]
    score, text = max(finished)
    return score, tuple(t for t in text if t != tokenizer.end_of_text)


@pytest.mark.parametrize("a", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("stop", [(), ("b",)], ids=["", "stop b"])
def test_beams_that_hold_all_texts_find_the_best_one(scorer, a, stop):
    """4 tokens and texts of up to 4: 27 beams hold every beginning."""
    tokenizer = Letters("abc")
    params, config, next_logprobs = scorer(4)
    for prompt in ([0], [2, 1, 0, 2]):
        found = beam_search(params, config, tokenizer, [prompt], [Search(4, a, stop)], 27)[0]
        best, text = max(all_texts(next_logprobs, prompt, 4, 3, 4, a, [1] if stop else []))
        assert found.tokens == text
        assert found.score == pytest.approx(best, abs=1e-4)
        assert found.text == "".join("abc"[t] for t in text if not (stop and t == 1))


@pytest.mark.parametrize(
    "changes",
    [{"positions": "rotary", "kv_heads": 1, "attention": ("dense", "banded:5")}, {"attention": ("dilated:6x1,64x5",), "layers": 1}],
    ids=str,
)
def test_it_finds_what_a_plain_search_finds(scorer, changes):
    """Prompts of several lengths at once, with stop strings of two tokens and ends of their own."""
    tokenizer = Letters("abcdefghijklmnop")
    params, config, next_logprobs = scorer(20, **changes)
    random = np.random.default_rng(3)
    prompts = [random.integers(0, 16, length).tolist() for length in (1, 4, 9, 17)]
    searches = [Search(8, 0.6), Search(8, 0.6, ("ab", "c")), Search(3, 0.0), Search(7, 1.5, ("p",))]
    found = beam_search(params, config, tokenizer, prompts, searches, 3)
    for prompt, search, each in zip(prompts, searches, found, strict=True):
        score, text = plain_search(next_logprobs, prompt, tokenizer, 3, search)
        assert each.tokens == text
        assert each.score == pytest.approx(score, abs=1e-4)


def test_a_search_does_not_know_its_neighbours(scorer):
    tokenizer = Letters("abcdefghijklmnop")
    params, config, _ = scorer(17)
    prompts, searches = [[1, 2, 3], [5], list(range(12))], [Search(9), Search(4), Search(9, 1.0, ("e",))]
    together = beam_search(params, config, tokenizer, prompts, searches, 3)
    for prompt, search, each in zip(prompts, searches, together, strict=True):
        assert beam_search(params, config, tokenizer, [prompt], [search], 3)[0].tokens == each.tokens


def test_what_cannot_be_searched_is_refused(scorer):
    params, config, _ = scorer(4)
    with pytest.raises(UserError, match="width of 0"):
        beam_search(params, config, Letters("abc"), [[0]], [Search(4)], 0)
    with pytest.raises(UserError, match="60 tokens and max_tokens is 10"):
        beam_search(params, config, Letters("abc"), [[0] * 60], [Search(10)], 2)
