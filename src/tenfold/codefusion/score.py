"""`tenfold codefusion score`: runs and test pairs in; samples, their worth and a table out.

OUT/samples/         the samples of each model as they were finished; what was interrupted goes on from them
    NAME.jsonl       a line an item: what was asked and answered, and what each answer is worth
    scores.json      all figures; the same bytes for the same command
    result.json      what the command found in short, speed and memory, the machine
    score.html       the page

Everything that can be refused is refused before anything is sampled.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.codefusion.candidates import BASELINE, TOGETHER, Candidate, open_candidates
from tenfold.codefusion.embeddings import read_embeddings
from tenfold.codefusion.kept import Answer, sampled
from tenfold.codefusion.meaning import Meanings, by_meaning
from tenfold.codefusion.metrics import METRICS, OWN
from tenfold.codefusion.noise import steps_taken
from tenfold.codefusion.panel import ask_each, in_one_order, ordered_by
from tenfold.codefusion.retrieval import Retrieval
from tenfold.codefusion.running import can_be_run
from tenfold.codefusion.score_items import Items, Judge, read_items
from tenfold.codefusion.score_settings import ScoreSettings
from tenfold.codefusion.score_tables import comparisons, estimate, gains, scores, summary
from tenfold.codefusion.settings import Sampling
from tenfold.codefusion.speed import passes, speeds
from tenfold.corpus.documents import Progress
from tenfold.corpus.files import one_process, replacing, write_atomically
from tenfold.errors import UserError
from tenfold.evaluate.grades import similarity
from tenfold.evaluate.results import check_writable
from tenfold.train.device import machine

SAMPLES, SCORES, RESULT = "samples", "scores.json", "result.json"
LOOKED_THROUGH = 10  # retrieved codes for each answer, where answers are to mean different things
SHOWN = 6  # snippets whose looks on the way are written into scores.json


def score(runs: Sequence[str], settings: ScoreSettings, out: Path, progress: Progress) -> tuple[dict[str, Any], dict[str, Any]]:
    """Scores the runs, writes everything into `out` but the page, and returns what scores.json and result.json hold.

    Raises UserError for runs, files and settings that cannot be scored.
    """
    items = read_items(settings)
    candidates = open_candidates(runs)
    baseline = _baseline(items, settings)
    if not candidates and baseline is None:
        raise UserError("no run is named, and no baseline is asked for.\n  Name runs that `tenfold codefusion finetune` wrote.")
    if settings.together and len(candidates) < 2:
        raise UserError("together needs two runs or more.\n  Name others to answer with, or leave it out.")
    if settings.run_code:
        can_be_run(["1"])
    for candidate in candidates:
        candidate.settings(settings.sampling)
    table = read_embeddings(settings.embeddings) if settings.embeddings else None
    check_writable(out)
    with one_process(out):
        return _Scoring(items, candidates, baseline, settings, out, Judge(items, settings.language, table), progress).go()


def _baseline(items: Items, settings: ScoreSettings) -> Retrieval | None:
    if not settings.retrieval:
        return None
    if not any(example.text for example in items.train):
        raise UserError(f"{', '.join(settings.train)}: no line has a text to be near to.\n  Name pairs, or say --no-retrieval.")
    return Retrieval(items.train)


@dataclass
class _Scoring:
    """All that is needed while it goes."""

    items: Items
    candidates: Sequence[Candidate]
    baseline: Retrieval | None
    settings: ScoreSettings
    out: Path
    judge: Judge
    progress: Progress

    @property
    def meanings(self) -> Meanings:
        """How answers are told apart, where they are by what they mean."""
        return Meanings(self.settings.language, [example.data for example in self.items.examples])

    def go(self) -> tuple[dict[str, Any], dict[str, Any]]:
        seed, tops, language = self.settings.sampling.seed, self.settings.tops, self.settings.language
        metrics = METRICS[language] + (("execution",) if self.settings.run_code else ())
        metrics += ("embedding",) if self.judge.table is not None else ()
        columns, rows = self._answered()
        for column in columns:
            column["lines"] = self._write_rows(column["name"], rows[column["name"]])
            column["splits"] = summary(rows[column["name"]], metrics, tops, seed)
        found = {
            "command": "codefusion score",
            "language": language,
            "own": OWN[language],
            "metrics": list(metrics),
            "tops": list(tops),
            "distinct": self.settings.sampling.distinct,
            "embeddings": self.settings.embeddings,
            "data": self.items.said | ({"run": sum(self.judge.can_be_run.values())} if self.settings.run_code else {}),
            "columns": columns,
            "paired": comparisons(rows, metrics, tops, seed),
            "curves": [curve for candidate in self.candidates if (curve := self._curve(candidate, metrics))],
            "frames": [looks for candidate in self.candidates if (looks := self._frames(candidate))],
        }
        write_atomically(self.out / SCORES, json.dumps(found, indent=1) + "\n")
        return found, self._finish(found)

    def _answered(self) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
        """Who answered, and by name what each item's answers are worth."""
        columns: list[dict[str, Any]] = []
        rows: dict[str, list[dict[str, Any]]] = {}
        how, answers = replace(self.settings.sampling, frames=1), {}
        models, texts = [candidate.model for candidate in self.candidates], [self.items.texts[place] for place in self.items.places]
        asked = ask_each(models, how) if self.settings.together else [candidate.settings(how) for candidate in self.candidates]
        for candidate, own in zip(self.candidates, asked, strict=True):
            answers[candidate.name] = self._sampled(candidate, own, self.items.places, candidate.name)
            own = replace(own, samples=how.samples)
            rows[candidate.name] = self._rows([answer.first(own.samples) for answer in answers[candidate.name]], self.items.places)
            about = candidate.about | {"settings": asdict(own) | {"steps": passes(candidate, own)}, "cut": candidate.model.too_long(texts)}
            columns.append({"name": candidate.name, **about})
        if self.settings.together:
            rows[TOGETHER] = self._rows(self._together([*answers.values()]), self.items.places)
            columns.append({"name": TOGETHER, "kind": TOGETHER, "of": [*answers], "by": ordered_by(models, how)})
        if self.baseline is not None:
            rows[BASELINE] = self._rows(self._nearest(), self.items.places)
            columns.append({"name": BASELINE, "kind": BASELINE})
        return columns, rows

    def _sampled(self, candidate: Candidate, how: Sampling, places: Sequence[int], what: str) -> list[Answer]:
        def told(done: int, total: int) -> None:
            self.progress(f"{what}: texts", done, total)

        return sampled(candidate, how, self.items.texts, places, self.out / SAMPLES, told, self.baseline, self.meanings)

    def _rows(self, answers: Sequence[Answer], places: Sequence[int]) -> list[dict[str, Any]]:
        if self.settings.run_code:
            self.judge.run(places, answers, lambda done, total: self.progress("code: snippets run", done, total))
        return [self.judge.row(place, answer) for place, answer in zip(places, answers, strict=True)]

    def _together(self, answers: Sequence[Sequence[Answer]]) -> list[Answer]:
        """The runs' answers as one: `answers` has a list of each run."""
        how, places, found = self.settings.sampling, self.items.places, []
        models = [candidate.model for candidate in self.candidates]
        for first in range(0, len(places), how.batch):
            some = places[first : first + how.batch]
            groups = [own[first : first + how.batch] for own in answers]
            written = [[list(zip(each.codes, each.bounds or [None] * len(each.codes), strict=True)) for each in own] for own in groups]
            meanings = self.meanings.take(some) if how.distinct == "meaning" else None
            order = in_one_order(models, how, [self.items.texts[place] for place in some], written, meanings, cut=True)
            found += [Answer([written[number][text][at][0] for number, at in each]) for text, each in enumerate(order)]
            self.progress(f"{TOGETHER}: texts", len(found), len(places))
        return found

    def _nearest(self) -> list[Answer]:
        assert self.baseline is not None
        how, places = self.settings.sampling, self.items.places
        by_what = how.distinct == "meaning"
        found = self.baseline.answers([self.items.texts[place] for place in places], how.samples * (LOOKED_THROUGH if by_what else 1))
        codes = [[each.code for each in group] for group in found]
        if by_what:
            codes = [self._of_other_meanings(place, group) for place, group in zip(places, codes, strict=True)]
        return [Answer(group[: how.samples]) for group in codes]

    def _of_other_meanings(self, place: int, codes: Sequence[str]) -> list[str]:
        """The codes in order, but for those that mean what one before does, which come after."""
        meanings = self.meanings.of(place, codes)
        return [codes[n] for n in by_meaning(codes, meanings, [None] * len(codes), sort=False)]

    def _write_rows(self, name: str, rows: Sequence[dict[str, Any]]) -> str:
        """Writes NAME.jsonl; returns a fingerprint of it."""
        lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
        with replacing(self.out / f"{name.replace('/', '-')}.jsonl") as file:
            file.write(lines)
        return hashlib.blake2b(lines, digest_size=8).hexdigest()

    def _curve(self, candidate: Candidate, metrics: Sequence[str]) -> dict[str, Any] | None:
        """Quality by the number of steps; None of models without steps."""
        asked = sorted({steps for steps in self.settings.curve if steps <= candidate.model.all_steps})
        if not asked or candidate.model.kind == "autoregressive":
            return None
        how, places = replace(self.settings.sampling, frames=1), self.items.drawn(self.settings.curve_limit, self.settings.sampling.seed)
        rows = {}
        for steps in asked:
            own = candidate.settings(replace(how, steps=steps))
            rows[steps] = self._rows(self._sampled(candidate, own, places, f"{candidate.name}, {steps} steps"), places)
        tops, seed = self.settings.tops, how.seed
        points = [
            {"steps": steps, "scores": scores(row, metrics, tops, seed), "less": gains(rows[asked[-1]], row, metrics, tops, seed)}
            for steps, row in rows.items()
        ]
        return {"name": candidate.name, "items": len(places), "points": points}

    def _frames(self, candidate: Candidate) -> dict[str, Any] | None:
        """How far a snippet is from its end at looks on the way; None where none are asked for, and of models without them."""
        looks, steps = self.settings.sampling.frames, self.settings.sampling.count(candidate.model.all_steps)
        if looks < 2 or candidate.model.kind != "codefusion":
            return None
        how = candidate.settings(self.settings.sampling.alone)
        places = self.items.drawn(self.settings.frame_items, how.seed)
        snippets = [answer.frames[0] for answer in self._sampled(candidate, how, places, f"{candidate.name}, {looks} looks")]
        distances = [[1 - similarity(look, snippet[-1]) for look in snippet] for snippet in snippets]
        taken = steps_taken(candidate.model.all_steps, steps)[steps // looks :: steps // looks]
        return {
            "name": candidate.name,
            "items": len(places),
            "steps": [int(step) for step in taken],
            "edits": [estimate(column, how.seed) for column in np.array(distances).T],
            "examples": [
                {"text": self.items.texts[place], "gold": self.items.examples[place].code, "looks": snippet}
                for place, snippet in list(zip(places, snippets, strict=True))[:SHOWN]
            ],
        }

    def _finish(self, found: dict[str, Any]) -> dict[str, Any]:
        """Times the models, and writes and returns result.json."""
        speed: list[dict[str, Any]] = []
        if self.settings.speed_rounds and self.candidates:
            texts = [self.items.texts[place] for place in self.items.places]

            def told(done: int, total: int) -> None:
                self.progress("speed: batches", done, total)

            speed = speeds(self.candidates, self.settings.sampling, texts, self.settings.speed_rounds, told)
        result = {
            "command": found["command"],
            "language": found["language"],
            "own": found["own"],
            "scores": {column["name"]: short(column, found["own"]) for column in found["columns"]},
            "speed": speed,
            "machine": machine(),
            "numpy": version("numpy"),
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_atomically(self.out / RESULT, json.dumps(result, indent=1) + "\n")
        return result


def short(column: dict[str, Any], own: str) -> dict[str, dict[str, float]]:
    """By split, the values of the language's own metric by k."""
    return {
        split: {f"{own}@{k}": each["value"] for k, each in row["scores"][own].items()}
        for split, row in column["splits"].items()
        if row["items"]
    }
