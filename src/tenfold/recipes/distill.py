"""`tenfold align distill`: the student's recipe, and the road from a command line to a smaller model."""

from pathlib import Path

from tenfold.align.distill_config import DistillRecipe
from tenfold.align.policy_config import FILE
from tenfold.recipes.registry import find_recipe
from tenfold.train.recipe import load_as


def find_distill(name: str, method: str) -> DistillRecipe:
    """A student of a named recipe, a recipe.yaml or a run's; or that of an align.yaml."""
    if Path(name).name == FILE:
        return load_as(DistillRecipe, Path(name))
    return DistillRecipe(find_recipe(name))


def run_distill(distilled: DistillRecipe, out: Path | None) -> int:
    """Trains it, saying how it goes; the exit code: 130 where it was stopped before its end."""
    from tenfold.align.distill import distill
    from tenfold.recipes.show import Display

    path = out or Path("runs") / distilled.recipe.name
    with Display(path) as display:
        run = distill(distilled, path, display, display.console.print)
    if not run.result.get("finished"):
        print(f"Stopped at step {run.result['steps']}, with a checkpoint. The same command goes on from there.")
        return 130
    print(f"Done: {path}\n  next: tenfold generate {path} --prompt ...   tenfold report {path}")
    return 0
