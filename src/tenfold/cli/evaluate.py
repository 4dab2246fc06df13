"""`tenfold eval`: its help, and the function that each of its actions calls."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tenfold.cli.parse import parse
from tenfold.errors import UserError

HELP = """usage: tenfold eval RUN TASKS ... [--shots 0,1,32] [--limit N] [--data FOLDER] [--out DIR] ...
       tenfold eval tasks [TASK] [--data FOLDER]
       tenfold eval diff A B [--items N]
       tenfold eval contamination CORPUS TASKS ... [--data FOLDER] [--results DIR] [--out DIR]
       tenfold eval samples RUN [--corpus CORPUS] [--human TEXTS] [--out DIR]
       tenfold eval emergence LADDER_OR_RUNS ... --tasks TASKS ... [--shots 0,1,4,16] [--out DIR]
       tenfold eval practice DOCUMENTS --tasks TASKS ... --share X --out DIR

Measures a trained model on named tasks, and says exactly how.

    tenfold eval runs/small lambada hellaswag --shots 0,K        zero shots, and as many as GPT-3 was given
    tenfold eval model.gguf arc_easy 'arithmetic_*' --data olmo/ --limit 500
    tenfold eval tasks                                           the tasks, how each is scored, and GPT-3's number of shots
    tenfold eval tasks hellaswag --data olmo/                    one task's file (where its items lie), and its first prompt
    tenfold eval diff runs/small runs/large                      what differs between two results, item by item
    tenfold eval contamination corpora/web lambada piqa          which items stand in a training corpus; scores without them
    tenfold eval samples runs/small                              does it repeat itself, lose the thread, copy?
    tenfold eval emergence ladders/mine --tasks arithmetic_2da   does an ability appear with size, or was it measured coarsely?
    tenfold eval practice texts/ --tasks copied_words --share 0.2 --out practice    text to learn a task from, without its test items

RUN is a run directory, a directory with a Hugging Face checkpoint in it, or a .gguf file. One pass gives every way to choose among
answers, side by side, with standard errors; the task's own is marked. Results go to RUN/eval: numbers in NAME.json, every item in
NAME.jsonl, a page in evaluation.html. What is there already is not measured again, so the same command goes on where it was stopped.

`tenfold eval RUN --help` lists every option."""


def run_command(argv: list[str]) -> int:
    """The exit code of `tenfold eval ARGV`."""
    if not argv or argv[0] in ("-h", "--help"):
        print(HELP)
        return 0
    return ACTIONS.get(argv[0], _measure)(argv if argv[0] not in ACTIONS else argv[1:])


def _measure(argv: list[str]) -> int:
    import tyro

    from tenfold.evaluate.settings import EvalSettings

    @dataclass(frozen=True)
    class Eval:
        """Measures a trained model on named tasks. The same command goes on where it was stopped."""

        run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
        """A run directory, a directory with a config.json (Hugging Face), or a .gguf file."""
        tasks: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="TASKS")] = ()
        """Names of tasks, which may hold a *, or files of your own that end in .yaml."""
        settings: Annotated[EvalSettings, tyro.conf.arg(name="")] = EvalSettings()
        out: Path | None = None
        """Where results are written. None: RUN/eval, or NAME-eval beside a .gguf file; with --adapter, in its folder."""
        adapter: Path | None = None
        """A directory of PEFT's adapters of this model, which are merged into it."""

    options = _parsed(Eval, argv, "tenfold eval")
    if not options.tasks:
        raise UserError(f"no task is named.\n  Say tenfold eval {options.run} TASK ...; `tenfold eval tasks` lists them.")
    from tenfold.recipes.evaluate_road import measure

    return measure(options.run, options.tasks, options.settings, options.out, options.adapter)


def _tasks(argv: list[str]) -> int:
    import tyro

    def arguments(name: tyro.conf.Positional[str] = "", data: tuple[Path, ...] = ()) -> tuple[str, tuple[Path, ...]]:
        """Lists the tasks, or shows one: its file and its first prompt.

        Args:
            name: A task, or a file of your own that ends in .yaml.
            data: Folders in which the files of tasks are looked for first.
        """
        return name, data

    chosen = parse(arguments, _data_often(argv), "tenfold eval tasks")
    from tenfold.recipes.evaluate_show import show_tasks

    return show_tasks(*chosen)


def _diff(argv: list[str]) -> int:
    import tyro

    def arguments(first: tyro.conf.Positional[Path], second: tyro.conf.Positional[Path], items: int = 5) -> tuple[Path, Path, int]:
        """Explains why two results differ: what was done otherwise, how much each of that explains, which items flipped.

        Args:
            first: A run, a folder of results, or one NAME.json.
            second: Another.
            items: Flipped items to show of each task.
        """
        return first, second, items

    chosen = parse(arguments, argv, "tenfold eval diff")
    from tenfold.recipes.evaluate_show import show_diff

    return show_diff(*chosen)


