"""`tenfold align sft`: the recipe, and the road from a command line to a model that answers."""

from dataclasses import replace
from pathlib import Path

from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.train.recipe import ChatConfig, OptimizerConfig, Recipe, TrainConfig, load_recipe


def sft() -> Recipe:
    """Two passes over the conversations in small steps, from a trained model, whose shape replaces the one here but for the context."""
    return Recipe(
        "sft",
        "The model is that of `start`; the learning rate is for all weights, and adapters bear about ten times as much.",
        start="",
        model=ModelConfig(context=512),
        optimizer=OptimizerConfig(learning_rate=1e-5),
        train=TrainConfig(batch=8, prompts=("",)),
        chat=ChatConfig("model", epochs=2.0),
    )


def find_sft(name: str) -> Recipe:
    """The recipe in a file whose name ends in .yaml, or that above, from the model of that name.

    Raises UserError for a recipe of documents.
    """
    if Path(name).suffix != ".yaml":
        return replace(sft(), start=name)
    if not Path(name).is_file():
        raise UserError(f"There is no recipe {name!r}.\n  Name a recipe.yaml, or a model: a run, a Hugging Face directory or a .gguf.")
    recipe = load_recipe(Path(name))
    if not recipe.chat.template:
        raise UserError(
            f"{name} is a recipe of documents: its chat.template is empty.\n"
            f"  To go on from the model of that run, name its directory, {Path(name).parent}; to train on documents, use `tenfold train`."
        )
    return recipe


def run_sft(recipe: Recipe, out: Path | None, show: int = 0) -> int:
    """The exit code of a run; `show`: print so many conversations instead."""
    from tenfold.align.sft import shown, train_sft
    from tenfold.recipes.show import Display

    path = out or Path("runs") / recipe.name
    if show:
        for found in shown(recipe, path, show):
            print(f"--- {found['where']}: {found['tokens']} tokens, {found['trained_tokens']} trained on\n{found['text']}")
        return 0
    with Display(path) as display:
        run = train_sft(recipe, path, display)
    if not run.result.get("finished"):
        print(f"Stopped at step {run.result['steps']}, with a checkpoint. The same command goes on from there.")
        return 130
    print(f'{summary(run.result["conversations"])}\nDone: {path}\n  next: tenfold generate {path} --chat "..."   tenfold report {path}')
    return 0


def summary(counts: dict) -> str:
    """What was learned from, in a line: result.json's `conversations`."""
    train, held_out = counts["train"], counts["held_out"]
    said = (
        f"{train['conversations']:,} conversations ({train['trained_tokens']:,} of {train['tokens']:,} tokens trained on) in "
        f"{train['rows']:,} rows; {held_out['conversations']:,} held out"
    )
    for what, why in (("dropped", "longer than the context, dropped"), ("cut", "longer than the context, cut")):
        if number := train[what] + held_out[what]:
            said += f"; {number:,} {why}"
    return said
