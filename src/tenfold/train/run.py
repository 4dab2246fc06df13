"""A run is a directory: made, continued, and read here."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tenfold.errors import UserError
from tenfold.train.recipe import Recipe, differences, load_recipe, save_recipe
from tenfold.train.records import write_json

CHAT_TEMPLATE = "chat_template.jinja"
"""Of a model that has one: it makes a prompt of messages."""
PREPARED = ("data", "tokenizer", "documents.json", "conversations.json", CHAT_TEMPLATE, "data.json", "start.json")
"""What preparing data leaves, which may come before the recipe."""
MAY_CHANGE = ("mesh.", "train.keep", "train.tensorboard", "train.wandb", "train.microbatch", "notes")


@dataclass(frozen=True)
class Run:
    """A run directory and its recipe."""

    path: Path
    recipe: Recipe

    @property
    def result(self) -> dict:
        """What the command found; empty while it has not ended."""
        path = self.path / "result.json"
        return json.loads(path.read_text()) if path.exists() else {}

    @property
    def chat_template(self) -> str | None:
        """The Jinja template that makes a prompt of messages, where the model has one."""
        path = self.path / CHAT_TEMPLATE
        return path.read_text("utf-8") if path.exists() else None

    def metrics(self) -> list[dict]:
        path = self.path / "metrics.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def open_run(path: Path, recipe: Recipe) -> Run:
    """A new run directory, or the one there, if it is of the same recipe in all that decides its numbers. Writes no recipe yet."""
    file = path / "recipe.yaml"
    if not file.exists():
        if path.exists() and any(each.name not in PREPARED for each in path.iterdir()):
            raise UserError(
                f"{path} exists, is not empty and holds no recipe.yaml, so it is no run.\n  Choose another place with --out, or empty it."
            )
        path.mkdir(parents=True, exist_ok=True)
    else:
        before = load_recipe(file)
        changed = {n: v for n, v in differences(before, recipe).items() if not n.startswith(MAY_CHANGE)}
        if changed:
            rows = "\n".join(f"    {name}: {old} there, {new} asked for" for name, (old, new) in changed.items())
            raise UserError(
                f"{path} is a run of another recipe:\n{rows}\n"
                f"  Continue it with `tenfold train {file}`, or choose another place with --out (or --name)."
            )
    return Run(path, recipe)


def begin_run(run: Run, fingerprint: str, start: str | None = None) -> None:
    """Writes the recipe once all of it has been checked, so that a refused one is not in its mend's way; refuses changed data, and a
    changed start, whose fingerprint is `start`."""
    check_same(run, "data", fingerprint)
    if start is not None:
        check_same(run, "start", start)
    save_recipe(run.recipe, run.path / "recipe.yaml")


def check_same(run: Run, what: Literal["data", "start"], fingerprint: str) -> None:
    """Refuses to go on with other tokens, or from another model, than the run began with; notes them where it begins."""
    file = run.path / f"{what}.json"
    if not file.exists():
        write_json(file, {"fingerprint": fingerprint})
        return
    before = json.loads(file.read_text())["fingerprint"]
    if before != fingerprint:
        began, mend = {
            "data": ("with other data: its tokens", f"The documents or the tokenizer of {', '.join(run.recipe.data.paths)} have changed."),
            "start": (f"from another model: {run.recipe.start}", "Its files have changed."),
        }[what]
        raise UserError(
            f"{run.path} was begun {began} had the fingerprint {before}, and now {fingerprint}.\n"
            f"  {mend} Put them back, or begin anew with --out."
        )


def read_run(path: Path) -> Run:
    """A run that exists."""
    file = path / "recipe.yaml"
    if not file.exists():
        raise UserError(
            f"{path} is not a run: it holds no recipe.yaml.\n"
            "  Name a directory that `tenfold train` or `tenfold demo` wrote, such as runs/demo.\n"
            "  A model of another program is a directory with a config.json (Hugging Face), or a file whose name ends in .gguf."
        )
    return Run(path, load_recipe(file))
