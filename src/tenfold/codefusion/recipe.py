"""FusionRecipe: everything that decides a training of a model that writes code. Imports no JAX.

Its `recipe.yaml` is read and written as other runs' (train/recipe.py).
"""

import math
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
    """How identifiers and keywords are found to be masked: `python` by its own tokenizer, `bash` by tree-sitter's, `cf` by the grammar
    of rules, `words` by letters. A line's field "language" comes first."""
    seed: int = 0
    """The order of the lines. A batch is a function of this and of the step."""


@dataclass(frozen=True)
class ReaderConfig:
    """A language model that reads the texts too, and stays as it is: what it makes of them is attended to beside the encoder's own."""

    path: str | None = None
    """A run, a Hugging Face directory or a .gguf. None: no reader, or that of the start."""
    layers: int = 0
    """Of its layers, how many a text goes through; 0: all. Two thirds cost less, and what comes after serves to say the next token."""
    tokens: int = 32
    """R, the most of its tokens that it reads of a text."""
    kept: str | None = None
    """The folder in which what it makes of the training texts is kept, for several runs on the same ones. None: the run's own."""

    def __post_init__(self):
        if self.layers < 0:
            raise UserError(f"reader.layers is {self.layers}, but must be at least 1, or 0 for all.")
        if self.tokens < 1:
            raise UserError(f"reader.tokens is {self.tokens}, but must be at least 1.")


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
    late_noise: float = 1.0
    """How often CodeFusion's noisy steps are drawn: with a density of time ** (late_noise - 1); 1: all alike. Under much noise the text has
    to be read (Ye et al. 2023, arXiv 2302.10025, who draw no step of little noise)."""
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
        if not (math.isfinite(self.late_noise) and self.late_noise > 0):
            raise UserError(f"train.late_noise is {self.late_noise}, but must be more than 0; 1 draws all steps alike.")
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
    reader: ReaderConfig = field(default_factory=ReaderConfig)
    start: str | None = None
    """A run of this kind that the weights, the shape and the tokenizer are taken from."""
    encoder: str | None = None
    """An encoder-decoder whose encoder and tokenizer are taken: CodeT5's Hugging Face directory, or a run of span corruption."""

    def __post_init__(self):
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise UserError(f"name is {self.name!r}, but must be a plain folder name, such as my-run.")
        if self.start is not None and self.encoder is not None:
            raise UserError(f"start is {self.start} and encoder {self.encoder}, but the start has an encoder.\n  Name one of them.")
        if self.train.late_noise != 1 and self.model.kind != "codefusion":
            raise UserError(
                f"train.late_noise is {self.train.late_noise}, but model.kind {self.model.kind!r} adds no noise.\n  Leave it at 1."
            )
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
