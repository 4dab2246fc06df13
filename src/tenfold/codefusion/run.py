"""A run of a model that writes code: its directory, what it starts from, its tokenizer and its examples.

The directory is as other runs' (train/run.py); its recipe.yaml is a FusionRecipe.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from tenfold.codefusion.config import FusionConfig
from tenfold.codefusion.data import Example, read_examples
from tenfold.codefusion.masking import find_spans
from tenfold.codefusion.model import init_fusion
from tenfold.codefusion.reader import Reader, open_reader, reader_fingerprint, reader_width
from tenfold.codefusion.recipe import FusionRecipe, with_shape
from tenfold.codefusion.rows import Encoded, encode_examples
from tenfold.codefusion.slots import read_words, slotted_example, write_words
from tenfold.codefusion.step import abstract_fusion_params
from tenfold.convert.start import open_model
from tenfold.corpus.files import fingerprint
from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params, restack
from tenfold.tokens.tokenizer import Tokenizer, train_tokenizer
from tenfold.train.checkpoint import Checkpoints
from tenfold.train.recipe import differences, load_as, save_recipe
from tenfold.train.records import write_json
from tenfold.train.run import read_run
from tenfold.train.start import load_model

WORDS = "words.txt"
MAY_CHANGE = ("mesh.", "reader.kept", "train.keep", "train.tensorboard", "train.microbatch", "notes")


@dataclass(frozen=True)
class FusionRun:
    """A run directory and its recipe."""

    path: Path
    recipe: FusionRecipe

    @property
    def result(self) -> dict:
        """What the command found; empty while it has not ended."""
        path = self.path / "result.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def tokenizer(self) -> Tokenizer:
        return Tokenizer.load(self.path / "tokenizer")

    def words(self) -> frozenset[str] | None:
        """The words that it knows; None where nothing is a slot."""
        path = self.path / WORDS
        return read_words(path) if path.exists() else None

    def reader(self) -> Reader | None:
        """The language model that it was trained with, if any. Raises UserError where that is no longer what it was."""
        if self.recipe.reader.path is None:
            return None
        return open_reader(self.recipe.reader, json.loads((self.path / "data.json").read_text())["reader"])

    def params(self, mesh: Mesh) -> tuple[Params, int]:
        """The newest weights, f32, and the step they are of."""
        with Checkpoints(self.path / "checkpoints") as checkpoints:
            return checkpoints.restore_params(abstract_fusion_params(self.recipe.model, mesh))


def read_fusion_run(path: str | Path) -> FusionRun:
    """A run that exists. Raises UserError where there is none, or one of another kind."""
    path = Path(path).expanduser()
    file = path / "recipe.yaml"
    if not file.exists():
        raise UserError(f"{path} holds no recipe.yaml.\n  Name a directory that `tenfold codefusion pretrain` or `finetune` wrote.")
    return FusionRun(path, load_as(FusionRecipe, file))


def trained_on(path: Path, read: Callable[[Path], Any]) -> list[str]:
    """The files of a run's data and of what it started from, as far as that is there, each once. `read` reads runs of its kind."""
    if not (path / "recipe.yaml").exists():
        return []
    recipe = read(path).recipe
    before = trained_on(Path(recipe.start).expanduser(), read) if recipe.start is not None else []
    return list(dict.fromkeys([*recipe.data.paths, *before]))


def open_fusion_run(path: Path, recipe: FusionRecipe) -> FusionRun:
    """A new run directory, or the one there, if it is of the same recipe in all that decides its numbers. Writes nothing yet."""
    file = path / "recipe.yaml"
    if file.exists():
        changed = {n: v for n, v in differences(load_as(FusionRecipe, file), recipe).items() if not n.startswith(MAY_CHANGE)}
        if changed:
            rows = "\n".join(f"    {name}: {old} there, {new} asked for" for name, (old, new) in changed.items())
            raise UserError(f"{path} is a run of another recipe:\n{rows}\n  Continue it as it is, or choose another place with --out.")
    elif path.exists() and any(each.name not in ("tokenizer", "data.json", WORDS) for each in path.iterdir()):  # which come before it
        raise UserError(f"{path} is not empty and holds no recipe.yaml, so it is no run.\n  Choose another place with --out, or empty it.")
    return FusionRun(path, recipe)


