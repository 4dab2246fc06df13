"""The command line: each command calls one function of a room and holds no logic.

Imports stay inside the commands, so that `tenfold --help` answers at once and only what computes pays for JAX.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tenfold.cli.parse import parse as _parse
from tenfold.errors import UserError

if TYPE_CHECKING:
    from tenfold.train.recipe import Recipe

HELP = """usage: tenfold COMMAND ...

One system for the whole life of a GPT-class language model.

    tenfold demo                       the whole road, small, on this machine, from real documents
    tenfold corpus build RECIPE        raw sources to clean, weighted documents and the token shards that train reads
    tenfold train RECIPE               pretrain: a named recipe, or a run's recipe.yaml; any field can be overridden
    tenfold ladder RECIPE              small sizes trained, a law fitted, a larger one predicted, and the prediction checked
    tenfold generate RUN --prompt ...  complete text with a trained model; --chat ...: its answer
    tenfold align sft MODEL --data ... a trained model that answers: fine-tuning on conversations
    tenfold eval RUN TASKS             zero-, one- and few-shot scores; what changed between two results; clean and contaminated apart
    tenfold ledger add|run|show        what does not work yet, asked again of each new model
    tenfold codefusion pretrain RECIPE code from text by diffusion; finetune it on pairs, generate snippets
    tenfold convert import SOURCE OUT  a model of another program as a run: Hugging Face (a directory or hf:OWNER/NAME), .gguf
    tenfold convert export RUN OUT     a model for other programs: a Hugging Face directory, or a .gguf for llama.cpp
    tenfold report RUN [RUN ...]       runs as one HTML page of plots

RUN is a run directory, a directory with a Hugging Face checkpoint in it, or a .gguf file.

