"""A ladder small enough to climb in seconds. For the tests of scaling/ and the command line."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tenfold.scaling.ladder import DONE, climb, facts, one_by_one, open_ladder
from tenfold.scaling.rungs import Ladder, Rung, rungs
from tenfold.train.train import Quiet
from tiny_run import tiny_recipe


def tiny_ladder(data: Path, sizes=(1, 2, 3), ratio: float = 0.2, **optimizer) -> Ladder:
    """Models of a layer or two and a few thousand weights, a few steps each."""
    recipe = tiny_recipe(data, model=dict(layers=1), optimizer=optimizer, checkpoint_every=3, evaluate_every=6)
    return Ladder(recipe, sizes=sizes, tokens_per_parameter=(ratio,), held_out_tokens=512)


@dataclass
class Killed(Quiet):
    """Watches runs, and dies at the fifth step of those in `names`; notes what was begun."""

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
    return climb(opened, rungs(ladder, opened.shared, opened.parts), partial(one_by_one, watching=watching or Killed()))


def law(flops: float) -> float:
    """What made-up losses follow: a power of compute, with an offset."""
    return 1.5 + 2.0 * (flops / 1e9) ** -0.2


def entry(rung: Rung, loss: float | None, reason: str = "") -> dict:
    """What ladder.json says of a rung with a made-up loss."""
    found = {
        "state": "set aside" if reason else DONE,
        "loss": loss,
        "bits_per_byte": loss and loss / 2,
        "start_loss": 6.0,
        "reason": reason,
    }
    return {"name": rung.name, "size": rung.size, **facts(rung), "epochs": 1.0, **found}
