"""Documents in: read, refused with a reason, and split into training and held-out by what they say.

A document's identity is the hash of its text, so the split and the removal of exact duplicates do not change when files are
renamed, added or read in another order.
"""

import hashlib
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tenfold.corpus import readers
from tenfold.errors import UserError

STANDARD_LIBRARY = "stdlib"
"""The name, where a path is asked for, of the running interpreter's own library."""

MAX_BYTES = 1_000_000
HELD_OUT = 0.05
COUNTS = ("documents", "bytes")

Progress = Callable[[str, int, int | None], None]
"""Called as progress(what is being done, how much is done, how much there is or None)."""


class Document(NamedTuple):
    """One text of a collection."""

    id: str
    """16 hexadecimal digits: BLAKE2b of the text in UTF-8."""
    text: str
    source: str
    """Its path inside the collection, with `:n` for the n-th text of a file of many."""


class Rejected(NamedTuple):
    """A text that was not taken."""

    source: str
    reason: str
    bytes: int


def document_id(text: str) -> str:
    """The identity of a text: 16 hexadecimal digits of its BLAKE2b."""
    return hashlib.blake2b(text.encode("utf-8"), digest_size=8).hexdigest()


def is_held_out(document_id: str, fraction: float = HELD_OUT) -> bool:
    """Whether a document is kept from training, by its hash: the same answer in any collection, order or machine."""
    return int(document_id, 16) < fraction * 2**64


def read_documents(path: str | None, max_bytes: int = MAX_BYTES) -> Iterator[Document | Rejected]:
    """Every text under `path`, in a fixed order, or why it was not taken.

    `path` is a folder (each file one document; .jsonl and .parquet many), a .txt (cut into documents, see `readers.read_txt`), a
    .jsonl, .jsonl.gz, .jsonl.zst or .parquet; None or "stdlib" is the standard library of the running interpreter (its .py files).
    Reasons: "undecodable", "binary", "empty", "over the size cap", "duplicate", "bad line", "damaged file", "unreadable file".
    Raises UserError where there is no such path.
    """
    seen: set[str] = set()
    for raw in _raw(path, max_bytes):
        found = _judge(raw, max_bytes, seen)
        if isinstance(found, Document):
            seen.add(found.id)
        yield found


def _judge(raw: readers.Raw, max_bytes: int, seen: set[str]) -> Document | Rejected:
    if raw.text is None:
        return Rejected(raw.source, raw.problem, raw.bytes)
    if raw.bytes > max_bytes:
        return Rejected(raw.source, "over the size cap", raw.bytes)
    if not raw.text.strip():
        return Rejected(raw.source, "empty", raw.bytes)
    id = document_id(raw.text)
    return Rejected(raw.source, "duplicate", raw.bytes) if id in seen else Document(id, raw.text, raw.source)


def _raw(path: str | None, max_bytes: int) -> Iterator[readers.Raw]:
    root, files = files_of(path)
    if root.is_file() and not readers.holds_many(root):
        yield from readers.read_txt(root, root.name)
        return
    base = root.parent if root.is_file() else root
    for file in files:
        yield from readers.read_file(file, file.relative_to(base).as_posix(), max_bytes)


def files_of(path: str | None) -> tuple[Path, list[Path]]:
    """Where a collection is, and its files in the order they are read. Raises UserError where there are none."""
    if is_standard_library(path):
        root = Path(sysconfig.get_path("stdlib"))
        return root, [file for file in readers.walk(root) if file.suffix == ".py"]
    root = Path(str(path)).expanduser()
    if not root.exists():
        raise UserError(
            f"There is nothing at {path!r}.\n  Name a folder, a .txt, .jsonl, .jsonl.gz, .jsonl.zst or .parquet file, "
            "or 'stdlib' for Python's own library."
        )
    files = [root] if root.is_file() else readers.walk(root)
    if not files:
        raise UserError(f"The folder {path!r} holds no files (hidden ones are not read).\n  Name a folder with documents in it.")
    return root, files


def is_standard_library(path: str | None) -> bool:
    """Whether `path` asks for Python's own library; a file or folder that happens to have its name is taken first."""
    return path is None or (path == STANDARD_LIBRARY and not Path(path).exists())


@dataclass
class Collection:
    """What was read from one place: documents to train on, documents to measure on, and what was refused."""

    path: str
    train: list[Document] = field(default_factory=list)
    held_out: list[Document] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    def summary(self) -> dict:
        """Counts and bytes, for people and for documents.json."""
        reasons: dict[str, list[Rejected]] = {}
        for each in self.rejected:
            reasons.setdefault(each.reason, []).append(each)
        return {
            "path": self.path,
            "train": _counted(self.train),
            "held_out": _counted(self.held_out),
            "rejected": {
                reason: {
                    "documents": len(group),
                    "bytes": sum(each.bytes for each in group),
                    "examples": [each.source for each in group[:3]],
                }
                for reason, group in sorted(reasons.items())
            },
        }


def combined(summaries: list[dict]) -> dict:
    """One summary of several collections: the counts added up, with the summaries themselves as "sources"."""
    if len(summaries) == 1:
        return summaries[0]
    rejected: dict[str, dict] = {}
    for summary in summaries:
        for reason, group in summary["rejected"].items():
            sofar = rejected.setdefault(reason, {"documents": 0, "bytes": 0, "examples": []})
            sofar["documents"] += group["documents"]
            sofar["bytes"] += group["bytes"]
            sofar["examples"] = [*sofar["examples"], *group["examples"]][:3]
    total = {part: {count: sum(summary[part][count] for summary in summaries) for count in COUNTS} for part in ("train", "held_out")}
    return {"path": ", ".join(summary["path"] for summary in summaries), **total, "rejected": rejected, "sources": summaries}


def _counted(documents: Iterable[Document]) -> dict[str, int]:
    sizes = [len(document.text.encode()) for document in documents]
    return {"documents": len(sizes), "bytes": sum(sizes)}


def collect(
    path: str | None, max_bytes: int = MAX_BYTES, progress: Progress | None = None, held_out_fraction: float = HELD_OUT
) -> Collection:
    """Reads a whole collection into memory and splits it by `is_held_out`.

    Raises UserError where not one document could be taken, saying why the texts were refused.
    """
    collection = Collection(path or STANDARD_LIBRARY)
    taken = 0
    for number, found in enumerate(read_documents(path, max_bytes), 1):
        if isinstance(found, Rejected):
            collection.rejected.append(found)
        else:
            (collection.held_out if is_held_out(found.id, held_out_fraction) else collection.train).append(found)
            taken += 1
        if progress and number % 64 == 0:
            progress("reading documents", number, None)
    if progress:
        progress("reading documents", taken, taken)
    if not taken:
        raise UserError(f"{collection.path!r} holds no document that can be used: {_why_none(collection)}.\n  Name text in UTF-8.")
    return collection


def _why_none(collection: Collection) -> str:
    reasons = collection.summary()["rejected"]
    return (
        ", ".join(f"{group['documents']} {reason} (such as {group['examples'][0]})" for reason, group in reasons.items()) or "it is empty"
    )
