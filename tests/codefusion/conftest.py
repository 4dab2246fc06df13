"""What several files of tests need once."""

from functools import partial
from pathlib import Path

import jax
import pytest

from tenfold.codefusion.model import init_fusion
from tenfold.tokens.tokenizer import Tokenizer, train_tokenizer
from tiny_fusion import FUSION, PAIRS, tiny_fusion, write_pairs


@pytest.fixture(scope="session")
def pairs(tmp_path_factory) -> Path:
    """The pairs of tiny_fusion as a file."""
    return write_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="session")
def recipe(pairs):
    """`recipe(model, **train)`: a few steps on the pairs."""
    return partial(tiny_fusion, pairs)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer([*PAIRS, *PAIRS.values()], 299)


@pytest.fixture(scope="session")
def params() -> dict:
    """First weights of FUSION."""
    return jax.jit(init_fusion, static_argnums=1)(jax.random.key(0), FUSION)
