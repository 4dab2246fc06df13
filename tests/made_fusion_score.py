"""A model that writes by rote, and test pairs, for the tests of scores: no weights, nothing compiled."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from tenfold.codefusion.candidates import Candidate
from tenfold.codefusion.snippets import Snippet
from tiny_fusion import AUTOREGRESSIVE, FUSION, MASKED

CODES = ["x.sort()", "print('hello')", "f = open(path)", "len(s)", "x.sort("]
TRAIN = [("sort a list", "x.sort()"), ("close the file", "f.close()")]
TEST = [
    ("sort a list", "x.sort()"),
    ("print hello", "print('hello')"),
    ("open a file for reading", "f = open(path)"),
    ("length of a string", "len(s)"),
    ("the size of x", "len(x)"),
]


class OfKind:
    """What a model's `config` says of it."""

    @property
    def kind(self):
        return self.config.kind

    @property
    def all_steps(self):
        return self.config.all_steps


@dataclass
class Rote(OfKind):
    """Knows nothing of texts: what it writes depends on the place, the sample and the steps alone. Counts what it is asked."""

    config: object = FUSION
    asked: list = field(default_factory=list)
    stops: int = 10**6
    """Raises KeyboardInterrupt after so many texts."""

    def too_long(self, texts):
        return sum(len(text.split()) >= self.config.text_length for text in texts)

    def generate(self, texts, how, places=None, cut=False, near=None, meanings=None):
        places = range(len(texts)) if places is None else places
        if len(self.asked) + len(texts) > self.stops:
            raise KeyboardInterrupt
        self.asked += places
        return [[self._snippet(place + sample * how.steps, how.frames) for sample in range(how.samples)] for place in places]

    def _snippet(self, number, frames):
        code = CODES[number % len(CODES)]
        return Snippet(code, [], float(number), [code[: len(code) * look // frames] for look in range(1, frames + 1)])

    def program_bytes(self, how):
        return 2**20 * how.batch


def rote(name="rote", kind="codefusion", **options) -> Candidate:
    config = {"codefusion": FUSION, "masked": MASKED, "autoregressive": AUTOREGRESSIVE}[kind]
    about = {"run": f"runs/{name}", "kind": kind, "step": 3, "parameters": 1000, "without_tables": 900, "tokenizer": "rote", "words": None}
    return Candidate(name, Rote(config, **options), about | {"fingerprint": name, "trained_on": ["train.jsonl"]})


def write_lines(path: Path, pairs) -> Path:
    path.write_text("".join(json.dumps({"text": text, "code": code}) + "\n" for text, code in pairs))
    return path