def begin_fusion_run(run: FusionRun, prepared: "Prepared") -> None:
    """Writes tokenizer and, last, the recipe once all of it has been checked; refuses to go on with other examples, tokens or start than
    it began with."""
    file, now = run.path / "data.json", prepared.said["fingerprint"]
    if (run.path / "recipe.yaml").exists() and file.exists():
        before = json.loads(file.read_text())["fingerprint"]
        if before != now:
            raise UserError(
                f"{run.path} was begun with other data: its fingerprint was {before}, and now is {now}.\n"
                "  Put the files of data and start back as they were, or begin anew with --out."
            )
    run.path.mkdir(parents=True, exist_ok=True)
    write_json(file, prepared.said)
    prepared.tokenizer.save(run.path / "tokenizer")
    if prepared.words is not None:
        write_words(run.path / WORDS, prepared.words)
    save_recipe(run.recipe, run.path / "recipe.yaml")


def shaped(recipe: FusionRecipe) -> FusionRecipe:
    """The recipe with the shape and the reader of the run it starts from, or with the width of its own reader."""
    if recipe.start is None:
        width = reader_width(recipe.reader) if recipe.reader.path is not None else 0
        return replace(recipe, model=replace(recipe.model, reader_width=width))
    begun = read_fusion_run(recipe.start).recipe
    named, learned = (replace(each, kept=None) for each in (recipe.reader, begun.reader))
    if named.path is not None and named != learned:
        has = "without one" if learned.path is None else f"with {learned}"
        raise UserError(
            f"reader is {named}, but start {recipe.start} has learned {has}.\n"
            "  Leave reader.path, layers and tokens out, or name a start that has this reader."
        )
    return with_shape(replace(recipe, reader=replace(learned, kept=recipe.reader.kept)), begun.model)


@dataclass(frozen=True)
class Prepared:
    """Examples, tokenizer and known words of a run."""

    tokenizer: Tokenizer
    words: frozenset[str] | None
    train: Encoded
    held_out: Encoded | None
    said: dict
    """What data.json says of them."""


def prepare_fusion(recipe: FusionRecipe, path: Path) -> Prepared:
    """Reads the examples and finds or makes the tokenizer of a run at `path`. Raises UserError for what cannot be used. Writes nothing."""
    data, config = recipe.data, recipe.model
    if not data.paths:
        raise UserError("data.paths is empty: there is nothing to learn from.\n  Name files with --data.")
    examples = [example for each in data.paths for example in read_examples(each, alone=True).examples]
    held_out = list(read_examples(data.held_out, alone=True).examples) if data.held_out else []
    _check_examples(recipe, [*examples, *held_out])
    said, measured_said = ([each.text for each in part] for part in (examples, held_out))
    words = _words(recipe, path)
    if words is not None:
        examples, held_out = ([slotted_example(each, words) for each in part] for part in (examples, held_out))
    tokenizer = _tokenizer(recipe, path, examples)
    encoded = encode_examples(examples, tokenizer, config.length, said)
    if not encoded.code:
        raise UserError(
            f"None of the {len(examples)} snippets of {', '.join(data.paths)} fits in model.length {config.length} tokens.\n  Raise it."
        )
    measured = encode_examples(held_out, tokenizer, config.length, measured_said) if held_out else None
    if measured and not measured.code:
        raise UserError(f"None of the snippets of data.held_out {data.held_out} fits in model.length {config.length} tokens.")
    start = _newest_step(Path(recipe.start)) if recipe.start is not None else None
    content = [[each.code, each.text, each.language] for each in [*examples, *held_out]]
    long_texts = sum(len(ids) >= config.text_length for ids in encoded.text)
    reader = {} if recipe.reader.path is None else {"reader": reader_fingerprint(recipe.reader)}
    known = fingerprint(content, tokenizer.fingerprint, start, *reader.values())
    about = {"fingerprint": known, "examples": len(encoded.code), "left_out": encoded.left_out, "texts_cut": long_texts}
    return Prepared(tokenizer, words, encoded, measured, about | reader)


def _check_examples(recipe: FusionRecipe, examples: list[Example]) -> None:
    for language in sorted({example.language or recipe.data.language for example in examples}):
        find_spans(language)
    without = sum(not example.text for example in examples)
    if "pairs" in recipe.train.tasks and without:
        raise UserError(
            f"{without} of the {len(examples)} lines of data have no text, which train.tasks 'pairs' needs.\n"
            "  Leave them out, or learn from code alone: tenfold codefusion pretrain."
        )


def _words(recipe: FusionRecipe, path: Path) -> frozenset[str] | None:
    """Those of a run which has begun, the named ones, or those of its start."""
    if (path / "recipe.yaml").exists():
        return FusionRun(path, recipe).words()
    if recipe.data.words is not None:
        return read_words(recipe.data.words)
    return read_fusion_run(recipe.start).words() if recipe.start is not None else None


