"""The references are what they say: proper distributions, equal to a plain slow reading of the formulas, on the same bytes."""

import lzma
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.errors import UserError
from tenfold.evaluate import references as module
from tenfold.evaluate.references import END, OUTCOMES, START, NGram, order0, references, xz

TEXT = [
    "def add(a, b):\n    return a + b\n",
    "class A:\n    def add(self, other):\n        return self\n",
    "",
    "für alle é in été: print('é')\n" * 3,
    "import os\nimport sys\n\ndef main():\n    return os.sep\n",
] * 4
BYTES = [text.encode() for text in TEXT]
NGRAM = NGram.train(BYTES)
documents = st.lists(st.text(st.sampled_from("abc \né"), max_size=30).map(str.encode), min_size=1, max_size=8)


def grams_of(text: bytes, order: int):
    symbols = [START] * (order - 1) + list(text) + [END]
    return [tuple(symbols[i : i + order]) for i in range(len(symbols) - order + 1)]


def slow_probability(train: list[bytes], order: int, history: tuple, symbol: int) -> float:
    """Chen & Goodman's interpolated modified Kneser-Ney with dictionaries, straight from the formulas."""
    counts = Counter(gram for text in train for gram in grams_of(text, order))
    levels = {order: counts}
    for length in range(order - 1, 0, -1):
        levels[length] = Counter(gram[1:] for gram in levels[length + 1])
    p = 1 / OUTCOMES
    for length in range(1, order + 1):
        level = levels[length]
        n = [sum(c == k for c in level.values()) for k in range(5)]
        discounts = [0, 0.5, 1.0, 1.5]
        if all(n[1:]):
            y = n[1] / (n[1] + 2 * n[2])
            discounts = [0] + [min(max(k - (k + 1) * y * n[k + 1] / n[k], 0.1), k) for k in (1, 2, 3)]
        context = history[len(history) - (length - 1) :]
        following = {gram[-1]: c for gram, c in level.items() if gram[:-1] == context}
        if following:
            total = sum(following.values())
            freed = sum(discounts[min(c, 3)] for c in following.values())
            c = following.get(symbol, 0)
            p = (c - discounts[min(c, 3)]) / total + freed / total * p
    return p


@given(train=documents, context=st.binary(max_size=6) | st.text(st.sampled_from("abc \né"), max_size=6).map(str.encode))
@settings(max_examples=60, deadline=None)
def test_probabilities_sum_to_one_and_none_is_zero(train, context):
    p = NGram.train(train).probabilities(context)
    assert p.shape == (OUTCOMES,)
    assert abs(p.sum() - 1) < 1e-9
    assert (p > 0).all()


@given(context=st.sampled_from(b"".join(BYTES).split()).map(lambda word: word[:5]) | st.binary(max_size=5))
@settings(max_examples=60, deadline=None)
def test_it_sums_to_one_with_estimated_discounts(context):
    p = NGRAM.probabilities(context)
    assert abs(p.sum() - 1) < 1e-9 and (p > 0).all()


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_it_is_the_formula(order):
    ngram = NGram.train(BYTES, order)
    for context in (b"", b"d", b"def ", b"retur", b"zzzzz", "é".encode()):
        p = ngram.probabilities(context)
        history = tuple(([START] * (order - 1) + list(context))[len(context) :])
        for symbol in (ord("e"), ord(" "), 0, 255, END):
            assert p[symbol] == pytest.approx(slow_probability(BYTES, order, history, symbol), rel=1e-12)


def test_bits_are_the_sum_of_the_probabilities_and_the_end_is_paid():
    text = b"def x"
    expected = -sum(math.log2(NGRAM.probabilities(text[:i])[symbol]) for i, symbol in enumerate([*text, END]))
    assert NGRAM.bits([text]) == pytest.approx(expected, rel=1e-12)


def test_documents_do_not_run_into_each_other():
    apart = [b"def main", b"", b"import sys"]
    assert NGRAM.bits(apart) == pytest.approx(sum(NGRAM.bits([text]) for text in apart), rel=1e-12)
    assert NGRAM.bits(apart) == pytest.approx(NGRAM.bits(apart[::-1]), rel=1e-12)
    shuffled = NGram.train(BYTES[::-1])
    assert np.array_equal(shuffled.probabilities(b"def "), NGRAM.probabilities(b"def "))


@given(train=documents, block=st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_blocks_do_not_show(train, block):
    whole = NGram.train(train)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        parts = NGram.train(train)
    for a, b in zip(whole.orders, parts.orders, strict=True):
        assert np.array_equal(a.ngrams_U, b.ngrams_U) and np.array_equal(a.share_U, b.share_U)


def test_more_context_helps_on_text_with_structure():
    train, held_out = BYTES[:15], BYTES[15:]
    bits = [NGram.train(train, order).bits(held_out) for order in (1, 2, 3, 5)]
    assert bits == sorted(bits, reverse=True)


def test_untrained_it_knows_nothing():
    assert NGram.train([]).bits([b"abc"]) == pytest.approx(4 * math.log2(OUTCOMES))


def test_it_holds_the_edges_of_the_alphabet():
    """Bytes 0 and 255, the widest order's codes, and documents that look like padding are told apart."""
    ngram = NGram.train([b"\x00\x00\xff\xff" * 5, b"\x00"], order=7)
    p = ngram.probabilities(b"\x00\x00\xff\xff\x00\x00")
    assert p.argmax() == 255 and abs(p.sum() - 1) < 1e-9


def test_order0_is_the_entropy():
    assert order0(b"aaaa") == 0
    assert order0(b"abab") == pytest.approx(1)
    assert order0(bytes(range(256))) == pytest.approx(8)


def test_xz_is_the_size_of_the_file():
    text = b"".join(BYTES)
    assert xz(text) == 8 * len(lzma.compress(text, preset=9)) / len(text)
    assert lzma.decompress(lzma.compress(text, preset=9)) == text


def test_references_measure_the_same_bytes():
    held_out = TEXT[:5]
    said: list[str] = []
    figures = references((text for text in TEXT), held_out, said.append)
    joined = "".join(held_out).encode()
    assert figures["bytes"] == len(joined) and figures["documents"] == 5
    assert figures["order0"] == order0(joined) and figures["xz"] == xz(joined)
    assert figures["ngram5"] == NGram.train(BYTES).bits(BYTES[:5]) / len(joined)
    assert said


@pytest.mark.parametrize("held_out", [[], [""]])
def test_nothing_to_measure_is_refused(held_out):
    with pytest.raises(UserError, match="0 bytes"):
        references(TEXT, held_out)


def test_an_order_that_does_not_fit_is_refused():
    with pytest.raises(UserError, match="order is 8"):
        NGram.train(BYTES, 8)
