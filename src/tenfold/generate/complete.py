"""`generate`: prompts in, completions out."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from tenfold.errors import UserError
from tenfold.generate.config import GenerateConfig, Weights
from tenfold.generate.decode import Requests, decode, prepare_for_decode
from tenfold.generate.sampling import row_keys
from tenfold.generate.text import TextStream
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params

FinishReason = Literal["stop", "length", "end_of_text"]
Prepare = Callable[[Params, ModelConfig, Weights], tuple[Params, ModelConfig]]


class TextTokenizer(Protocol):
    """What decoding needs of a tokenizer; `tokens.tokenizer.Tokenizer` is one."""

    @property
    def vocab(self) -> int: ...
    @property
    def end_of_text(self) -> int: ...
    def encode(self, text: str) -> list[int]: ...
    def decode_bytes(self, ids: Sequence[int]) -> bytes: ...


@dataclass(frozen=True)
class Completion:
    """What the model wrote after one prompt."""

    text: str
    """Without the prompt, without the stop string, and in whole characters."""
    tokens: list[int]
    """Every token drawn but end_of_text; where a stop string ended the text, up to the token that completed it."""
    finish_reason: FinishReason


@dataclass
class Row:
    """One completion while it is written."""

    tokenizer: TextTokenizer
    stream: TextStream
    listen: Callable[[str], None]
    pieces: list[str] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    finish_reason: FinishReason | None = None

    def add(self, tokens: Sequence[int]) -> None:
        """Takes new tokens, up to the one that ends this row."""
        for token in tokens:
            if self.finish_reason is not None:
                return
            if token >= self.tokenizer.vocab:
                raise UserError(
                    "the model's logits are NaN: its weights are damaged or its training diverged.\n  Use an earlier checkpoint."
                )
            if token == self.tokenizer.end_of_text:
                self.finish("end_of_text")
                return
            self.tokens.append(token)
            self.say(self.stream.push(self.tokenizer.decode_bytes([token])))
            if self.stream.stopped:
                self.finish("stop")

    def finish(self, reason: FinishReason) -> None:
        self.finish_reason = reason
        self.say(self.stream.finish())

    def say(self, piece: str) -> None:
        if piece:
            self.pieces.append(piece)
            self.listen(piece)


def generate(
    params: Params,
    config: ModelConfig,
    tokenizer: TextTokenizer,
    prompts: Sequence[str],
    *,
    max_tokens: int = 64,
    temperature: float = 0.8,
    top_k: int = 0,
    top_p: float = 1.0,
    stop: str | Sequence[str] = (),
    seed: int = 0,
    weights: Weights = "as trained",
    on_text: Callable[[int, str], None] | None = None,
    prepare: Prepare = prepare_for_decode,
) -> list[Completion]:
    """A completion of each prompt; all are written at once. `on_text(row, piece)` gets the text as it becomes certain.

    Row r draws with the key fold_in(fold_in(key(seed), r), position): its text depends on the seed, its number and its own prompt, not
    on its neighbours. An empty prompt starts from end_of_text, the beginning of a new document. `prepare` is for callers who keep what it
    gives. Raises UserError naming the setting.
    """
    if isinstance(prompts, str):
        raise UserError(f"prompts is one text, {prompts!r}, but must be a list of texts.\n  Use [{prompts!r}].")
    check_decodes(config)
    asked = GenerateConfig(max_tokens, temperature, top_k, top_p, stop if isinstance(stop, str) else tuple(stop), seed, weights)
    if tokenizer.vocab > config.vocab:
        raise UserError(f"the tokenizer has {tokenizer.vocab} tokens, but model.vocab is {config.vocab}: they are not from the same run.")
    if not prompts:
        return []
    params, config = prepare(params, config, asked.weights)
    ids = [tokenizer.encode(prompt) or [tokenizer.end_of_text] for prompt in prompts]
    requests = Requests.of(
        row_keys(asked.seed, len(ids)),
        temperature=asked.temperature,
        top_k=asked.top_k,
        top_p=asked.top_p,
        vocab=tokenizer.vocab,
        end_of_text=tokenizer.end_of_text,
    )
    listeners = [functools.partial(on_text, number) if on_text else _nobody for number in range(len(ids))]
    rows = [Row(tokenizer, TextStream(asked.stops), listener) for listener in listeners]
    done_B = np.zeros(len(rows), bool)
    for tokens_BC in decode(params, config, ids, requests, asked.max_tokens, done_B):
        for number, row in enumerate(rows):
            row.add(tokens_BC[number].tolist())
            done_B[number] = row.finish_reason is not None
    for row in rows:
        if row.finish_reason is None:
            row.finish("length")
    return [Completion("".join(row.pieces), row.tokens, row.finish_reason or "length") for row in rows]


def check_decodes(config: ModelConfig) -> None:
    """Refuses models that do not say what comes next."""
    if config.encoder_layers:
        raise UserError(
            f"model.encoder_layers is {config.encoder_layers}: an encoder-decoder does not continue a text, it answers one.\n"
            "  Ask it for model.logits(tokens_BT, decoder_tokens_BU)."
        )
    if not config.causal:
        raise UserError(
            "model.causal is False: a model that sees both sides fills in masks and does not continue a text.\n"
            "  Ask it for model.logits(tokens_BT)."
        )


def _nobody(piece: str) -> None:
    """Hears the pieces when the caller does not stream."""