def _tokenizer(recipe: FusionRecipe, path: Path, examples: list[Example]) -> Tokenizer:
    """That of a run which has begun, of its start, the one named, that of its encoder, or a new one of the examples."""
    named, vocab = recipe.data.tokenizer, recipe.model.vocab
    if (path / "recipe.yaml").exists():
        return Tokenizer.load(path / "tokenizer")
    if recipe.start is not None:
        found = read_fusion_run(recipe.start).tokenizer()
        if named and Tokenizer.load(named).fingerprint != found.fingerprint:
            raise UserError(f"data.tokenizer is {named}, but start {recipe.start} has learned other tokens.\n  Leave data.tokenizer out.")
        return found
    if named:
        found = Tokenizer.load(named)
    elif recipe.encoder is not None:
        found = _encoder_tokenizer(recipe, Path(recipe.encoder).expanduser())
    else:
        found = train_tokenizer((text for example in examples for text in (example.text, example.code) if text), vocab - 1)
    most = vocab if recipe.encoder is not None else vocab - 1  # T5's tokenizer has its sentinels, of which one is the mask
    if found.vocab > most:
        raise UserError(
            f"model.vocab is {vocab}, but the tokenizer has {found.vocab} tokens and the mask needs a row of its own.\n"
            f"  Use --model.vocab {found.vocab + 1} or more."
        )
    return found


def _encoder_tokenizer(recipe: FusionRecipe, path: Path) -> Tokenizer:
    if (path / "recipe.yaml").exists() and (path / "tokenizer").exists():
        return Tokenizer.load(path / "tokenizer")
    found = None if (path / "recipe.yaml").exists() else open_model(path, recipe.model.dtype).tokenizer()
    if found is None:
        raise UserError(f"encoder is {path}, which has no tokenizer.\n  Name its own with --data.tokenizer.")
    return found


def _newest_step(path: Path) -> list:
    """What tells one state of a run from another."""
    with Checkpoints(path / "checkpoints") as checkpoints:
        steps = checkpoints.steps()
    if not steps:
        raise UserError(f"{path} holds no checkpoint to start from.\n  Train the run first, or name one that has been trained.")
    return [str(path), steps[-1]]


def first_params(recipe: FusionRecipe, mesh: Mesh) -> Params | None:
    """The weights a recipe starts from, laid out as its own; None where all are new."""
    if recipe.start is not None:
        run = read_fusion_run(recipe.start)
        return _restacked(run.params(mesh)[0], recipe.model)
    if recipe.encoder is None:
        return None
    path, own = Path(recipe.encoder).expanduser(), recipe.model.encoder
    if (path / "recipe.yaml").exists():
        other = read_run(path)
        config, read = other.recipe.model, lambda: load_model(other, mesh)[0]
    else:
        opened = open_model(path, recipe.model.dtype)
        config, read = opened.config, lambda: opened.params(mesh)
    _check_encoder(path, config, own)
    imported = read()
    encoder = imported["encoder"] | {"blocks": restack(imported["encoder"]["blocks"], own.encoder_period)}
    params = jax.jit(init_fusion, static_argnums=1)(jax.random.key(recipe.train.seed), recipe.model)
    return params | {"encoder": encoder, "embedding": imported["embedding"]}


def _check_encoder(path: Path, theirs: ModelConfig, ours: ModelConfig) -> None:
    """Refuses an encoder of another shape than the recipe's, naming each field."""
    if not theirs.encoder_layers:
        raise UserError(f"encoder is {path}, which has no encoder.\n  Name CodeT5's or T5's directory, or a run of train.objective span.")
    fields = {"vocab": "vocab", "embed": "embed", "heads": "heads", "hidden": "mlp", "encoder_layers": "encoder_layers"}
    differ = {field: getattr(theirs, name) for name, field in fields.items() if getattr(theirs, name) != getattr(ours, name)}
    if differ:
        shown = ", ".join(f"{field} {value}" for field, value in differ.items())
        asked = " ".join(f"--model.{field} {value}" for field, value in differ.items()).replace("_", "-")
        raise UserError(f"encoder is {path}, which has {shown}, and the recipe's model has not.\n  Say {asked}.")
    fixed = ("width", "activation", "gated", "positions", "norm", "relative_buckets", "relative_distance", "qkv_bias", "mlp_bias")
    other = [name for name in fixed if getattr(theirs, name) != getattr(ours, name)]
    if other:
        raise UserError(f"encoder is {path}, whose {', '.join(other)} are not CodeT5's, which alone is built here.")


def _restacked(params: Params, config: FusionConfig) -> Params:
    """The same layers, looped over or not as the configuration says."""
    periods = {"encoder": config.encoder.encoder_period, "denoiser": config.denoiser.period, "decoder": config.decoder.period}
    towers = {name: params[name] | {"blocks": restack(params[name]["blocks"], n)} for name, n in periods.items() if name in params}
    stack = {"blocks": restack(params["blocks"], config.stack.period)} if "blocks" in params else {}
    return params | towers | stack
