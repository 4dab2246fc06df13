"""Token shards: the documents of a collection as one long stream of token ids on disk, and the way back from a token to its document.

A directory of
    tokens.json      what is in it; what each file must be
    tokenizer.json   what made it
    NNNNN.bin        ids, little-endian uint16 or uint32; each document's tokens, then the end of text
    NNNNN.docs.npy   int64, where each document of the shard starts in it
    NNNNN.ids.jsonl  id, source and bytes of each document, a line each
A document is never cut in two by the end of a shard.
"""

import hashlib
import itertools
import json
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tenfold.corpus.documents import Document, Progress
from tenfold.errors import UserError
from tenfold.tokens.shard import INDEX, MEND, Shard, ShardNames, ShardWriter
from tenfold.tokens.tokenizer import Tokenizer

VERSION = 1
DTYPES: dict[str, np.dtype] = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}
SHARD_TOKENS = 2**26
CHUNK_DOCUMENTS = 1024  # encoded together, on all cores
CHUNK_CHARACTERS = 4_000_000


class Shards:
    """A directory of token shards as one stream, memory-mapped. Opened by `Shards.open`."""

    def __init__(self, directory: Path, index: dict):
        self.directory = directory
        self.tokens: int = index["tokens"]
        """Length of the stream, ends of text among them."""
        self.documents: int = index["documents"]
        self.bytes: int = index["bytes"]
        """Of the documents' text in UTF-8."""
        self.vocab: int = index["vocab"]
        self.tokenizer_fingerprint: str = index["tokenizer"]
        self.sha256: str = hashlib.sha256(json.dumps(index["shards"], sort_keys=True).encode()).hexdigest()
        """Of what the index says of every file: two directories with the same one hold the same stream."""
        self._parts = [Shard(directory, number, entry, DTYPES[index["dtype"]]) for number, entry in enumerate(index["shards"])]
        self._first_token = np.cumsum([0] + [part.tokens for part in self._parts])
        self._first_document = np.cumsum([0] + [part.documents for part in self._parts])

    @classmethod
    def open(cls, directory: str | Path) -> "Shards":
        """Reads the index and checks that every file is there and as long as it says; what is in them is checked by `verify`.

        Raises UserError naming the file that is missing, damaged or cut short.
        """
        directory = Path(directory).expanduser()
        shards = cls(directory, _read_index(directory / INDEX))
        for part in shards._parts:
            part.check_sizes()
        return shards

    def window(self, start: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Tokens start .. start + length of the stream: (ids int32[length], number of the document of each int32[length])."""
        if start < 0 or length < 1 or start + length > self.tokens:
            raise IndexError(f"tokens {start} to {start + length} of a stream of {self.tokens}")
        pieces = []
        while length:
            number = int(np.searchsorted(self._first_token, start, side="right")) - 1
            taken = min(length, int(self._first_token[number + 1]) - start)
            ids, documents = self._parts[number].window(start - int(self._first_token[number]), taken)
            pieces.append((ids, documents + np.int32(self._first_document[number])))
            start, length = start + taken, length - taken
        return pieces[0] if len(pieces) == 1 else (np.concatenate([p[0] for p in pieces]), np.concatenate([p[1] for p in pieces]))

    def document(self, index: int) -> dict:
        """{id, source, bytes, start, tokens} of a document by its number; start is its place in the stream, tokens counts its end."""
        if not 0 <= index < self.documents:
            raise IndexError(f"document {index} of {self.documents}")
        number = int(np.searchsorted(self._first_document, index, side="right")) - 1
        record = self._parts[number].document(index - int(self._first_document[number]))
        return record | {"start": record["start"] + int(self._first_token[number])}

    def document_ids(self) -> set[str]:
        """The ids of all documents, to keep them out of other collections."""
        return {json.loads(line)["id"] for part in self._parts for line in part.path(part.names.documents).read_text("utf-8").splitlines()}

    def verify(self) -> None:
        """Reads every byte of every file. Raises UserError naming the first whose sha256 is not what the index says."""
        for part in self._parts:
            part.verify()


def is_shards(directory: str | Path) -> bool:
    """Whether a path is a directory of token shards."""
    return (Path(directory).expanduser() / INDEX).is_file()


def _read_index(path: Path) -> dict:
    if not path.exists():
        raise UserError(f"{path.parent} holds no token shards: it has no {INDEX}.\n  Name a directory that `write_shards` made.")
    try:
        index = json.loads(path.read_text("utf-8"))
        if index["version"] != VERSION:
            raise UserError(f"{path} is of version {index['version']} but this Tenfold reads {VERSION}.\n  Write the shards again.")
        _check_totals(index)
    except UserError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}: {error}).\n  {MEND}") from error
    return index


def _check_totals(index: dict) -> None:
    if index["dtype"] not in DTYPES:
        raise ValueError(f"dtype is {index['dtype']!r}")
    for number, entry in enumerate(index["shards"]):
        for name in ShardNames.of(number):
            if not isinstance(entry["sha256"][name], str) or entry["sizes"][name] < 0:
                raise ValueError(f"shard {number}: {name}")
        if entry["sizes"][ShardNames.of(number).tokens] != entry["tokens"] * DTYPES[index["dtype"]].itemsize:
            raise ValueError(f"shard {number} has {entry['tokens']} tokens in {entry['sizes']}")
    for count in ("tokens", "documents", "bytes"):
        if index[count] != sum(entry[count] for entry in index["shards"]) or index[count] < 1:
            raise ValueError(f"{count} is {index[count]}, and its shards add up to another number")
    if index["vocab"] < 1 or not isinstance(index["tokenizer"], str):
        raise ValueError("vocab or tokenizer")


def write_shards(
    documents: Iterable[Document],
    tokenizer: Tokenizer,
    out_dir: str | Path,
    shard_tokens: int = SHARD_TOKENS,
    progress: Progress | None = None,
) -> Path:
    """Tokenises documents, in their order, into the directory `out_dir`, which is returned.

    Everything is written beside it and renamed at the end: an interruption leaves `out_dir` as it was. A directory of shards
    already there is replaced; anything else there raises UserError. A shard ends with the document that fills `shard_tokens`.
    Raises UserError where there are no documents.
    """
    out = Path(out_dir)
    if out.exists() and not is_shards(out) and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already and holds no token shards.\n  Name an empty place, or move it away.")
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        index = _write_all(documents, tokenizer, partial, shard_tokens, progress)
        if not index["documents"]:
            raise UserError(f"There are no documents to write into {out}.\n  Name more text: a training set needs at least one document.")
        tokenizer.save(partial)
        (partial / INDEX).write_text(json.dumps(index, indent=1) + "\n", "utf-8")
        _put_in_place(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return out


def _put_in_place(partial: Path, out: Path) -> None:
    for path in partial.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    partial.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _write_all(documents: Iterable[Document], tokenizer: Tokenizer, directory: Path, shard_tokens: int, progress: Progress | None) -> dict:
    dtype = dtype_for(tokenizer)
    total = len(documents) if isinstance(documents, Sized) else None
    entries: list[dict] = []
    shard: ShardWriter | None = None
    done = 0
    for document, ids in encoded(documents, tokenizer, DTYPES[dtype]):
        shard = shard or ShardWriter(directory, ShardNames.of(len(entries)))
        shard.add(document, ids)
        done += 1
        if shard.tokens >= shard_tokens:
            entries.append(shard.close())
            shard = None
        if progress and done % 64 == 0:
            progress("tokenising", done, total)
    if shard:
        entries.append(shard.close())
    if progress:
        progress("tokenising", done, done)
    sums = {count: sum(entry[count] for entry in entries) for count in ("tokens", "documents", "bytes")}
    return {"version": VERSION, "dtype": dtype, "tokenizer": tokenizer.fingerprint, "vocab": tokenizer.vocab, **sums, "shards": entries}


def dtype_for(tokenizer: Tokenizer) -> str:
    """The smallest type that holds its ids, by name."""
    return "uint16" if tokenizer.vocab <= 2**16 else "uint32"


def encoded(documents: Iterable[Document], tokenizer: Tokenizer, dtype: np.dtype) -> Iterator[tuple[Document, np.ndarray]]:
    """Each document with its ids, the end of text last. While some are taken, the next are encoded."""
    with ThreadPoolExecutor(1) as ahead:
        waiting: deque[tuple[list[Document], Future]] = deque()
        for chunk in _chunks(iter(documents)):
            waiting.append((chunk, ahead.submit(_ids, chunk, tokenizer, dtype)))
            if len(waiting) > 1:
                taken, ids = waiting.popleft()
                yield from zip(taken, ids.result(), strict=True)
        for taken, ids in waiting:
            yield from zip(taken, ids.result(), strict=True)


def _ids(chunk: list[Document], tokenizer: Tokenizer, dtype: np.dtype) -> list[np.ndarray]:
    found = []
    for document, ids in zip(chunk, tokenizer.encode_batch([document.text for document in chunk]), strict=True):
        ids.append(tokenizer.end_of_text)
        found.append(np.array(ids, dtype))
        if (found[-1][:-1] == tokenizer.end_of_text).any():
            raise UserError(
                f"The tokenizer makes its end of text, id {tokenizer.end_of_text}, from the words of {document.source}.\n"
                "  Documents could not be told apart: use a tokenizer whose end of text no text can spell."
            )
    return found


def _chunks(documents: Iterator[Document]) -> Iterator[list[Document]]:
    while chunk := list(itertools.islice(documents, 1)):
        size = len(chunk[0].text)
        while size < CHUNK_CHARACTERS and len(chunk) < CHUNK_DOCUMENTS:
            more = next(documents, None)
            if more is None:
                break
            chunk.append(more)
            size += len(more.text)
        yield chunk
