"""What `import tenfold` gives, and what it must not cost."""

import pytest


def test_importing_tenfold_leaves_jax_alone(run_python):
    """`tenfold --help` must not wait for JAX, so the package's root cannot import it."""
    assert run_python("import sys, tenfold; print(tenfold.__version__, 'jax' in sys.modules)") == "0.1.0 False\n"


@pytest.mark.parametrize("before", ["", "import tenfold.train.recipe"], ids=["at first", "after its room is imported"])
def test_train_can_be_called(before, tmp_path, run_python):
    """`train` is a room and a function. Either way in, it trains; here a recipe without data, which it refuses."""
    program = f"""
        {before}
        import tenfold

        first = tenfold.train

        from tenfold.errors import UserError
        from tenfold.train.recipe import Recipe

        for train in (first, tenfold.train):
            try:
                train(Recipe(), "run")
            except UserError as error:
                print("data.paths" in str(error))
    """
    assert run_python(program, devices=1, cwd=tmp_path) == "True\nTrue\n"


def test_an_unknown_name_is_refused_with_the_known_ones():
    import tenfold

    with pytest.raises(AttributeError, match="load, train"):
        tenfold.nothing  # noqa: B018
