"""What a run starts from: nothing, another run, or a model of others; and a run's model, which may lie on such a start.

The weights are read in the checkpoint's own layout and then brought to the run's: blocks stacked its way, learned positions cut.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import jax
from jax.sharding import Mesh

from tenfold.convert.peft import adapter_files, read_adapters
from tenfold.convert.start import content_fingerprint, model_files, open_model
from tenfold.corpus.files import write_atomically
from tenfold.errors import UserError
from tenfold.model.config import Dtype, ModelConfig
from tenfold.model.forms import quantised_axes, quantised_params
from tenfold.model.params import Params, restack
from tenfold.sharding.axes import make_mesh, sharding
from tenfold.sharding.config import MeshConfig
from tenfold.tokens.shards import is_shards
from tenfold.tokens.tokenizer import Tokenizer, has_tokenizer
from tenfold.train.checkpoint import Checkpoints, load_params
from tenfold.train.lora import merge
from tenfold.train.merged import merged_lazily
from tenfold.train.recipe import LoraConfig, Recipe
from tenfold.train.run import CHAT_TEMPLATE, Run, check_same, read_run
from tenfold.train.state import State, init_state, param_shardings, state_of
from tenfold.train.stored import stored_params


@dataclass(frozen=True)
class Start:
    """A trained model, opened and not yet read."""

    path: Path
    config: ModelConfig
    params: Callable[[Mesh], Params]
    lazy: Callable[[], Params]
    """The weights where they lie, a tree of what gives an array when it is indexed."""
    tokenizer: Callable[[], Tokenizer | None]
    tokenizer_path: Path | None
    """Where its tokenizer lies as one; None where it lies inside the model's file, or there is none."""
    fingerprint: Callable[[], str]
    chat_template: str | None = None


def open_start(recipe: Recipe) -> Start:
    """What `recipe.start` names. Raises UserError where that is no model."""
    if not recipe.start:
        raise UserError(f"the recipe {recipe.name} starts from a trained model, and start names none.\n  Name one with --from.")
    start = open_trained(Path(recipe.start).expanduser(), recipe.model.dtype)
    return _with_adapter(start, recipe.lora) if recipe.lora.adapter else start


def open_trained(path: Path, dtype: Dtype) -> Start:
    """A run, a Hugging Face directory or a .gguf; `dtype` is what products of the last two take in. Raises UserError where it is none."""
    if (path / "recipe.yaml").exists():
        return _open_run(path)
    opened = open_model(path, dtype)
    tokenizer_path = path if has_tokenizer(path) else None
    fingerprint = partial(content_fingerprint, model_files(path))
    return Start(path, opened.config, opened.params, opened.lazy, opened.tokenizer, tokenizer_path, fingerprint, opened.chat_template)


def _with_adapter(start: Start, lora: LoraConfig) -> Start:
    """The start with PEFT's adapters: merged, or, where they go on learning, known by their fingerprint only."""
    directory = Path(str(lora.adapter)).expanduser()
    missing = [file.name for file in adapter_files(directory) if not file.exists()]
    if missing:
        raise UserError(f"lora.adapter is {directory}, which holds no {missing[0]}.\n  Name a directory that PEFT's save_pretrained wrote.")

    def fingerprint() -> str:
        return f"{start.fingerprint()}-{content_fingerprint(adapter_files(directory))}"

    if lora.rank:
        return replace(start, fingerprint=fingerprint)
    return replace(
        start,
        params=lambda mesh: adapted(start.params(mesh), start.config, directory),
        lazy=lambda: adapted_lazily(start.lazy(), start.config, directory),
        fingerprint=fingerprint,
    )


def adapted(params: Params, config: ModelConfig, directory: Path) -> Params:
    """The weights with PEFT's adapters of a directory merged into them."""
    found = read_adapters(directory, config)
    return jax.jit(partial(merge, lora=LoraConfig(found.rank, found.alpha, found.targets)))(params, found.tree)


def adapted_lazily(params: Params, config: ModelConfig, directory: Path) -> Params:
    """The same where the weights lie, each merged when it is asked for."""
    found = read_adapters(directory, config)
    return merged_lazily(params, config, found.tree, LoraConfig(found.rank, found.alpha, found.targets), config)


def _open_run(path: Path) -> Start:
    run, directory = read_run(path), path / "tokenizer"
    own = directory if directory.exists() else None
    return Start(
        path,
        run.recipe.model,
        lambda mesh: load_model(run, mesh)[0],
        lambda: lazy_model(run),
        lambda: Tokenizer.load(own) if own else None,
        own,
        lambda: _run_fingerprint(path),
        run.chat_template,
    )


def _run_fingerprint(path: Path) -> str:
    with Checkpoints(path / "checkpoints") as checkpoints:
        steps = checkpoints.steps()
    if not steps:
        raise UserError(f"{path} holds no checkpoint to start from.\n  Train the run first, or name a run that has one.")
    return content_fingerprint(sorted(file for file in (path / "checkpoints" / str(steps[-1]) / "model").rglob("*") if file.is_file()))


