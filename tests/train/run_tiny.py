"""Run by the tests in a process of its own: trains a recipe file into a directory, and sends itself a signal at a step. Not a test.

python run_tiny.py RECIPE OUT [SIGNAL STEP]
"""

import os
import sys
from pathlib import Path

from tenfold.train.recipe import load_recipe
from tenfold.train.train import Quiet, train


class Signaller(Quiet):
    """Signals its own process when a step's numbers have been written."""

    def __init__(self, signal: int, at: int):
        super().__init__()
        self.signal, self.at = signal, at

    def step(self, step: int, *figures) -> None:
        if step == self.at:
            os.kill(os.getpid(), self.signal)


if __name__ == "__main__":
    recipe, out, *when = sys.argv[1:]
    run = train(load_recipe(Path(recipe)), out, Signaller(*map(int, when)) if when else None)
    print(run.result["steps"], run.result["finished"])
