"""Models small enough to compile in a moment, whose weights are far from their start, and a tokenizer of bytes."""

from collections.abc import Callable
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.api import Model
from tenfold.model.config import ModelConfig
from tenfold.model.params import map_params, model_params

TINY = ModelConfig(vocab=260, context=48, layers=2, embed=16, heads=2, dtype="float32")


class Bytes:
    """A token for each byte, but one for `qu`; then end_of_text."""

    vocab, end_of_text, pair = 258, 257, 256

    def encode(self, text: str) -> list[int]:
        parts = [list(part.encode()) for part in text.split("qu")]
        return parts[0] + [i for part in parts[1:] for i in (self.pair, *part)]

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]

    def decode_bytes(self, ids) -> bytes:
        return b"".join(b"qu" if i == self.pair else bytes([i]) for i in ids)

    def decode(self, ids) -> str:
        return self.decode_bytes(ids).decode("utf-8", "replace")


def make_model(seed: int = 0, **changes) -> Model:
    config = replace(TINY, **changes)
    random = np.random.default_rng(seed)
    params = map_params(lambda p: jnp.asarray(random.normal(0, 0.3, p.shape), jnp.float32), model_params(config))
    return Model(config, params, Bytes())  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def tiny_model() -> Callable[..., Model]:
    """`tiny_model(seed=0, **changes)` -> a model with random weights and a tokenizer of bytes."""
    return make_model
