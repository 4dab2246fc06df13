"""Freed memory is kept from before JAX's threads start, whichever trainer is called: after, each step maps its buffers anew."""

import subprocess
import sys

import pytest

CALLED_FIRST = """
import sys
from types import SimpleNamespace
from importlib import import_module

module = import_module({module!r})
from jax._src.xla_bridge import backends_are_initialized

def seen():
    sys.exit(3 if backends_are_initialized() else 0)

module.keep_freed_memory = seen
recipe = SimpleNamespace(name="run", start=None, gold=SimpleNamespace(names=()))
asked = SimpleNamespace(recipe=recipe, **vars(recipe))
getattr(module, {function!r})(*[asked] * {arguments})
"""


@pytest.mark.parametrize(
    ("module", "function", "arguments"),
    [
        ("tenfold.train.train", "train_on", 2),
        ("tenfold.align.comparison", "train_on_comparisons", 1),
        ("tenfold.align.policy", "train_policy", 1),
        ("tenfold.align.distill", "distill", 1),
        ("tenfold.align.overoptimize", "overoptimize", 2),
        ("tenfold.codefusion.train", "train_fusion", 1),
    ],
)
def test_trainers_keep_freed_memory_before_jax_is_asked_anything(module, function, arguments):
    code = CALLED_FIRST.format(module=module, function=function, arguments=arguments)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr[-2000:] or "JAX had been asked before"