def _contamination(argv: list[str]) -> int:
    import tyro

    from tenfold.evaluate.contamination import ContaminationSettings

    @dataclass(frozen=True)
    class Contamination:
        """Marks every item of the tasks clean or dirty against a training corpus, as GPT-3's appendix C, and writes a page."""

        corpus: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="CORPUS")]
        """A folder that `tenfold corpus build` wrote."""
        tasks: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="TASKS")] = ()
        """Names of tasks, which may hold a *, or files of your own that end in .yaml."""
        settings: Annotated[ContaminationSettings, tyro.conf.arg(name="")] = ContaminationSettings()
        data: tuple[Path, ...] = ()
        """Folders in which the files of tasks are looked for first."""
        results: tuple[Path, ...] = ()
        """Runs, folders or files of `tenfold eval`, whose scores are given for all, clean and dirty items."""
        out: Path | None = None
        """Where what is found is written. None: CORPUS/contamination."""

    options = _parsed(Contamination, argv, "tenfold eval contamination")
    if not options.tasks:
        raise UserError(f"no task is named.\n  Say tenfold eval contamination {options.corpus} TASK ...; `tenfold eval tasks` lists them.")
    from tenfold.recipes.evaluate_show import contaminated

    return contaminated(options.corpus, options.tasks, options.data, options.results, options.out, options.settings)


def _samples(argv: list[str]) -> int:
    import tyro

    from tenfold.evaluate.samples import SamplesSettings

    @dataclass(frozen=True)
    class Samples:
        """Measures what a model writes, beside people's text and GPT-3's: repetition, coherence, copying. Writes a page."""

        run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")] = ""
        """A run directory, a directory with a config.json (Hugging Face), or a .gguf file. None: only the texts that are named."""
        settings: Annotated[SamplesSettings, tyro.conf.arg(name="")] = SamplesSettings()
        out: Path | None = None
        """Where the page is written. None: RUN/samples, or NAME-samples beside a .gguf file."""

    options = _parsed(Samples, argv, "tenfold eval samples")
    if not options.run and options.out is None:
        raise UserError("no RUN is named, and no --out.\n  Say tenfold eval samples RUN, or --texts FILE --out DIR to measure texts alone.")
    from tenfold.recipes.evaluate_road import sampled

    return sampled(options.run, options.settings, options.out)


def _emergence(argv: list[str]) -> int:
    import tyro

    from tenfold.evaluate.settings import EvalSettings

    @dataclass(frozen=True)
    class Emergence:
        """Asks every model of a ladder and sets its scores against compute, exact match and finer measures side by side. Writes a page."""

        places: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="LADDER_OR_RUNS")] = ()
        """Folders that `tenfold ladder` wrote, runs, or folders of runs."""
        tasks: tuple[str, ...] = ()
        """Names of tasks, which may hold a *, or files of your own that end in .yaml."""
        settings: Annotated[EvalSettings, tyro.conf.arg(name="")] = EvalSettings()
        out: Path | None = None
        """Where what is found is written. None: LADDER/emergence."""

    options = _parsed(Emergence, argv, "tenfold eval emergence")
    if not options.places:
        raise UserError("no ladder and no run is named.\n  Say tenfold eval emergence LADDER --tasks TASK ...")
    if not options.tasks:
        raise UserError("no task is named.\n  Say --tasks TASK ...; `tenfold eval tasks` lists them.")
    from tenfold.recipes.emergence_road import emerge

    return emerge(options.places, options.tasks, options.settings, options.out)


def _practice(argv: list[str]) -> int:
    import tyro

    def arguments(
        documents: tyro.conf.Positional[str], tasks: tuple[str, ...], share: float, out: Path, seed: int = 1, data: tuple[Path, ...] = ()
    ) -> tuple[Any, ...]:
        """Writes text from which a model can learn tasks that Tenfold makes, none of it a test item: OUT/practice.jsonl.

        Args:
            documents: The text that it will stand beside in training, as `tenfold train --data` takes it; words are taken from it.
            tasks: Arithmetic and word tasks.
            share: Of all bytes, those of practice.
            out: A folder.
            seed: Which questions.
            data: Folders in which the files of tasks are looked for first.
        """
        return documents, tasks, share, out, seed, data

    chosen = parse(arguments, _data_often(argv), "tenfold eval practice")
    from tenfold.recipes.evaluate_show import show_practice

    return show_practice(*chosen)


def _parsed(what: Callable[..., Any], argv: list[str], prog: str) -> Any:
    """`parse`, but a RUN before --help would be missing from the help."""
    return parse(what, ["--help"] if {"-h", "--help"} & {*argv} else _data_often(argv), prog)


def _data_often(argv: list[str]) -> list[str]:
    """`--data A --data B` is `--data A B`: the folders of all, after everything else. Raises UserError where one names none."""
    words, folders, taking = [], [], False
    for word, following in zip(argv, [*argv, "--"][1:], strict=True):
        if word == "--data=" or word == "--data" and following.startswith("--"):
            raise UserError("--data names no folder.\n  Say --data FOLDER, a folder with files of tasks, or a wheel.")
        if word == "--data" or word.startswith("--data="):
            taking = word == "--data"
            folders += [] if taking else [word.removeprefix("--data=")]
        elif taking and not word.startswith("--"):
            folders.append(word)
        else:
            taking = False
            words.append(word)
    return [*words, "--data", *folders] if folders else words


ACTIONS: dict[str, Callable[[list[str]], int]] = {
    "tasks": _tasks,
    "diff": _diff,
    "contamination": _contamination,
    "samples": _samples,
    "emergence": _emergence,
    "practice": _practice,
}