def fitted(recipe: Recipe, start: Start, path: Path) -> Recipe:
    """The recipe with the shape and the tokenizer of what it starts from; dtype, remat, chunk, scan and context stay its own.

    `path` is the run's directory, where a tokenizer that lies inside the model's file is put (`bring_tokenizer`). Raises UserError for a
    context beyond a learned table of positions, and for documents where there is no tokenizer to encode them with.
    """
    own, config = recipe.model, start.config
    if config.positions == "learned" and own.context > config.context:
        raise UserError(
            f"model.context is {own.context}, but {start.path} has learned {config.context} positions.\n"
            f"  Use --model.context {config.context} or less."
        )
    model = replace(config, context=own.context, dtype=own.dtype, remat=own.remat, chunk=own.chunk, scan=own.scan)
    tokenizer = recipe.data.tokenizer
    if tokenizer is None and start.tokenizer_path:
        tokenizer = str(start.tokenizer_path)
    elif tokenizer is None and start.tokenizer():
        tokenizer = str(path / "tokenizer")
    elif tokenizer is None and (raw := [p for p in recipe.data.paths if not any(is_shards(Path(p) / part) for part in ("", "train"))]):
        raise UserError(
            f"{start.path} has no tokenizer to encode {raw[0]} with.\n  Name the model's own with --data.tokenizer, or give shards."
        )
    recipe = replace(recipe, model=model, data=replace(recipe.data, tokenizer=tokenizer))
    return replace(recipe, lora=_fitted_lora(recipe.lora, model)) if recipe.lora.adapter and recipe.lora.rank else recipe


def _fitted_lora(lora: LoraConfig, config: ModelConfig) -> LoraConfig:
    """With the alpha and the targets of the adapters it goes on from. Raises UserError for another rank than theirs."""
    found = read_adapters(str(lora.adapter), config)
    if found.rank != lora.rank:
        raise UserError(
            f"lora.rank is {lora.rank}, but {lora.adapter} holds adapters of rank {found.rank}.\n"
            f"  Use --lora.rank {found.rank} to go on with them, or 0 to merge them into the model and train that."
        )
    return replace(lora, alpha=found.alpha, targets=found.targets)


def bring_tokenizer(start: Start | None, path: Path) -> None:
    """Puts a tokenizer that lies inside the model's file into the run's directory, where `prepare` looks for it."""
    if start and not start.tokenizer_path and not (path / "tokenizer" / "tokenizer.json").exists() and (found := start.tokenizer()):
        found.save(path / "tokenizer")


def bring_template(start: Start, path: Path, source: str | None = None) -> None:
    """Puts a chat template, else that of the start, into the run's directory, so that the run's model answers by it."""
    if source := source or start.chat_template:
        write_atomically(path / CHAT_TEMPLATE, source)


def start_params(recipe: Recipe, mesh: Mesh) -> Params:
    """The weights a recipe starts from, f32, laid out as its own model's."""
    start = open_start(recipe)
    params = start.params(mesh)
    if start.config == recipe.model:
        return params
    shardings = param_shardings(recipe.model, mesh)
    return jax.jit(partial(_relaid, config=recipe.model), out_shardings=shardings)(params)


def base_params(recipe: Recipe, mesh: Mesh) -> Params:
    """The model under a recipe's adapters, as `lora.base` says: f32, or its large matrices as Int8."""
    params, config = start_params(recipe, mesh), recipe.model
    if recipe.lora.base == "float32":
        return params
    where = quantised_axes(config, partial(sharding, mesh))
    return jax.jit(partial(quantised_params, config), out_shardings=where, donate_argnums=0)(params)


def _relaid(params: Params, config: ModelConfig) -> Params:
    relaid = params | {"blocks": restack(params["blocks"], config.period)}
    if config.encoder_layers:
        relaid["encoder"] = params["encoder"] | {"blocks": restack(params["encoder"]["blocks"], config.encoder_period)}
    if config.positions == "learned":
        relaid["position"] = params["position"][: config.context]
    return relaid


def first_state(recipe: Recipe, optimizer, mesh: Mesh) -> State:
    """The State before the first step: new weights or adapters, or the weights of the recipe's start."""
    if recipe.start and not recipe.lora.rank:
        return state_of(start_params(recipe, mesh), recipe.model, optimizer, mesh)
    if recipe.lora.adapter:
        found = read_adapters(recipe.lora.adapter, recipe.model).tree
        adapters = jax.tree.map(jax.device_put, found, param_shardings(recipe.model, mesh, recipe.lora))
        return state_of(adapters, recipe.model, optimizer, mesh, recipe.lora)
    return init_state(recipe.model, optimizer, mesh, recipe.train.seed, recipe.lora)


def load_model(run: Run, mesh: Mesh) -> tuple[Params, int]:
    """A run's newest weights on `mesh`, f32, with its adapters merged into what it started from; and the step they are of.

    Raises UserError where that start is no longer what the run began from.
    """
    recipe = run.recipe
    found, step = load_params(run.path, recipe.model, mesh, recipe.lora)
    if not recipe.lora.rank:
        return found, step
    check_same(run, "start", open_start(recipe).fingerprint())
    return jax.jit(partial(merge, lora=recipe.lora))(base_params(recipe, mesh), found), step


def lazy_model(run: Run) -> Params:
    """A run's newest weights where they lie: a tree of what gives an array when it is indexed, adapters merged as `load_model` does.

    Raises UserError as `load_model`.
    """
    recipe = run.recipe
    if not recipe.lora.rank:
        return stored_params(run.path, recipe.model)[0]
    start = open_start(recipe)
    check_same(run, "start", start.fingerprint())
    adapters, _ = load_params(run.path, recipe.model, make_mesh(MeshConfig(), jax.local_devices()[:1]), recipe.lora)
    return merged_lazily(start.lazy(), start.config, adapters, recipe.lora, recipe.model)
