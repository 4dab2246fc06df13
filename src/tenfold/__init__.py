"""Tenfold: one system for the whole life of a GPT-class language model.

`tenfold.load` and `tenfold.train` are fetched on first use, so that `import tenfold` stays free of JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tenfold.api import load, train

__version__ = "0.1.0"
__all__ = ["load", "train"]


def __getattr__(name: str) -> Any:
    if name == "load":
        return import_module("tenfold.api").load
    if name == "train":
        return import_module("tenfold.train")
    raise AttributeError(f"module 'tenfold' has no attribute {name!r}: it offers {', '.join(__all__)}")
