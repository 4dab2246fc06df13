"""Shards, and a ladder that was climbed."""

from pathlib import Path

import pytest

from tiny_ladder import climbed, tiny_ladder
from tiny_run import write_shards


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A directory of shards, with train/ and held_out/."""
    return write_shards(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def whole(data, tmp_path_factory) -> Path:
    """A ladder trained without a stop."""
    out = tmp_path_factory.mktemp("ladders") / "whole"
    assert climbed(tiny_ladder(data), out)
    return out
