"""Three references that put a model's bits per byte in proportion, computed on the very bytes the model is measured on.

The bytes are each held-out document in UTF-8; every figure is bits divided by their number, and nothing else is counted as a byte.

How a document's end is paid for. The model predicts end-of-text after each document and those bits count in its sum. The n-gram
does the same: it predicts an end symbol (the 257th outcome) after each document's last byte, and starts each document knowing only
that one starts, so documents never run into each other. Order 0 and xz see the documents concatenated without a mark between them:
they get the ends for nothing, a favour of a few bits a document. Neither of them has seen the training documents; the n-gram has.

Shapes: N symbols in a text, U distinct n-grams of an order, C distinct contexts of an order.
Source: Chen & Goodman 1998, "An Empirical Study of Smoothing Techniques for Language Modeling", §3 (interpolated modified Kneser-Ney).
"""

import lzma
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from tenfold.errors import UserError

END, START = 256, 257  # symbols after the 256 bytes; START is only ever context
OUTCOMES = 257  # what can come next: a byte or the end
BITS = 9  # a symbol's place in a code: five of them fit in 45 bits of a uint64
BLOCK = 1 << 22  # bytes counted at a time: bounds memory, and sorts of this size stay fast


def references(train: Iterable[str], held_out: list[str], progress: Callable[[str], None] | None = None) -> dict[str, float | int]:
    """Bits per byte of each reference: {"order0", "xz", "ngram5", "bytes", "documents"}; the last two count the held-out documents.

    `train` is read once, in order, and may be a generator. `progress` is told in words what is being measured.
    Raises UserError when the held-out documents hold no bytes: bits per byte would divide by zero.
    """
    say = progress or (lambda words: None)
    documents = [text.encode() for text in held_out]
    joined = b"".join(documents)
    if not joined:
        raise UserError(f"the {len(documents)} held-out documents hold 0 bytes, so bits per byte means nothing: give more documents")
    say("order-0 entropy and xz -9 of the held-out text")
    figures: dict[str, float | int] = {"order0": order0(joined), "xz": xz(joined)}
    say("byte 5-gram: counting the training documents")
    ngram = NGram.train(text.encode() for text in train)
    say("byte 5-gram: scoring the held-out documents")
    figures["ngram5"] = ngram.bits(documents) / len(joined)
    return figures | {"bytes": len(joined), "documents": len(documents)}


def order0(held_out: bytes) -> float:
    """Entropy of the text's own byte histogram, in bits a byte: no code that looks at one byte at a time can beat it here."""
    if not held_out:
        raise UserError("the held-out text is 0 bytes long: give more documents")
    counts = np.bincount(np.frombuffer(held_out, np.uint8))
    shares = counts[counts > 0] / len(held_out)
    return float(max(0.0, -(shares * np.log2(shares)).sum()))


def xz(held_out: bytes) -> float:
    """Size of `xz -9` of the text, in bits a byte: container and checksum included, primed with nothing."""
    if not held_out:
        raise UserError("the held-out text is 0 bytes long: give more documents")
    return 8 * len(lzma.compress(held_out, preset=9)) / len(held_out)


@dataclass(frozen=True)
class Order:
    """One order of the model: everything needed to score n-grams of this length, given the order below.

    p(w | h) = max(count(hw) - discount, 0) / total(h) + backoff(h) * p(w | h without its oldest symbol); a context never seen leaves
    the order below as it is. Sorted codes, so a lookup is a binary search.
    """

    ngrams_U: np.ndarray  # uint64 codes, ascending
    share_U: np.ndarray  # float64, (count - discount) / total of its context
    contexts_C: np.ndarray  # uint64 codes, ascending
    backoff_C: np.ndarray  # float64, the mass the discounts freed: what the order below shares out


@dataclass(frozen=True)
class NGram:
    """A byte n-gram with back-off: interpolated modified Kneser-Ney. A proper distribution over 257 outcomes in any context.

    Kneser-Ney rather than absolute discounting on raw counts: it is the stronger reference. On Python 3.11's standard library (30 MB to
    learn from, 1.3 MB held out) order 5 gives 1.709 bits per byte against 1.765.
    """

    orders: tuple[Order, ...]  # unigrams first

    @classmethod
    def train(cls, documents: Iterable[bytes], order: int = 5) -> "NGram":
        """Counts the documents' n-grams. Memory grows with the distinct n-grams, not with the text.

        The highest order counts occurrences; each lower one counts the distinct symbols seen before its n-grams (Kneser-Ney).
        Raises UserError for an order outside 1..7 (seven symbols fill a 64-bit code).
        """
        if not 1 <= order <= 7:
            raise UserError(f"n-gram order is {order}: give 1 to 7")
        ngrams_U, counts_U = _count(documents, order)
        orders = [_order(ngrams_U, counts_U)]
        for length in range(order - 1, 0, -1):
            ngrams_U, counts_U = _tally(ngrams_U & np.uint64((1 << BITS * length) - 1))
            orders.append(_order(ngrams_U, counts_U))
        return cls(tuple(reversed(orders)))

    def bits(self, documents: Iterable[bytes]) -> float:
        """Bits to write the documents down, each with its end symbol."""
        return float(sum(-np.log2(self._probabilities(codes_N)).sum() for codes_N in _codes(documents, len(self.orders))))

    def probabilities(self, context: bytes) -> np.ndarray:
        """float64[257]: what comes next, after `context` at the start of a document; the last entry is the document's end."""
        length = len(self.orders)
        history = ([START] * (length - 1) + list(context))[len(context) :]
        code = 0
        for symbol in history:
            code = code << BITS | symbol
        return self._probabilities(np.uint64(code << BITS) | np.arange(OUTCOMES, dtype=np.uint64))

    def _probabilities(self, codes_N: np.ndarray) -> np.ndarray:
        """float64[N]: the probability of each code's last symbol given the symbols before it in the code."""
        p_N = np.full(len(codes_N), 1 / OUTCOMES)
        for length, order in enumerate(self.orders, start=1):
            grams_N = codes_N & np.uint64((1 << BITS * length) - 1)
            p_N *= _lookup(order.contexts_C, order.backoff_C, grams_N >> np.uint64(BITS), missing=1.0)
            p_N += _lookup(order.ngrams_U, order.share_U, grams_N, missing=0.0)
        return p_N


