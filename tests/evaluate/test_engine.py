"""A score is the same however it is computed: in shared rows, alone, in batches of any size, token by token through a cache."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.api import Model
from tenfold.errors import UserError
from tenfold.evaluate.engine import Engine, chosen, head_parts
from tenfold.evaluate.requests import Continuation, Likelihood, Writing
from tenfold.generate.decode import prepare_for_decode
from tenfold.model.cache import empty_cache
from tenfold.model.config import ModelConfig
from tenfold.model.transformer import forward, logits

KINDS = {
    "learned": {},
    "rotary, grouped": {"positions": "rotary", "heads": 4, "kv_heads": 2, "norm": "rms", "gated": True},
    "alibi": {"positions": "alibi", "heads": 4},
    "banded": {"attention": ("dense", "banded:5"), "positions": "rotary"},
    "relative": {"positions": "relative"},
    "scanned": {"positions": "xpos", "layers": 4, "attention": ("banded:7", "dense"), "scan": True},
    "experts": {"experts": 4, "expert_capacity": 1.0, "positions": "rotary"},
    "dilated": {"attention": ("dilated:6x1,20x3,48x5",), "layers": 1},
}
REQUESTS = [
    Continuation("the cat sat", " on the mat"),
    Continuation("the cat sat", " on the dog"),
    Continuation("the cat sat ", "up"),
    *[Continuation("the cat sat", f" {letter}") for letter in "abcdef"],  # more than one entry holds
    Continuation("the queen", " sat"),
    Continuation("", "a beginning"),
    Continuation("z" * 60, "abc"),
    Continuation("one ", "two three " * 9),
    Continuation("the cat sat", " on the mat"),
]


def same(found: list[Likelihood], wanted: list[Likelihood]) -> None:
    assert [(a.tokens, a.greedy, a.cut) for a in found] == [(b.tokens, b.greedy, b.cut) for b in wanted]
    np.testing.assert_allclose([a.total for a in found], [b.total for b in wanted], rtol=1e-5, atol=1e-5)


@partial(jax.jit, static_argnums=1)
def one_more(params, config, cache, token):
    """The cache after a token, and what may come next."""
    x_11D, cache, _ = forward(params, config, token[None, None], cache=cache)
    return cache, jax.nn.log_softmax(logits(params, config, x_11D)[0, 0])


def through_a_cache(model: Model, request: Continuation) -> Likelihood:
    """Token by token, for requests that fit the context and whose context ends in no space."""
    assert model.tokenizer is not None
    params, config = prepare_for_decode(model.params, model.config)
    before, after = (model.tokenizer.encode(text) for text in (request.context, request.text))
    before = before or [model.tokenizer.end_of_text]
    cache, total, greedy = replace(empty_cache(config, 1, config.context), empty=False), 0.0, True
    for place, token in enumerate([*before, *after][:-1]):
        cache, logprobs_V = one_more(params, config, cache, np.int32(token))
        if place >= len(before) - 1:
            target = after[place - len(before) + 1]
            total, greedy = total + float(logprobs_V[target]), greedy and int(logprobs_V.argmax()) == target
    return Likelihood(total, len(after), greedy)


QUICK = ("rotary, grouped", "alibi")


@pytest.mark.parametrize("kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS])
def test_packed_is_unpacked_is_cached(tiny_model, kind):
    model = tiny_model(**KINDS[kind])
    packed = Engine(model, row=64, batch=2).score(REQUESTS)
    same(packed, Engine(model, share=False, batch=1).score(REQUESTS))
    assert [answer.cut for answer in packed[-4:]] == [0, 14, 2, 0]
    cached = [0, 9, 10]
    same([packed[n] for n in cached], [through_a_cache(model, REQUESTS[n]) for n in cached])


@pytest.fixture(scope="module")
def engines(tiny_model):
    """Rows shared, and alone."""
    model = tiny_model(positions="rotary")
    return Engine(model, row=64, batch=2), Engine(model, share=False, batch=4)


@given(st.lists(st.tuples(st.text("abq u", max_size=30), st.text("abu", min_size=1, max_size=60)), min_size=1, max_size=25))
@settings(max_examples=30)
def test_whatever_is_asked_together(engines, pairs):
    requests = [Continuation(context, f" {text}") for context, text in pairs]
    same(*(engine.score(requests) for engine in engines))


def test_any_batch_of_any_length_of_rows_scores_alike(tiny_model):
    """To more digits than a table shows; the choice that each rule of scoring would make with them."""
    model = tiny_model(positions="rotary")
    requests = [Continuation(f"question {n * n} is", f" answer {'abcd'[(n + k) % 4]}") for n in range(8) for k in range(4)]
    found = [Engine(model, row=row, batch=batch).score(requests) for row, batch in ((64, 1), (64, 64), (256, 1))]
    for other in found[1:]:
        same(found[0], other)
    choices = [[int(np.argmax([a.total for a in answers[n : n + 4]])) for n in range(0, 32, 4)] for answers in found]
    assert choices[0] == choices[1] == choices[2] and len(set(choices[0])) > 1


def test_greedy_says_whether_decoding_would_write_it(tiny_model):
    """What the model writes after a context is its own likeliest continuation, and no other is."""
    model = tiny_model(seed=5, positions="rotary")
    engine = Engine(model, row=64, batch=2)
    (written,) = engine.write([Writing("the cat", max_tokens=1)])
    tokens = range(32, 127)
    answers = engine.score([Continuation("the cat", f"{chr(t)}") for t in tokens])
    likeliest = max(tokens, key=lambda t: answers[t - 32].total)
    assert written.texts == (chr(likeliest),)
    assert [chr(t) for t, answer in zip(tokens, answers, strict=True) if answer.greedy] == [chr(likeliest)]


@pytest.mark.parametrize("share", [True, False])
def test_rolling_is_what_the_model_says_of_whole_texts(tiny_model, share):
    model = tiny_model()
    texts = ["a text", "another text with a queue", "x" * 47, "one that is exactly as long as the context: 48 b."]
    engine = Engine(model, share=share, row=64, batch=2)
    found, wanted = engine.rolling(texts), model.logprobs([text[:48] for text in texts])
    for answer, scored in zip(found[:3], wanted, strict=False):
        assert answer.total == pytest.approx(scored.total, abs=1e-4) and answer.tokens == len(scored.tokens)
    long = "many words " * 12
    (answer,) = engine.rolling([long])
    parts = [long[first : first + 48] for first in (0, 48)]
    windows = engine.score([Continuation("", parts[0]), Continuation(long[47], parts[1]), Continuation(long[83:96], long[96:])])
    assert answer.tokens == len(long) == 132
    assert windows[2].tokens == 36 and answer.total != pytest.approx(sum(w.total for w in windows[:2]))


def test_nothing_is_compiled_after_the_first_requests(tiny_model):
    """Other texts, more of them, in other order: JAX compiles nothing."""
    engine = Engine(tiny_model(positions="alibi", layers=1), row=64, batch=2)
    engine.score(REQUESTS[:4])
    programs, events = engine.compiled, []
    assert programs == 1

    def hear(event: str, duration: float, **rest) -> None:
        if "compile" in event:
            events.append(event)

    jax.monitoring.register_event_duration_secs_listener(hear)
    try:
        engine.score([*REQUESTS[::-1], *[Continuation(f"{n} and", f" {n * n}") for n in range(50)]])
        assert events == [] and engine.compiled == programs
        Engine(tiny_model(positions="alibi", layers=1), row=32, batch=1).score(REQUESTS[:1])
        assert events  # it does hear
    finally:
        jax.monitoring.unregister_event_duration_listener(hear)


def test_progress_counts_what_is_read(tiny_model):
    heard: list[tuple[int, int]] = []
    engine = Engine(tiny_model(layers=1), row=32, batch=1)
    engine.score([Continuation(f"{n} {n} {n} and", " so on") for n in range(20)], lambda done, total: heard.append((done, total)))
    totals = {total for _, total in heard}
    assert len(totals) == 1 and heard[-1][0] == heard[-1][1] and len(heard) > 2
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)
    assert totals.pop() < 20 * len("19 19 19 and so o")


def test_what_cannot_be_asked_is_refused(tiny_model):
    engine = Engine(tiny_model(layers=1), row=32, batch=1)
    assert engine.score([]) == [] and engine.rolling([]) == [] and engine.write([]) == []
    with pytest.raises(UserError, match="is empty"):
        engine.score([Continuation("a", "")])
    with pytest.raises(UserError, match="row is 0"):
        Engine(tiny_model(), row=0)
    with pytest.raises(UserError, match="causal is False"):
        Engine(tiny_model(causal=False))
    with pytest.raises(UserError, match="no tokenizer"):
        Engine(Model(tiny_model().config, tiny_model().params))
    broken = tiny_model(layers=1)
    broken.params["final_norm"]["scale"] *= np.nan
    with pytest.raises(UserError, match="NaN"):
        Engine(broken, row=32, batch=1).score(REQUESTS[:2])


@pytest.mark.parametrize("weights", ["bfloat16", "int8"])
def test_rounded_weights_stay_near(tiny_model, weights):
    model = tiny_model(positions="rotary")
    exact = np.array([answer.total for answer in Engine(model, row=64, batch=2).score(REQUESTS)])
    found = np.array([answer.total for answer in Engine(model, weights, row=64, batch=2).score(REQUESTS)])
    assert 0 < np.abs(found / exact - 1).max() < 0.1


@pytest.mark.parametrize("part", [1, 7, 48, 4096])
@pytest.mark.parametrize("bias", [False, True])
def test_a_head_in_parts_says_what_it_says_whole(monkeypatch, part, bias):
    monkeypatch.setattr("tenfold.evaluate.engine.PART", part)
    numbers, V, D = np.random.default_rng(0), 50, 8
    config = ModelConfig(vocab=V, context=8, layers=1, embed=D, heads=2, dtype="float32")
    params = {"head": jnp.asarray(numbers.normal(size=(V, D)) * 40, jnp.float32)}
    if bias:
        params |= {"head_bias": jnp.asarray(numbers.normal(size=V), jnp.float32)}
    x_CD, targets_CR = numbers.normal(size=(5, D)).astype("float32"), numbers.integers(0, V, (5, 4))
    whole_CV = np.asarray(logits(params, config, x_CD[None])[0], np.float64)
    targets_CR[:, 0] = whole_CV.argmax(-1)
    parts = head_parts(params)
    assert len(parts) == -(-V // part)
    logprob_CR, likeliest_CR = chosen(parts, config, x_CD, jnp.asarray(targets_CR))
    largest_C1, target_CR = whole_CV.max(-1, keepdims=True), np.take_along_axis(whole_CV, targets_CR, 1)
    logz_C1 = largest_C1 + np.log(np.exp(whole_CV - largest_C1).sum(-1, keepdims=True))
    np.testing.assert_allclose(logprob_CR, target_CR - logz_C1, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(likeliest_CR, target_CR == largest_C1)
