"""Test items: read, checked to be of the language, drawn, and told from what was trained on; and what each answer to them is worth."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.codefusion.data import Example, deduplicated, read_examples
from tenfold.codefusion.kept import Answer
from tenfold.codefusion.languages import LANGUAGES, form, valid
from tenfold.codefusion.metrics import Table, diversity, worth
from tenfold.codefusion.reader import Progress
from tenfold.codefusion.rules.cells import read_table
from tenfold.codefusion.running import can_be_run, do_the_same
from tenfold.codefusion.score_settings import ScoreSettings
from tenfold.corpus.files import fingerprint
from tenfold.errors import UserError

FEWEST_VALID = 0.5  # of the test codes: below it they are taken for another language's


@dataclass(frozen=True)
class Items:
    """What is asked and compared with."""

    examples: tuple[Example, ...]
    """All of the file."""
    places: list[int]
    """Those that are scored, in order."""
    new: frozenset[int]
    """Places of those of the file whose text and code are both not in training."""
    train: tuple[Example, ...]
    said: dict[str, Any]
    """What scores.json says of them."""

    @cached_property
    def texts(self) -> list[str]:
        """Of the whole file."""
        return [example.text or "" for example in self.examples]

    def drawn(self, count: int, seed: int) -> list[int]:
        """So many of those that are scored."""
        return draw(self.places, count, seed)


def read_items(settings: ScoreSettings) -> Items:
    """Raises UserError for a file, a language or data that cannot be scored."""
    if settings.language not in LANGUAGES:
        raise UserError(f"language is {settings.language!r}.\n  Give bash, python, or cf for Excel's conditional formatting.")
    if not settings.data:
        raise UserError('no test pairs are named.\n  Say --data FILE, lines of {"text": ..., "code": ...}.')
    if not settings.train:
        raise UserError("no training pairs are named, so nobody knows which test items are new.\n  Say --train FILE ...")
    loaded = read_examples(settings.data, "test")
    examples = loaded.examples
    check_language(examples, settings.language, settings.data)
    train = tuple(example for path in settings.train for example in read_examples(path, "train", alone=True).examples)
    split = deduplicated(train, examples, partial(form, settings.language))
    fresh = {id(example) for example in split.new}
    new = frozenset(place for place, example in enumerate(examples) if id(example) in fresh)
    places = draw(range(len(examples)), settings.limit or len(examples), settings.sampling.seed)
    said = {
        "path": settings.data,
        "fingerprint": fingerprint([[example.text, example.code] for example in examples]),
        "items": len(places),
        "of": len(examples),
        "new": sum(place in new for place in places),
        "without_text": loaded.without_text,
        "same_pair": split.same_pair,
        "same_code": split.same_code,
        "same_text": split.same_text,
        "train": list(settings.train),
        "train_items": len(train),
    }
    if settings.language == "cf":
        said["without_rows"] = sum(len(examples[place].data) < 2 for place in places)
    return Items(examples, places, new, train, said)


def draw(places: Sequence[int], count: int, seed: int) -> list[int]:
    """So many of the places, at random, in order; a smaller number of them is a part of a larger one."""
    return [places[n] for n in sorted(np.random.default_rng(seed).permutation(len(places))[:count])]


def check_language(examples: Sequence[Example], language: str, path: str) -> None:
    """Raises UserError where the codes are not of the language: a line says so, most do not parse, or a rule's data cannot be read."""
    for example in examples:
        if example.language and example.language != language:
            raise UserError(
                f"{path}, {example.name}: language is {example.language!r}, but {language!r} is to be scored.\n"
                f"  Say --language {example.language}, or name a file of {language}."
            )
    read = _valid(examples, language)
    if read < FEWEST_VALID * len(examples):
        others = {name: _valid(examples, name) for name in LANGUAGES if name != language and (name != "bash" or _has_bash())}
        best = max(others, key=lambda name: others[name])
        hint = f"Say --language {best}, which reads {others[best]:,} of them." if others[best] > read else "Name a file of that language."
        raise UserError(f"{path}: only {read:,} of {len(examples):,} codes can be read as {language}.\n  {hint}")
    if language == "cf":
        for example in examples:
            try:
                read_table([list(row) for row in example.data] or [["Value"]])
            except UserError as wrong:
                raise UserError(f"{Path(path)}, {example.name}: {wrong}") from wrong


def _valid(examples: Sequence[Example], language: str) -> int:
    return sum(valid(language, example.code) for example in examples)


def _has_bash() -> bool:
    try:
        return valid("bash", "ls")
    except UserError:  # without the extra, no guess
        return False


class Judge:
    """What answers are worth, each asked once."""

    def __init__(self, items: Items, language: str, table: Table | None):
        self.items, self.language, self.table = items, language, table
        self._known: dict[tuple[int, str], dict[str, float]] = {}
        self.can_be_run: dict[int, bool] = {}
        """Of items, whether their right code can be run; filled by `run`."""
        self._same: dict[tuple[int, str], bool] = {}

    def run(self, places: Sequence[int], answers: Sequence[Answer], progress: Progress) -> None:
        """Runs Python's answers, as far as the right code can be run and they have not been; `row` then has the metric `execution`."""
        golds = {place: self.items.examples[place].code for place in places}
        unknown = [place for place in places if place not in self.can_be_run]
        self.can_be_run |= dict(zip(unknown, can_be_run([golds[place] for place in unknown], _told(progress, len(unknown))), strict=True))
        asked = dict.fromkeys((place, code) for place, answer in zip(places, answers, strict=True) for code in answer.codes)
        new = [(place, code) for place, code in asked if self.can_be_run[place] and (place, code) not in self._same]
        same = do_the_same([(golds[place], code) for place, code in new], _told(progress, len(new)))
        self._same |= dict(zip(new, same, strict=True))

    def row(self, place: int, answer: Answer) -> dict[str, Any]:
        """An item's line: what was asked, what was answered, and what each answer is worth, best first."""
        example = self.items.examples[place]
        worths = [self._worth(place, code) for code in answer.codes]
        return {
            "id": example.name,
            "place": place,
            "new": place in self.items.new,
            "text": example.text,
            "gold": example.code,
            "codes": answer.codes,
            "bounds": answer.bounds,
            "scores": {name: [each[name] for each in worths] for name in worths[0]},
            "diversity": diversity(answer.codes, self.table),
        }

    def _worth(self, place: int, code: str) -> dict[str, float]:
        if (place, code) not in self._known:
            self._known[place, code] = worth(self.language, self.items.examples[place], code, self.table)
        known = self._known[place, code]
        if place in self.can_be_run:
            same = self._same[place, code] if self.can_be_run[place] else False
            return known | {"execution": max(known["ast"], float(same))}
        return known


def _told(progress: Progress, total: int) -> Callable[[object], None]:
    """Counts up to the total; told from several threads."""
    done = itertools.count(1)
    return lambda ran: progress(next(done), total)
