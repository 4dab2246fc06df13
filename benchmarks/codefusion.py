"""CodeFusion, masked diffusion and an autoregressive model of equal size, on the same pairs of three languages, and a retrieval baseline.

    python benchmarks/codefusion_data.py FOLDER tldr.json.gz --out DIR/data
    python benchmarks/codefusion.py train --out DIR [--languages bash python cf] [--kinds codefusion masked autoregressive] [--only-second]
    python benchmarks/codefusion.py score --out DIR [--languages bash python cf] [--kinds ...] [--curve 4 16 64] [--embeddings MODEL]
        [--retrieved 20] [--distinct meaning] [--draws 64] [--temperature 1] [--together] [--seeds 0 1 2] [--limit 256]
    python benchmarks/codefusion.py train|score --out DIR --reader MODEL ...

Each model learns in two runs, DIR/runs/LANGUAGE-KIND-first and -second, of as many steps and rows for each kind (ROADS). With --only-second
it learns from the pairs alone, for as many steps as both together: what learning first is worth. With --reader the language model MODEL
reads the texts too, and learning is shorter (READ); those runs have -reader behind their names. `score` puts all runs of a language that
are done into one table, DIR/scores/LANGUAGE, with -reader, -retrieved, -meaning, -together, -only-second, -seeds0-1, -64, -t1 and -of256
behind it where so asked. With --seeds a model is trained for each; runs of other seeds than 0 have -seed1 behind their names. The kind
"language" is a language model that `tenfold align sft` has taught the pairs, DIR/runs/LANGUAGE-language-second: `score` takes it, and puts
-with-language behind the table's name; `train` does not make it. All commands go on where they were stopped. One process a core is the
quickest:

    taskset -c 0 python benchmarks/codefusion.py train --out DIR --languages bash
"""

import argparse
import json
from dataclasses import dataclass, replace
from itertools import islice, product
from pathlib import Path

from codefusion_data import VOCABS

from tenfold.codefusion.config import Kind
from tenfold.codefusion.recipe import FusionData, FusionRecipe, ReaderConfig
from tenfold.codefusion.score_settings import ScoreSettings
from tenfold.codefusion.settings import Sampling
from tenfold.codefusion.train import train_fusion
from tenfold.corpus.files import write_atomically
from tenfold.recipes.codefusion import KINDS, small
from tenfold.recipes.codefusion_score import score_runs
from tenfold.recipes.show import Display, reading_lines


@dataclass(frozen=True)
class Road:
    """How long rows are, and how long is learned."""

    length: int
    """Tokens of a snippet; longer ones, a few in a hundred, are left out of training."""
    text_length: int
    first: int
    """Steps of the first run."""
    second: int
    lines: int = 0
    """Of the first run's data, how many are learned from; 0: all."""
    layers: int = 0
    """Of the reader's, how many texts go through."""
    tokens: int = 0
    """The most that the reader reads of a text."""
    late_noise: float = 1.0
    """CodeFusion's train.late_noise."""


ROADS = {"bash": Road(33, 36, 2000, 8000), "python": Road(36, 36, 1000, 4000), "cf": Road(20, 62, 9000, 3000)}
READ = {
    "bash": Road(33, 36, 0, 8000, layers=20, tokens=32, late_noise=2.0),
    "python": Road(36, 36, 0, 4000, layers=20, tokens=32, late_noise=2.0),
    "cf": Road(20, 62, 6000, 3000, lines=40_000, layers=12, tokens=24),
}
"""With a reader, which reads each text once: fewer texts and steps before the pairs, or none."""
WARMUP = 100
SAMPLING = Sampling(steps=32, samples=5, draws=16, rank_by=16, temperature=0.7, order="confident", estimate="decoder")
LANGUAGE = "language"
CURVE_ITEMS = 89
"""As many as there are rules to test."""


def recipe(out: Path, language: str, kind: Kind, part: str, start: Path | None, reader: str | None, seed: int) -> FusionRecipe:
    """`codefusion-small` with the language's lengths and tokens, and always with the text; `part` is first, second or only."""
    road, base, data = (READ if reader else ROADS)[language], small(kind), out / "data" / language
    shape = {"vocab": VOCABS[language] + 1, "length": road.length, "text_length": road.text_length}
    steps = {"first": road.first, "second": road.second, "only": road.first + road.second}[part]
    lines = cut(data / "first.jsonl", road.lines) if part == "first" else data / "second.jsonl"
    files = {"paths": (str(lines),), "tokenizer": str(data / "tokenizer"), "words": str(data / "words.txt")}
    return replace(
        base,
        name=named(language, kind, part, reader, seed),
        model=replace(base.model, **shape),
        data=FusionData(**files, language=language, seed=seed),  # type: ignore[arg-type]
        optimizer=replace(base.optimizer, warmup_tokens=WARMUP * base.train.batch * road.length),
        train=replace(
            base.train, steps=steps, seed=seed, drop_text=0.0, log_every=50, late_noise=road.late_noise if kind == "codefusion" else 1.0
        ),
        reader=ReaderConfig(reader, road.layers, road.tokens, str(out / "states" / language)) if reader else ReaderConfig(),
        start=None if start is None else str(start),
    )


