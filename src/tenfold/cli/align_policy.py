"""`tenfold align grpo`, `ppo`, `reward` and `dpo`: learning from rewards and from preferences."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tenfold.cli.parse import parse

HELP = """usage: tenfold align grpo|ppo MODEL --data PROMPTS.jsonl --reward REWARD ... [--out DIR] ...
       tenfold align reward|dpo MODEL --data COMPARISONS.jsonl [--out DIR] ...
       tenfold align grpo|ppo|reward|dpo RUN/align.yaml [--out DIR] ...

grpo and ppo train a model to write what a reward likes, dpo to write what was preferred, and reward makes a model that says what was
preferred. MODEL is a run directory, a directory with a Hugging Face checkpoint in it, or a .gguf file. PROMPTS.jsonl holds an object with
`prompt` in each line, and what the reward reads: `answer`, `test`. COMPARISONS.jsonl: {"prompt", "answers": [best, ..., worst]} or
{"prompt", "chosen", "rejected"}.

    tenfold align grpo runs/sft --data sums.jsonl --reward exact --rollout.max-tokens 8 --optimizer.learning-rate 1e-4
    tenfold align grpo runs/sft --data problems.jsonl --reward code --reward.run-code
    tenfold align ppo runs/sft --data prompts.jsonl --reward mine.py:worth --ppo.kl 0.05 --lora.rank 8
    tenfold align reward runs/sft --data ranked.jsonl
    tenfold align ppo runs/sft --data prompts.jsonl --reward runs/reward
    tenfold align dpo runs/sft --data pairs.jsonl --dpo.beta 0.1
    tenfold align ppo runs/ppo/align.yaml                            go on where a run was stopped; --out DIR: again

REWARD is exact or number (the line's `answer`), code (its `test`, in a sandbox), the directory of a reward model, or a function of yours:
FILE.py:name, module:name.

`tenfold align grpo MODEL --help` lists every option. The same command goes on where it was stopped."""


def grpo(argv: list[str]) -> int:
    """The exit code of `tenfold align grpo ARGV`."""
    import tyro

    from tenfold.align.policy_config import Grpo, PolicyRecipe, RewardConfig, RolloutConfig
    from tenfold.recipes.policy import find_policy, run_policy
    from tenfold.train.recipe import Recipe

    if _asks_for_help(argv):
        return 0
    found = find_policy(argv[0], "grpo")
    assert found.grpo is not None

    @dataclass(frozen=True)
    class Options:
        """Trains a policy by GRPO or one of its variants. The same command continues a run that was stopped."""

        recipe: Annotated[Recipe, tyro.conf.arg(name="")]
        rollout: RolloutConfig
        reward: RewardConfig
        grpo: Grpo
        out: Path | None = None
        """Where the run is written. None: runs/NAME."""

    chosen = parse(
        Options, _long(argv[1:]), f"tenfold align grpo {argv[0]}", Options(found.recipe, found.rollout, found.reward, found.grpo)
    )
    return run_policy(PolicyRecipe(chosen.recipe, chosen.rollout, chosen.reward, grpo=chosen.grpo), chosen.out)


def ppo(argv: list[str]) -> int:
    """The exit code of `tenfold align ppo ARGV`."""
    import tyro

    from tenfold.align.policy_config import PolicyRecipe, Ppo, RewardConfig, RolloutConfig
    from tenfold.recipes.policy import find_policy, run_policy
    from tenfold.train.recipe import Recipe

    if _asks_for_help(argv):
        return 0
    found = find_policy(argv[0], "ppo")
    assert found.ppo is not None

    @dataclass(frozen=True)
    class Options:
        """Trains a policy by PPO, with a critic. The same command continues a run that was stopped."""

        recipe: Annotated[Recipe, tyro.conf.arg(name="")]
        rollout: RolloutConfig
        reward: RewardConfig
        ppo: Ppo
        out: Path | None = None
        """Where the run is written. None: runs/NAME."""

    chosen = parse(Options, _long(argv[1:]), f"tenfold align ppo {argv[0]}", Options(found.recipe, found.rollout, found.reward, found.ppo))
    return run_policy(PolicyRecipe(chosen.recipe, chosen.rollout, chosen.reward, ppo=chosen.ppo), chosen.out)


def reward(argv: list[str]) -> int:
    """The exit code of `tenfold align reward ARGV`."""
    import tyro

    from tenfold.align.comparison_config import ComparisonRecipe, RewardModel
    from tenfold.recipes.policy import find_comparison, run_comparison
    from tenfold.train.recipe import Recipe

    if _asks_for_help(argv):
        return 0
    found = find_comparison(argv[0], "reward")
    assert found.reward_model is not None

    @dataclass(frozen=True)
    class Options:
        """Trains a reward model on rankings of answers. The same command continues a run that was stopped."""

        recipe: Annotated[Recipe, tyro.conf.arg(name="")]
        reward_model: RewardModel
        out: Path | None = None
        """Where the run is written. None: runs/NAME."""

    chosen = parse(Options, _long(argv[1:]), f"tenfold align reward {argv[0]}", Options(found.recipe, found.reward_model))
    return run_comparison(ComparisonRecipe(chosen.recipe, reward_model=chosen.reward_model), chosen.out)


def dpo(argv: list[str]) -> int:
    """The exit code of `tenfold align dpo ARGV`."""
    import tyro

    from tenfold.align.comparison_config import ComparisonRecipe, Dpo
    from tenfold.recipes.policy import find_comparison, run_comparison
    from tenfold.train.recipe import Recipe

    if _asks_for_help(argv):
        return 0
    found = find_comparison(argv[0], "dpo")
    assert found.dpo is not None

    @dataclass(frozen=True)
    class Options:
        """Trains a policy on pairs of answers. The same command continues a run that was stopped."""

        recipe: Annotated[Recipe, tyro.conf.arg(name="")]
        dpo: Dpo
        out: Path | None = None
        """Where the run is written. None: runs/NAME."""

    chosen = parse(Options, _long(argv[1:]), f"tenfold align dpo {argv[0]}", Options(found.recipe, found.dpo))
    return run_comparison(ComparisonRecipe(chosen.recipe, dpo=chosen.dpo), chosen.out)


def _asks_for_help(argv: list[str]) -> bool:
    """Prints the help where no model is named."""
    if argv and argv[0] not in ("-h", "--help"):
        return False
    print(HELP)
    return True


def _long(words: list[str]) -> list[str]:
    """--data and --reward are short for --data.paths and --reward.names."""
    for short, long in (("--data", "--data.paths"), ("--reward", "--reward.names")):
        words = [long + word.removeprefix(short) if word == short or word.startswith(f"{short}=") else word for word in words]
    return words


ACTIONS: dict[str, Callable[[list[str]], int]] = {"grpo": grpo, "ppo": ppo, "reward": reward, "dpo": dpo}
