"""FusionRecipe: everything that decides a training of a model that writes code. Imports no JAX.

Its `recipe.yaml` is read and written as other runs' (train/recipe.py).
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from tenfold.codefusion.config import FusionConfig
from tenfold.errors import UserError
from tenfold.sharding.config import MeshConfig
from tenfold.train.recipe import OptimizerConfig

Task = Literal["code", "denoising", "pairs"]
TASKS = ("code", "denoising", "pairs")


@dataclass(frozen=True)
class FusionData:
    """What is learned from: files of lines {"text": ..., "code": ...}, or {"code": ...} for code alone."""

    paths: tuple[str, ...] = ()
    held_out: str | None = None
    """A file of the same form to measure on."""
    tokenizer: str | None = None
    """A tokenizer.json or a directory with one. None: that of the start or the encoder; where there is neither, a new one."""
    words: str | None = None
    """A file of the words that are known, one a line, as `tenfold codefusion words` writes it: all others in a text are slots, which code
    copies. None: those of the start; where there is none, nothing is a slot."""
    language: str = "words"
    """How identifiers and keywords are found to be masked: `python` by its own tokenizer, `words` by letters. A line's field "language"
    comes first."""
    seed: int = 0
    """The order of the lines. A batch is a function of this and of the step."""


@dataclass(frozen=True)
class FusionTraining:
    """How long, how much at once, what is asked of a row, and what is written on the way."""

    tasks: tuple[Task, ...] = ("pairs",)
    """What rows learn, in turn: code alone with noise for a text (`code`), code whose identifiers and keywords are masked (`denoising`),
    both of phase 1; or text and code (`pairs`), phase 2."""
    steps: int = 1000
    batch: int = 64
    """Rows in a step."""
    microbatch: int = 0
    """Rows in the device's memory at once; 0 means the whole batch."""
    seed: int = 0
    """Of the first weights and of the noise."""
    train_encoder: bool = True
    """False: the encoder, with its table, stays as it is."""
    mask_share: float = 0.3
    """Of a snippet's identifiers and keywords, the share that `denoising` masks; GENIE's, as the paper says none."""
    drop_text: float = 0.0
    """Share of the pairs that have noise for a text, which makes guidance possible; 0.1 is usual."""
    pad_weight: float = 1.0
    """What a pad after the first counts, where a token counts 1."""
    log_every: int = 10
    evaluate_every: int = 0
    """Steps between measurements of the held-out loss; 0 means a tenth of the run."""
    evaluate_rows: int = 256
    checkpoint_every: int = 0
    """Steps between checkpoints; 0 means a tenth of the run. The last step always has one."""
    keep: int = 2
    """Newest checkpoints kept."""
    tensorboard: bool = False

    def __post_init__(self):
        for name in ("steps", "batch", "log_every", "keep", "evaluate_rows"):
            if getattr(self, name) < 1:
                raise UserError(f"train.{name} is {getattr(self, name)}, but must be at least 1.")
        for name in ("microbatch", "evaluate_every", "checkpoint_every", "seed"):
            if getattr(self, name) < 0:
                raise UserError(f"train.{name} is {getattr(self, name)}, but must be 0 or more.")
        for name in ("mask_share", "drop_text", "pad_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"train.{name} is {getattr(self, name)}, but must lie between 0 and 1.")
        if not self.tasks or any(task not in TASKS for task in self.tasks):
            raise UserError(f"train.tasks is {' '.join(self.tasks) or 'empty'}.\n  Name some of {', '.join(TASKS)}.")
        if self.microbatch and self.batch % self.microbatch:
            raise UserError(f"train.microbatch is {self.microbatch}, which does not divide train.batch {self.batch}.")

    def every(self, interval: Literal["evaluate", "checkpoint"]) -> int:
        """An interval in steps, with 0 read as a tenth of the run."""
        return getattr(self, f"{interval}_every") or max(1, self.steps // 10)


@dataclass(frozen=True)
class FusionRecipe:
    """A named training of a model that writes code."""

    name: str = "codefusion"
    """Where it is written: runs/NAME."""
    notes: str = ""
    """Where the numbers come from, and what was built otherwise than printed."""
    model: FusionConfig = field(default_factory=FusionConfig)
    data: FusionData = field(default_factory=FusionData)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    train: FusionTraining = field(default_factory=FusionTraining)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    start: str | None = None
    """A run of this kind that the weights, the shape and the tokenizer are taken from."""
    encoder: str | None = None
    """An encoder-decoder whose encoder and tokenizer are taken: CodeT5's Hugging Face directory, or a run of span corruption."""

    def __post_init__(self):
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise UserError(f"name is {self.name!r}, but must be a plain folder name, such as my-run.")
        if self.start is not None and self.encoder is not None:
            raise UserError(f"start is {self.start} and encoder {self.encoder}, but the start has an encoder.\n  Name one of them.")
        if self.optimizer.ramp_batch:
            raise UserError(f"optimizer.ramp_batch is {self.optimizer.ramp_batch}, but batches do not grow here.\n  Leave it at 0.")
        if self.mesh.sequence != 1:
            raise UserError(
                f"mesh.sequence is {self.mesh.sequence}, but text and code are read in whole rows.\n  Use mesh.data or mesh.fsdp."
            )


def with_shape(recipe: FusionRecipe, config: FusionConfig) -> FusionRecipe:
    """The recipe with the shape of what it starts from; dtype, remat and scan stay its own."""
    own = recipe.model
    return replace(recipe, model=replace(config, dtype=own.dtype, remat=own.remat, scan=own.scan))
