"""`tenfold codefusion`: its help, and the function that each of its actions calls."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tenfold.cli.parse import parse
from tenfold.errors import UserError

if TYPE_CHECKING:
    from tenfold.codefusion.recipe import FusionRecipe

HELP = """usage: tenfold codefusion pretrain RECIPE --data FILE ... [--out DIR] ...
       tenfold codefusion finetune RECIPE --data FILE ... [--from RUN] [--out DIR] ...
       tenfold codefusion generate RUN ... --text "..." [--steps 16] [--samples 5] ...
       tenfold codefusion words FILE ... --out words.txt
       tenfold codefusion score RUN ... --data TEST --language bash|python|cf --train FILE ... [--out DIR] ...

Writes code from text by diffusion (CodeFusion), by unmasking, or token by token. A recipe is a name below, or the path of a recipe.yaml;
the same command continues a run that was stopped.

{recipes}

FILE holds lines {{"text": "sort a list", "code": "x.sort()"}}; to pretrain, {{"code": ...}} is enough.

    tenfold codefusion pretrain codefusion-small --data snippets.jsonl --data.language python --out runs/first
    tenfold codefusion pretrain codefusion --data snippets.jsonl --encoder codet5-small/      CodeT5's encoder and tokenizer
    tenfold codefusion finetune codefusion-small --from runs/first --data pairs.jsonl --out runs/second
    tenfold codefusion words pairs.jsonl --out words.txt      with --data.words words.txt, all other words are copied, not spelled
    tenfold codefusion finetune codefusion-small --data pairs.jsonl --reader.path model.gguf      a language model reads the texts too
    tenfold codefusion generate runs/second --text "sort a list" --samples 5 --rank-by 16
    tenfold codefusion generate runs/second --text "sort a list" --rank-by 16 --retrieved 20 --near pairs.jsonl
    tenfold codefusion generate runs/second runs/masked --text "sort a list" --samples 5      answers of both in one order
    tenfold codefusion generate runs/second --text "sort a list" --given "x.<hole>()" --holes 1    hold all else fixed
    tenfold codefusion generate runs/taught --text "sort a list" --samples 5 --rank-by 1      a run of align sft
    tenfold codefusion score runs/second runs/masked --data test.jsonl --language bash --train pairs.jsonl --curve 1 4 16 64
    tenfold codefusion score runs/second runs/masked --data test.jsonl --language bash --train pairs.jsonl --together

