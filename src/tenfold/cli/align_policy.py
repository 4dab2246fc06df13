"""`tenfold align grpo`, `ppo`, `reward`, `dpo`, `kto` and `distill`: learning from rewards, from preferences and from a larger model."""

from collections.abc import Callable
from dataclasses import make_dataclass, replace
from pathlib import Path
from typing import Annotated

from tenfold.cli.parse import parse

HELP = """usage: tenfold align grpo|ppo MODEL --data PROMPTS.jsonl --reward REWARD ... [--out DIR] ...
       tenfold align reward|dpo MODEL --data COMPARISONS.jsonl [--out DIR] ...
       tenfold align kto MODEL --data LABELLED.jsonl [--out DIR] ...
       tenfold align distill RECIPE --teacher MODEL [--data TEXTS] [--out DIR] ...
       tenfold align grpo|ppo|reward|dpo|kto|distill RUN/align.yaml [--out DIR] ...

grpo and ppo train a model to write what a reward likes, dpo to write what was preferred, kto what was called good, and reward makes a
model that says what was preferred. distill trains a student, RECIPE being what `tenfold train` takes, on text and on what a larger model
says of it. MODEL is a run directory, a directory with a Hugging Face checkpoint in it, or a .gguf file. PROMPTS.jsonl holds an object with
`prompt` in each line, a text or the messages of a chat, and what the reward reads: `answer`, `test`. COMPARISONS.jsonl: {"prompt",
"answers": [best, ..., worst]} or {"prompt", "chosen", "rejected"}. LABELLED.jsonl: {"prompt", "completion", "label": true or false}, or
comparisons, whose better answers are good and whose worse ones bad.

    tenfold align grpo runs/sft --data sums.jsonl --reward exact --rollout.max-tokens 8 --optimizer.learning-rate 1e-4
    tenfold align grpo runs/sft --data problems.jsonl --reward code --reward.run-code
    tenfold align ppo runs/sft --data prompts.jsonl --reward mine.py:worth --ppo.kl 0.05 --lora.rank 8
    tenfold align reward runs/sft --data ranked.jsonl --ensemble 4
    tenfold align ppo runs/sft --data prompts.jsonl --reward runs/reward --reward.pool worst
    tenfold align dpo runs/sft --data pairs.jsonl --dpo.beta 0.1
    tenfold align kto runs/sft --data thumbs.jsonl --kto.bad-weight 0.5
    tenfold align distill demo --teacher runs/large --data texts/ --distill.temperature 2 --distill.top 32
    tenfold align ppo runs/ppo/align.yaml                            go on where a run was stopped; --out DIR: again

REWARD is exact or number (the line's `answer`), code (its `test`, in a sandbox), the directory of a reward model, or a function of yours:
FILE.py:name, module:name.

`tenfold align grpo MODEL --help` lists every option. The same command goes on where it was stopped."""


def grpo(argv: list[str]) -> int:
    """Trains a policy by GRPO or one of its variants. The same command continues a run that was stopped."""
    from tenfold.align.policy_config import Grpo, RewardConfig, RolloutConfig
    from tenfold.recipes.policy import find_policy, run_policy

    return _learn("grpo", argv, find_policy, run_policy, {"rollout": RolloutConfig, "reward": RewardConfig, "grpo": Grpo})


def ppo(argv: list[str]) -> int:
    """Trains a policy by PPO, with a critic. The same command continues a run that was stopped."""
    from tenfold.align.policy_config import Ppo, RewardConfig, RolloutConfig
    from tenfold.recipes.policy import find_policy, run_policy

    return _learn("ppo", argv, find_policy, run_policy, {"rollout": RolloutConfig, "reward": RewardConfig, "ppo": Ppo})


def reward(argv: list[str]) -> int:
    """Trains a reward model on rankings of answers. The same command continues a run that was stopped."""
    from tenfold.align.comparison_config import RewardModel
    from tenfold.recipes.policy import find_comparison, run_comparison

    return _learn("reward", argv, find_comparison, run_comparison, {"reward_model": RewardModel})


def dpo(argv: list[str]) -> int:
    """Trains a policy on pairs of answers. The same command continues a run that was stopped."""
    from tenfold.align.comparison_config import Dpo
    from tenfold.recipes.policy import find_comparison, run_comparison

    return _learn("dpo", argv, find_comparison, run_comparison, {"dpo": Dpo})


def kto(argv: list[str]) -> int:
    """Trains a policy on good and bad answers. The same command continues a run that was stopped."""
    from tenfold.align.comparison_config import Kto
    from tenfold.recipes.policy import find_comparison, run_comparison

    return _learn("kto", argv, find_comparison, run_comparison, {"kto": Kto})


def distill(argv: list[str]) -> int:
    """Trains a student on text and on a teacher's probabilities. The same command continues a run that was stopped."""
    from tenfold.align.distill_config import Distill
    from tenfold.recipes.distill import find_distill, run_distill

    return _learn("distill", argv, find_distill, run_distill, {"distill": Distill})


def _learn(action: str, argv: list[str], find: Callable, run: Callable, parts: dict[str, type]) -> int:
    """The exit code of `tenfold align ACTION ARGV`: what `find` says of the model or file, its `parts` as the words change them, `run`."""
    import tyro

    from tenfold.train.recipe import Recipe

    if _asks_for_help(argv):
        return 0
    found, names = find(argv[0], action), ("recipe", *parts)
    out = Annotated[Path | None, tyro.conf.arg(help="Where the run is written. None: runs/NAME.")]
    fields = [("recipe", Annotated[Recipe, tyro.conf.arg(name="")]), *parts.items(), ("out", out)]
    options = make_dataclass("Options", fields, frozen=True, namespace={"__doc__": ACTIONS[action].__doc__})
    given = options(*(getattr(found, name) for name in names), None)
    chosen = parse(options, _long(argv[1:]), f"tenfold align {action} {argv[0]}", given)
    return run(replace(found, **{name: getattr(chosen, name) for name in names}), chosen.out)


def _asks_for_help(argv: list[str]) -> bool:
    """Prints the help where no model is named."""
    if argv and argv[0] not in ("-h", "--help"):
        return False
    print(HELP)
    return True


def _long(words: list[str]) -> list[str]:
    """--data, --reward, --ensemble and --teacher are short for --data.paths, --reward.names and so on."""
    shorts = {"--data": "--data.paths", "--reward": "--reward.names", "--teacher": "--distill.teacher", "--template": "--chat.template"}
    for short, long in (shorts | {"--ensemble": "--reward-model.ensemble"}).items():
        words = [long + word.removeprefix(short) if word == short or word.startswith(f"{short}=") else word for word in words]
    return words


ACTIONS: dict[str, Callable[[list[str]], int]] = {"grpo": grpo, "ppo": ppo, "reward": reward, "dpo": dpo, "kto": kto, "distill": distill}
