"""Answers that share their prompt in a row: what they are worth is what it is in rows of their own."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.align.comparisons import Comparison, ranked
from tenfold.align.forks import fork_length, fork_logprobs, forked
from tenfold.model.attention.blocked import SHARED
from tenfold.model.attention.kinds import takes_forks
from tenfold.model.config import ModelConfig
from tenfold.model.params import init_params
from tenfold.objectives.chosen import chosen_logprobs
from tiny_policy import tokenizer

COMPARISONS = [Comparison("1+2=", ("3", "45"), (0, 1)), Comparison("", ("12345678", "9"), (0, 1)), Comparison("12345678=", ("7",), (0,))]
CONFIG = ModelConfig(vocab=32, context=16, layers=2, embed=16, heads=4, dtype="float32")
ROOM = 16


def test_a_row_reads_the_prompt_once():
    token = tokenizer()
    end, (one, two, prompt) = token.end_of_text, (token.encode(text) for text in ("3", "45", "1+2="))
    rows = forked(COMPARISONS[:1], token, ROOM, 3, 8, 4)
    assert rows.tokens_NT.tolist() == [[*prompt, *one, *two, 0]]
    assert rows.segments_NT.tolist() == [[SHARED] * 4 + [1, 2, 2, 0]] and rows.places_NT.tolist() == [[0, 1, 2, 3, 4, 4, 5, 0]]
    assert rows.before_NKL.tolist() == [[[3, 4, 0, 0], [3, 5, 6, 0], [0, 0, 0, 0]]]
    assert rows.targets_NKL.tolist() == [[[*one, end, 0, 0], [*two, end, 0], [0, 0, 0, 0]]]
    assert rows.mask_NKL.tolist() == [[[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]]] and rows.real_NK.tolist() == [[True, True, False]]
    assert fork_length(COMPARISONS[:1], token, ROOM) == 7 and fork_length(COMPARISONS, token, ROOM) == 10


@pytest.mark.parametrize("shape", [{}, {"positions": "rotary", "kv_heads": 2}, {"positions": "none"}], ids=["learned", "rotary", "none"])
def test_answers_are_worth_what_they_are_by_themselves(shape):
    """Log-probabilities and gradients, of two answers and of one, of short prompts and long; a row may be longer than the context."""
    config, token = replace(CONFIG, context=12, **shape), tokenizer()
    params = jax.tree.map(lambda w: 3 * w, init_params(jax.random.key(0), config))
    apart, together = ranked(COMPARISONS, token, ROOM, 2, 13), forked(COMPARISONS, token, ROOM, 2, 20, 9)

    def by_themselves(params):
        tokens, mask = (x.reshape(6, 13) for x in (apart.tokens_NKS, apart.mask_NKS))
        logp = chosen_logprobs(params, config, tokens[:, :-1], tokens[:, 1:], mask[:, 1:], vocab=token.vocab).logp_BT
        return (logp * mask[:, 1:]).sum(-1).reshape(3, 2)

    def shared(params):
        return fork_logprobs(params, config, jax.tree.map(jnp.asarray, together), token.vocab)

    weight = jnp.array([[1.0, -2.0], [3.0, 0.5], [2.0, 7.0]])
    one, other = (jax.jit(jax.value_and_grad(lambda p, f=f: (weight * f(p)).sum()))(params) for f in (by_themselves, shared))
    np.testing.assert_allclose(by_themselves(params), shared(params), atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), one, other)
    assert np.abs(np.asarray(by_themselves(params))[0]).min() > 1


@pytest.mark.parametrize("shape", [{"positions": "alibi"}, {"attention": ("dense", "banded:4")}, {"positions": "relative"}])
def test_models_that_count_distances_take_rows_of_one_answer(shape):
    config = replace(CONFIG, **shape)
    assert takes_forks(CONFIG) and not takes_forks(config)
    with pytest.raises(ValueError, match="where attention is dense and causal"):
        fork_logprobs({}, config, forked(COMPARISONS, tokenizer(), ROOM, 2, 20, 9), 0)
