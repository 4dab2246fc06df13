"""Samples as they are finished, kept in a file of lines, so that what was interrupted goes on, and more items cost only what is new.

A file's name holds a fingerprint of all that decides its lines: the model, the settings, the texts. A line is an item's:

    {"place": 7, "codes": ["ls", ...], "bounds": [3.2, ...]}     and "frames": [["l", "ls"], ...] where the snippet was looked at on the way
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tenfold.codefusion.candidates import Candidate
from tenfold.codefusion.meaning import Meanings
from tenfold.codefusion.retrieval import Retrieval
from tenfold.codefusion.settings import Sampling
from tenfold.corpus.files import fingerprint, write_atomically
from tenfold.errors import UserError


@dataclass(frozen=True)
class Answer:
    """The samples for one text, best first."""

    codes: list[str]
    bounds: list[float | None] = field(default_factory=list)
    frames: list[list[str]] = field(default_factory=list)

    def first(self, count: int) -> "Answer":
        """The best of them."""
        return Answer(self.codes[:count], self.bounds[:count], self.frames[:count])


def sampled(
    candidate: Candidate,
    how: Sampling,
    texts: Sequence[str],
    places: Sequence[int],
    folder: Path,
    progress: Callable[[int, int], None],
    near: Retrieval | None = None,
    meanings: Meanings | None = None,
) -> list[Answer]:
    """The samples of `texts[place]` for each of the places, from the folder where they are there. `texts` are those of the whole file, as
    `meanings` are: an item's samples are the same whatever is asked beside it. `near`: where `how.retrieved` codes come from."""
    near, meanings = near if how.retrieved else None, meanings if how.distinct == "meaning" else None
    path = folder / f"{candidate.name.replace('/', '-')}-{_key(candidate, how, texts, near, meanings)}.jsonl"
    found = _read(path)
    missing = [place for place in places if place not in found]
    done = len(places) - len(missing)
    progress(done, len(places))
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            for first in range(0, len(missing), how.batch):  # so many texts fill so many batches
                some = missing[first : first + how.batch]
                for place, answer in zip(some, _ask(candidate, how, texts, some, near, meanings), strict=True):
                    found[place] = answer
                    file.write(json.dumps({"place": place, **_said(answer)}) + "\n")
                file.flush()
                os.fsync(file.fileno())
                progress(done + first + len(some), len(places))
    return [found[place] for place in places]


def _ask(
    candidate: Candidate,
    how: Sampling,
    texts: Sequence[str],
    places: Sequence[int],
    near: Retrieval | None,
    meanings: Meanings | None,
) -> list[Answer]:
    asked = [texts[place] for place in places]
    own = meanings and meanings.take(places)
    found = candidate.model.generate(asked, how, places=places, cut=True, near=near, meanings=own)
    frames = [[snippet.frames for snippet in group] if how.frames > 1 else [] for group in found]
    return [
        Answer([snippet.code for snippet in group], [snippet.bound for snippet in group], looks)
        for group, looks in zip(found, frames, strict=True)
    ]


def _key(candidate: Candidate, how: Sampling, texts: Sequence[str], near: Retrieval | None, meanings: Meanings | None) -> str:
    settings = {name: value for name, value in asdict(how).items() if name != "batch" and (name != "distinct" or meanings)}
    pairs = None if near is None else [near.texts, near.codes]
    about = [candidate.about[name] for name in ("fingerprint", "tokenizer", "words")]
    reader = [found["fingerprint"]] if (found := candidate.about.get("reader")) else []
    told_apart = [repr(meanings)] if meanings else []
    return fingerprint(*about, *reader, settings, list(texts), pairs, *told_apart)


def _said(answer: Answer) -> dict:
    return {name: value for name, value in asdict(answer).items() if value}


def _read(path: Path) -> dict[int, Answer]:
    """The whole lines of the file; a last one that a kill left unfinished is taken out of it."""
    if not path.exists():
        return {}
    text = path.read_text("utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        write_atomically(path, whole)
    found = {}
    for number, line in enumerate(whole.split("\n"), 1):
        try:
            if line:
                row = json.loads(line)
                found[row["place"]] = Answer(row["codes"], row.get("bounds", []), row.get("frames", []))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}:{number} is damaged: {error}.\n  Delete the file and say the same command again.") from error
    return found
