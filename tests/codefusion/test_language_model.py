"""A language model beside the models of codefusion/: what it writes, how likely it finds code, and how it is opened."""

import math
from collections import Counter
from dataclasses import replace

import jax
import numpy as np
import pytest

from made_fusion_score import TEST, write_lines
from tenfold.align.chat import Chat, ChatTokenizer
from tenfold.align.sft import train_sft
from tenfold.align.templates import find_template
from tenfold.codefusion.candidates import load_writer, open_candidates
from tenfold.codefusion.data import Example
from tenfold.codefusion.generate import FusionModel
from tenfold.codefusion.language_model import LONGEST, LanguageModel
from tenfold.codefusion.model import init_fusion
from tenfold.codefusion.panel import generate_together
from tenfold.codefusion.retrieval import Retrieval
from tenfold.codefusion.score import score
from tenfold.codefusion.score_settings import ScoreSettings
from tenfold.codefusion.settings import Sampling
from tenfold.errors import UserError
from tenfold.generate.complete import generate
from tenfold.model.config import ModelConfig
from tenfold.model.params import init_params
from tenfold.model.transformer import forward, logits
from tenfold.recipes.codefusion import write_snippets
from tenfold.recipes.codefusion_score import score_runs
from tenfold.tokens.tokenizer import train_tokenizer
from tiny_chat import tiny_sft, write_model
from tiny_fusion import AUTOREGRESSIVE, PAIRS

CONFIG = ModelConfig(vocab=288, context=LONGEST + 40, layers=1, embed=16, heads=2, dtype="float32")
TEXTS = ["sort", "sort a list of words by their length", "print hello"]  # prompts of two buckets
HOW = Sampling(samples=3, draws=5, rank_by=1, batch=8, seed=3)


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    tokenizer = train_tokenizer([*PAIRS, *PAIRS.values()], CONFIG.vocab)
    params = jax.tree.map(lambda x: 3 * x, init_params(jax.random.key(0), CONFIG))  # far from all tokens alike
    return LanguageModel(CONFIG, params, Chat(find_template("plain", None, "the test"), tokenizer))


def likelihood(model: LanguageModel, text: str, code: str) -> float:
    """-log p of the code and its end, from a plain pass over one row."""
    prompt = model.tokenizer.encode(f"{text}\n")
    ids = [*prompt, *model.tokenizer.encode(code), model.tokenizer.end_of_text]
    logp_TV = jax.nn.log_softmax(logits(model.params, CONFIG, forward(model.params, CONFIG, np.array([ids[:-1]])).x_BTD))[0]
    return -float(sum(logp_TV[t, ids[t + 1]] for t in range(len(prompt) - 1, len(ids) - 1)))


def test_a_bound_is_the_likelihood_of_the_code_and_its_end(model):
    codes = [["x.sort()", "", "x.sort(key=len)", "x" * 2000], [], ["print('hello')"]]
    found = model.bounds(TEXTS, codes, HOW)
    assert [len(own) for own in found] == [4, 0, 1] and found[0][3] is None
    for text, own, nats in zip(TEXTS, codes, found, strict=True):
        for code, bound in list(zip(own, nats, strict=True))[:3]:
            assert bound == pytest.approx(likelihood(model, text, code), rel=1e-4)
    assert model.bounds(TEXTS, codes, replace(HOW, draws=0, rank_by=0))[0] == [None] * 4


def test_at_temperature_0_it_writes_what_chat_writes(model):
    found = model.generate(TEXTS, Sampling(temperature=0.0, batch=4))
    expected = generate(
        model.params, CONFIG, ChatTokenizer(model.chat), TEXTS, max_tokens=LONGEST, temperature=0.0, top_k=0, top_p=1.0, stop=(), seed=0
    )
    assert [[snippet.code for snippet in own] for own in found] == [[each.text] for each in expected]


def test_samples_depend_on_the_text_and_its_place_alone(model):
    """Not on the texts beside it, on how many rows go at once, or on how many are drawn."""

    def drawn(texts, places, **changes):
        how = replace(Sampling(samples=5, seed=3, batch=8), **changes)
        return [[snippet.tokens for snippet in own] for own in model.generate(texts, how, places=places)]

    found = drawn(TEXTS, [4, 9, 2])
    assert drawn(TEXTS[::-1], [2, 9, 4]) == found[::-1]
    assert drawn(TEXTS[1:2], [9], batch=3) == found[1:2]
    assert drawn(TEXTS, [4, 9, 2], batch=16, samples=2) == [own[:2] for own in found]
    assert len({str(own) for own in found[0]}) > 1 and drawn(TEXTS[:1], [5]) != found[:1]


def test_the_likeliest_that_differ_come_first(model):
    found = model.generate(TEXTS, HOW)
    drawn = model.generate(TEXTS, replace(HOW, samples=5))
    for text, own, all_drawn in zip(TEXTS, found, drawn, strict=True):
        bounds = [math.inf if snippet.bound is None else snippet.bound for snippet in own]  # of random letters, some are too long
        assert len(own) == 3 and bounds == sorted(bounds) and len({snippet.code for snippet in own}) == 3
        assert (
            bounds[0]
            == min(snippet.bound for snippet in all_drawn if snippet.bound is not None)
            == pytest.approx(likelihood(model, text, own[0].code), rel=1e-4)
        )


