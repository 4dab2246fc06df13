"""Tenfold from Python: `tenfold.load`, `tenfold.train`, and the model they give."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.align.chat import Chat, ChatTokenizer
from tenfold.align.templates import Message, find_template
from tenfold.convert.gguf_model import open_gguf, save_gguf
from tenfold.convert.hugging_face import is_checkpoint, open_checkpoint, save_checkpoint
from tenfold.convert.tensor_files import SHARD_BYTES
from tenfold.corpus.files import new_directory, write_atomically
from tenfold.errors import UserError
from tenfold.generate.complete import TextTokenizer, check_decodes, generate
from tenfold.generate.config import Weights
from tenfold.generate.decode import prepare_for_decode
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params
from tenfold.model.transformer import encode, forward, head, logits
from tenfold.objectives.causal import token_logprobs
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.tokens.tokenizer import Tokenizer
from tenfold.train.run import CHAT_TEMPLATE, read_run
from tenfold.train.start import adapted, adapted_lazily, lazy_model, load_model
from tenfold.train.train import train

__all__ = ["Model", "Scored", "load", "train"]


@dataclass(frozen=True)
class Scored:
    """A text's tokens, and the natural log of the probability of each, given all before it (the first: given a document's start)."""

    tokens: list[int]
    pieces: list[str]
    logprobs: list[float]

    @property
    def total(self) -> float:
        return sum(self.logprobs)


@dataclass(frozen=True)
class Model:
    """A trained model: its configuration, its weights (f32) and its tokenizer, which is None where the directory has none."""

    config: ModelConfig
    params: Params
    tokenizer: Tokenizer | None = None
    chat_template: str | None = None
    """The Jinja template, where the model has one, which makes a prompt of messages."""
    _prepared: dict[Weights, tuple[Params, ModelConfig]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """The weights as `generate` read them last, by what they were rounded to; one form at a time, as each takes a model's memory."""

    def logits(self, tokens_BT, decoder_tokens_BU=None) -> jax.Array:
        """int[B, T] -> f32[B, T, V]; of an encoder-decoder, int[B, T] and int[B, U] -> f32[B, U, V].

        Raises UserError for ids outside the vocabulary, for rows longer than the context, and for decoder tokens where they do not belong.
        """
        both = self.config.encoder_layers > 0
        if both and decoder_tokens_BU is None:
            raise UserError("this model is an encoder-decoder: logits also takes decoder_tokens_BU, what its decoder reads.")
        if not both and decoder_tokens_BU is not None:
            raise UserError("this model has no encoder (model.encoder_layers is 0): logits takes no decoder_tokens_BU.")
        tokens_BT = self._ids(tokens_BT)
        if not both:
            return _logits(self.config, self.params, tokens_BT)
        decoder_tokens_BU = self._ids(decoder_tokens_BU, "decoder_tokens_BU: ")
        if len(decoder_tokens_BU) != len(tokens_BT):
            raise UserError(
                f"logits got {len(tokens_BT)} rows of tokens_BT and {len(decoder_tokens_BU)} of decoder_tokens_BU: give one each."
            )
        return _logits(self.config, self.params, tokens_BT, decoder_tokens_BU)

    def _ids(self, tokens_BT, what: str = "") -> jax.Array:
        """Token ids, checked."""
        tokens_BT = np.asarray(tokens_BT)
        if tokens_BT.ndim != 2 or not np.issubdtype(tokens_BT.dtype, np.integer):
            raise UserError(f"{what}logits takes whole numbers [rows, tokens], not {tokens_BT.dtype} {list(tokens_BT.shape)}.")
        if tokens_BT.shape[1] > self.config.context:
            raise UserError(f"{what}logits got rows of {tokens_BT.shape[1]} tokens, but the model's context is {self.config.context}.")
        if tokens_BT.size and not 0 <= tokens_BT.min() <= tokens_BT.max() < self.config.vocab:
            raise UserError(
                f"{what}logits got token ids from {tokens_BT.min()} to {tokens_BT.max()}; "
                f"the model's lie from 0 to {self.config.vocab - 1}."
            )
        return jnp.asarray(tokens_BT, jnp.int32)

    def logprobs(self, texts: Sequence[str]) -> list[Scored]:
        """Each text's tokens and their log-probabilities. Texts of more than `context` tokens are refused."""
        check_decodes(self.config)
        tokenizer = self._tokenizer()
        encoded = tokenizer.encode_batch(list(texts))
        for text, ids in zip(texts, encoded, strict=True):
            if len(ids) > self.config.context:
                raise UserError(
                    f"logprobs got a text of {len(ids)} tokens ({text[:40]!r}...), but the model's context is {self.config.context}."
                )
        return [self._score(tokenizer, ids) for ids in encoded]

    def generate(
        self,
        prompt: str | Sequence[str],
        *,
        max_tokens: int = 64,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        stop: Sequence[str] = (),
        seed: int = 0,
        weights: Weights = "as trained",
        on_text: Callable[[int, str], None] | None = None,
    ) -> str | list[str]:
        """The text that follows a prompt (or each of several). Temperature 0 takes the likeliest token each time; `weights` is what the
        weights are rounded to while writing; in that form they are kept until another is asked for."""
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        settings: dict[str, Any] = dict(max_tokens=max_tokens, temperature=temperature, top_k=top_k, top_p=top_p, stop=stop, seed=seed)
        texts = self._complete(self._tokenizer(), prompts, **settings, weights=weights, on_text=on_text)
        return texts[0] if isinstance(prompt, str) else texts

    def chat(self, said: str | Sequence[Message], *, template: str = "model", **settings: Any) -> str:
        """What the model answers the user, or the last of several messages, {"role", "content"} each.

        `template` is the model's own, one of `tenfold align sft`, or a Jinja file; `settings` are those of `generate`. Raises UserError
        where the model has no template, or the template refuses the messages.
        """
        messages = [{"role": "user", "content": said}] if isinstance(said, str) else list(said)
        if not messages or messages[-1]["role"] != "user":
            raise UserError("chat needs the user's message last: that is what is answered.")
        chat = Chat(find_template(template, self.chat_template, "the model"), self._tokenizer())
        turn = ChatTokenizer(chat, tuple(messages[:-1]))
        return self._complete(turn, [messages[-1]["content"]], **settings)[0]

    def answers(self, questions: Sequence[str], *, template: str = "model", **settings: Any) -> list[str]:
        """What the model answers each of several questions, written at once; as `chat`."""
        chat = Chat(find_template(template, self.chat_template, "the model"), self._tokenizer())
        return self._complete(ChatTokenizer(chat), list(questions), **settings)

    def _complete(self, tokenizer: TextTokenizer, prompts: list[str], **settings: Any) -> list[str]:
        completions = generate(self.params, self.config, tokenizer, prompts, **settings, prepare=self._prepare)
        return [completion.text for completion in completions]

    def _prepare(self, params: Params, config: ModelConfig, weights: Weights) -> tuple[Params, ModelConfig]:
        if weights not in self._prepared:
            self._prepared.clear()
            self._prepared[weights] = prepare_for_decode(params, config, weights)
        return self._prepared[weights]

    def save(self, path: str | Path, dtype: Literal["F16", "Q8_0"] = "F16", shard_bytes: int = SHARD_BYTES) -> None:
        """Writes the model for other programs: a directory for the Hugging Face library, in f32 and files of at most `shard_bytes`, or for
        llama.cpp a file whose name ends in .gguf, its matrices in `dtype`. Raises UserError, saying why, where they have no such model."""
        path = Path(path).expanduser()
        if path.suffix == ".gguf":
            save_gguf(path, self.config, self.params, self.tokenizer, dtype, self.chat_template)
        else:
            save_checkpoint(path, self.config, self.params, self.tokenizer, shard_bytes)
            if self.chat_template:
                write_atomically(path / CHAT_TEMPLATE, self.chat_template)

    def _score(self, tokenizer: Tokenizer, ids: list[int]) -> Scored:
        if not ids:
            return Scored([], [], [])
        length = min(self.config.context, -(-len(ids) // 64) * 64)  # a few lengths, so that few programs are compiled
        padded = np.full(length + 1, tokenizer.end_of_text, np.int32)
        padded[1 : len(ids) + 1] = ids
        logprobs = _logprobs(self.config, self.params, padded[None, :-1], padded[None, 1:])[0, : len(ids)]
        return Scored(ids, [tokenizer.decode([i]) for i in ids], np.asarray(logprobs).tolist())

    def _tokenizer(self) -> Tokenizer:
        if self.tokenizer is None:
            raise UserError("this model has no tokenizer, so it takes token ids only: use model.logits.")
        return self.tokenizer


def load(path: str | Path, adapter: str | Path | None = None) -> Model:
    """The model of a run directory (its newest good checkpoint), of a directory of the Hugging Face library, or of a .gguf file.

    `adapter`, a directory that PEFT wrote adapters of this model to, is merged into it. Raises UserError where `path` is none of them, or
    holds no model that can be read, and where the adapters do not fit it.
    """
    model = _open(Path(path).expanduser(), make_mesh(MeshConfig(), jax.local_devices()[:1]))
    return model if adapter is None else replace(model, params=adapted(model.params, model.config, Path(adapter)))


def _open(path: Path, mesh: jax.sharding.Mesh | None) -> Model:
    """A model with its weights on a mesh or, without one, left where they lie."""
    if path.suffix == ".gguf" or (is_checkpoint(path) and not (path / "recipe.yaml").exists()):
        opened = open_gguf(path) if path.suffix == ".gguf" else open_checkpoint(path)
        return Model(opened.config, opened.params(mesh) if mesh else opened.lazy(), opened.tokenizer(), opened.chat_template)
    run = read_run(path)
    params = load_model(run, mesh)[0] if mesh else lazy_model(run)
    return Model(run.recipe.model, params, run_tokenizer(run.path), run.chat_template)


def export(
    run: Path, out: Path, dtype: Literal["F16", "Q8_0"] = "F16", adapter: Path | None = None, shard_bytes: int = SHARD_BYTES
) -> Path:
    """Writes a model for other programs at a place where nothing is yet, a tensor at a time, `adapter` of PEFT merged into each: it is
    never held whole. A directory's weights are of the type in which they were stored, f32 where adapters are merged into them. Raises
    UserError where something is there, or the form has no such model."""
    if out.exists():
        raise UserError(f"{out} is there already, and nothing is written over.\n  Name another place, or remove it.")
    model = _open(run.expanduser(), None)
    if adapter:
        model = replace(model, params=adapted_lazily(model.params, model.config, adapter))
    if out.suffix == ".gguf":
        model.save(out, dtype)
        return out
    with new_directory(out) as partial:
        model.save(partial, shard_bytes=shard_bytes)
    return out


def run_tokenizer(path: Path) -> Tokenizer | None:
    """A run's tokenizer, where it has one."""
    return Tokenizer.load(path / "tokenizer") if (path / "tokenizer").exists() else None


@partial(jax.jit, static_argnums=0)
def _logits(config: ModelConfig, params: Params, tokens_BT: jax.Array, decoder_tokens_BU: jax.Array | None = None) -> jax.Array:
    if decoder_tokens_BU is None:
        return logits(params, config, forward(params, config, tokens_BT).x_BTD)
    return logits(params, config, forward(params, config, decoder_tokens_BU, encoded=encode(params, config, tokens_BT)).x_BTD)


@partial(jax.jit, static_argnums=0)
def _logprobs(config: ModelConfig, params: Params, tokens_BT: jax.Array, targets_BT: jax.Array) -> jax.Array:
    table_VD, bias_V = head(params)
    return token_logprobs(forward(params, config, tokens_BT).x_BTD, table_VD, targets_BT, config.dtype, bias_V)
