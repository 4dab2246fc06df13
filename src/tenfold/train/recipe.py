"""Recipe: everything that decides a training run, in one frozen dataclass. Imports no JAX.

A run's `recipe.yaml` is its recipe as run, and can be passed back as the recipe.
"""

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.sequence import check_sequence
from tenfold.sharding.config import MeshConfig
from tenfold.tokens.config import DataConfig

T = TypeVar("T")

LORA_TARGETS = ("query", "key", "value", "out", "up", "gate", "down")


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW as GPT-3 (appendix B), its schedule counted in tokens."""

    learning_rate: float = 6e-4
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 0.1
    """On matrices and embeddings; gains and biases are left alone."""
    clip: float = 1.0
    """Largest global norm of the gradient; 0 leaves it as it is."""
    warmup_tokens: int = 0
    decay: Literal["cosine", "polynomial"] = "cosine"
    """How the rate falls from its peak to `final_fraction` of it."""
    decay_power: float = 1.0
    """Of the polynomial: 1 is a straight line."""
    decay_tokens: int = 0
    """Tokens at which the decay reaches its end; 0 means the end of the run."""
    final_fraction: float = 0.1
    ramp_batch: int = 0
    """Rows of the first batches; the batch grows by multiples of it. 0 means full batches from the start."""
    ramp_tokens: int = 0
    """Tokens over which the batch grows to its full size."""

    def __post_init__(self):
        for name in ("warmup_tokens", "decay_tokens", "ramp_batch", "ramp_tokens", "clip", "weight_decay"):
            if getattr(self, name) < 0:
                raise UserError(f"optimizer.{name} is {getattr(self, name)}, but must be 0 or more.")
        if not 0 < self.learning_rate < 10:
            raise UserError(f"optimizer.learning_rate is {self.learning_rate}, but must lie above 0 (and below 10); GPT-3 125M used 6e-4.")
        for name in ("beta1", "beta2", "final_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"optimizer.{name} is {getattr(self, name)}, but must lie between 0 and 1.")
        if not 0 < self.decay_power <= 10:
            raise UserError(f"optimizer.decay_power is {self.decay_power}, but must lie above 0 (and at most 10); 1 is a straight line.")
        if self.eps <= 0:
            raise UserError(f"optimizer.eps is {self.eps}, but must be above 0; GPT-3 used 1e-8.")


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank adapters (Hu et al. 2021): the model stays as it is, and to each target W the product (alpha / rank) A B is added."""

    rank: int = 0
    """r, the width between A and B. 0: no adapters, the model's own weights are trained."""
    alpha: float = 16.0
    targets: tuple[str, ...] = ("query", "value")
    """Weights that get adapters, in every layer: of query, key, value, out, up, gate, down."""
    dropout: float = 0.0
    """Share of an adapter's input that is left out in training, drawn anew for each step, row, layer and target; 0.05 to 0.1 is usual."""
    base: Literal["float32", "int8"] = "float32"
    """What the model that stays is held as. int8: its large matrices in a quarter of the memory, rounded, with a scale for each output."""
    adapter: str | None = None
    """A directory of PEFT's adapters of the model that `start` names. They go on learning, with their own alpha and targets, where rank is
    theirs; with rank 0 they are merged into the model, all of which learns."""

    def __post_init__(self):
        if self.rank < 0:
            raise UserError(f"lora.rank is {self.rank}, but must be at least 1, or 0 for no adapters; the paper used 1 to 64.")
        if not self.alpha > 0:
            raise UserError(f"lora.alpha is {self.alpha}, but must be above 0; twice lora.rank is usual.")
        if not 0 <= self.dropout < 1:
            raise UserError(f"lora.dropout is {self.dropout}, but must be at least 0 and below 1; 0.05 to 0.1 is usual.")
        unknown = [name for name in self.targets if name not in LORA_TARGETS]
        if unknown or not self.targets or len(set(self.targets)) < len(self.targets):
            raise UserError(f"lora.targets is {' '.join(self.targets) or 'empty'}.\n  Name some of {', '.join(LORA_TARGETS)}, each once.")


@dataclass(frozen=True)
class ChatConfig:
    """Conversations to learn from instead of documents (`tenfold align sft`), and how they become rows."""

    template: str = ""
    """What makes text of a conversation: chatml, llama3, alpaca, plain, a Jinja file, or model, for the start's own. Empty: the
    data are documents."""
    pack: bool = True
    """Several conversations in a row, none of which sees another. False: a row for each, the rest of it padding."""
    too_long: Literal["drop", "cut"] = "drop"
    """What becomes of a conversation that is longer than model.context: left out, or cut at the row's end."""
    epochs: float = 0.0
    """How often the run sees each conversation, which decides train.steps. 0: train.steps decides."""

    def __post_init__(self):
        if not 0 <= self.epochs < 1e6:
            raise UserError(f"chat.epochs is {self.epochs}, but must be above 0, or 0 where train.steps decides; 1 to 3 are usual.")


