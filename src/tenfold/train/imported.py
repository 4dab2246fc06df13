"""Models of others brought into run directories of ours, a tensor at a time."""

import time
from pathlib import Path

from tenfold.convert.hub import fetch, hub_name
from tenfold.convert.start import open_model
from tenfold.corpus.files import new_directory, write_atomically
from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.params import parameter_count
from tenfold.tokens.config import DataConfig
from tenfold.train.recipe import Recipe, TrainConfig, save_recipe
from tenfold.train.records import write_json
from tenfold.train.run import CHAT_TEMPLATE, Run
from tenfold.train.stored import StoredType, write_checkpoint


def import_model(source: str | Path, out: Path | str, dtype: StoredType = "source") -> Run:
    """Makes a run directory, where nothing is yet, of a Hugging Face directory, a .gguf file, or a model of the hub (`hf:owner/name`).

    `dtype` is what the weights are stored as: each in its own type, or all in one. The directory appears when it is whole. Raises
    UserError, before anything is written, where the source is none of these, damaged, or not what its configuration says.
    """
    began, out = time.monotonic(), Path(out).expanduser()
    if out.exists():
        raise UserError(f"{out} is there already, and nothing is written over.\n  Name another place, or remove it.")
    name = hub_name(str(source))
    model = open_model(fetch(name) if name else Path(source).expanduser(), "bfloat16")
    tokenizer, template = model.tokenizer(), model.chat_template
    recipe = Recipe(
        out.name.lstrip(".") or "imported",
        notes=f"Imported from {source}.",
        model=model.config,
        data=DataConfig(tokenizer=str(out / "tokenizer") if tokenizer else None),
        train=TrainConfig(objective=_objective(model.config)),
    )
    with new_directory(out) as partial:
        write_checkpoint(partial / "checkpoints", model.lazy(), dtype)
        if tokenizer:
            tokenizer.save(partial / "tokenizer")
        if template:
            write_atomically(partial / CHAT_TEMPLATE, template)
        save_recipe(recipe, partial / "recipe.yaml")
        found = {"command": "import", "finished": True, "steps": 0, "source": str(source), "dtype": dtype}
        found |= {"seconds": time.monotonic() - began, "parameters": parameter_count(model.config)}
        write_json(partial / "result.json", found)
    return Run(out, recipe)


def _objective(config: ModelConfig):
    """What such a model learns by."""
    return "span" if config.encoder_layers else "causal" if config.causal else "masked"
