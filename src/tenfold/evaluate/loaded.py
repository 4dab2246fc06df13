"""Tasks by name, and their items: what must be there before anything is measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tenfold.errors import UserError
from tenfold.evaluate.example import Example
from tenfold.evaluate.prompts import choose_shots, examples, limited
from tenfold.evaluate.settings import EvalSettings
from tenfold.evaluate.task import Task, task_names


@dataclass(frozen=True)
class Loaded:
    """A task with its items, and the examples that are shown before each."""

    task: Task
    test: Sequence[Example]
    of: int
    """Items before a limit."""
    shots: Sequence[Sequence[Example]]
    """Before each item, as many as the most that are asked for; of fewer shots, the first."""
    counts: list[int]


def find_tasks(names: Sequence[str]) -> list[str]:
    """Names, each once, in order: several may stand in one word with commas, and a * stands for any letters. Raises UserError where a
    pattern fits none."""
    known, found = task_names(), []
    for name in (part.strip() for word in names for part in word.split(",")):
        fitting = [each for each in known if fnmatchcase(each, name)] if "*" in name else [name]
        if not fitting:
            raise UserError(f"no task is called like {name!r}.\n  `tenfold eval tasks` lists them.")
        found += fitting
    return list(dict.fromkeys(found))


def load(task: Task, settings: EvalSettings) -> Loaded:
    """A task's items. Raises UserError where its data are not there, or hold too few examples to show."""
    counts = [0] if task.kind == "perplexity" else settings.counts(task.shots)  # a whole text has nothing before it
    test = examples(task, settings.data)
    pool = examples(task, settings.data, "shots") if max(counts) else []
    if (most := max(counts)) > len(pool):
        raise UserError(
            f"{task.name} is asked with {most} shots, but has {len(pool)} examples to show.\n  Use --shots {len(pool)} or fewer for it."
        )
    asked = limited(test, settings.limit, settings.seed)
    return Loaded(task, asked, len(test), [choose_shots(task, example, pool, most, settings.seed) for example in asked], counts)
