"""A model small enough to compile in a moment, whose weights are far from their start, and a tokenizer of bytes."""

from dataclasses import replace
from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.model.config import ModelConfig
from tenfold.model.params import map_params, model_params

TINY = ModelConfig(vocab=300, context=64, layers=2, embed=16, heads=2, dtype="float32")


class Bytes:
    """One token a byte, then end_of_text, then one token of several bytes that ends inside a character."""

    vocab, end_of_text, split = 258, 256, 257

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode_bytes(self, ids) -> bytes:
        return b"".join("né".encode()[:2] if i == self.split else bytes([i]) for i in ids)


@pytest.fixture
def tokenizer() -> Bytes:
    return Bytes()


@pytest.fixture
def tiny():
    """`tiny(**changes)` -> a configuration."""
    return partial(replace, TINY)


@pytest.fixture
def noisy_params():
    """`noisy_params(config, seed=0)` -> weights of which every one matters."""

    def make(config: ModelConfig, seed: int = 0):
        random = np.random.default_rng(seed)
        return map_params(lambda p: jnp.asarray(random.normal(0, 0.3, p.shape), jnp.float32), model_params(config))

    return make
