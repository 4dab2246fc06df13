"""What a caller may ask of a score, checked. Imports no JAX."""

from dataclasses import dataclass, field

from tenfold.codefusion.settings import Sampling
from tenfold.errors import UserError

TOPS = (1, 3, 5)
"""How many samples, best first, one of which must be right."""


@dataclass(frozen=True)
class ScoreSettings:
    """What is scored, and how."""

    data: str = ""
    """Test pairs: lines {"text": ..., "code": ...}, or the released ones; of a released file, its part "test"."""
    language: str = ""
    """bash, python or cf (Excel's conditional formatting)."""
    train: tuple[str, ...] = ()
    """All pairs that were trained on: what test items are compared with, and where the retrieval baseline looks. Of a released file, its
    part "train"."""
    retrieval: bool = True
    """Put a baseline into the table that answers with the codes of the training texts that are nearest."""
    together: bool = False
    """Put a row into the table in which the runs answer together: of one kind by the mean of their bounds, else by places."""
    run_code: bool = False
    """Python's answers are run as well, in a sandbox, beside the right code where that can be run."""
    limit: int | None = None
    """Test items, drawn at random by the seed. None: all."""
    sampling: Sampling = field(default_factory=lambda: Sampling(steps=50, samples=5, rank_by=16))
    """How code is sampled; each kind takes the settings that it has. With frames, CodeFusion's snippets are looked at on the way too."""
    curve: tuple[int, ...] = ()
    """Numbers of steps to score as well, of the models that have steps."""
    curve_limit: int = 200
    """Test items for each of them, drawn at random."""
    frame_items: int = 64
    """Test items that are looked at on the way, drawn at random."""
    embeddings: str | None = None
    """A model whose table of tokens compares code: a run, a Hugging Face directory or a .gguf. Python's embedding match and the likeness of
    samples need it."""
    speed_rounds: int = 3
    """Times that each model is timed on a whole batch, in turn; 0: not at all."""

    def __post_init__(self):
        for name, least in (("curve_limit", 1), ("frame_items", 1), ("speed_rounds", 0)):
            if getattr(self, name) < least:
                raise UserError(f"{name} is {getattr(self, name)}, but must be at least {least}.")
        if self.sampling.retrieved and not self.retrieval:
            raise UserError(f"retrieved is {self.sampling.retrieved}, but there is no retrieval.\n  Leave out --no-retrieval.")
        if self.run_code and self.language != "python":
            raise UserError(f"run_code is set, but language is {self.language!r}: Python alone is run.\n  Leave out --run-code.")
        if self.limit is not None and self.limit < 1:
            raise UserError(f"limit is {self.limit}, but must be at least 1; leave it out for all items.")
        if wrong := [steps for steps in self.curve if steps < 1]:
            raise UserError(f"curve names {wrong[0]} steps, but there is at least 1.")

    @property
    def tops(self) -> tuple[int, ...]:
        """Those of TOPS that there are samples for, and all samples."""
        return tuple(sorted({k for k in TOPS if k <= self.sampling.samples} | {min(self.sampling.samples, max(TOPS))}))
