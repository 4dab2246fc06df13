"""`tenfold align`: its help, and the function that each of its actions calls."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tenfold.cli.align_overoptimize import overoptimize
from tenfold.cli.align_policy import ACTIONS as POLICY
from tenfold.cli.parse import parse
from tenfold.errors import UserError

HELP = """usage: tenfold align sft MODEL --data FILE ... [--template NAME] [--out DIR] ...
       tenfold align sft RECIPE.yaml [--out DIR] ...
       tenfold align grpo|ppo|reward|dpo|kto MODEL --data FILE ...
       tenfold align distill RECIPE --teacher MODEL ...
       tenfold align overoptimize MODEL --data FILE --gold REWARD ...

Makes a model that was trained on text do what people ask.

    tenfold align sft runs/small --data conversations.jsonl --template plain
    tenfold align sft model.gguf --data alpaca.jsonl --template chatml --lora.rank 8 --optimizer.learning-rate 1e-4
    tenfold align sft model.gguf --data alpaca.jsonl --template chatml --show 3     the first conversations, [[what is trained on]] marked
    tenfold align sft runs/sft/recipe.yaml                                          go on where a run was stopped; --out DIR: again
    tenfold align grpo                                                              the same of grpo, ppo, reward, dpo, kto, distill

sft is supervised fine-tuning. MODEL is a run directory, a directory with a Hugging Face checkpoint in it, or a .gguf file. FILE is JSON
lines, an object each: messages [{"role", "content"}, ...], or instruction and output (and perhaps input), instruction and answer,
question and answer, prompt and completion, text and code.

`tenfold align sft MODEL --help` lists every option. The same command goes on where it was stopped."""


def run_command(argv: list[str]) -> int:
    """The exit code of `tenfold align ARGV`."""
    if not argv or argv[0] in ("-h", "--help"):
        print(HELP)
        return 0
    if argv[0] not in ACTIONS:
        raise UserError(f"{argv[0]!r} is not something to do with a model.\n  Say one of {', '.join(ACTIONS)}.")
    return ACTIONS[argv[0]](argv[1:])


def _sft(argv: list[str]) -> int:
    import tyro

    if not argv or argv[0] in ("-h", "--help"):
        print(HELP)
        return 0
    from tenfold.cli import Processes
    from tenfold.recipes.sft import find_sft, run_sft
    from tenfold.train.recipe import Recipe

    name, *rest = argv

    @dataclass(frozen=True)
    class Sft:
        """Fine-tunes a model on conversations. The same command continues a run that was stopped."""

        recipe: Annotated[Recipe, tyro.conf.arg(name="")]
        processes: Annotated[Processes, tyro.conf.arg(name="")]
        out: Path | None = None
        """Where the run is written. None: runs/NAME."""
        show: int = 0
        """Do not train: print so many conversations as the model would read them, [[what is trained on]] in brackets."""

    for short, long in (("--data", "--data.paths"), ("--template", "--chat.template")):
        rest = [long + word.removeprefix(short) if word == short or word.startswith(f"{short}=") else word for word in rest]
    options = parse(Sft, rest, f"tenfold align sft {name}", Sft(find_sft(name), Processes()))
    if options.processes.coordinator:
        from tenfold.sharding.processes import join

        join(options.processes.coordinator, options.processes.processes, options.processes.process)
    return run_sft(options.recipe, options.out, options.show)


ACTIONS: dict[str, Callable[[list[str]], int]] = {"sft": _sft} | POLICY | {"overoptimize": overoptimize}
