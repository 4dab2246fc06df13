"""Documents that are text already: files of a folder, .txt, .jsonl, .parquet, and the interpreter's own library."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tenfold.corpus import readers
from tenfold.corpus.record import Limits, Record, Refused
from tenfold.corpus.sources.opening import is_url, open_bytes
from tenfold.corpus.sources.texts import lines, taken


def read_files(path: str, file_name: str, limits: Limits) -> Iterator[Record | Refused]:
    """Any file of a folder: a table of texts by its name, or one document."""
    if readers.is_lines(Path(file_name)):
        yield from read_jsonl(path, file_name, limits)
        return
    with _local(path) as file:
        for raw in readers.read_file(file, file_name, limits.max_bytes):
            yield _judged(raw, "files", file_name, limits)


def read_txt(path: str, file_name: str, limits: Limits) -> Iterator[Record | Refused]:
    """One .txt of many documents, cut as `readers.read_txt` does."""
    with _local(path) as file:
        for raw in readers.read_txt(file, file_name):
            yield _judged(raw, "txt", file_name, limits)


def read_jsonl(path: str, file_name: str, limits: Limits) -> Iterator[Record | Refused]:
    """A JSON object a line, with "text" and maybe "url" and "timestamp" or "date"; an object under "meta" is kept."""
    for line in lines(path, "jsonl", file_name, 6 * limits.max_bytes + 4096):
        if isinstance(line, Refused):
            yield line
        elif line[1].strip():
            yield _object(*line, file_name, limits)


def _object(number: int, line: bytes, file_name: str, limits: Limits) -> Record | Refused:
    try:
        item = json.loads(line.decode("utf-8-sig"))
        text = item[readers.TEXT_FIELD]
        if not isinstance(text, str):
            raise TypeError
        url, timestamp = (_string(item, *names) for names in (("url",), ("timestamp", "date", "created")))
        meta = {name: value for name, value in _meta(item).items() if name not in _PLACES}
        json.dumps([url, timestamp, meta], ensure_ascii=False).encode("utf-8")
        return taken("jsonl", file_name, number, text, limits, url=url, timestamp=timestamp, **meta)
    except UnicodeError:
        return Refused("jsonl", file_name, number, "undecodable", len(line))
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return Refused("jsonl", file_name, number, "bad line", len(line))


_PLACES = {"file", "offset", "source", "text", "limits", "url", "timestamp"}


def _meta(item: dict) -> dict:
    meta = item.get("meta", item.get("metadata"))
    return {str(name): value for name, value in meta.items()} if isinstance(meta, dict) else {}


def _string(item: dict, *names: str) -> str:
    return next((item[name] for name in names if isinstance(item.get(name), str)), "")


def _judged(raw: readers.Raw, source: str, file_name: str, limits: Limits) -> Record | Refused:
    number = int(raw.source.removeprefix(file_name).removeprefix(":") or 0)
    if raw.text is None:
        return Refused(source, file_name, number, raw.problem, raw.bytes)
    return taken(source, file_name, number, raw.text, limits)


@contextmanager
def _local(path: str) -> Iterator[Path]:
    """The file itself, or a copy of what a URL gives for as long as it is read."""
    if not is_url(path):
        yield Path(path).expanduser()
        return
    with tempfile.NamedTemporaryFile(suffix=Path(path).suffix) as copy, open_bytes(path) as file:
        shutil.copyfileobj(file, copy, 1 << 20)
        copy.flush()
        yield Path(copy.name)
