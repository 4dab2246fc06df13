"""A text depends on its request, not on what is written beside it."""

import pytest

from tenfold.errors import UserError
from tenfold.evaluate.engine import Engine
from tenfold.evaluate.requests import Writing
from tenfold.generate.beam import Search, beam_search
from tenfold.generate.decode import prepare_for_decode


@pytest.fixture(scope="module")
def model(tiny_model):
    return tiny_model(positions="rotary", layers=1)


@pytest.fixture(scope="module")
def engine(model):
    return Engine(model)


def test_texts_are_those_of_generate_in_any_company(model, engine):
    """With stop strings, lengths, temperatures and seeds of their own."""
    requests = [
        Writing("the cat", max_tokens=20),
        Writing("q", stop=("e", "a"), max_tokens=9, temperature=1.0, seed=3),
        Writing("", max_tokens=5, temperature=0.7, seed=1),
        Writing("a longer beginning", max_tokens=1),
    ]
    together = engine.write(requests)
    for request, written in zip(requests, together, strict=True):
        settings = dict(max_tokens=request.max_tokens, temperature=request.temperature, stop=request.stop, seed=request.seed)
        assert written.texts == (model.generate(request.context, **settings),) and written.cut == 0
    assert engine.write(requests[::-1] * 6) == together[::-1] * 6


def test_samples_do_not_depend_on_how_many_there_are(engine):
    (many,) = engine.write([Writing("x", temperature=1.0, max_tokens=8, samples=20)])
    (few,) = engine.write([Writing("x", temperature=1.0, max_tokens=8, samples=3)])
    assert many.texts[:3] == few.texts and len(set(many.texts)) > 15
    (other,) = engine.write([Writing("x", temperature=1.0, max_tokens=8, samples=3, seed=1)])
    assert other.texts != few.texts


def test_a_long_context_loses_its_left(model, engine):
    (written,) = engine.write([Writing("ab" * 30 + "the end", max_tokens=10)])
    assert written.cut == 67 - 38
    assert written.texts == (model.generate(("ab" * 30 + "the end")[-38:], max_tokens=10, temperature=0.0),)


def test_beams_find_what_beam_search_finds(model, engine):
    contexts = ["the cat", "", "q and more", "what", "x y z"]
    requests = [Writing(context, stop=("e",), max_tokens=6, beams=4, length_penalty=1.0) for context in contexts]
    written = engine.write([*requests, Writing("the cat", max_tokens=4)])
    for context, each in zip(contexts, written, strict=False):
        ids = engine.tokenizer.encode(context) or [engine.tokenizer.end_of_text]
        found = beam_search(*prepare_for_decode(model.params, model.config), engine.tokenizer, [ids], [Search(6, 1.0, ("e",))], 4)[0]
        assert each.texts == (found.text,)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (Writing("a", max_tokens=48), "Use at most 47"),
        (Writing("a", max_tokens=0), "max_tokens is 0"),
        (Writing("a", stop=("",)), "empty text"),
        (Writing("a", samples=0), "0 samples"),
        (Writing("a", beams=4, samples=2, max_tokens=4), "beam search draws nothing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_written_is_refused(engine, request_, says):
    with pytest.raises(UserError, match=says):
        engine.write([request_])
