"""Wrong values die before anything is read, and say how to mend them."""

import pytest

from tenfold.errors import UserError
from tenfold.tokens.config import DataConfig


@pytest.mark.parametrize(
    "values, message",
    [
        ({"paths": "corpus"}, r"data.paths is the string 'corpus'.\n  Give a list, even for one: \['corpus'\]"),
        ({"paths": ("a", "")}, r"data.paths is \['a', ''\], and one of them is empty"),
        ({"paths": ("a", "b", "a")}, r"data.paths names 'a' more than once.\n  Name it once, and give it more weight"),
        ({"paths": ("a", "b"), "weights": (1.0,)}, r"data.weights has 1 numbers \[1.0\] but data.paths has 2 paths.\n  Give one weight"),
        (
            {"paths": ("a",), "weights": (0.0,)},
            r"data.weights is \[0.0\], and 0.0 cannot be a share of the rows.\n  Every weight is a finite",
        ),
        ({"paths": ("a",), "weights": (-1.0,)}, "-1.0 cannot be a share"),
        ({"paths": ("a",), "weights": (float("nan"),)}, "nan cannot be a share"),
        ({"paths": ("a",), "weights": (float("inf"),)}, "inf cannot be a share"),
        ({"weights": (1.0,)}, "data.weights has 1 numbers .* but data.paths has 0 paths"),
        ({"seed": -1}, r"data.seed is -1.\n  Give a whole number from 0"),
        ({"held_out": ""}, "data.held_out is an empty string"),
        ({"tokenizer": ""}, "data.tokenizer is an empty string"),
    ],
)
def test_messages(values, message):
    with pytest.raises(UserError, match=message):
        DataConfig(**values)


def test_good_values():
    assert DataConfig() == DataConfig(paths=(), weights=(), held_out=None, tokenizer=None, mask_documents=False, seed=0)
    assert DataConfig(paths=("a", "b"), weights=(0.1, 3)).weights == (0.1, 3)


def test_nothing_heavy_is_imported(run_python):
    """`tenfold --help` reads this module, and so does everything that reads a recipe."""
    heavy = "{'jax', 'grain', 'numpy', 'tokenizers', 'pyarrow'}"
    assert run_python(f"import sys, tenfold.tokens.config; print({heavy} & set(sys.modules))") == "set()\n"


def test_grain_is_imported_with_the_first_loader_only(run_python):
    """It takes seconds: reading documents and shards must not wait for it."""
    code = "import sys, tenfold.tokens.loader, tenfold.tokens.prepare; print({'grain', 'jax', 'tokenizers', 'pyarrow'} & set(sys.modules))"
    assert run_python(code) == "set()\n"
