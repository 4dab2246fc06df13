"""State, step, optimiser, loop, checkpoints and metrics; nothing here knows which family it trains.

The room can be called: `tenfold.train(recipe)` is `tenfold.train.train.train(recipe)`, because a package and a function of one
name cannot both be an attribute of `tenfold`, and importing any module of this room would put the package there.
"""

import sys
from types import ModuleType


class _Room(ModuleType):
    def __call__(self, *args, **kwargs):
        """Trains a recipe; see `tenfold.train.train.train`."""
        from tenfold.train.train import train

        return train(*args, **kwargs)


sys.modules[__name__].__class__ = _Room
