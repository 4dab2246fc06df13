"""Requests as tokens: what the model reads, and what it is asked for after which of them.

A context and its continuation are cut where lm-evaluation-harness cuts them (`_encode_pair` of its TemplateLM): white space at the end of
the context goes to the continuation, and the continuation's tokens are those of both together after as many as the context has alone.
Texts longer than the model's context are read in windows as its `get_rolling_token_windows` makes them with one token of context.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from tenfold.errors import UserError
from tenfold.evaluate.requests import Continuation


class BatchTokenizer(Protocol):
    """What measuring needs of a tokenizer; `tokens.tokenizer.Tokenizer` is one."""

    @property
    def vocab(self) -> int: ...
    @property
    def end_of_text(self) -> int: ...
    def encode(self, text: str) -> list[int]: ...
    def encode_batch(self, texts: list[str]) -> list[list[int]]: ...
    def decode_bytes(self, ids: Sequence[int]) -> bytes: ...


class Path(NamedTuple):
    """Tokens from a document's beginning, or from as far back as the model reads."""

    tokens: tuple[int, ...]
    targets: tuple[int, ...]
    """What comes after each of the last tokens; at most as many as those."""


class Asked(NamedTuple):
    """The paths of one request."""

    paths: list[Path]
    cut: int
    """Tokens at the left of its context that there was no room for."""


def asked(tokenizer: BatchTokenizer, requests: Sequence[Continuation], room: int) -> list[Asked]:
    """The paths of continuations for a model that reads `room` tokens; an empty context is an end_of_text.

    Raises UserError for a continuation of which no token is left.
    """
    halves = [moved(request.context, request.text) for request in requests]
    contexts = sorted({context for context, _ in halves if context})
    known = dict(zip(contexts, tokenizer.encode_batch(contexts), strict=True))
    whole = tokenizer.encode_batch([context + text for context, text in halves])
    found = []
    for request, (context, _), ids in zip(requests, halves, whole, strict=True):
        before = known.get(context) or []
        targets = ids[len(before) :]
        if not targets:
            raise UserError(_nothing(request))
        found.append(_paths(before or [tokenizer.end_of_text], targets, room))
    return found


def asked_of_texts(tokenizer: BatchTokenizer, texts: Sequence[str], room: int) -> list[Asked]:
    """The paths of whole documents, each after an end_of_text. Raises UserError for a text without tokens."""
    found = []
    for text, ids in zip(texts, tokenizer.encode_batch(list(texts)), strict=True):
        if not ids:
            raise UserError(f"the text {text!r} has no tokens, so it has no likelihood.\n  Leave it out.")
        found.append(Asked(list(windows(tokenizer.end_of_text, ids, room)), 0))
    return found


def moved(context: str, text: str) -> tuple[str, str]:
    """The context without the white space at its end, which now begins the continuation."""
    kept = context.rstrip()
    return kept, context[len(kept) :] + text


def windows(before: int, ids: Sequence[int], room: int) -> Iterator[Path]:
    """Paths that together ask for each of `ids` once, the first after the token `before`; each reads at most `room` tokens.

    Each but the last asks for all that it reads room for; the last reads as much as it can.
    """
    line = [before, *ids]
    for start in range(0, len(ids), room):
        end = min(start + room, len(ids))
        yield Path(tuple(line[max(0, end - room) : end]), tuple(ids[start:end]))


def _paths(before: Sequence[int], targets: Sequence[int], room: int) -> Asked:
    if len(targets) > room:
        return Asked(list(windows(before[-1], targets, room)), len(before) - 1)
    read = [*before, *targets][:-1]
    cut = max(0, len(read) - room)
    return Asked([Path(tuple(read[cut:]), tuple(targets))], cut)


def _nothing(request: Continuation) -> str:
    if not request.text:
        return f"the continuation after {request.context[-40:]!r} is empty, so it has no likelihood.\n  Give it a text."
    return (
        f"the continuation {request.text[:40]!r} has no token of its own after {request.context[-40:]!r}: the tokenizer joins them.\n"
        "  Begin it with a space, or end the context where a word ends."
    )
