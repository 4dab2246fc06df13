"""Shards, and a ladder small enough to climb in seconds."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tenfold.scaling.ladder import climb, open_ladder
from tenfold.scaling.rungs import Ladder, rungs
from tenfold.train.train import Quiet
from tiny_run import tiny_recipe, write_shards


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A directory of shards, with train/ and held_out/."""
    return write_shards(tmp_path_factory.mktemp("data"))


def tiny_ladder(data: Path, sizes=(1, 2, 3), ratio: float = 0.1, **optimizer) -> Ladder:
    """Models of one layer of a few thousand weights, a few steps each."""
    recipe = tiny_recipe(data, model=dict(layers=1), optimizer=optimizer, checkpoint_every=3, evaluate_every=6)
    return Ladder(recipe, sizes=sizes, tokens_per_parameter=(ratio,), held_out_tokens=512)


@dataclass
class Killed(Quiet):
    """Watches a run, and dies at its fifth step where `names` has its folder; counts what was trained."""

    names: tuple[str, ...] = ()
    began: list[str] = field(default_factory=list)
    path: Path = Path()

    def __call__(self, path: Path) -> "Killed":
        self.path = path
        self.began.append(path.name)
        return self

    def __enter__(self) -> "Killed":
        return self

    def __exit__(self, *_) -> None: ...

    def step(self, step: int, loss: float, tokens_per_second: float | None, mfu: float | None) -> None:
        if step == 5 and self.path.name in self.names:
            raise KeyboardInterrupt


def climbed(ladder: Ladder, out: Path, watching: Killed | None = None) -> bool:
    """The ladder trained in OUT."""
    opened = open_ladder(ladder, out)
    return climb(opened, rungs(ladder, opened.shared, opened.parts), watching or Killed())


@pytest.fixture(scope="session")
def whole(data, tmp_path_factory) -> Path:
    """A ladder trained without a stop."""
    out = tmp_path_factory.mktemp("ladders") / "whole"
    assert climbed(tiny_ladder(data), out)
    return out
