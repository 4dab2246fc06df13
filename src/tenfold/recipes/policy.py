"""`tenfold align grpo`, `ppo`, `reward`, `dpo` and `kto`: their recipes, and what a person sees while they run."""

import sys
from pathlib import Path
from typing import Any, Literal

from tenfold.align.comparison_config import ComparisonRecipe, Dpo, Kto, RewardModel
from tenfold.align.policy_config import Grpo, PolicyRecipe, Ppo, RolloutConfig
from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.train.recipe import OptimizerConfig, Recipe, TrainConfig, load_as

Method = Literal["grpo", "ppo"]
CONTEXT = ModelConfig(context=256)
"""Tokens of a prompt and a completion together; the rest of the model's shape is that of its start."""


def find_policy(name: str, method: Method) -> PolicyRecipe:
    """A new recipe for a model, or that of an align.yaml. Raises UserError for an align.yaml of another method.

    Rates are those of TRL's GRPO (1e-6, constant) and of PPO as Huang et al. 2024 measured it (3e-6 down to 0, eps 1e-5).
    """
    if name.endswith((".yaml", ".yml")):
        found = load_as(PolicyRecipe, Path(name))
        if found.method.name != method:
            raise UserError(f"{name} is a recipe of {found.method.name}.\n  Say tenfold align {found.method.name} {name}.")
        return found
    grpo = method == "grpo"
    optimizer = OptimizerConfig(1e-6, weight_decay=0.0, final_fraction=1.0)
    ppo_optimizer = OptimizerConfig(3e-6, eps=1e-5, weight_decay=0.0, decay="polynomial", final_fraction=0.0)
    rates = optimizer if grpo else ppo_optimizer
    recipe = Recipe(method, start=name, model=CONTEXT, optimizer=rates, train=TrainConfig(steps=500, batch=64, log_every=1))
    rollout = RolloutConfig(completions=8 if grpo else 1)
    return PolicyRecipe(recipe, rollout, grpo=Grpo() if grpo else None, ppo=None if grpo else Ppo())


def find_comparison(name: str, method: Literal["reward", "dpo", "kto"]) -> ComparisonRecipe:
    """A new recipe for a model, or that of an align.yaml. Raises UserError for an align.yaml of another method.

    Rates are InstructGPT's for reward models (9e-6, a cosine down to 10%) and TRL's for DPO (1e-6, a line down to 0), which KTO has too.
    """
    reward = method == "reward"
    if name.endswith((".yaml", ".yml")):
        found = load_as(ComparisonRecipe, Path(name))
        if found.action != method:
            raise UserError(f"{name} is a recipe of {found.action}, not of {method}.\n  Say tenfold align {found.action} {name}.")
        return found
    rates = (
        OptimizerConfig(9e-6, weight_decay=0.0)
        if reward
        else OptimizerConfig(1e-6, weight_decay=0.0, decay="polynomial", final_fraction=0.0)
    )
    recipe = Recipe(method, start=name, model=CONTEXT, optimizer=rates, train=TrainConfig(steps=500, batch=32))
    methods: dict[str, dict[str, Any]] = {"reward": {"reward_model": RewardModel()}, "dpo": {"dpo": Dpo()}, "kto": {"kto": Kto()}}
    return ComparisonRecipe(recipe, **methods[method])


def run_comparison(comparison: ComparisonRecipe, out: Path | None) -> int:
    """Trains on comparisons, saying how it goes; the exit code: 130 where it was stopped before its end."""
    from tenfold.align.comparison import train_on_comparisons

    path, steps = Path(out or Path("runs") / comparison.recipe.name), comparison.recipe.train.steps
    names = {"loss": "loss", "accuracy": "accuracy", "held_out_loss": "held-out loss", "held_out_accuracy": "held-out accuracy"}
    run = train_on_comparisons(comparison, path, _say(steps, names))
    if not run.result.get("finished"):
        print(f"Stopped at step {run.result['steps']}, with a checkpoint. The same command goes on from there.")
        return 130
    for line in found_lines(run.result):
        print(line)
    following = (
        f"tenfold align ppo MODEL --data PROMPTS.jsonl --reward {path}"
        if comparison.reward_model
        else f"tenfold generate {path} --prompt ..."
    )
    print(f"Done: {path}\n  next: {following}")
    return 0


def found_lines(result: dict[str, Any]) -> list[str]:
    """What held-out comparisons said, and what length alone would have."""
    if not result.get("held_out"):
        return []

    def shown(name: str, sign: str = "") -> str:
        value, low, high = (result[f"{name}{end}"] for end in ("", "_low", "_high"))
        return f"{value:{sign}.3f} (95%: {low:{sign}.3f} to {high:{sign}.3f})"

    if "held_out_pairs" not in result:
        accuracy = f"held-out accuracy {shown('held_out_accuracy')} on {result['held_out']:,} answers"
        return [f"  {accuracy}" + (f", of pairs {shown('held_out_pair_accuracy')}" if "held_out_pair_accuracy" in result else "")]
    return [
        f"  held-out accuracy {shown('held_out_accuracy')} on {result['held_out_pairs']:,} pairs of {result['held_out']:,} prompts, "
        f"calibration error {result['held_out_calibration']:.3f}",
        f"  the {result['length_rule']} answer is the better one: {shown('length_accuracy')}; above that: {shown('above_length', '+')}",
    ]


def run_policy(policy: PolicyRecipe, out: Path | None) -> int:
    """Trains it, saying how it goes; the exit code: 130 where it was stopped before its end."""
    from tenfold.align.policy import train_policy

    path = Path(out or Path("runs") / policy.recipe.name)
    names = {"reward": "reward", "kl": "kl", "entropy": "entropy", "length": "tokens", "held_out_reward": "held-out reward"}
    run = train_policy(policy, path, watch=_say(policy.recipe.train.steps, names))
    if not run.result.get("finished"):
        print(f"Stopped at step {run.result['steps']}, with a checkpoint. The same command goes on from there.")
        return 130
    print(f"Done: {path}\n  next: tenfold generate {path} --prompt ...   tenfold report {path}")
    return 0


def _say(steps: int, names: dict[str, str]):
    """Prints a line a step in a terminal, and elsewhere one now and then; `names` says which figures, and how they are called."""
    every = 1 if sys.stdout.isatty() else max(1, steps // 20)

    def say(step: int, figures: dict[str, Any]) -> None:
        if step % every == 0 or step in (1, steps) or any(name.startswith("held_out") for name in figures):
            said = "  ".join(f"{shown} {figures[name]:.3g}" for name, shown in names.items() if name in figures)
            print(f"  step {step:,}/{steps:,}  {said}", flush=True)

    return say
