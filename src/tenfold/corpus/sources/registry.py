"""Every kind of source by its name: how one of its files is read, and which files of a folder are its."""

import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from tenfold.corpus.record import Limits, Record, Refused
from tenfold.corpus.sources.opening import files_under, is_url
from tenfold.errors import UserError

Reader = Callable[[str, str, Limits], Iterator[Record | Refused]]
"""read(path or URL, the name to report it by, limits), for one file."""


@dataclass(frozen=True)
class Kind:
    """A kind of source."""

    description: str
    reader: str
    """"module:function" of a `Reader`, under `corpus.sources`; imported when it is first used."""
    suffixes: tuple[str, ...] = ()
    """What its files' names end in; () takes any file."""
    gives: Literal["texts", "links"] = "texts"
    """Records with text, or addresses (in `url`, or under "links" in `meta`) to join with pages."""


KINDS: dict[str, Kind] = {
    "warc": Kind("Crawled pages, their main content as text", "warc:read_warc", (".warc", ".warc.gz", ".warc.zst")),
    "wet": Kind("Text of crawled pages, as Common Crawl extracts it", "warc:read_wet", (".wet", ".wet.gz", ".wet.zst", *(".warc.wet.gz",))),
    "wat": Kind("Titles and links of crawled pages, without text", "warc:read_wat", (".wat", ".wat.gz", ".wat.zst"), "links"),
    "reddit": Kind("Links of Reddit submissions with enough karma", "reddit:read", (".jsonl", ".zst", ".gz", ".json"), "links"),
    "wikipedia": Kind("Articles of a MediaWiki XML dump", "wikipedia:read", (".xml", ".xml.bz2", ".bz2", ".xml.gz")),
    "gutenberg": Kind("Books as Project Gutenberg's text, header and licence cut", "gutenberg:read", (".txt",)),
    "epub": Kind("Books as EPUB, chapters in their order", "epub:read", (".epub",)),
    "pile": Kind("The Pile's published lines, with the component's name", "pile:read", (".jsonl", ".jsonl.zst", ".jsonl.gz")),
    "mail": Kind("Messages of an mbox or a maildir, such as Enron's", "mail:read"),
    "hacker_news": Kind(
        "Items of Hacker News as JSON lines, put together to threads", "hacker_news:read", (".jsonl", ".zst", ".gz", ".json")
    ),
    "stack_exchange": Kind("Questions with their best answers, of a Posts.xml", "stack_exchange:read", (".xml",)),
    "subtitles": Kind("Subtitles in WebVTT or SubRip as running text", "subtitles:read", (".vtt", ".srt")),
    "latex": Kind("LaTeX sources as text with its formulas", "latex:read", (".tex", ".gz", ".tar")),
    "github": Kind("Source code by extension, size and length of lines", "github:read"),
    "files": Kind("Any folder: a file is a document, .jsonl and .parquet are many", "plain:read_files"),
    "txt": Kind("A .txt of many documents, cut at <|endoftext|> or blank lines", "plain:read_txt", (".txt",)),
    "jsonl": Kind('JSON lines with "text", compressed or not', "plain:read_jsonl", (".jsonl", ".jsonl.gz", ".jsonl.zst")),
    "parquet": Kind('Parquet with a column "text"', "plain:read_files", (".parquet",)),
    "stdlib": Kind("The running interpreter's own library", "plain:read_files", (".py",)),
}


def kind_of(name: str) -> Kind:
    """The kind of that name. Raises UserError where there is none."""
    if name not in KINDS:
        raise UserError(f"There is no kind of source {name!r}.\n  Use one of {', '.join(KINDS)}.")
    return KINDS[name]


def read_files(kind: str, path: str) -> list[str]:
    """The files of a source, sorted: a file, a folder, a pattern with * or a URL of those ("stdlib" needs no path).

    Raises UserError where there is none.
    """
    root = sysconfig.get_path("stdlib") if kind == "stdlib" and path in ("", "stdlib") else path
    return files_under(root, kind_of(kind).suffixes)


def reader_of(kind: str) -> Reader:
    """The function that reads one file of a kind. Raises UserError where a package it needs is not installed."""
    module, name = kind_of(kind).reader.split(":")
    try:
        return getattr(import_module(f"tenfold.corpus.sources.{module}"), name)
    except ImportError as error:
        raise UserError(
            f"Sources of kind {kind!r} need a package that is not here: {error}.\n  Try `pip install 'tenfold[web]'`."
        ) from error


def read(kind: str, path: str, source: str, limits: Limits, file_name: str = "") -> Iterator[Record | Refused]:
    """One file's records and refusals under the recipe's name of the source; the file is reported as `file_name`, or `path` if ""."""
    for found in reader_of(kind)(path, file_name or path, limits):
        yield found._replace(source=source)


def names_under(path: str, files: list[str]) -> list[str]:
    """How files are reported: by their path below the folder that a source names, so that a corpus does not depend on where it lay."""
    if files == [path] or not path:
        return [file.rsplit("/", 1)[-1] for file in files]
    folder = path.split("*")[0]
    folder = folder.rpartition("/")[0] if "*" in path else folder.rstrip("/")
    names = [str(Path(file)) if not is_url(file) else file for file in files]
    root = folder.partition("://")[2] if is_url(folder) else str(Path(folder).expanduser())
    return [name.partition(f"{root}/")[2] or name.rsplit("/", 1)[-1] for name in names]