@dataclass(frozen=True)
class TrainConfig:
    """How long, how much at once, and what is written on the way."""

    steps: int = 1000
    batch: int = 32
    """Rows (of `model.context` tokens) in a step."""
    objective: Literal["causal", "masked", "span"] = "causal"
    """What is learned: the next token (GPT), masked tokens (BERT), or dropped spans (T5)."""
    microbatch: int = 0
    """Rows in the device's memory at once; gradients are added up over the batch. 0 means the whole batch."""
    seed: int = 0
    """Of the first weights and of samples; `data.seed` is that of the order of the data."""
    frozen: tuple[str, ...] = ()
    """Weights that stay as they are, by the start of their names: embedding, position, blocks.0, blocks.1.mlp, ..."""
    z_loss: float = 0.0
    """Weight of log(Z)^2, which keeps logits from drifting; PaLM used 1e-4, GPT-3 none."""
    balance_loss: float = 0.0
    """Weight of the experts' load-balancing loss; Switch used 1e-2."""
    router_z_loss: float = 0.0
    """Weight of log(Z)^2 of the routers' logits; ST-MoE used 1e-3."""
    log_every: int = 10
    evaluate_every: int = 0
    """Steps between measurements of held-out loss; 0 means a tenth of the run."""
    evaluate_rows: int = 64
    """Rows of the held-out documents measured during training."""
    checkpoint_every: int = 0
    """Steps between checkpoints; 0 means a tenth of the run. The last step always has one."""
    keep: int = 3
    """Newest checkpoints kept."""
    sample_every: int = 0
    """Steps between samples; 0 means a tenth of the run."""
    prompts: tuple[str, ...] = ("",)
    """What samples continue. None: no samples."""
    sample_tokens: int = 64
    tensorboard: bool = True
    wandb: str | None = None
    """Weights & Biases project to log to (needs `pip install tenfold[wandb]`)."""

    def __post_init__(self):
        for name in ("steps", "batch", "log_every", "keep", "evaluate_rows", "sample_tokens"):
            if getattr(self, name) < 1:
                raise UserError(f"train.{name} is {getattr(self, name)}, but must be at least 1.")
        for name in ("microbatch", "evaluate_every", "checkpoint_every", "sample_every", "z_loss", "balance_loss", "router_z_loss", "seed"):
            if getattr(self, name) < 0:
                raise UserError(f"train.{name} is {getattr(self, name)}, but must be 0 or more.")
        if self.microbatch and self.batch % self.microbatch:
            raise UserError(
                f"train.microbatch is {self.microbatch}, which does not divide train.batch {self.batch}."
                f"\n  Try microbatch {max(m for m in range(1, self.microbatch + 1) if self.batch % m == 0)}."
            )

    def every(self, interval: str) -> int:
        """`evaluate`, `checkpoint` or `sample` interval in steps, with 0 read as a tenth of the run."""
        return getattr(self, f"{interval}_every") or max(1, self.steps // 10)


@dataclass(frozen=True)
class Recipe:
    """A named run."""

    name: str = "run"
    """Where it is written: runs/NAME."""
    notes: str = ""
    """Where the numbers come from, and what was built otherwise than printed."""
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    start: str | None = None
    """What the weights start from: a run, a Hugging Face directory or a .gguf, whose shape and tokenizer the model then has. None: from
    nothing."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    chat: ChatConfig = field(default_factory=ChatConfig)

    def __post_init__(self):
        _check_objective(self)
        check_sequence(self.model, self.model.context, max(1, self.mesh.sequence))
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise UserError(f"name is {self.name!r}, but must be a plain folder name, such as my-run.")
        for name in ("balance_loss", "router_z_loss") if not self.model.experts else ():
            if getattr(self.train, name):
                raise UserError(
                    f"train.{name} is {getattr(self.train, name)}, but model.experts is 0: there is no router."
                    "\n  Leave it at 0, or say how many experts there are."
                )
        if self.lora.rank and self.start is None:
            raise UserError(f"lora.rank is {self.lora.rank}, but start names no model to adapt.\n  Name one with --from.")
        if self.lora.adapter and self.start is None:
            raise UserError(f"lora.adapter is {self.lora.adapter}, but start names no model that it adapts.\n  Name one with --from.")
        if self.lora.base != "float32" and not self.lora.rank:
            raise UserError(
                f"lora.base is {self.lora.base}, but lora.rank is 0, which trains the model itself, and it is trained in float32."
                "\n  Leave lora.base out, or train adapters: --lora.rank 8."
            )
        if self.lora.rank and self.train.frozen:
            raise UserError(
                f"train.frozen names {' '.join(self.train.frozen)}, but with lora.rank {self.lora.rank} all weights of the model stay."
                "\n  Leave train.frozen out; lora.targets says what is adapted."
            )
        if self.lora.rank and self.lora.dropout and self.model.chunk:
            raise UserError(
                f"lora.dropout is {self.lora.dropout} and model.chunk {self.model.chunk}: each part of a row would drop out the same."
                "\n  Set one of them to 0."
            )
        ramp = self.optimizer.ramp_batch
        if 0 < ramp < self.train.batch and self.train.batch % ramp:
            raise UserError(
                f"optimizer.ramp_batch is {ramp}, which does not divide train.batch {self.train.batch}: the batch grows by multiples of it."
                f"\n  Try ramp_batch {max(r for r in range(1, ramp + 1) if self.train.batch % r == 0)}."
            )
        if ramp and self.train.microbatch and ramp % self.train.microbatch:
            raise UserError(
                f"train.microbatch is {self.train.microbatch}, which does not divide optimizer.ramp_batch {ramp}, the first batch's rows."
            )


def _check_objective(recipe: Recipe) -> None:
    """Refuses objectives that the model is not made for."""
    objective, model = recipe.train.objective, recipe.model
    others = "train.objective is one of causal (GPT), masked (BERT) and span (T5)."
    if objective != "span" and model.encoder_layers:
        raise UserError(
            f"train.objective is {objective!r}, but model.encoder_layers is {model.encoder_layers}: an encoder-decoder learns by spans."
            f"\n  Use span, or model.encoder_layers 0. {others}"
        )
    if objective == "span" and not model.encoder_layers:
        raise UserError(
            "train.objective is 'span', but model.encoder_layers is 0: spans are written by a decoder from what an encoder read."
            f"\n  Give model.encoder_layers as many as model.layers, {model.layers}. {others}"
        )
    if model.causal != (objective != "masked"):
        why = "a mask is filled in from both sides" if model.causal else "what sees the next token has nothing to guess"
        raise UserError(
            f"train.objective is {objective!r}, but model.causal is {model.causal}: {why}."
            f"\n  Use model.causal {not model.causal}, or another objective. {others}"
        )
    if objective == "span" and recipe.data.mask_documents:
        raise UserError("data.mask_documents is True, which train.objective 'span' does not know.\n  Leave it False, as T5 did.")
    if objective == "span" and model.experts:
        raise UserError(f"model.experts is {model.experts}, but train.objective 'span' balances none.\n  Use model.experts 0.")
    if objective == "span" and model.context < 4:
        raise UserError(f"model.context is {model.context}, but train.objective 'span' needs at least 4.")


def to_dict(value):
    """A dataclass as plain dicts, lists and scalars."""
    if dataclasses.is_dataclass(value):
        return {f.name: to_dict(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return [to_dict(v) for v in value] if isinstance(value, tuple) else value


def from_dict(cls, values, where: str = ""):
    """The dataclass of `to_dict`'s output; unknown fields and wrong types are refused by name."""
    if not isinstance(values, dict):
        raise UserError(f"{where.rstrip('.') or 'the recipe'} is {values!r}, but must be a table of fields.")
    hints, names = typing.get_type_hints(cls), [f.name for f in dataclasses.fields(cls)]
    for name in values:
        if name not in names:
            raise UserError(f"{where}{name} is not a field of a recipe.\n  The fields here are {', '.join(names)}.")
    return cls(**{name: _convert(hints[name], value, f"{where}{name}") for name, value in values.items()})


def _convert(hint, value, where: str):
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, f"{where}.")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        if not isinstance(value, list):
            raise UserError(f"{where} is {value!r}, but must be a list, even of one: [{value!r}].")
        return tuple(_convert(arguments[0], v, where) for v in value)
    if origin in (types.UnionType, typing.Union):
        options = [a for a in arguments if a is not type(None)]
        return None if value is None else _convert(options[0], value, where)
    if origin is typing.Literal:
        if value not in arguments:
            raise UserError(f"{where} is {value!r}, but must be one of {', '.join(map(str, arguments))}.")
        return value
    if hint is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 6e-4 as text
        except ValueError:
            pass
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise UserError(f"{where} is {value!r}, but must be of type {getattr(hint, '__name__', hint)}.")
    return value


def save_recipe(recipe: Any, path: Path) -> None:
    """Writes a recipe of any kind, a dataclass, as YAML, whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(yaml.safe_dump(to_dict(recipe), sort_keys=False))
    temporary.rename(path)


def load_recipe(path: Path) -> Recipe:
    """The recipe of a YAML file. Raises UserError for what is not one, naming the field."""
    return load_as(Recipe, path)


def load_as(kind: type[T], path: Path) -> T:
    """What `save_recipe` wrote, as this dataclass. Raises UserError for what is not one, naming the field."""
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {error}") from error
    return from_dict(kind, values)


def differences(a: Any, b: Any) -> dict[str, tuple]:
    """Fields in which two recipes of one kind differ: dotted name -> (value in a, value in b)."""

    def flatten(values, prefix=""):
        for name, value in values.items():
            yield from flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]

    left, right = dict(flatten(to_dict(a))), dict(flatten(to_dict(b)))
    return {name: (left[name], right[name]) for name in left if left[name] != right[name]}
