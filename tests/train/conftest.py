"""Shards to train on."""

from pathlib import Path

import pytest

from tiny_run import write_shards


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A directory of shards, with train/ and held_out/."""
    return write_shards(tmp_path_factory.mktemp("data"))
