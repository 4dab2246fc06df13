"""Prompts to tokens: texts by the tokenizer alone, messages by a chat template, as `tenfold align sft` and `generate --chat` make them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tenfold.align.chat import Chat
from tenfold.align.prompts import Example, messages_of
from tenfold.align.templates import find_template
from tenfold.errors import UserError
from tenfold.tokens.tokenizer import Tokenizer


@dataclass(frozen=True)
class Reader:
    """What a policy reads prompts with, and what its completions end with."""

    tokenizer: Tokenizer
    chat: Chat | None = None
    """Where prompts are messages."""

    @property
    def vocab(self) -> int:
        return self.tokenizer.vocab

    @property
    def end_of_text(self) -> int:
        """The id that ends a completion: in chats that with which the assistant ends its turn."""
        return self.chat.stop if self.chat else self.tokenizer.end_of_text

    def encode(self, text: str) -> list[int]:
        """A plain text's ids."""
        return self.tokenizer.encode(text)

    def prompt(self, example: Example) -> list[int]:
        """An example's ids, up to where the completion begins; an empty text is the beginning of a document."""
        messages = messages_of(example)
        if messages is None:
            return self.tokenizer.encode(example["prompt"]) or [self.tokenizer.end_of_text]
        assert self.chat is not None  # make_reader has seen to it
        return self.chat.prompt(messages)

    def decode(self, ids: Iterable[int]) -> str:
        return self.tokenizer.decode(ids)

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        return self.tokenizer.decode_bytes(ids)


def make_reader(examples: Sequence[Example], tokenizer: Tokenizer, template: str, own: str | None, whose: str) -> Reader:
    """For texts, or for messages by the chat template of that name (empty: `own`, that of the model `whose`).

    Raises UserError where some prompts are texts and others messages, and where there is no template.
    """
    texts = [example for example in examples if messages_of(example) is None]
    if len(texts) == len(examples):
        if template:
            raise UserError(
                f"chat.template is {template!r}, but all prompts are texts, which no template is put around.\n"
                '  Give each prompt as messages: [{"role": "user", "content": ...}].'
            )
        return Reader(tokenizer)
    if texts:
        raise UserError(
            f"the prompt {texts[0]['prompt'][:60]!r} is a text, and others are messages: they end with different tokens.\n"
            '  Give all prompts as messages: [{"role": "user", "content": ...}].'
        )
    return Reader(tokenizer, Chat(find_template(template or "model", own, whose), tokenizer))
