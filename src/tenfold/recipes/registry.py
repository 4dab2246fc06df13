"""Every named recipe, and recipes in files."""

from collections.abc import Callable
from pathlib import Path

from tenfold.errors import UserError
from tenfold.recipes import demo, finetune, gpt3, longnet, masked
from tenfold.train.recipe import Recipe, load_recipe

RECIPES: dict[str, Callable[[], Recipe]] = {**gpt3.RECIPES, **masked.RECIPES, **longnet.RECIPES, **demo.RECIPES, **finetune.RECIPES}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name, or of that file (a run's recipe.yaml, or the run itself)."""
    if name in RECIPES:
        return RECIPES[name]()
    path = Path(name)
    if (path / "recipe.yaml").exists():
        path = path / "recipe.yaml"
    if path.is_file():
        return load_recipe(path)
    raise UserError(f"{name!r} is neither a recipe nor a file.\n  Recipes: {', '.join(RECIPES)}; or give the path of a recipe.yaml.")
