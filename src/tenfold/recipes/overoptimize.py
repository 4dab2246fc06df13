"""`tenfold align overoptimize`: its recipe, and the road from a command line to laws and a page."""

from pathlib import Path

from rich.console import Console

from tenfold.align.overoptimize_config import FILE, OveroptimizeRecipe
from tenfold.errors import UserError
from tenfold.recipes.overoptimize_demo import demo, placed, prepare_demo
from tenfold.train.recipe import load_as

DEMO = "demo"


def find_overoptimize(name: str) -> OveroptimizeRecipe:
    """A new recipe for a model, that of an overoptimize.yaml, or the demo's."""
    if name == DEMO:
        return demo()
    if not name.endswith((".yaml", ".yml")):
        return OveroptimizeRecipe(name)
    if not Path(name).is_file():
        raise UserError(f"There is no file {name!r}.\n  Name an {FILE}, or a model: a run, a Hugging Face directory or a .gguf.")
    return load_as(OveroptimizeRecipe, Path(name))


def run_overoptimize(name: str, recipe: OveroptimizeRecipe, out: Path | None = None, console: Console | None = None) -> int:
    """Measures it, saying how it goes, and prints the laws; the exit code: 130 where it was stopped before its end."""
    from tenfold.align.overoptimize import overoptimize
    from tenfold.recipes.overoptimize_show import Lines, show, write_result
    from tenfold.report.overoptimize import overoptimize_report

    console, path = console or Console(highlight=False), out or _place(name)
    watch, found = Lines(console), None
    if name == DEMO:
        recipe = placed(recipe, path)
    if name != DEMO or prepare_demo(path, console):
        found = overoptimize(recipe, path, watch=watch)
    if found is None:
        console.print("Stopped. The same command goes on from there.")
        return 130
    write_result(path, found, watch.seconds)
    show(found, console)
    console.print(f"{overoptimize_report(path)} has the curves.", soft_wrap=True)
    return 0


def _place(name: str) -> Path:
    """Beside an overoptimize.yaml; else in runs."""
    if name.endswith((".yaml", ".yml")):
        return Path(name).parent
    return Path("runs") / ("overoptimize-demo" if name == DEMO else "overoptimize")
