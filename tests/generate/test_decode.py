"""Decoding with a cache is scoring without one, a row does not know its neighbours, and nothing is compiled twice."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.errors import UserError
from tenfold.generate import decode as decoding
from tenfold.generate.decode import (
    Requests,
    admit,
    bucket,
    check_room,
    decode,
    decode_chunk,
    in_rows,
    padded,
    prefill_once,
    prepare_for_decode,
)
from tenfold.generate.sampling import row_keys
from tenfold.model.transformer import forward, logits


@partial(jax.jit, static_argnums=1)
def score(params, config, tokens_BT):
    return logits(params, config, forward(params, config, tokens_BT)[0])


def write(params, config, prompts, max_tokens, keys=None, **settings) -> np.ndarray:
    """All tokens, int32[B, up to max_tokens]."""
    params, config = prepare_for_decode(params, config)
    keys = row_keys(0, len(prompts)) if keys is None else keys
    requests = Requests.of(keys, **{"vocab": config.vocab, **settings})
    return np.concatenate(list(decode(params, config, prompts, requests, max_tokens)), 1)


def greedy_without_cache(params, config, prompt, count) -> list[int]:
    tokens = list(prompt)
    for _ in range(count):
        padded = np.zeros((1, config.context), np.int32)
        padded[0, : len(tokens)] = tokens
        tokens.append(int(score(params, config, padded)[0, len(tokens) - 1].argmax()))
    return tokens[len(prompt) :]


PROMPTS = [[5, 9, 200], [7], list(range(40, 61)), [1, 2, 3, 4, 5, 6, 7]]


@pytest.mark.parametrize("attention", [("dense",), ("banded:5",), ("dense", "banded:5")], ids=" ".join)
@pytest.mark.parametrize("scan", [False, True], ids=["unrolled", "scanned"])
def test_greedy_is_the_argmax_of_scoring_step_by_step(tiny, noisy_params, attention, scan):
    """Prompts of four lengths at once, more tokens than a chunk holds, each against rows scored alone and without a cache."""
    config = tiny(attention=attention, scan=scan, layers=4 if scan else 2)
    params = noisy_params(config)
    found = write(params, config, PROMPTS, 37)
    assert found.shape == (4, 37)
    for prompt, row in zip(PROMPTS, found, strict=True):
        assert row.tolist() == greedy_without_cache(params, config, prompt, 37)


def test_dilated_layers_write_what_scoring_says_across_segments(tiny, noisy_params):
    """Prompts of four lengths, padded to one bucket, in a cache that has no room for the padding."""
    config = tiny(attention=("dilated:6x1,20x3,64x5",), layers=1)
    params = noisy_params(config)
    for prompt, row in zip(PROMPTS, write(params, config, PROMPTS, 20), strict=True):
        assert row.tolist() == greedy_without_cache(params, config, prompt, 20)


def test_bf16_decoding_follows_bf16_scoring(tiny, noisy_params):
    """Each token that decoding chose is, by scoring without a cache, within rounding of the likeliest."""
    config = tiny(dtype="bfloat16")
    params = noisy_params(config)
    for prompts in (PROMPTS[:1], PROMPTS):
        found = write(params, config, prompts, 30)
        for prompt, row in zip(prompts, found.tolist(), strict=True):
            padded = np.zeros((1, config.context), np.int32)
            padded[0, : len(prompt) + 30] = [*prompt, *row]
            scores = np.asarray(score(params, config, padded))[0, len(prompt) - 1 : len(prompt) + 29]
            lost = scores.max(-1) - np.take_along_axis(scores, np.array(row)[:, None], 1)[:, 0]
            assert lost.max() <= 0.03 * scores.std(), lost


@pytest.mark.parametrize("settings", [{"temperature": 1.0}, {"temperature": 0.7, "top_k": 20}, {"temperature": 1.2, "top_p": 0.8}], ids=str)
def test_a_row_does_not_know_its_neighbours(tiny, noisy_params, settings):
    """Row 2 of a batch of prompts of other lengths writes what it writes alone, with the same key."""
    config = tiny(attention=("dense", "banded:5"))
    params, keys = noisy_params(config), row_keys(11, 4)
    together = write(params, config, PROMPTS, 30, keys, **settings)
    for row in range(4):
        alone = write(params, config, [PROMPTS[row]], 30, keys[row : row + 1], **settings)
        assert alone[0].tolist() == together[row].tolist()
    assert together[0].tolist() != write(params, config, PROMPTS, 30, row_keys(12, 4), **settings)[0].tolist()


def test_equal_prompts_in_one_call_get_different_texts(tiny, noisy_params):
    config = tiny()
    found = write(noisy_params(config), config, [[5, 9]] * 3, 20, temperature=1.0)
    assert len({tuple(row) for row in found.tolist()}) == 3


def test_the_last_position_is_reached(tiny, noisy_params):
    """A prompt of 3 and 61 new tokens fill a context of 64; so do 63 and 1."""
    config = tiny()
    params = noisy_params(config)
    assert write(params, config, [PROMPTS[0]], 61)[0].tolist() == greedy_without_cache(params, config, PROMPTS[0], 61)
    long = np.random.default_rng(0).integers(0, config.vocab, 63).tolist()
    assert write(params, config, [long], 1)[0].tolist() == greedy_without_cache(params, config, long, 1)


def test_ids_the_tokenizer_lacks_are_never_written(tiny, noisy_params):
    """The table has 300 rows, the tokenizer 40 tokens."""
    config = tiny()
    params = noisy_params(config)
    for settings in ({}, {"temperature": 2.0}):
        assert write(params, config, PROMPTS, 40, **settings).max() >= 40
        assert write(params, config, PROMPTS, 40, vocab=40, **settings).max() < 40


def test_decoding_ends_when_all_rows_are_done(tiny, noisy_params):
    """With a token of its own for end_of_text, a lone row ends there, and with another goes on until both are done."""
    config = tiny()
    params, prompts, keys = noisy_params(config), PROMPTS[:2], row_keys(0, 2)
    rows = write(params, config, prompts, 60, keys, temperature=1.0).tolist()
    end = next(t for t in rows[0][3:] if t not in rows[1] and t not in rows[0][:3])
    alone = write(params, config, prompts[:1], 60, keys[:1], temperature=1.0, end_of_text=end)
    assert alone[0].tolist() == rows[0][: rows[0].index(end) + 1]
    assert write(params, config, prompts, 60, keys, temperature=1.0, end_of_text=end)[1].tolist() == rows[1]


def test_the_caller_can_end_a_row(tiny, noisy_params):
    config = tiny()
    params, config = prepare_for_decode(noisy_params(config), config)
    requests, done_B, written = Requests.of(row_keys(0, 2), vocab=config.vocab), np.zeros(2, bool), 0
    for tokens_BC in decode(params, config, PROMPTS[:2], requests, 60, done_B):
        written += tokens_BC.shape[1]
        done_B[:] = written > 1
    assert written == 1 + decoding.CHUNK


def test_nothing_is_compiled_again_for_the_same_buckets(tiny, noisy_params):
    """Other lengths, settings and numbers of tokens run what is compiled; a prompt of a larger bucket compiles once more."""
    config = tiny(context=512)
    params = noisy_params(config)

    def programs():
        return decoding.prefill._cache_size(), decoding.decode_chunk._cache_size()

    write(params, config, [[1] * 20, [2] * 30], 40)
    warm = programs()
    for lengths, count, settings in (((17, 32), 40, {}), ((3, 25), 50, {"temperature": 0.5, "top_p": 0.5}), ((32, 32), 33, {"top_k": 3})):
        write(params, config, [[1] * n for n in lengths], count, **settings)
    assert programs() == warm
    write(params, config, [[1] * 200, [2]], 40)
    assert programs() == (warm[0] + 1, warm[1] + 1)


def test_preparing_twice_changes_nothing(tiny, noisy_params):
    config = tiny(dtype="bfloat16", scan=True, layers=4)
    once = prepare_for_decode(noisy_params(config), config)
    twice = prepare_for_decode(*once)
    assert twice[1] == once[1]
    assert jax.tree.structure(once[0]) == jax.tree.structure(twice[0])
    assert all(a.dtype == b.dtype and jnp.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (once[0], twice[0])), strict=True))


def test_eight_bits_give_nearly_the_same_logits(tiny, noisy_params):
    """None is off by a fifth of their spread; and preparing twice changes nothing."""
    for shape in ({}, {"gated": True, "activation": "silu", "norm": "rms", "mlp_bias": False}):
        config = tiny(**shape)
        params = noisy_params(config)
        tokens_BT = np.random.default_rng(0).integers(0, config.vocab, (3, 12)).astype(np.int32)
        small, small_config = prepare_for_decode(params, config, "int8")
        assert prepare_for_decode(small, small_config, "int8")[0] is small
        assert small["head"].values_NM.dtype == small["blocks"][0]["mlp"]["down"].values_NM.dtype == jnp.int8

        exact, found = (np.asarray(score(p, c, tokens_BT)) for p, c in ((params, config), (small, small_config)))
        assert 0 < np.abs(found - exact).max() < 0.2 * exact.std()


@pytest.mark.parametrize("rows", [1, 3])
def test_decoding_in_eight_bits_agrees_with_scoring_in_eight_bits(tiny, noisy_params, rows):
    config = tiny()
    params, config = prepare_for_decode(noisy_params(config), config, "int8")
    requests = Requests.of(row_keys(0, rows), vocab=config.vocab)
    written = np.concatenate(list(decode(params, config, PROMPTS[:rows], requests, 8)), 1)
    for prompt, tokens in zip(PROMPTS[:rows], written, strict=True):
        for n, token in enumerate(tokens.tolist()):
            padded = np.zeros((1, config.context), np.int32)
            padded[0, : len(prompt) + n] = [*prompt, *tokens[:n].tolist()]
            logits_V = np.asarray(score(params, config, padded))[0, len(prompt) + n - 1]
            assert logits_V[token] >= logits_V.max() - 1e-4


def test_buckets_are_few_and_close():
    sizes = {bucket(n, 2048) for n in range(1, 2049)}
    assert len(sizes) <= 16 and max(sizes) == 2048
    assert all(n <= bucket(n, 2048) <= max(16, 1.5 * n) for n in range(1, 2049))
    assert bucket(100, 100) == 100
    assert [bucket(n, 2048, least=64, steps=8) for n in (1, 65, 80, 144, 1000)] == [64, 80, 80, 144, 1024]


def test_a_prompt_that_leaves_no_room_is_refused_with_the_arithmetic(tiny):
    with pytest.raises(UserError, match=r"prompt 2 of 2 has 50 tokens and max_tokens is 20: 50 \+ 20 = 70 positions.* 64 .*\n.*14 or less"):
        check_room(tiny(), [3, 50], 20)
    with pytest.raises(UserError, match="the prompt has 64 tokens.*\n.*at most 63"):
        check_room(tiny(), [64], 1)
    check_room(tiny(), [3, 50], 14)


@pytest.mark.parametrize("attention", [("dense",), ("banded:5",), ("dilated:6x1,20x3,64x5",)], ids=" ".join)
def test_rows_that_share_prompts_and_take_turns_write_what_they_write_alone(tiny, noisy_params, attention):
    """Prompts are read once, rows go on from them, and one makes room for another: each as a row that reads its prompt for itself."""
    config = tiny(attention=attention, layers=1)
    params = noisy_params(config)
    keys = row_keys(7, 5)
    expected = write(params, config, [PROMPTS[0], PROMPTS[2], PROMPTS[0], PROMPTS[1], PROMPTS[3]], 9, keys, temperature=1.0)
    weights, decoding_config = prepare_for_decode(params, config)

    def written(state, keys_B, count):
        requests = Requests.of(keys_B, temperature=1.0, vocab=config.vocab)
        state, tokens, _, new = decode_chunk(weights, decoding_config, state, requests, count)
        assert int(new) == count
        return state, np.asarray(tokens)[:, :count]

    ahead = prefill_once(weights, decoding_config, 64, padded(PROMPTS, 32), np.array([len(prompt) for prompt in PROMPTS], np.int32))
    state, first = written(in_rows(ahead, np.array([0, 2, 0])), keys[:3], 4)
    state = admit(state, ahead, np.array([1, 0, 3]), np.array([True, False, True]))
    _, second = written(state, keys[np.array([3, 1, 4])], 5)
    np.testing.assert_array_equal(first, expected[:3, :4])
    np.testing.assert_array_equal(second[1], expected[1, 4:9])
    np.testing.assert_array_equal(second[[0, 2]], expected[3:, :5])