def named(language: str, kind: str, part: str, reader: str | None, seed: int) -> str:
    return f"{language}-{kind}-{part}{'-reader' if reader and kind != LANGUAGE else ''}{f'-seed{seed}' if seed else ''}"


def cut(file: Path, lines: int) -> Path:
    """The file, or another beside it with its first lines."""
    if not lines:
        return file
    some = file.with_stem(f"{file.stem}-{lines}")
    with file.open(encoding="utf-8") as whole:
        write_atomically(some, "".join(islice(whole, lines)))
    return some


def train(out: Path, language: str, kind: Kind, part: str, start: Path | None, reader: str | None, seed: int) -> Path:
    """Trains a run to its end, or from where it was stopped, and returns where it is."""
    made = recipe(out, language, kind, part, start, reader, seed)
    path = out / "runs" / made.name
    with Display(path) as display:
        run = train_fusion(made, path, display, reading_lines(display.console))
    if not run.result["finished"]:
        raise SystemExit(f"{path} was stopped; the same command goes on.")
    print(json.dumps({name: run.result[name] for name in ("parameters", "examples", "left_out", "texts_cut", "seconds")}), flush=True)
    return path


def score(out: Path, language: str, options: argparse.Namespace) -> None:
    reader, asked = options.reader, ("retrieved", "distinct", "draws", "temperature")
    how = replace(SAMPLING, **{name: getattr(options, name) for name in asked})
    parts = ("second", "only") if options.only_second else ("second",)
    runs = [out / "runs" / named(language, kind, part, reader, seed) for part in parts for kind in options.kinds for seed in options.seeds]
    done = [str(run) for run in runs if (run / "result.json").exists()]
    data, road = out / "data" / language, (READ if reader else ROADS)[language]
    learned = [data / "second.jsonl", *([cut(data / "first.jsonl", road.lines)] if road.first else [])]
    settings = ScoreSettings(
        str(data / "test.jsonl"),
        language,
        tuple(map(str, learned)),
        sampling=how,
        curve=tuple(options.curve),
        curve_limit=CURVE_ITEMS,
        embeddings=options.embeddings,
        together=options.together,
        limit=options.limit,
        run_code=language == "python",
    )
    said = ["reader" if reader else "", "retrieved" if how.retrieved else "", "meaning" if how.distinct == "meaning" else ""]
    said += ["together" if options.together else "", "only-second" if options.only_second else ""]
    said += [f"seeds{'-'.join(map(str, options.seeds))}"] if options.seeds != [0] else []
    said += [f"with-{LANGUAGE}"] if LANGUAGE in options.kinds else []
    said += [str(how.draws)] if how.draws != SAMPLING.draws else []
    said += [f"t{how.temperature:g}"] if how.temperature != SAMPLING.temperature else []
    said += [f"of{options.limit}"] if options.limit else []
    score_runs(done, settings, out / "scores" / "-".join([language, *filter(None, said)]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["train", "score"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--languages", nargs="+", choices=list(ROADS), help="all")
    parser.add_argument("--kinds", nargs="+", choices=[*KINDS, LANGUAGE], default=KINDS)
    parser.add_argument("--only-second", action="store_true", help="train: without the first run; score: beside those that had it")
    parser.add_argument("--curve", type=int, nargs="+", default=(), help="numbers of steps to score as well")
    parser.add_argument("--embeddings", help="a model whose table of tokens scores code too")
    parser.add_argument("--retrieved", type=int, default=0, help="codes of the nearest pairs that are judged beside the drawn ones")
    parser.add_argument("--draws", type=int, default=SAMPLING.draws, help="of which the five likeliest that differ are answered")
    parser.add_argument("--temperature", type=float, default=SAMPLING.temperature, help="of masked and autoregressive models")
    parser.add_argument("--distinct", choices=["letters", "meaning"], default="letters", help="how five answers differ")
    parser.add_argument("--together", action="store_true", help="a row in which the kinds named answer together")
    parser.add_argument("--limit", type=int, help="test items, drawn at random")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="a model for each")
    parser.add_argument("--reader", help="a language model that reads the texts too")
    options = parser.parse_args()
    if options.what == "train" and LANGUAGE in options.kinds:
        parser.error("a language model is taught by `tenfold align sft`; docs/codefusion-score.md has the command.")
    roads = READ if options.reader else ROADS
    languages = options.languages or list(roads)
    if options.only_second and (alone := [language for language in languages if not roads[language].first]):
        parser.error(f"--only-second is for what learns in two runs; with a reader, {' '.join(alone)} learns in one.")
    for language in languages:
        if options.what == "score":
            score(options.out, language, options)
            continue
        for kind, seed in product(options.kinds, options.seeds):
            if options.only_second:
                train(options.out, language, kind, "only", None, options.reader, seed)
                continue
            start = train(options.out, language, kind, "first", None, options.reader, seed) if roads[language].first else None
            train(options.out, language, kind, "second", start, options.reader, seed)


if __name__ == "__main__":
    main()
