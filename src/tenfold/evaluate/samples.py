"""Is what a model writes good text? Its samples beside people's text and any other, each measured in the same way.

OUT/samples.jsonl    what the model wrote, a line a text, to be given as `texts` again
    copies.jsonl     for each text that was measured, the longest run of words it shares with the training corpus
    result.json      every measure of every column
    samples.html
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tenfold.corpus.documents import Document, Progress, read_documents
from tenfold.corpus.engine.stop import clean_stop
from tenfold.corpus.files import one_process, replacing, write_atomically
from tenfold.corpus.normalise import normalise
from tenfold.errors import UserError
from tenfold.evaluate.good_text import PART, cut, distinct_of, lengths, measures
from tenfold.evaluate.lookup import forget
from tenfold.evaluate.novelty import novelty
from tenfold.evaluate.prefix import by_position
from tenfold.evaluate.requests import Continuation, Likelihood, Writing, Written
from tenfold.evaluate.training import training
from tenfold.report.samples import samples_page

SCRATCH = ".looking-up"
SAMPLES, COPIES, RESULT, PAGE = "samples.jsonl", "copies.jsonl", "result.json", "samples.html"
HUMAN, HELD_OUT, GPT3 = "people", "people (held out)", "GPT-3 175B"
END = "<|endoftext|>"
LONGEST = 500  # words that are measured of a text, where `words` is 0
FEWEST = 20  # words below which nothing can be said


@dataclass(frozen=True)
class SamplesSettings:
    """What is measured beside what."""

    corpus: Path | None = None
    """A built corpus: what it trains on is what may have been copied, and its held-out documents are people's text."""
    human: Path | None = None
    """People's text, in place of the corpus's held-out documents: a folder, .txt, .jsonl or .parquet."""
    texts: Path | None = None
    """Texts to measure without a model, or beside it: as for --human; a line of .jsonl may be a string."""
    gpt3: Path | None = None
    """The 175B model's samples that openai/gpt-3 publishes, 175b_samples.jsonl."""
    samples: int = 100
    """Texts the model writes, and the most that are measured of any column."""
    prompt: str = ""
    """What the model continues. Empty: the beginning of a document."""
    max_tokens: int = 512
    """Of each sample; fewer where the model's context is shorter."""
    temperature: float = 1.0
    """1: the model's own distribution."""
    words: int = 0
    """Words measured of each text; shorter ones are left out. 0: as many as half of the texts of each column have, at most 500."""
    scored: int = 32
    """Texts of each column whose likelihood the model is asked for; 0: none."""
    seed: int = 0
    workers: int = 2
    """Processes that look through the corpus."""

    def __post_init__(self):
        for name, least in (("samples", 2), ("max_tokens", 1), ("words", 0), ("scored", 0), ("workers", 1)):
            if getattr(self, name) < least:
                raise UserError(f"{name} is {getattr(self, name)}, but must be {least} or more.")
        if 0 < self.words < FEWEST:
            raise UserError(f"words is {self.words}: so little text says nothing.\n  Give {FEWEST} or more, or 0.")


class Answers(Protocol):
    """What writes samples and says how likely texts are: `evaluate.engine.Engine` is one."""

    @property
    def context(self) -> int:
        """Tokens that the model reads at once."""
        ...

    def score(self, requests: Sequence[Continuation]) -> list[Likelihood]:
        """How likely each is."""
        ...

    def write(self, requests: Sequence[Writing]) -> list[Written]:
        """What follows each."""
        ...


def run(engine: Answers | None, out: Path, settings: SamplesSettings, name: str = "model", progress: Progress | None = None) -> Path:
    """Measures the samples of a model (None: only the texts that the settings name) and returns the page, which is in `out`.

    Raises UserError where there is nothing to measure, a file cannot be read, or texts are too short.
    """
    began = time.perf_counter()
    with clean_stop(out), one_process(out):
        texts = _columns(engine, out, settings, name, progress)
        words = settings.words or _common_length(texts)
        columns = {column: cut(each, words)[: settings.samples] for column, each in texts.items()}
        _check(columns, words)
        result: dict[str, Any] = {
            "name": name,
            "words": words,
            "settings": {key: str(value) if isinstance(value, Path) else value for key, value in asdict(settings).items()},
            "columns": [_column(column, each, texts[column], columns, engine, settings) for column, each in columns.items()],
        }
        if settings.corpus:
            seen = training(settings.corpus)
            found = novelty(seen, columns, out / SCRATCH, settings.workers, progress)
            forget(out / SCRATCH)
            result["corpus"] = seen.about()
            for column in result["columns"]:
                column |= {key: found[column["name"]][key] for key in ("new", "copied")}
            rows = [{"column": column, "number": number} | row for column in columns for number, row in enumerate(found[column]["runs"])]
            _write_lines(out / COPIES, rows)
        else:
            rows = []
        result["seconds"] = round(time.perf_counter() - began, 3)
        write_atomically(out / RESULT, json.dumps(result, indent=1) + "\n")
        return samples_page(out / PAGE, result, rows, {column: each[:3] for column, each in columns.items()})


