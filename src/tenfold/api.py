"""Tenfold from Python: `tenfold.load`, `tenfold.train`, and the model they give."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.errors import UserError
from tenfold.generate.complete import generate
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params
from tenfold.model.transformer import forward, logits
from tenfold.objectives.causal import token_logprobs
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.tokens.tokenizer import Tokenizer
from tenfold.train.checkpoint import load_params
from tenfold.train.run import read_run
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

    def logits(self, tokens_BT) -> jax.Array:
        """int[B, T] -> f32[B, T, V]. Raises UserError for ids outside the vocabulary and rows longer than the context."""
        tokens_BT = np.asarray(tokens_BT)
        if tokens_BT.ndim != 2 or not np.issubdtype(tokens_BT.dtype, np.integer):
            raise UserError(f"logits takes whole numbers [rows, tokens], not {tokens_BT.dtype} {list(tokens_BT.shape)}.")
        if tokens_BT.shape[1] > self.config.context:
            raise UserError(f"logits got rows of {tokens_BT.shape[1]} tokens, but the model's context is {self.config.context}.")
        if tokens_BT.size and not 0 <= tokens_BT.min() <= tokens_BT.max() < self.config.vocab:
            raise UserError(
                f"logits got token ids from {tokens_BT.min()} to {tokens_BT.max()}; the model's lie from 0 to {self.config.vocab - 1}."
            )
        return _logits(self.config, self.params, jnp.asarray(tokens_BT, jnp.int32))

    def logprobs(self, texts: Sequence[str]) -> list[Scored]:
        """Each text's tokens and their log-probabilities. Texts of more than `context` tokens are refused."""
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
        on_text: Callable[[int, str], None] | None = None,
    ) -> str | list[str]:
        """The text that follows a prompt (or each of several). Temperature 0 takes the likeliest token each time."""
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        settings: dict[str, Any] = dict(max_tokens=max_tokens, temperature=temperature, top_k=top_k, top_p=top_p, stop=stop, seed=seed)
        completions = generate(self.params, self.config, self._tokenizer(), prompts, **settings, on_text=on_text)
        texts = [completion.text for completion in completions]
        return texts[0] if isinstance(prompt, str) else texts

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


def load(path: str | Path) -> Model:
    """The model of a run directory: its newest good checkpoint.

    Raises UserError where there is no run or no checkpoint that can be read.
    """
    run = read_run(Path(path))
    mesh = make_mesh(MeshConfig(), jax.local_devices()[:1])
    params, _ = load_params(run.path, run.recipe.model, mesh)
    return Model(run.recipe.model, params, run_tokenizer(run.path))


def run_tokenizer(path: Path) -> Tokenizer | None:
    """A run's tokenizer, where it has one."""
    return Tokenizer.load(path / "tokenizer") if (path / "tokenizer").exists() else None


@partial(jax.jit, static_argnums=0)
def _logits(config: ModelConfig, params: Params, tokens_BT: jax.Array) -> jax.Array:
    return logits(params, config, forward(params, config, tokens_BT)[0])


@partial(jax.jit, static_argnums=0)
def _logprobs(config: ModelConfig, params: Params, tokens_BT: jax.Array, targets_BT: jax.Array) -> jax.Array:
    return token_logprobs(forward(params, config, tokens_BT)[0], params["embedding"], targets_BT, config.dtype)