`tenfold codefusion pretrain RECIPE --help` lists every field, `tenfold codefusion generate --help` and `score --help` every setting."""


def run_command(argv: list[str]) -> int:
    """`tenfold codefusion pretrain|finetune|words|generate|score`."""
    actions = {"pretrain": _train, "finetune": _train, "words": _words, "generate": _generate, "score": _score}
    if not argv or argv[0] in ("-h", "--help") or (actions.get(argv[0]) is _train and argv[1:] in ([], ["-h"], ["--help"])):
        from tenfold.recipes.codefusion import RECIPES

        print(HELP.format(recipes="\n".join(f"    {name}" for name in RECIPES)))
        return 0
    if argv[0] not in actions:
        raise UserError(f"{argv[0]!r} is not something to do with code.\n  Say pretrain, finetune, words, generate or score.")
    return actions[argv[0]](argv)


def _train(argv: list[str]) -> int:
    import tyro

    from tenfold.codefusion.recipe import FusionRecipe
    from tenfold.recipes.codefusion import find_fusion

    phase, name, *rest = argv

    @dataclass(frozen=True)
    class Train:
        """Trains this recipe. The same command continues a run that was stopped."""

        recipe: Annotated[FusionRecipe, tyro.conf.arg(name="")]
        out: str | None = None
        """Where the run is written. None: runs/NAME."""

    for short, long in (("--data", "--data.paths"), ("--from", "--start")):
        rest = [long + a.removeprefix(short) if a == short or a.startswith(short + "=") else a for a in rest]
    options = parse(Train, rest, f"tenfold codefusion {phase} {name}", Train(find_fusion(name, phase)))
    return _run(options.recipe, Path(options.out or Path("runs") / options.recipe.name), phase)


def _run(recipe: "FusionRecipe", path: Path, phase: str) -> int:
    from tenfold.codefusion.train import train_fusion
    from tenfold.recipes.show import Display, reading_lines

    with Display(path) as display:
        run = train_fusion(recipe, path, display, reading_lines(display.console))
    found = run.result
    if found["left_out"] or found["texts_cut"]:
        print(
            f"{found['left_out']} snippets of more than {run.recipe.model.length} tokens (model.length) were left out, and "
            f"{found['texts_cut']} texts cut to {run.recipe.model.text_length} (model.text_length)."
        )
    if not found["finished"]:
        print(f"Stopped at step {found['steps']}, with a checkpoint. The same command goes on from there.")
        return 130
    following = "finetune RECIPE --from {} --data PAIRS" if phase == "pretrain" else 'generate {} --text "..."'
    print(f"Done: {path}\n  next: tenfold codefusion {following.format(path)}")
    return 0


def _words(argv: list[str]) -> int:
    import tyro

    @dataclass(frozen=True)
    class Words:
        """Writes the words of texts that are to be known: those of one text in a thousand, two at least, whose code seldom copies them."""

        files: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="FILE")]
        """Lines {"text": ..., "code": ...}."""
        out: Path
        """A word a line, for --data.words."""

    options = parse(Words, ["--help"] if {"-h", "--help"} & {*argv} else argv[1:], "tenfold codefusion words")
    if not options.files:
        raise UserError("no file of pairs is named.\n  Say tenfold codefusion words pairs.jsonl --out words.txt.")
    from tenfold.codefusion.data import read_examples
    from tenfold.codefusion.slots import said_words, write_words

    found = said_words(example for file in options.files for example in read_examples(file).examples)
    write_words(options.out, found)
    print(f"Done: {options.out}, {len(found):,} words\n  next: tenfold codefusion finetune RECIPE --data.words {options.out} ...")
    return 0


def _generate(argv: list[str]) -> int:
    import tyro

    from tenfold.codefusion.settings import Sampling

    @dataclass(frozen=True)
    class Generate:
        """Writes code for a text with a trained run, or with several together, as lines of JSON: text, code, the bound where samples are
        ranked, and the run where there are several."""

        runs: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="RUN")] = ()
        """Directories that `tenfold codefusion finetune` or `tenfold align sft` wrote; several answer together, in one order."""
        settings: Annotated[Sampling, tyro.conf.arg(name="")] = Sampling()
        text: tuple[str, ...] = ()
        """What the code should do; several are answered at once."""
        given: tuple[str, ...] = ()
        """What is known of each snippet, with <hole> where tokens are to be found."""
        holes: int = 8
        """Tokens to be found at each <hole>; one at the end is as long as it takes."""
        near: tuple[str, ...] = ()
        """Files of training pairs, in which --retrieved looks."""
        language: str | None = None
        """bash, python or cf: whose meanings --distinct meaning goes by. Of rules, what they do to made columns."""

    options = parse(Generate, ["--help"] if {"-h", "--help"} & {*argv} else argv[1:], "tenfold codefusion generate")
    if not options.runs:
        raise UserError('no run is named.\n  Say tenfold codefusion generate RUN --text "sort a list".')
    if twice := [run for run in options.runs if options.runs.count(run) > 1]:
        raise UserError(f"{twice[0]} is named twice.\n  Name each run once.")
    if not options.text:
        raise UserError(f'no text is given.\n  Say tenfold codefusion generate {" ".join(options.runs)} --text "sort a list".')
    if options.near and not options.settings.retrieved:
        raise UserError(
            f"near names {options.near[0]}, but retrieved is 0: nothing is looked for there.\n  Say --retrieved 20, or leave out --near."
        )
    if options.language and options.settings.distinct != "meaning":
        raise UserError(
            f"language is {options.language}, but distinct is letters, so no code is understood.\n"
            "  Say --distinct meaning, or leave out --language."
        )
    from tenfold.recipes.codefusion import write_snippets

    how = options.settings
    settings = replace(how, batch=min(how.batch, len(options.text) * (how.draws or how.samples)))
    write_snippets(options.runs, options.text, settings, options.given or None, options.holes, options.near, options.language)
    return 0


def _score(argv: list[str]) -> int:
    import tyro

    from tenfold.codefusion.score_settings import ScoreSettings

    @dataclass(frozen=True)
    class Score:
        """Scores trained runs on test pairs, beside each other and a retrieval baseline. The same command goes on where it was stopped."""

        runs: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="RUN")] = ()
        """Directories that `tenfold codefusion finetune` wrote, of any kind, or `tenfold align sft`."""
        settings: tyro.conf.OmitArgPrefixes[ScoreSettings] = ScoreSettings()
        out: Path | None = None
        """Where samples, scores and the page are written. None: RUN/score; of several runs, or none, it must be named."""

    options = parse(Score, ["--help"] if {"-h", "--help"} & {*argv} else argv[1:], "tenfold codefusion score")
    if options.out is None and len(options.runs) != 1:
        raise UserError(f"{len(options.runs)} runs are named, so there is no one folder to write into.\n  Say --out DIR.")
    from tenfold.recipes.codefusion_score import score_runs

    return score_runs(options.runs, options.settings, options.out or Path(options.runs[0]) / "score")