def _order(ngrams_U: np.ndarray, counts_U: np.ndarray) -> Order:
    if not len(ngrams_U):
        return Order(ngrams_U, np.zeros(0), ngrams_U, np.zeros(0))
    discounts_U = _discounts(counts_U)[np.minimum(counts_U, 3)]
    histories_U = ngrams_U >> np.uint64(BITS)
    starts_C = np.flatnonzero(np.concatenate(([True], histories_U[1:] != histories_U[:-1])))
    totals_C = np.add.reduceat(counts_U, starts_C)
    backoff_C = np.add.reduceat(discounts_U, starts_C) / totals_C
    group_U = np.repeat(np.arange(len(starts_C)), np.diff(starts_C, append=len(ngrams_U)))
    return Order(ngrams_U, (counts_U - discounts_U) / totals_C[group_U], histories_U[starts_C], backoff_C)


def _discounts(counts_U: np.ndarray) -> np.ndarray:
    """float64[4]: what to take from counts of 0, 1, 2, and 3 or more (Chen & Goodman eq. 26).

    The estimate needs n-grams seen once to four times; where those are lacking (unigrams, tiny texts) it is half the count.
    """
    n1, n2, n3, n4 = (int((counts_U == k).sum()) for k in (1, 2, 3, 4))
    if not all((n1, n2, n3, n4)):
        return np.array([0.0, 0.5, 1.0, 1.5])
    y = n1 / (n1 + 2 * n2)
    estimates = np.array([0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    # A little must always be left for what was never seen, or its cost would be infinite.
    return np.clip(estimates, [0.0, 0.1, 0.1, 0.1], [0.0, 1.0, 2.0, 3.0])


def _count(documents: Iterable[bytes], order: int) -> tuple[np.ndarray, np.ndarray]:
    """Distinct n-gram codes uint64[U], ascending, and their occurrences int64[U]."""
    ngrams_U, counts_U = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    for codes_N in _codes(documents, order):
        more_U, more_counts_U = _tally(codes_N)
        both = np.concatenate((ngrams_U, more_U))
        by_code = np.argsort(both, kind="stable")
        both, weights = both[by_code], np.concatenate((counts_U, more_counts_U))[by_code]
        starts_U = np.flatnonzero(np.concatenate(([True], both[1:] != both[:-1])))
        ngrams_U, counts_U = both[starts_U], np.add.reduceat(weights, starts_U)
    return ngrams_U, counts_U


def _tally(codes_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not len(codes_N):
        return codes_N, np.zeros(0, np.int64)
    sorted_N = np.sort(codes_N)
    starts_U = np.flatnonzero(np.concatenate(([True], sorted_N[1:] != sorted_N[:-1])))
    return sorted_N[starts_U], np.diff(starts_U, append=len(sorted_N))


def _codes(documents: Iterable[bytes], order: int) -> Iterator[np.ndarray]:
    """uint64[N] blocks: a code for each byte and each end, its last `order` symbols packed with the newest lowest.

    A document of n bytes gives n + 1 codes; the symbols before its first byte are all START.
    """
    for block in _blocks(documents):
        lengths = np.array([len(document) for document in block], np.int64)
        gap = order  # an END and order - 1 STARTs between one document's last byte and the next one's first
        ends = np.cumsum(lengths + gap) - gap + (order - 1)
        symbols_N = np.frombuffer(bytes(order - 1) + bytes(gap).join(block) + b"\0", np.uint8).astype(np.uint16)
        symbols_N[: order - 1] = START
        for place in range(1, gap):
            symbols_N[ends[:-1] + place] = START
        symbols_N[ends] = END
        count = len(symbols_N) - (order - 1)
        codes_N = np.zeros(count, np.uint64)
        for place in range(order):
            codes_N <<= np.uint64(BITS)
            codes_N |= symbols_N[place : place + count]
        yield codes_N[symbols_N[order - 1 :] != START]


def _blocks(documents: Iterable[bytes]) -> Iterator[list[bytes]]:
    block: list[bytes] = []
    size = 0
    for document in documents:
        block.append(document)
        size += len(document)
        if size >= BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block


def _lookup(keys_U: np.ndarray, values_U: np.ndarray, wanted_N: np.ndarray, missing: float) -> np.ndarray:
    """values_U[i] where keys_U[i] is wanted, `missing` where none is. keys_U ascends."""
    if not len(keys_U):
        return np.full(len(wanted_N), missing)
    at_N = np.minimum(np.searchsorted(keys_U, wanted_N), len(keys_U) - 1)
    return np.where(keys_U[at_N] == wanted_N, values_U[at_N], missing)
