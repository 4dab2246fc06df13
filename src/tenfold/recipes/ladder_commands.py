"""`tenfold ladder` and what follows it, from words to calls. `parse` is the command line's own: (what, words, program) -> what they say."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

Parse = Callable[..., Any]

LADDER_HELP = """usage: tenfold ladder RECIPE [--sizes N ...] [--tokens-per-parameter X ...] [--tokens D ...]
                             [--isoflop C ...] [--budget-minutes M] [--out DIR] ...
       tenfold ladder predict OUT --target SIZE [--law LAW]
       tenfold ladder verify OUT
       tenfold ladder compute-optimal OUT --flops C [--law LAW]

Trains small sizes of one recipe, fits the laws of scale to them, and predicts a larger one before it is trained. The same command
continues a ladder that was stopped. RECIPE is a ladder below, or any recipe that `tenfold train` knows.

{ladders}

`tenfold ladder RECIPE --help` lists every field. --data is short for --recipe.data.paths.

    tenfold ladder ladder-demo
    tenfold ladder gpt3-125m --data my-texts/ --sizes 2 3 4 6 8 --budget-minutes 600 --out ladders/mine
    tenfold ladder predict ladders/mine --target 12"""


def ladder(argv: list[str], parse: Parse) -> int:
    """`tenfold ladder RECIPE`, and `predict`, `verify` and `compute-optimal` of what it wrote."""
    from tenfold.recipes.ladder import LADDERS

    if not argv or argv[0] in ("-h", "--help"):
        print(LADDER_HELP.format(ladders="\n".join(f"    {name}" for name in LADDERS)))
        return 0
    actions = {"predict": _predict, "verify": _verify, "compute-optimal": _optimal}
    return actions[argv[0]](argv[1:], parse) if argv[0] in actions else _climb(argv, parse)


def _climb(argv: list[str], parse: Parse) -> int:
    import tyro

    from tenfold.recipes.ladder import Work, find_ladder
    from tenfold.scaling.rungs import Ladder

    @dataclass(frozen=True)
    class Climb:
        """Trains this ladder. The same command continues a ladder that was stopped."""

        ladder: Annotated[Ladder, tyro.conf.arg(name="")]
        work: Annotated[Work, tyro.conf.arg(name="")]

    name, *rest = argv
    rest = ["--recipe.data.paths" + a.removeprefix("--data") if a == "--data" or a.startswith("--data=") else a for a in rest]
    chosen = parse(Climb, rest, f"tenfold ladder {name}", Climb(find_ladder(name), Work()))
    from tenfold.recipes.ladder_road import run_ladder

    return run_ladder(chosen.ladder, chosen.work)


def _predict(argv: list[str], parse: Parse) -> int:
    import tyro

    def arguments(
        out: tyro.conf.Positional[Path], target: int, law: str | None = None, tokens_per_parameter: float | None = None
    ) -> tuple[Path, int, str | None, float | None]:
        """Predicts the loss of a larger size from the small ones, and writes that down once.

        Args:
            out: A folder that `tenfold ladder RECIPE` wrote.
            target: The size.
            law: The law to predict with. None: that which errs least on the largest model when it is left out.
            tokens_per_parameter: Of the target. None: the first of the ladder's.
        """
        return out, target, law, tokens_per_parameter

    chosen = parse(arguments, argv, "tenfold ladder predict")
    from tenfold.recipes.ladder_road import predict_target

    return predict_target(*chosen)


def _verify(argv: list[str], parse: Parse) -> int:
    import tyro

    from tenfold.scaling.budget import Budget

    def arguments(out: tyro.conf.Positional[Path], budget_flops: float = 0.0, budget_minutes: float = 0.0) -> tuple[Path, Budget]:
        """Trains the size that was predicted, and reports how far the prediction is off.

        Args:
            out: A folder with a prediction.json.
            budget_flops: Refuse a target that takes more operations than this. 0: no bound.
            budget_minutes: Refuse a target that would take longer on this machine. 0: no bound.
        """
        return out, Budget(budget_flops, budget_minutes)

    chosen = parse(arguments, argv, "tenfold ladder verify")
    from tenfold.recipes.ladder_road import verify_target

    return verify_target(*chosen)


def _optimal(argv: list[str], parse: Parse) -> int:
    import tyro

    def arguments(out: tyro.conf.Positional[Path], flops: float, law: str | None = None) -> tuple[Path, float, str | None]:
        """The size, the tokens and the loss that a budget buys, and the price of a smaller model trained for longer.

        Args:
            out: A folder that `tenfold ladder RECIPE` wrote, with more than one ratio of tokens to parameters.
            flops: The budget, in floating-point operations.
            law: chinchilla or kaplan-nd. None: chinchilla.
        """
        return out, flops, law

    chosen = parse(arguments, argv, "tenfold ladder compute-optimal")
    from tenfold.recipes.ladder_road import show_optimal

    return show_optimal(*chosen)
