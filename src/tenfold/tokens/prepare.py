"""From what a recipe says about its data to shards, weights and a tokenizer; what an earlier call made is used again.

Under out_dir, which is a run's directory:
    data/train, data/held_out    shards of the documents; with several paths of documents data/1/train, data/1/held_out, data/2/train ...
    data/prepared.json           the fingerprints of what they were made from
    tokenizer/tokenizer.json     the tokenizer of all sources
    documents.json               what was read and what was rejected, where documents were read
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tenfold.corpus.documents import HELD_OUT, Collection, Document, Progress, Rejected, collect, combined
from tenfold.corpus.files import fingerprint, one_process, write_atomically
from tenfold.errors import UserError
from tenfold.tokens.config import DataConfig
from tenfold.tokens.made import Made, files_fingerprint
from tenfold.tokens.mixed import with_corpora
from tenfold.tokens.shards import Shards, is_shards, write_shards
from tenfold.tokens.tokenizer import Tokenizer, train_tokenizer

SAMPLE_BYTES = 8_000_000


@dataclass(frozen=True)
class Prepared:
    """Data ready to be loaded."""

    train: list[Shards]
    """One for each of data.paths, in their order."""
    weights: list[float]
    """One for each of `train`; empty: in proportion to tokens."""
    held_out: list[Shards]
    """Empty where shards were given without any to measure on."""
    tokenizer: Tokenizer | None
    """None where shards came without one."""

    @cached_property
    def vocab(self) -> int:
        """The fewest rows an embedding needs for these tokens."""
        return max(shards.vocab for shards in [*self.train, *self.held_out])

    @cached_property
    def fingerprint(self) -> str:
        """Of every token: a run that goes on must find the one it began with."""
        return fingerprint([shards.sha256 for shards in self.train], [shards.sha256 for shards in self.held_out])


def prepare(data: DataConfig, out_dir: str | Path, vocab: int, progress: Progress | None = None, reserved: int = 0) -> Prepared:
    """Opens shards, and turns documents into shards under `out_dir`, with a tokenizer of at most `vocab - reserved` tokens.

    A path is a directory of shards, a directory with train/ and (perhaps) held_out/ of shards in it, what `tenfold corpus build`
    wrote (all its sources, with the weights of its mixture.json), or documents. Documents are
    encoded with data.tokenizer, else with the tokenizer of the shards they are mixed with, else with a new one, trained on up to 8 MB
    of the training documents (those with the smallest hashes, so always the same ones). Documents that data.held_out holds are left
    out of training. `reserved` rows of the embedding table are an objective's, for masks or sentinels.
    Two processes may prepare one directory: the second waits, and finds it done.
    Raises UserError naming the path or the field that cannot be used.
    """
    if not data.paths:
        raise UserError(
            "data.paths is empty: there is nothing to train on.\n"
            "  Name documents (a folder, .txt, .jsonl, .parquet), shards, or 'stdlib' for Python's own library."
        )
    with one_process(Path(out_dir) / "data"):
        return _Preparation(with_corpora(data), Path(out_dir), vocab - reserved, progress, reserved).run()


def sample(documents: list[Document], max_bytes: int = SAMPLE_BYTES) -> list[str]:
    """Texts of about `max_bytes` to train a tokenizer on: the documents with the smallest hashes, by digits the split does not use."""
    taken, size = [], 0
    for document in sorted(documents, key=lambda document: document.id[8:] + document.id[:8]):
        if size >= max_bytes:
            break
        taken.append(document.text)
        size += len(document.text.encode())
    return taken


class _Preparation:
    """One call of `prepare`: each path is read at most once, and only where something must be made of it."""

    def __init__(self, data: DataConfig, out_dir: Path, vocab: int, progress: Progress | None, reserved: int):
        self.data, self.out_dir, self.vocab, self.progress = data, out_dir, vocab, progress
        self.reserved = reserved
        self.made = Made(out_dir / "data" / "prepared.json")
        self.opened = {path: Shards.open(found) for path in data.paths if (found := _shards_in(path, "train"))}
        self.raw = [path for path in data.paths if path not in self.opened]
        self.measured = Shards.open(found) if data.held_out and (found := _shards_in(data.held_out, "held_out")) else None
        self.prints = {path: files_fingerprint(path) for path in self.raw}
        self.collections: dict[str, Collection] = {}
        self.summaries: list[dict] = []

    def run(self) -> Prepared:
        given = [*self.opened.values(), *([self.measured] if self.measured else [])]
        tokenizer = self.find_tokenizer(given)
        _check_same_tokenizer(given, tokenizer, self.data.tokenizer)
        _check_vocab(self.vocab + self.reserved, self.reserved, tokenizer, given)
        train, held_out = [], [self.measured] if self.measured else []
        if self.data.held_out and not self.measured:
            held_out += self.encode_held_out(tokenizer)
        for path in self.data.paths:
            found, beside = (self.opened[path], self.beside(path)) if path in self.opened else self.encode_path(path, tokenizer)
            train.append(found)
            held_out += [beside] if beside and not self.data.held_out else []
        if tokenizer:
            tokenizer.save(self.out_dir / "tokenizer")
        if self.summaries:
            write_atomically(self.out_dir / "documents.json", json.dumps(combined(self.summaries), indent=1) + "\n")
        return Prepared(train, list(self.data.weights), held_out, tokenizer)

    def find_tokenizer(self, given: list[Shards]) -> Tokenizer | None:
        if self.data.tokenizer:
            return Tokenizer.load(self.data.tokenizer)
        for shards in given:
            if (shards.directory / "tokenizer.json").exists():
                return Tokenizer.load(shards.directory)
        if given and (self.raw or (self.data.held_out and not self.measured)):
            raise UserError(
                f"{given[0].directory} has no tokenizer.json, so there is none to encode documents with.\n  Name it in data.tokenizer."
            )
        return None if given else self.train_tokenizer()

    def train_tokenizer(self) -> Tokenizer:
        made_from, directory = (
            fingerprint(self.vocab, SAMPLE_BYTES, list(self.prints.values()), self.excluded_print),
            self.out_dir / "tokenizer",
        )
        note = self.made.note("tokenizer", made_from)
        if note is not None and (directory / "tokenizer.json").exists():
            tokenizer = Tokenizer.load(directory)
            if tokenizer.fingerprint == note["fingerprint"]:
                return tokenizer
        texts = sample([document for path in self.raw for document in self.read(path).train])
        self.report("training a tokenizer", 0, 1)
        tokenizer = train_tokenizer(texts, self.vocab)
        self.report("training a tokenizer", 1, 1)
        tokenizer.save(directory)
        self.made.put("tokenizer", made_from, {"fingerprint": tokenizer.fingerprint})
        return tokenizer

    def encode_path(self, path: str, tokenizer: Tokenizer | None) -> tuple[Shards, Shards | None]:
        """(train, held-out) shards of documents; no held-out ones where none fell there, or where data.held_out names others."""
        place = self.out_dir / "data" / ("" if len(self.raw) == 1 else str(1 + self.raw.index(path)))
        made_from = fingerprint(self.prints[path], self.excluded_print, _printed(tokenizer))
        train = self.shards(place / "train", made_from, tokenizer, lambda: self.read(path).train)
        held_out = None
        if not self.data.held_out:
            held_out = self.shards(place / "held_out", made_from, tokenizer, lambda: self.read(path).held_out)
        self.summaries.append(self.summary(path))
        assert train, "a training set without documents is refused"
        return train, held_out

    def encode_held_out(self, tokenizer: Tokenizer | None) -> list[Shards]:
        """Shards of all documents that data.held_out names."""
        made_from = fingerprint("data.held_out", self.excluded_print, _printed(tokenizer))
        found = self.shards(self.out_dir / "data" / "held_out", made_from, tokenizer, lambda: self.held_out_documents)
        return [found] if found else []

    def shards(self, place: Path, made_from: str, tokenizer: Tokenizer | None, documents: Callable[[], list[Document]]) -> Shards | None:
        """The shards at a place, made again unless they were made from this and are whole. None where a held-out side is empty."""
        name = place.relative_to(self.out_dir).as_posix()
        note = self.made.note(name, made_from)
        if note and not note["sha256"]:
            return None
        found = _open_made(place) if note else None
        if note and found and found.sha256 == note["sha256"]:
            return found
        taken = documents()
        if not taken and place.name == "held_out":
            shutil.rmtree(place, ignore_errors=True)
            self.made.put(name, made_from, {"sha256": ""})
            return None
        assert tokenizer, "documents always come with a tokenizer"
        made = Shards.open(write_shards(taken, tokenizer, place, progress=self.progress))
        self.made.put(name, made_from, {"sha256": made.sha256})
        return made

    def summary(self, path: str) -> dict:
        """What was read at a path, and what was rejected."""
        name, made_from = f"documents of {path}", fingerprint(self.prints[path], self.excluded_print)
        note = self.made.note(name, made_from)
        if note is None:
            note = self.read(path).summary()
            self.made.put(name, made_from, note)
        return note

    def read(self, path: str) -> Collection:
        """The documents of a path: split by hash, or without those of data.held_out where it is given."""
        if path not in self.collections:
            fraction = 0.0 if self.data.held_out else HELD_OUT
            collection = collect(path, progress=self.progress, held_out_fraction=fraction)
            out = [document for document in collection.train if document.id in self.excluded]
            collection.train = [document for document in collection.train if document.id not in self.excluded]
            collection.rejected += [Rejected(document.source, "in data.held_out", len(document.text.encode())) for document in out]
            self.collections[path] = collection
        return self.collections[path]

    @cached_property
    def held_out_documents(self) -> list[Document]:
        return collect(self.data.held_out, progress=self.progress, held_out_fraction=1.0).held_out

    @cached_property
    def excluded(self) -> set[str]:
        """The ids of documents that must not be trained on."""
        if self.measured:
            return self.measured.document_ids()
        return {document.id for document in self.held_out_documents} if self.data.held_out else set()

    @cached_property
    def excluded_print(self) -> str:
        if self.measured:
            return self.measured.sha256
        return files_fingerprint(self.data.held_out) if self.data.held_out else ""

    def beside(self, path: str) -> Shards | None:
        """The held-out shards that lie beside the training shards of a prepared directory."""
        found = Path(path).expanduser() / "held_out"
        return Shards.open(found) if is_shards(found) else None

    def report(self, what: str, done: int, total: int) -> None:
        if self.progress:
            self.progress(what, done, total)


def _shards_in(path: str, part: str) -> Path | None:
    """The directory of shards that a path is, or has as its `part`; None where it is documents."""
    places = (Path(path).expanduser(), Path(path).expanduser() / part)
    return next((place for place in places if is_shards(place)), None)


def _open_made(directory: Path) -> Shards | None:
    """Shards made earlier, if they are whole: what is damaged is made again."""
    try:
        return Shards.open(directory)
    except UserError:
        return None


def _printed(tokenizer: Tokenizer | None) -> str:
    return tokenizer.fingerprint if tokenizer else ""


def _check_same_tokenizer(given: list[Shards], tokenizer: Tokenizer | None, named: str | None) -> None:
    """All shards must be of one tokenizer, and of the one that is named or lies beside them."""
    if not given:
        return
    wanted = tokenizer.fingerprint if tokenizer else given[0].tokenizer_fingerprint
    whose = f"data.tokenizer {named!r}" if named else f"that of {given[0].directory}"
    for shards in given:
        if shards.tokenizer_fingerprint != wanted:
            raise UserError(
                f"{shards.directory} was made with the tokenizer {shards.tokenizer_fingerprint}, but {whose} is {wanted}.\n"
                "  The same number would mean different text: write those shards again with one tokenizer for all."
            )


def _check_vocab(vocab: int, reserved: int, tokenizer: Tokenizer | None, given: list[Shards]) -> None:
    tokens = max([tokenizer.vocab if tokenizer else 0, *(shards.vocab for shards in given)])
    needed = tokens + reserved
    if needed > vocab:
        padded = -(-needed // 64) * 64
        rows = "its mask" if reserved == 1 else "its sentinels"
        more = f", and train.objective needs {reserved} more for {rows}" if reserved else ""
        raise UserError(
            f"model.vocab is {vocab} but the tokenizer has {tokens} tokens{more}.\n"
            f"  Make model.vocab at least {needed}; {padded} is the next multiple of 64, which is faster."
        )