def test_draws_are_as_frequent_as_likely(model):
    """First tokens of 800 draws against the softmax."""
    own = model.generate(["sort"], Sampling(samples=800))[0]
    prompt = model.tokenizer.encode("sort\n")
    p_V = np.asarray(jax.nn.softmax(logits(model.params, CONFIG, forward(model.params, CONFIG, np.array([prompt])).x_BTD)[0, -1]))
    counts = Counter(snippet.tokens[0] if snippet.tokens else model.chat.stop for snippet in own)
    for token in np.argsort(-p_V)[:8]:
        assert abs(counts[int(token)] / 800 - p_V[token]) < 4 * np.sqrt(p_V[token] / 800)


def test_retrieved_codes_are_judged_beside_its_own(model):
    near = Retrieval([Example("sort the list", "x.sort()"), Example("length", "len(s)")])
    found = model.generate(["sort a list"], Sampling(samples=6, rank_by=1, retrieved=2, batch=8), near=near)[0]
    (nearest,) = (snippet for snippet in found if snippet.code == "x.sort()")
    assert nearest.bound == pytest.approx(likelihood(model, "sort a list", "x.sort()"), rel=1e-4)


def test_what_cannot_be_asked_is_refused(model):
    long = "sort " * 60
    with pytest.raises(UserError, match=r"text 2 of 2 makes a prompt of \d+ tokens, but the model reads 40 \(model.context, less 128"):
        model.generate(["sort", long])
    assert (
        model.generate([long], Sampling(temperature=0.0, batch=1), cut=True)[0][0].code is not None and model.too_long([long, "sort"]) == 1
    )
    with pytest.raises(UserError, match="text 1 of 1 is empty"):
        model.generate([" "])
    with pytest.raises(UserError, match="fills no holes"):
        model.generate(["sort"], given=["x.<hole>()"])
    with pytest.raises(UserError, match="steps is 5, but the model's kind is autoregressive"):
        model.generate(["sort"], Sampling(steps=5))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A run of `align sft` on pairs, and its start."""
    folder = tmp_path_factory.mktemp("tuned")
    start = write_model(folder / "base", CONFIG)
    pairs = write_lines(folder / "pairs.jsonl", [(f"{text} {n}", code) for text, code in PAIRS.items() for n in range(12)])
    recipe = tiny_sft(start, pairs)
    return train_sft(replace(recipe, model=replace(recipe.model, context=CONFIG.context)), folder / "run").path, start, pairs


def test_a_run_of_sft_is_scored_and_generates(tuned, tmp_path, capsys):
    run, start, pairs = tuned
    (candidate,) = open_candidates([str(run)])
    about = candidate.about
    assert about["kind"] == "language model" and about["step"] == 6 and about["trained_on"] == [str(pairs)]
    assert 0 < about["without_tables"] < about["parameters"]
    test = write_lines(tmp_path / "test.jsonl", TEST)
    how = Sampling(steps=4, samples=2, draws=3, rank_by=1, batch=6)
    settings = ScoreSettings(str(test), "python", (str(pairs),), sampling=how, curve=(2,), speed_rounds=1)
    found, result = score([str(run)], settings, tmp_path / "out", lambda *_: None)
    assert [column["name"] for column in found["columns"]] == ["run", "retrieval"] and not found["curves"]
    assert {row["batch"]: row["steps"] for row in result["speed"]} == {6: None, 1: None} and result["speed"][0]["bytes"] > 0
    again, _ = score([str(run)], settings, tmp_path / "out", lambda *_: None)
    assert again == found
    assert score_runs([str(run)], settings, tmp_path / "out") == 0
    assert "language model" in (tmp_path / "out/score.html").read_text()
    capsys.readouterr()
    write_snippets([str(run)], ["sort a list"], Sampling(samples=2), None, 8)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_what_is_no_language_model_to_ask_is_refused(tuned, tmp_path):
    run, start, _ = tuned
    with pytest.raises(UserError, match="holds no recipe.yaml"):
        load_writer(str(tmp_path / "nothing"))
    with pytest.raises(UserError, match="has no chat template, so nothing says how it is asked.\n  Teach it first: tenfold align sft"):
        load_writer(str(start))
    assert load_writer(str(run)).generate(["sort a list"], Sampling(temperature=0.0, batch=1))


def test_an_autoregressive_model_and_it_judge_each_other(model):
    """All that both drew, in the order of the mean of their bounds, each with the bound of the one that wrote it."""
    tokenizer = train_tokenizer([*PAIRS, *PAIRS.values()], AUTOREGRESSIVE.vocab - 1)
    other = FusionModel(AUTOREGRESSIVE, init_fusion(jax.random.key(0), AUTOREGRESSIVE), tokenizer)
    models, text, how = {"one": other, "two": model}, "sort a list", replace(HOW, samples=4, draws=4)
    found = generate_together(models, [text], how)[0]
    own = [{snippet.code: snippet.bound for snippet in each.generate([text], how)[0]} for each in models.values()]
    drawn = [*dict.fromkeys(code for known in own for code in known)]
    judged = [
        dict(zip(drawn, each.bounds([text], [drawn], how)[0], strict=True)) | known
        for each, known in zip(models.values(), own, strict=True)
    ]
    mean = {code: math.inf if None in (nats := [each[code] for each in judged]) else sum(nats) / 2 for code in drawn}
    assert [snippet.code for _, snippet in found] == sorted(mean, key=mean.__getitem__)[:4]
    assert {name for name, _ in found} <= {*models} and math.isfinite(mean[found[0][1].code])