`tenfold COMMAND --help` explains a command, `tenfold train` lists the recipes."""


def main(argv: list[str] | None = None) -> None:
    """Runs a command. A UserError ends it with its message and code 2; Ctrl-C with 130."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(HELP)
        return
    if argv[0] == "--version":
        import tenfold

        print(tenfold.__version__)
        return
    name, rest = argv[0], argv[1:]
    try:
        if name not in COMMANDS:
            raise UserError(f"{name!r} is not a command.\n  Commands: {', '.join(COMMANDS)}.")
        sys.exit(COMMANDS[name](rest))
    except UserError as error:
        sys.exit(_complain(f"tenfold {name}", error))
    except KeyboardInterrupt:
        print(f"\ntenfold {name}: interrupted; the same command continues where it can.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # `tenfold train --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def demo(argv: list[str]) -> int:
    """`tenfold demo`."""
    from tenfold.recipes.demo_road import Demo, run_demo

    return run_demo(_parse(Demo, argv, "tenfold demo"))


@dataclass(frozen=True)
class Processes:
    """Many processes, one run: say the same command in each, with its own number. On one machine, leave them out."""

    coordinator: str | None = None
    """HOST:PORT at which process 0 listens."""
    processes: int = 1
    """How many there are."""
    process: int = 0
    """Which one this is, from 0."""


def train(argv: list[str]) -> int:
    """`tenfold train RECIPE`."""
    from tenfold.recipes.registry import RECIPES, find_recipe
    from tenfold.train.batch_schedule import schedule_advice

    if not argv or argv[0] in ("-h", "--help"):
        print(TRAIN_HELP.format(recipes="\n".join(f"    {name}" for name in RECIPES)))
        return 0
    recipe = find_recipe(argv[0])
    options = _train_options(argv, recipe)
    if options.processes.coordinator:
        from tenfold.sharding.processes import join

        join(options.processes.coordinator, options.processes.processes, options.processes.process)
    for line in schedule_advice(options.recipe):
        print(f"tenfold train: {line}", file=sys.stderr)
    from tenfold.train.train import show_batch
    from tenfold.train.train import train as run_training

    if options.show_batch is not None:
        for row in show_batch(options.recipe, options.show_batch, options.out):
            print(json.dumps(row, ensure_ascii=False))
        return 0
    from tenfold.recipes.show import Display

    path = Path(options.out or Path("runs") / options.recipe.name)
    with Display(path) as display:
        run = run_training(options.recipe, path, display)
    if not run.result.get("finished"):
        print(f"Stopped at step {run.result['steps']}, with a checkpoint. The same command goes on from there.")
        return 130
    if options.processes.process == 0:
        write = f"tenfold generate {path} --prompt ...   " if options.recipe.train.objective == "causal" else ""
        print(f"Done: {path}\n  next: {write}tenfold report {path}")
    return 0


TRAIN_HELP = """usage: tenfold train RECIPE [--data PATH ...] [--model.layers N] [--out DIR] ...

Trains a recipe: a name below, or the path of a recipe.yaml. The same command continues a run that was stopped.

{recipes}

`tenfold train RECIPE --help` lists every field of a recipe. --data is short for --data.paths, --from for --start.

    tenfold train gpt3-125m --data my-texts/ --model.layers 4 --train.batch 8 --train.steps 1000 \\
        --optimizer.ramp-batch 0 --optimizer.warmup-tokens 1000000 --optimizer.decay-tokens 0
    tenfold train runs/demo/recipe.yaml --out runs/again
    tenfold train finetune --from CHECKPOINT --data my-texts/       go on from a run, a Hugging Face directory or a .gguf
    tenfold train gpt3-125m --data my-texts/ --show-batch 100      what step 100 trains on: documents and text"""


def _train_options(argv: list[str], recipe: "Recipe"):
    """The recipe with the command line's overrides, and what is not part of it."""
    import tyro

    from tenfold.train.recipe import Recipe

    name, *rest = argv

    @dataclass(frozen=True)
    class Train:
        """Trains this recipe. The same command continues a run that was stopped."""

        recipe: Annotated[Recipe, tyro.conf.arg(name="")]
        processes: Annotated[Processes, tyro.conf.arg(name="")]
        out: str | None = None
        """Where the run is written. None: runs/NAME."""
        show_batch: int | None = None
        """Do not train: print the documents and text of this step's batch, a JSON line a row."""

    for short, long in (("--data", "--data.paths"), ("--from", "--start")):
        rest = [long + a.removeprefix(short) if a == short or a.startswith(short + "=") else a for a in rest]
    return _parse(Train, rest, f"tenfold train {name}", Train(recipe, Processes()))


CORPUS_HELP = """usage: tenfold corpus build RECIPE [--out DIR] [--workers N] [--engine ray] ...
       tenfold corpus inspect OUT [--document ID]
       tenfold corpus fit-quality RECIPE [--model FILE]

Builds a corpus: a name below, or the path of a recipe.yaml. The same command continues a build that was stopped.

{recipes}

`tenfold corpus build RECIPE --help` lists every field of a recipe.

    tenfold corpus build stdlib --out corpora/stdlib
    tenfold corpus build gpt3 --sources.4.path crawl/ --decontaminate.paths evaluation.jsonl
    tenfold corpus inspect corpora/stdlib --document 0123456789abcdef      where a document went, and why
    tenfold train gpt3-125m --data corpora/stdlib"""


def corpus(argv: list[str]) -> int:
    """`tenfold corpus build|inspect|fit-quality`."""
    from tenfold.recipes.corpus import RECIPES

    actions = {"build": _corpus_build, "inspect": _corpus_inspect, "fit-quality": _corpus_fit_quality}
    if not argv or argv[0] in ("-h", "--help") or (argv[0] in ("build", "fit-quality") and argv[1:] in ([], ["-h"], ["--help"])):
        print(CORPUS_HELP.format(recipes="\n".join(f"    {name}" for name in RECIPES)))
        return 0
    if argv[0] not in actions:
        raise UserError(f"{argv[0]!r} is not something to do with a corpus.\n  Say build, inspect or fit-quality.")
    return actions[argv[0]](argv[1:])


def _corpus_build(argv: list[str]) -> int:
    import tyro

    from tenfold.corpus.recipe import CorpusRecipe
    from tenfold.recipes.corpus import find_corpus
    from tenfold.recipes.corpus_road import Work, build_corpus

    @dataclass(frozen=True)
    class Build:
        """Builds this corpus. The same command continues a build that was stopped."""

        recipe: Annotated[CorpusRecipe, tyro.conf.arg(name="")]
        work: Annotated[Work, tyro.conf.arg(name="")]

    chosen = _parse(Build, argv[1:], f"tenfold corpus build {argv[0]}", Build(find_corpus(argv[0]), Work()))
    out = build_corpus(chosen.recipe, chosen.work)
    print(f"Done: {out}\n  next: tenfold train gpt3-125m --data {out} ...   tenfold corpus inspect {out} --document ID")
    return 0


def _corpus_inspect(argv: list[str]) -> int:
    import tyro

    from tenfold.recipes.corpus_road import inspect

    def arguments(out: tyro.conf.Positional[Path], document: str = "") -> tuple[Path, str]:
        """Shows what a corpus holds, and where one of its documents went.

        Args:
            out: A folder that `tenfold corpus build` wrote.
            document: The id of a document.
        """
        return out, document

    inspect(*_parse(arguments, argv, "tenfold corpus inspect"))
    return 0


def _corpus_fit_quality(argv: list[str]) -> int:
    import tyro

    from tenfold.corpus.recipe import CorpusRecipe
    from tenfold.recipes.corpus import find_corpus
    from tenfold.recipes.corpus_quality import fit_quality
    from tenfold.recipes.corpus_road import Work

    @dataclass(frozen=True)
    class FitQuality:
        """Fits the classifier that tells this recipe's raw sources from its curated ones."""

        recipe: Annotated[CorpusRecipe, tyro.conf.arg(name="")]
        work: Annotated[Work, tyro.conf.arg(name="")]
        model: Path | None = None
        """The .npz to write; a page of borderline documents is put beside it. None: quality.npz in the corpus's folder."""

    chosen = _parse(FitQuality, argv[1:], f"tenfold corpus fit-quality {argv[0]}", FitQuality(find_corpus(argv[0]), Work()))
    model = fit_quality(chosen.recipe, chosen.work, chosen.model)
    print(f"Done: {model}\n  next: tenfold corpus build {argv[0]} --quality.model {model}")
    return 0


def ladder(argv: list[str]) -> int:
    """`tenfold ladder RECIPE`, and `predict`, `verify` and `compute-optimal` of what it wrote."""
    from tenfold.recipes.ladder_commands import ladder as command

    return command(argv, _parse)


def generate(argv: list[str]) -> int:
    """`tenfold generate RUN`."""
    import tyro

    from tenfold.generate.config import ChatOptions, GenerateConfig

    @dataclass(frozen=True)
    class Generate:
        """Completes text with a trained model, and prints it as it is written."""

        run: tyro.conf.Positional[str]
        """A run directory, a directory with a config.json (Hugging Face), or a .gguf file."""
        settings: Annotated[GenerateConfig, tyro.conf.arg(name="")] = GenerateConfig()
        prompt: tuple[str, ...] = ("",)
        """What to continue; several are written at once. Empty: a new document."""
        chat: Annotated[ChatOptions, tyro.conf.arg(name="")] = ChatOptions()
        adapter: str | None = None
        """A directory of PEFT's adapters of this model, which are merged into it."""

    options = _parse(Generate, argv, "tenfold generate")
    from tenfold.recipes.show import stream_answer, stream_completions

    if options.chat.chat and options.prompt != ("",):
        raise UserError("--prompt and --chat are both given.\n  Use --prompt for a text to continue, or --chat for a question to answer.")
    if options.chat.chat:
        stream_answer(options.run, options.chat, options.settings, options.adapter)
    else:
        stream_completions(options.run, options.prompt, options.settings, options.adapter)
    return 0


def convert(argv: list[str]) -> int:
    """`tenfold convert import SOURCE OUT` and `tenfold convert export RUN OUT`."""
    if not argv or argv[0] in ("-h", "--help"):
        print(CONVERT_HELP)
        return 0
    if argv[0] not in ("import", "export"):
        raise UserError(f"{argv[0]!r} is not something to do with a model.\n  Say tenfold convert import SOURCE OUT, or export RUN OUT.")
    print((_import if argv[0] == "import" else _export)(argv[1:]))
    return 0


CONVERT_HELP = """usage: tenfold convert import SOURCE OUT [--dtype float32|bfloat16|float16]
       tenfold convert export RUN OUT [--dtype F16|Q8_0] [--shard-gb 5]

Models of other programs in, and ours out, a tensor at a time: none is held whole. `tenfold convert import --help` says more."""


def _import(argv: list[str]) -> Path:
    from typing import Literal

    import tyro

    def arguments(
        source: tyro.conf.Positional[str],
        out: tyro.conf.Positional[Path],
        dtype: Literal["source", "float32", "bfloat16", "float16"] = "source",
    ):
        """Brings a model of another program into a run directory, which every command takes.

        Args:
            source: A directory with a Hugging Face checkpoint in it, a .gguf file, or hf:OWNER/NAME to fetch it from the hub.
            out: The run directory, where nothing is yet.
            dtype: What the weights are stored as. source: each in its own type (GGUF's packed ones in float32).
        """
        return source, out, dtype

    chosen = _parse(arguments, argv, "tenfold convert import")
    from tenfold.train.imported import import_model

    return import_model(*chosen).path


def _export(argv: list[str]) -> Path:
    from typing import Literal

    import tyro

    def arguments(
        run: tyro.conf.Positional[Path],
        out: tyro.conf.Positional[Path],
        dtype: Literal["F16", "Q8_0"] = "F16",
        adapter: Path | None = None,
        shard_gb: float = 5.0,
    ):
        """Writes a model for other programs.

        Args:
            run: A run directory, a directory with a Hugging Face checkpoint in it, or a .gguf file.
            out: A directory for the Hugging Face library, or a name that ends in .gguf for llama.cpp.
            dtype: What the matrices of a .gguf are written as. A directory's weights keep the type they are stored in.
            adapter: A directory of PEFT's adapters of this model, which are merged into it.
            shard_gb: The largest .safetensors of a directory, in 10^9 bytes; more is written as several, with an index.
        """
        if not shard_gb > 0:
            raise UserError(f"--shard-gb is {shard_gb}, but must be above 0; the Hugging Face library takes 5.")
        return run, out, dtype, adapter, int(shard_gb * 1e9)

    chosen = _parse(arguments, argv, "tenfold convert export")
    from tenfold.api import export

    return export(*chosen)


def _module(name: str) -> Callable[[list[str]], int]:
    """A command that is a module of its own, imported when it is called."""
    return lambda argv: import_module(f"tenfold.cli.{name}").run_command(argv)


def report(argv: list[str]) -> int:
    """`tenfold report RUN ...`."""
    import tyro

    from tenfold.report.page import report as make_report

    def arguments(runs: tyro.conf.Positional[tuple[Path, ...]], out: Path | None = None) -> Path:
        """Makes one HTML page of a run's plots, samples and recipe, or compares several.

        Args:
            runs: Run directories.
            out: Where the page is written; for one run, its own report.html.
        """
        if not runs:
            raise UserError("no run is named.\n  Say tenfold report RUN, with a directory such as runs/demo.")
        return make_report(list(runs), out)

    print(_parse(arguments, argv, "tenfold report"))
    return 0


def _complain(command: str, error: UserError) -> int:
    print(f"{command}: {error}", file=sys.stderr)
    return 2


COMMANDS: dict[str, Callable[[list[str]], int]] = {f.__name__: f for f in (demo, corpus, train, ladder, generate, convert, report)}
COMMANDS |= {"eval": _module("evaluate"), "ledger": _module("ledger"), "align": _module("align"), "codefusion": _module("codefusion")}
