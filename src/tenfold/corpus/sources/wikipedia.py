"""Articles of a MediaWiki XML dump (pages-articles, bz2 or not), read as a stream: redirects, talk and other namespaces dropped."""

import bz2
import gzip
from collections.abc import Iterator
from typing import Any, BinaryIO
from urllib.parse import quote
from xml.etree import ElementTree

from tenfold.corpus.record import Limits, Record, Refused
from tenfold.corpus.sources.opening import open_bytes
from tenfold.corpus.sources.texts import taken
from tenfold.corpus.sources.wikitext import FILES, plain_text

ARTICLES = "0"
HIDDEN = {"6", "14", "-2"}  # numbers of the namespaces File, Category and Media in every wiki
MARKUP = 4  # bytes of markup that a byte of text may have


def read(path: str, file_name: str, limits: Limits) -> Iterator[Record | Refused]:
    """Each article: its title, an empty line, its text. Refused: "redirect", "not an article", "not wikitext", "damaged file"."""
    number = 0
    with open_bytes(path) as opened:
        try:
            site = _Site()
            for element in _elements(_unpacked(opened)):
                if element.tag == "siteinfo":
                    site = _Site(element)
                else:
                    number += 1
                    yield _article(element, number, file_name, site, limits)
        except (ElementTree.ParseError, OSError, EOFError, ValueError):
            yield Refused("wikipedia", file_name, number + 1, "damaged file", 0)


def _unpacked(opened: BinaryIO) -> BinaryIO:
    head = opened.read(3)
    opened.seek(0)
    unpack: Any = {b"BZh": bz2.open, b"\x1f\x8b\x08": gzip.open}.get(head)
    return unpack(opened) if unpack else opened


def _elements(file: BinaryIO) -> Iterator[ElementTree.Element]:
    """siteinfo and each page, without the names' namespace; forgotten once used."""
    depth, root = 0, None
    for event, element in ElementTree.iterparse(file, events=("start", "end")):
        if event == "start":
            root = element if root is None else root
            depth += 1
            continue
        depth -= 1
        element.tag = element.tag.rpartition("}")[2]
        if depth == 1 and root is not None:
            if element.tag in ("siteinfo", "page"):
                yield element
            root.clear()


class _Site:
    """What the head of a dump says of its wiki."""

    def __init__(self, element: ElementTree.Element | None = None):
        self.base, self.hidden = "", set(FILES)
        if element is not None:
            self.base = (element.findtext("base") or "").rpartition("/")[0]
            spaces = element.iterfind("namespaces/namespace")
            self.hidden |= {(space.text or "").lower() for space in spaces if space.get("key") in HIDDEN and space.text}

    def url(self, title: str) -> str:
        return f"{self.base}/{quote(title.replace(' ', '_'), safe='/:()!,*@$;')}" if self.base else ""


def _article(page: ElementTree.Element, number: int, file_name: str, site: _Site, limits: Limits) -> Record | Refused:
    title, markup = page.findtext("title") or "", page.findtext("revision/text") or ""
    place = ("wikipedia", file_name, number)
    if page.findtext("ns", ARTICLES) != ARTICLES:
        return Refused(*place, "not an article", len(markup))
    if page.find("redirect") is not None or markup[:20].lower().startswith("#redirect"):
        return Refused(*place, "redirect", len(markup))
    if page.findtext("revision/model", "wikitext") != "wikitext":
        return Refused(*place, "not wikitext", len(markup))
    if len(markup) > MARKUP * limits.max_bytes:
        return Refused(*place, "over the size cap", len(markup))
    text = plain_text(markup, site.hidden)
    timestamp = page.findtext("revision/timestamp") or ""
    if not text:
        return Refused(*place, "empty", len(markup))
    return taken(*place, f"{title}\n\n{text}", limits, url=site.url(title), timestamp=timestamp, title=title, page=page.findtext("id"))
