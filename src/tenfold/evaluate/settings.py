"""What a caller may ask of an evaluation, checked. Imports no JAX, so that the command line can refuse in a moment."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

from tenfold.errors import UserError
from tenfold.evaluate.rules import RULES, Rule
from tenfold.generate.config import Weights

OWN = "K"  # the number of shots that a task's file gives


@dataclass(frozen=True)
class EvalSettings:
    """How to measure. All of it is written into each result."""

    shots: str = "0"
    """How many worked examples stand before each item, a score for each: 0,1,32. K is the task's own number, GPT-3's."""
    limit: int | None = None
    """Items of each task, drawn at random by the seed. None: all."""
    seed: int = 0
    """Which items a limit leaves, and which examples are shown before which item."""
    rules: str = ",".join(RULES)
    """Ways to choose among answers: sum, token, byte and char cost nothing more; answer and empty each ask for every answer once again."""
    weights: Weights = "float32"
    """What the weights are rounded to while measuring."""
    data: tuple[Path, ...] = field(default_factory=tuple)
    """Folders in which the files of tasks are looked for first, such as a wheel, or one unpacked."""
    run_code: bool = False
    """Run what the model writes for tasks of programming, in a process of its own without rights worth having."""

    def __post_init__(self):
        if self.limit is not None and self.limit < 1:
            raise UserError(f"--limit is {self.limit}, but must be at least 1; leave it out for all items.")
        if not 0 <= self.seed < 2**32:
            raise UserError(f"--seed is {self.seed}, but must be at least 0 and below 2^32.")
        if self.weights not in get_args(Weights):
            raise UserError(f"--weights is {self.weights!r}, but must be one of {', '.join(map(repr, get_args(Weights)))}.")
        self.counts(0)
        self.asked_rules()
        for folder in self.data:
            if not folder.exists():
                raise UserError(f"--data names {folder}, which is not there.\n  Name a folder with files of tasks, or a wheel.")

    def counts(self, own: int) -> list[int]:
        """The numbers of shots, each once, for a task whose own number is `own`."""
        words = [word.strip() for word in self.shots.split(",")]
        if not all(word.isdecimal() or word == OWN for word in words):
            raise UserError(f"--shots is {self.shots!r}, but must be numbers, such as 0,1,32, or {OWN} for a task's own.")
        return list(dict.fromkeys(own if word == OWN else int(word) for word in words))

    def asked_rules(self) -> tuple[Rule, ...]:
        """The rules by name, in the order of `rules.RULES`. The four that cost nothing are always among them."""
        words = [word.strip() for word in self.rules.split(",")]
        if unknown := [word for word in words if word not in RULES]:
            raise UserError(f"--rules names {unknown[0]!r}, but the rules are {', '.join(RULES)}.")
        return tuple(rule for rule in RULES if rule in words or rule not in ("answer", "empty"))

    def written(self) -> dict[str, Any]:
        """As it stands in a result: without `shots`, each result having one number, and without folders, whose contents count."""
        return {name: value for name, value in asdict(self).items() if name in ("limit", "seed", "weights")} | {
            "rules": ",".join(self.asked_rules())
        }
