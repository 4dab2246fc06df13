"""`tenfold ledger`: its help, and the function that each of its actions calls."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tenfold.cli.parse import parse
from tenfold.errors import UserError

HELP = """usage: tenfold ledger add [FILE.yaml ...] [--starter] [--ledger DIR]
       tenfold ledger add NAME --claim TEXT --failed TEXT --threshold X (--prompt ... --expect ... | --made SKILL | --task TASK) ...
       tenfold ledger run [EXPERIMENT ...] --model RUN ... [--run-code] [--data FOLDER] [--ledger DIR]
       tenfold ledger show [--ledger DIR]

Keeps what does not work yet, and asks it again of each new model.

    tenfold ledger add --starter                        the experiments that come with Tenfold
    tenfold ledger add cheese --claim "Knows that cheese stays firm in a fridge" --failed "said that it melts" --threshold 1 \\
        --prompt "Q: If I put cheese into the fridge, will it melt? Yes or no?\\nA:" --choices No Yes --expect No
    tenfold ledger run --model runs/small --run-code    every experiment that this model has not been asked
    tenfold ledger show                                 works since, not yet, regressed; the page is in ledger/board.html

RUN is a run directory, a directory with a Hugging Face checkpoint in it, or a .gguf file. A ledger is a folder of small files which git
merges: experiments/NAME.yaml, and a result for each experiment and model, named by fingerprints of both. What is there is not measured
again; an experiment that asks something else than before is. A run that was stopped goes on where it was.

`tenfold ledger add --help` lists the options, docs/ledger.md the keys of a file."""


def run_command(argv: list[str]) -> int:
    """The exit code of `tenfold ledger ARGV`."""
    if not argv or argv[0] in ("-h", "--help"):
        print(HELP)
        return 0
    if argv[0] not in ACTIONS:
        raise UserError(f"{argv[0]!r} is not something to do with a ledger.\n  Say add, run or show.")
    return ACTIONS[argv[0]](argv[1:])


def _add(argv: list[str]) -> int:
    import tyro

    @dataclass(frozen=True)
    class Add:
        """Puts experiments into a ledger: files, those that come with Tenfold, or a new one by its name and what follows."""

        what: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="FILE.yaml|NAME")] = ()
        """Experiments of your own, files that end in .yaml; or the name of a new one."""
        starter: bool = False
        """The experiments that come with Tenfold. Those that are there already stay as they are."""
        claim: str = ""
        """What a model that passes can do."""
        failed: str = ""
        """Why it failed last time."""
        threshold: float | None = None
        """The score from which on it works, 0 to 1."""
        prompt: tuple[str, ...] = ()
        """What is asked; \\n is a line's end."""
        expect: tuple[str, ...] = ()
        """The answer to each."""
        choices: tuple[str, ...] = ()
        """Answers to choose from by log-probability, the same for every prompt."""
        check: str = ""
        """How answers are judged: exact, contains, regex, likeliest or choice. None: choice where there are choices, else exact."""
        made: str = ""
        """A skill whose prompts are made, such as two_digit_addition; a wrong name lists them."""
        task: str = ""
        """A task of `tenfold eval`, or the .yaml of one."""
        shots: int = 0
        """Worked examples before each prompt."""
        items: int | None = None
        """Of --made and --task: how many are asked."""
        metric: str = ""
        """The score that the threshold is for. None: the task's own."""
        seed: int = 0
        """Of what is made or drawn."""
        ledger: Path = Path("ledger")
        """The folder of the ledger."""

    options = parse(Add, argv, "tenfold ledger add")
    files = [Path(each) for each in options.what if each.endswith((".yaml", ".yml"))]
    names = [each for each in options.what if not each.endswith((".yaml", ".yml"))]
    if len(names) > 1 or not (options.what or options.starter):
        raise UserError(f"{' and '.join(names) or 'nothing'} is named.\n  Name files that end in .yaml, one new experiment, or --starter.")
    from tenfold.recipes.ledger_road import add_files, new_experiment

    said = {name: value for name, value in vars(options).items() if name not in ("what", "starter", "ledger")}
    return add_files(options.ledger, files, options.starter, new_experiment(names[0], **said) if names else None)


def _run(argv: list[str]) -> int:
    import tyro

    @dataclass(frozen=True)
    class Run:
        """Asks a model, or several, what is in a ledger. The same command goes on where it was stopped."""

        experiments: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="EXPERIMENT")] = ()
        """Names of experiments. None: all."""
        model: tuple[str, ...] = ()
        """Run directories, directories with a config.json (Hugging Face), or .gguf files."""
        run_code: bool = False
        """Run what the model writes for experiments of programming, in a process of its own without rights worth having."""
        data: tuple[Path, ...] = ()
        """Folders in which the files of tasks are looked for first."""
        ledger: Path = Path("ledger")
        """The folder of the ledger."""

    options = parse(Run, argv, "tenfold ledger run")
    if not options.model:
        raise UserError("no model is named.\n  Say tenfold ledger run --model RUN.")
    from tenfold.recipes.ledger_road import run_models

    return run_models(options.ledger, options.model, options.experiments, options.data, options.run_code)


def _show(argv: list[str]) -> int:
    def arguments(ledger: Path = Path("ledger")) -> Path:
        """Shows the board of a ledger, and writes its page.

        Args:
            ledger: The folder of the ledger.
        """
        return ledger

    from tenfold.recipes.ledger_road import show

    return show(parse(arguments, argv, "tenfold ledger show"))


ACTIONS: dict[str, Any] = {"add": _add, "run": _run, "show": _show}
