"""Conversations to tokens, and which of these the assistant writes: ids and masks as transformers' apply_chat_template gives them.

A template's own control tokens become their ids; their names in what people wrote stay text. Each piece between two marks is encoded by
itself, so that what is trained on begins with just the tokens that a prompt ends with. (transformers encodes the whole, and trains on a
token that lies across a mark; with a control token or a line's end before the mark, as is usual, both give the same.)
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from tenfold.align.templates import BEGIN, BREAK, END, MARKS, Message, Template, built_in
from tenfold.errors import UserError
from tenfold.tokens.tokenizer import Tokenizer

BEGINNINGS = ("<|begin_of_text|>", "<s>", "<bos>", "<|startoftext|>", "[BOS]")
"""Names of the control token that begins a text, `bos_token`, in the families that have one."""
QUESTION, ANSWER = "question", "answer"
ASKED: list[Message] = [{"role": "user", "content": QUESTION}]
ANSWERED: list[Message] = [*ASKED, {"role": "assistant", "content": ANSWER}]


class Encoded(NamedTuple):
    """A conversation's tokens."""

    ids: list[int]
    trained: list[bool]
    """Which of them the assistant writes, the one that ends its turn among them."""


@dataclass(frozen=True)
class Chat:
    """A template and a tokenizer: conversations to tokens."""

    template: Template
    tokenizer: Tokenizer

    def encode(self, messages: Sequence[Message]) -> Encoded:
        """A whole conversation."""
        ids: list[int] = []
        trained: list[bool] = []
        for number, (text, written) in enumerate(pieces(self._text(messages))):
            found = self._ids(text, number == 0)
            ids += found
            trained += [written] * len(found)
        return Encoded(ids, trained)

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """The conversation so far, ready for the assistant to write."""
        ids: list[int] = []
        for number, (text, _) in enumerate(pieces(self._text(messages, ask=True))):
            ids += self._ids(text, number == 0)
        return ids

    def _text(self, messages: Sequence[Message], ask: bool = False) -> str:
        for message in messages:
            if any(mark in message["content"] for mark in MARKS):
                raise UserError(
                    f"a message of the {message['role']} holds one of U+FDD0 to U+FDD2, which Unicode keeps for programs' own use.\n"
                    "  Remove it: it is not text."
                )
        broken = [{**message, "content": self._controls.sub(_break, message["content"])} for message in messages]
        return self.template.text(broken, self._words, ask)

    def _ids(self, text: str, first: bool) -> list[int]:
        """A piece's ids; `first`: nothing stands before it."""
        ids: list[int] = []
        for number, part in enumerate(self._broken.split(text)):
            if number % 2:  # the name of a control token that a person wrote
                ids += self._inside(self.tokenizer.encode, part.replace(BREAK, ""), first and not ids)
                continue
            for bit in filter(None, part.split(BREAK)):
                ids += self._inside(self.tokenizer.encode_controlled, bit, first and not ids)
        return ids

    def _inside(self, encode: Callable[[str], list[int]], text: str, first: bool) -> list[int]:
        if first or self.tokenizer.byte_level:
            return encode(text)
        # SentencePiece puts a space before a text, so one in the middle is encoded after something that goes away again.
        before, both = encode("\n"), encode("\n" + text)
        return both[len(before) :] if both[: len(before)] == before else encode(text)

    @cached_property
    def _names(self) -> list[str]:
        return sorted((name for name in self.tokenizer.control_tokens if len(name) > 1), key=len, reverse=True)

    @cached_property
    def _controls(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, self._names)))

    @cached_property
    def _broken(self) -> re.Pattern[str]:
        """The names as `_break` leaves them."""
        return re.compile("(" + "|".join(f"{re.escape(name[0])}{BREAK}{re.escape(name[1:])}" for name in self._names) + ")")

    @cached_property
    def _words(self) -> Mapping[str, str]:
        controls = self.tokenizer.control_tokens
        end = next(name for name, id in controls.items() if id == self.tokenizer.end_of_text)
        return {"bos_token": next((name for name in BEGINNINGS if name in controls), ""), "eos_token": end}

    @cached_property
    def stop(self) -> int:
        """The id with which the assistant ends its turn: the first control token after an answer, or the end of text."""
        text = "".join(piece for piece, _ in pieces(self._text(ANSWERED)))
        found = self._controls.search(text.rpartition(ANSWER)[2])
        return self.tokenizer.control_tokens[found[0]] if found else self.tokenizer.end_of_text

    def check_trains(self) -> None:
        """Raises UserError where the template does not mark what the assistant writes, where this has no end that is a control token (a
        model would never learn to stop), or where asking for an answer is not how an answered conversation begins."""
        text, name = self._text(ANSWERED), self.template.name
        written = [piece for piece, trained in pieces(text) if trained]
        others = ", ".join(other for other in built_in() if other != name)
        mend = f"  Take one of {others} with --template, or a Jinja file"
        if not written:
            raise UserError(
                f"the chat template {name} does not mark what the assistant writes, so nothing says what to train on.\n"
                f"{mend} that has {{% generation %}} and {{% endgeneration %}} around it."
            )
        prompt, before = self._text(ASKED, ask=True), text[: text.index(BEGIN)]
        if prompt != before:
            raise UserError(
                f"the chat template {name} asks for an answer with {prompt[-40:]!r}, but before an answer that is trained on it writes "
                f"{before[-40:]!r}: a model would be asked what it never saw.\n{mend} that writes the same."
            )
        end = written[-1].rpartition(ANSWER)[2]
        if not self._controls.search(end):
            raise UserError(
                f"the chat template {name} lets the assistant end with {end!r}, which is no control token of this tokenizer "
                f"({', '.join(self.tokenizer.control_tokens)}): a model would never learn to stop.\n"
                f"{mend} that ends what the assistant writes with one."
            )


@dataclass(frozen=True)
class ChatTokenizer:
    """The tokenizer of a conversation's next turn: a text is what the user says, and a completion what the assistant answers.

    `generate.generate` takes it for a tokenizer.
    """

    chat: Chat
    before: tuple[Message, ...] = ()
    """The conversation until then."""

    @property
    def vocab(self) -> int:
        return self.chat.tokenizer.vocab

    @property
    def end_of_text(self) -> int:
        return self.chat.stop

    def encode(self, text: str) -> list[int]:
        """The prompt's ids, template and all."""
        return self.chat.prompt([*self.before, {"role": "user", "content": text}])

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        return self.chat.tokenizer.decode_bytes(ids)


def pieces(text: str) -> list[tuple[str, bool]]:
    """A template's text cut at its marks: (piece, whether the assistant writes it), empty ones left out."""
    found = []
    for number, part in enumerate(re.split(f"[{BEGIN}{END}]", text)):
        if part:
            found.append((part, number % 2 == 1))
    return found


def _break(found: re.Match[str]) -> str:
    return found[0][0] + BREAK + found[0][1:]
