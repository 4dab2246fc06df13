"""Books as EPUB (EPUB 3.3, sections 4 and 5): a zip whose package file lists chapters of XHTML in the order they are read in."""

import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import unquote
from xml.etree import ElementTree

from tenfold.corpus.record import Limits, Record, Refused
from tenfold.corpus.sources.html import decoded
from tenfold.corpus.sources.markup import text_of
from tenfold.corpus.sources.opening import open_bytes
from tenfold.corpus.sources.texts import taken

CONTAINER = "META-INF/container.xml"
MARKUP = 8  # bytes of XHTML that a byte of text may have
PACKAGE = 4 << 20  # bytes of a package file
CHAPTERS = {"application/xhtml+xml", "text/html", "application/x-dtbook+xml", ""}


class _OverCap(Exception):
    """A book that unpacks to more than it may."""


def read(path: str, file_name: str, limits: Limits) -> Iterator[Record | Refused]:
    """One book a file. Refused: "damaged file", "encrypted", and "over the size cap" before more than that is unpacked."""
    with open_bytes(path) as opened:
        try:
            text, said = _book(opened, MARKUP * limits.max_bytes)
        except _OverCap:
            yield Refused("epub", file_name, 0, "over the size cap", opened.seek(0, 2))
        except (zipfile.BadZipFile, zlib.error, ElementTree.ParseError, KeyError, OSError, EOFError, ValueError, LookupError):
            yield Refused("epub", file_name, 0, "damaged file", opened.seek(0, 2))
        except (RuntimeError, NotImplementedError):  # zipfile's words for a password and for a packing it does not know
            yield Refused("epub", file_name, 0, "encrypted", opened.seek(0, 2))
        else:
            yield taken("epub", file_name, 0, text, limits, **said)


def _book(opened: BinaryIO, most: int) -> tuple[str, dict[str, str]]:
    with zipfile.ZipFile(opened) as book:
        package = _package_name(book)
        tree = ElementTree.fromstring(_entry(book, package, PACKAGE))
        chapters = []
        for name in _spine(tree, posixpath.dirname(package)):
            data = _entry(book, name, most)
            most -= len(data)
            chapters.append(text_of(decoded(data)))
    text = "\n\n".join(chapter for chapter in chapters if chapter.strip())
    return text, {name: value for name in ("title", "creator", "language", "identifier") if (value := _dublin(tree, name))}


def _package_name(book: zipfile.ZipFile) -> str:
    container = ElementTree.fromstring(_entry(book, CONTAINER, PACKAGE))
    names = [element.attrib["full-path"] for element in container.iter() if _local(element) == "rootfile"]
    if not names:
        raise KeyError("rootfile")
    return names[0]


def _spine(tree: ElementTree.Element, folder: str) -> list[str]:
    """The chapters' names in the zip, in reading order. What is not linear (notes in windows of their own) is left out."""
    items = {element.get("id"): element for element in tree.iter() if _local(element) == "item"}
    order = [element for element in tree.iter() if _local(element) == "itemref" and element.get("linear") != "no"]
    found = [items[each.get("idref")] for each in order if each.get("idref") in items]
    names = [
        item.get("href", "") for item in found if item.get("media-type", "") in CHAPTERS and "nav" not in item.get("properties", "").split()
    ]
    return [posixpath.normpath(posixpath.join(folder, unquote(name.partition("#")[0]))) for name in names]


def _entry(book: zipfile.ZipFile, name: str, most: int) -> bytes:
    with book.open(name) as entry:
        data = entry.read(most + 1)
    if len(data) > most:
        raise _OverCap
    return data


def _local(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _dublin(tree: ElementTree.Element, name: str) -> str:
    return next(((element.text or "").strip() for element in tree.iter() if _local(element) == name), "")
