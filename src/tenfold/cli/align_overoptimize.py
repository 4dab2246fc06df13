"""`tenfold align overoptimize`: how far a policy can be pushed towards a proxy before the goal is missed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tenfold.cli.parse import parse

HELP = """usage: tenfold align overoptimize MODEL --data PROMPTS.jsonl --gold REWARD [--out DIR] ...
       tenfold align overoptimize demo [--out DIR] ...
       tenfold align overoptimize DIR/overoptimize.yaml ...

Measures the laws of over-optimisation (Gao et al. 2022): a gold reward labels pairs of what MODEL writes; proxies, reward models of several
sizes, learn from several amounts of them; then MODEL is optimised against each proxy by best-of-n and by reinforcement learning, and gold
and proxy are drawn against sqrt(KL), with the laws fitted to them and their peaks.

    tenfold align overoptimize runs/sft --data prompts.jsonl --gold runs/reward
    tenfold align overoptimize runs/sft --data prompts.jsonl --gold mine.py:worth --proxies.sizes 1x64 3x64 runs/larger \\
        --comparisons.counts 500 2000 --comparisons.noise 0.1 --rl.method ppo --rl.kl 0.05
    tenfold align overoptimize demo                          a small model and a gold reward that come with it
    tenfold align overoptimize DIR/overoptimize.yaml         go on where it was stopped

MODEL is a run directory, a directory with a Hugging Face checkpoint in it, or a .gguf file. REWARD is what --reward of grpo is: the
directory of a reward model, a function of yours as FILE.py:name, exact, number or code. DIR (runs/overoptimize) gets overoptimize.json,
result.json, report.html, and all that they come of. What is there is not done again: the same command goes on where it was stopped.

`tenfold align overoptimize MODEL --help` lists every option, docs/overoptimize.md says what is measured."""


def overoptimize(argv: list[str]) -> int:
    """The exit code of `tenfold align overoptimize ARGV`."""
    import tyro

    if not argv or argv[0] in ("-h", "--help"):
        print(HELP)
        return 0
    from tenfold.align.overoptimize_config import OveroptimizeRecipe
    from tenfold.recipes.overoptimize import find_overoptimize, run_overoptimize

    name, *rest = argv

    @dataclass(frozen=True)
    class Overoptimize:
        """Measures the laws of over-optimisation. The same command goes on where it was stopped."""

        recipe: Annotated[OveroptimizeRecipe, tyro.conf.arg(name="")]
        out: Path | None = None
        """Where everything is written. None: runs/overoptimize."""

    words = [f"--gold.names{word.removeprefix('--gold')}" if word == "--gold" or word.startswith("--gold=") else word for word in rest]
    options = parse(Overoptimize, words, f"tenfold align overoptimize {name}", Overoptimize(find_overoptimize(name)))
    return run_overoptimize(name, options.recipe, options.out)