def _columns(engine: Answers | None, out: Path, settings: SamplesSettings, name: str, progress: Progress | None) -> dict[str, list[str]]:
    """The texts of each column, the model's first; no more than are measured, by and large."""
    columns: dict[str, list[str]] = {}
    if engine:
        if progress:
            progress("writing samples", 0, None)
        wanted = Writing(
            settings.prompt,
            max_tokens=min(settings.max_tokens, engine.context // 2 if settings.prompt else engine.context - 1),
            temperature=settings.temperature,
            samples=settings.samples,
            seed=settings.seed,
        )
        columns[name] = list(engine.write([wanted])[0].texts)
        _write_lines(out / SAMPLES, [{"text": text} for text in columns[name]])
    if settings.texts:
        beside = settings.texts.stem
        columns[f"{beside} (texts)" if beside in columns else beside] = read_texts(settings.texts)
    if settings.human:
        columns[HUMAN] = read_texts(settings.human)
    elif settings.corpus:
        held_out = training(settings.corpus).held_out_texts(10 * settings.samples)
        columns |= {HELD_OUT: held_out} if held_out else {}
    if settings.gpt3:
        columns[GPT3] = read_texts(settings.gpt3)
    if not columns:
        raise UserError("there is nothing to measure.\n  Name a run, or texts with --texts, --human, --gpt3 or --corpus.")
    return {column: normalise(texts) for column, texts in columns.items()}  # as a corpus does, so that what is copied is seen to be


def read_texts(path: Path) -> list[str]:
    """The texts of a file or folder, in their order. A line of .jsonl is a string, or an object with "text", and may hold several with
    <|endoftext|> between them, as GPT-3's do. Raises UserError for a place without any, and a line that is neither."""
    if path.suffix != ".jsonl":
        return [each.text for each in read_documents(str(path)) if isinstance(each, Document)]
    try:
        lines = path.read_text("utf-8").split("\n")
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}).\n  Name a file of texts.") from None
    found = [_text(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    return [text.strip() for line in found for text in line.split(END) if text.strip()]


def _text(path: Path, number: int, line: str) -> str:
    try:
        row = json.loads(line)
        text = row["text"] if isinstance(row, dict) else row
    except (ValueError, KeyError):
        text = None
    if not isinstance(text, str):
        raise UserError(f'{path}:{number} is no text.\n  A line is a JSON string, or an object with "text".')
    return text


def _common_length(columns: dict[str, list[str]]) -> int:
    """As many words as half of the texts of each column have, in whole parts where that is two or more."""
    least = min(int(np.median(lengths(texts))) if texts else 0 for texts in columns.values())
    least = min(least, LONGEST)
    return least // PART * PART if least >= 2 * PART else least


def _check(columns: dict[str, list[str]], words: int) -> None:
    for name, texts in columns.items():
        if words < FEWEST or len(texts) < 2:
            raise UserError(
                f"{name!r} has {len(texts)} texts of {words} words, and 2 of {FEWEST} or more are needed.\n"
                "  Give longer texts or more of them, a larger --max-tokens, or fewer --words."
            )


def _column(
    name: str, texts: list[str], all_texts: list[str], columns: dict[str, list[str]], engine: Answers | None, settings: SamplesSettings
) -> dict[str, Any]:
    as_many = min(map(len, columns.values()))
    found = {"name": name, "texts": len(texts), "of": len(all_texts), **measures(texts), "distinct": distinct_of(texts[:as_many])}
    if engine and settings.scored and min(lengths(texts)) >= PART:  # shorter ones have no part
        found["model"] = by_position(engine.score, texts[: settings.scored])
    return found


def _write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with replacing(path) as file:
        file.writelines((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "replace") for row in rows)
