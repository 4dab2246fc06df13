"""What a completion is worth: any Python callable, checked; verifiers; a weighted sum of several.

A reward is `def reward(prompts, completions) -> floats`, one for each; where it takes a third argument it also gets the examples, the
prompts' whole lines. What it returns is looked at before anything learns from it.
"""

import importlib.util
import inspect
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from tenfold.align.policy_config import Pool
from tenfold.align.prompts import Example
from tenfold.errors import UserError
from tenfold.evaluate.metrics import number as number_worth
from tenfold.evaluate.sandbox import Limits, run_all

Reward = Callable[..., Sequence[float]]
SHOWN = 60


def takes_examples(reward: Reward) -> bool:
    """Whether a reward wants the prompts' whole lines too."""
    try:
        places = list(inspect.signature(reward).parameters.values())
    except (TypeError, ValueError):
        return False
    positional = [p for p in places if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) >= 3 or any(p.kind == p.VAR_POSITIONAL for p in places)


def asked(reward: Reward, prompts: Sequence[str], completions: Sequence[str], examples: Sequence[Example]) -> Any:
    """What a reward says, unchecked."""
    more = (list(examples),) if takes_examples(reward) else ()
    return reward(list(prompts), list(completions), *more)


def score(name: str, reward: Reward, prompts: Sequence[str], completions: Sequence[str], examples: Sequence[Example]) -> list[float]:
    """A finite number for each completion. Raises UserError, naming the reward and the example, where it raises or returns otherwise."""
    try:
        found = asked(reward, prompts, completions, examples)
    except UserError:
        raise
    except Exception as error:
        raise UserError(_raised(name, reward, prompts, completions, examples, error)) from error
    try:
        numbers = [float(each) for each in found]
    except (TypeError, ValueError) as error:
        raise UserError(
            f"the reward {name} returned {str(found)[:SHOWN]!r}, which is no sequence of numbers ({error}).\n  Return a list of floats."
        ) from error
    if len(numbers) != len(completions):
        raise UserError(
            f"the reward {name} returned {len(numbers)} scores for {len(completions)} completions, the first of which is of "
            f"{example_text(prompts[0], completions[0])}.\n  Return one for each, in their order."
        )
    for place, number in enumerate(numbers):
        if not math.isfinite(number):
            where = example_text(prompts[place], completions[place])
            raise UserError(f"the reward {name} returned {number} for {where}.\n  Return a finite number.")
    return numbers


def example_text(prompt: str, completion: str) -> str:
    """How a message names an example."""
    return f"the prompt {prompt[:SHOWN]!r} and the completion {completion[:SHOWN]!r}"


def _raised(name, reward, prompts, completions, examples, error: Exception) -> str:
    """The message for a reward that raised, which is asked again about each example alone to find the one that it raises for."""
    for prompt, completion, example in zip(prompts, completions, examples, strict=True):
        try:
            asked(reward, [prompt], [completion], [example])
        except Exception as alone:
            where = example_text(prompt, completion)
            return f"the reward {name} raised {type(alone).__name__} for {where}: {alone}"
    return f"the reward {name} raised {type(error).__name__} for {len(prompts)} completions at once, and for none of them alone: {error}"


@dataclass(frozen=True)
class Weighted:
    """Named rewards, each times its weight, added up."""

    rewards: dict[str, Reward]
    weights: dict[str, float] = field(default_factory=dict)
    """By name; 1 where none is given."""

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], examples: Sequence[Example]) -> list[float]:
        return [sum(scores) for scores in zip(*self.each(prompts, completions, examples).values(), strict=True)]

    def each(self, prompts: Sequence[str], completions: Sequence[str], examples: Sequence[Example]) -> dict[str, list[float]]:
        """Each reward's scores, times its weight."""
        return {
            name: [self.weights.get(name, 1.0) * each for each in score(name, reward, prompts, completions, examples)]
            for name, reward in self.rewards.items()
        }


def number(prompts: Sequence[str], completions: Sequence[str], examples: Sequence[Example]) -> list[float]:
    """1 where the number after "####", or the last number, is that of the example's `answer`, else 0; as GSM8K is scored."""
    return [number_worth(text, [_of(example, "answer")])["exact"] for text, example in zip(completions, examples, strict=True)]


def exact(prompts: Sequence[str], completions: Sequence[str], examples: Sequence[Example]) -> list[float]:
    """1 where the completion is the example's `answer`, but for spaces around it, else 0."""
    return [float(text.strip() == _of(example, "answer").strip()) for text, example in zip(completions, examples, strict=True)]


@dataclass(frozen=True)
class Code:
    """1 where the completion, with the example's `test` after it, runs to its end in the sandbox, else 0."""

    allow: bool
    limits: Limits = Limits()

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], examples: Sequence[Example]) -> list[float]:
        programs = [f"{text}\n{_of(example, 'test')}\n" for text, example in zip(completions, examples, strict=True)]
        return [float(ran.passed) for ran in run_all(programs, self.limits, allow=self.allow)]


def _of(example: Example, name: str) -> str:
    if name not in example:
        raise UserError(f"the line of the prompt {example['prompt'][:SHOWN]!r} has no `{name}`, which the reward reads.\n  Add it.")
    return str(example[name])


@dataclass(frozen=True)
class Named:
    """A function of a file or a module, "FILE.py:name" or "module:name", found where it is called, so that it may go to other processes."""

    spec: str

    def find(self) -> Reward:
        """The function itself. Raises UserError where there is none."""
        place, _, name = self.spec.rpartition(":")
        try:
            found = getattr(_module(place), name)
        except (ImportError, OSError, AttributeError, SyntaxError) as error:
            raise UserError(f"there is no reward {self.spec}: {error}\n  Name a function as FILE.py:name or module:name.") from error
        if not callable(found):
            raise UserError(f"the reward {self.spec} is {found!r}, which is no function.")
        return found

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], examples: Sequence[Example]) -> Sequence[float]:
        return asked(self.find(), prompts, completions, examples)


def _module(place: str) -> Any:
    if not place.endswith(".py"):
        return import_module(place)
    path = Path(place).expanduser().resolve()
    name = f"tenfold_reward_{path.stem}_{abs(hash(str(path)))}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]


VERIFIERS: dict[str, Reward] = {"number": number, "exact": exact}


def find_reward(spec: str, run_code: bool = False, pool: Pool = "mean", penalty: float = 1.0) -> Reward:
    """A reward by its name: number, exact, code, the directory of a reward model, or a function of yours. Raises UserError for others.

    `pool` and `penalty` are of reward models that are ensembles.
    """
    if spec == "code":
        if not run_code:
            raise UserError(
                "the reward code runs programs that the model writes.\n"
                "  They run in a sandbox (docs/tasks.md). If you agree, say --reward.run-code, or --gold.run-code of overoptimize."
            )
        return Code(run_code)
    if spec in VERIFIERS:
        return VERIFIERS[spec]
    if Path(spec).is_dir():
        from tenfold.align.reward_model import load_reward_model  # which imports JAX; pools do without

        return load_reward_model(spec, pool, penalty)
    if ":" not in spec:
        raise UserError(
            f"the reward {spec!r} is none of {', '.join(VERIFIERS)}, code, and no directory of a reward model.\n"
            "  For a function of yours say FILE.py:name or module:name."
        )
    named = Named(spec)
    named.find()
    return named
