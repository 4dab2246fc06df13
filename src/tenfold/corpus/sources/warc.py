"""Crawled pages: WARC (whole pages), WET (their text) and WAT (their links), as Common Crawl and other archives publish them.

`framing` finds the records, so that bad ones cost nothing but themselves; fastwarc reads each one's headers and HTTP message.
"""

import io
import json
import re
from collections.abc import Iterator
from urllib.parse import urljoin

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from tenfold.corpus.documents import document_id
from tenfold.corpus.record import Limits, Record, Refused, metadata
from tenfold.corpus.sources.framing import Framed, framed
from tenfold.corpus.sources.members import pieces
from tenfold.corpus.sources.opening import open_bytes
from tenfold.corpus.sources.pages import Found, Page, extracted
from tenfold.corpus.sources.urls import normalise

HTML = {"text/html", "application/xhtml+xml"}
PAGES = WarcRecordType.response | WarcRecordType.resource
NAMED = ("warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation")
TYPES = {name.encode(): getattr(WarcRecordType, name) for name in NAMED}
TYPE = re.compile(rb"\nwarc-type:[ \t]*([a-z]+)[ \t]*\r?(?=\n)", re.IGNORECASE)
HEADERS = 1 << 16  # bytes that a record may have beside its page


def read_warc(path: str, file_name: str, limits: Limits) -> Iterator[Record | Refused]:
    """The text of each page that a server gave: response records of status 200 and resource records, of HTML or plain text."""
    return extracted(_found(path, "warc", file_name, limits, PAGES, _page), limits)


def read_wet(path: str, file_name: str, limits: Limits) -> Iterator[Record | Refused]:
    """The text of each conversion record."""
    return _found(path, "wet", file_name, limits, WarcRecordType.conversion, _converted)


def read_wat(path: str, file_name: str, limits: Limits) -> Iterator[Record | Refused]:
    """Each page's title and outbound links, in `meta`; such records have no text, and their id is that of their url."""
    return _found(path, "wat", file_name, limits, WarcRecordType.metadata, _links)


def _found(path: str, source: str, file_name: str, limits: Limits, wanted: WarcRecordType, taken) -> Iterator:
    with open_bytes(path) as file:
        for each in framed(pieces(file, path), limits.max_bytes + HEADERS):
            if isinstance(each, Framed):
                yield from _taken(each, source, file_name, limits, wanted, taken)
            else:
                yield Refused(source, file_name, each.offset, each.reason, each.bytes)


def _taken(each: Framed, source: str, file_name: str, limits: Limits, wanted: WarcRecordType, taken) -> Iterator[Found]:
    place = (source, file_name, each.offset)
    said = TYPE.search(each.data, 0, HEADERS)
    if said and said[1].lower() in TYPES and not TYPES[said[1].lower()] & wanted:
        return  # half of a crawl's records are requests: they need no parser
    try:
        types = wanted | WarcRecordType.unknown | WarcRecordType.no_type
        records = ArchiveIterator(io.BytesIO(each.data), record_types=types, parse_http=True, auto_decode="all", fsspec_args=False)
        record = None
        for record in records:
            body = record.reader.read(limits.max_bytes + 1)
            if not record.record_type & wanted:
                yield Refused(*place, "unknown type of record", len(each.data))
            elif len(body) > limits.max_bytes:
                yield Refused(*place, "over the size cap", len(each.data))
            else:
                yield taken(record, body, place)
        if record is None:
            yield Refused(*place, "bad WARC header", len(each.data))
    except (OSError, ValueError, EOFError):
        yield Refused(*place, "bad HTTP message", len(each.data))


def _page(record: WarcRecord, body: bytes, place: tuple[str, str, int]) -> Found:
    status = record.http_headers.status_code if record.http_headers else 200
    if status != 200:
        return Refused(*place, "status not 200", len(body))
    kind, charset = (record.http_content_type or _header(record, "Content-Type")).split(";")[0].strip(), record.http_charset or ""
    if kind.lower() not in HTML:
        return _converted(record, body, place) if kind == "text/plain" else Refused(*place, "not HTML or text", len(body))
    if not body.strip():
        return Refused(*place, "empty", len(body))
    return Page(body, charset, *place[1:], _record("", record, place))


def _converted(record: WarcRecord, body: bytes, place: tuple[str, str, int]) -> Record | Refused:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return Refused(*place, "undecodable", len(body))
    return _record(text, record, place) if text.strip() else Refused(*place, "empty", len(body))


def _record(text: str, record: WarcRecord, place: tuple[str, str, int], **more: object) -> Record:
    source, file_name, offset = place
    url = _header(record, "WARC-Target-URI").strip("<>")
    language = record.headers.get("WARC-Identified-Content-Language")
    meta = metadata(file_name, offset, languages=language, truncated=record.headers.get("WARC-Truncated"), **more)
    return Record(document_id(text or url), source, url, text, _header(record, "WARC-Date"), meta)


def _header(record: WarcRecord, name: str) -> str:
    return record.headers.get(name) or ""


def _links(record: WarcRecord, body: bytes, place: tuple[str, str, int]) -> Record | Refused:
    try:
        message = json.loads(body)["Envelope"]["Payload-Metadata"].get("HTTP-Response-Metadata", {})
        page = message.get("HTML-Metadata", {})
        head = page.get("Head", {})
        base = head.get("Base") or record.headers.get("WARC-Target-URI", "")
        urls = [urljoin(base, link["url"]) for link in page.get("Links", []) if link.get("path", "").startswith("A@")]
        links = sorted({link for url in urls if (link := normalise(url))})
        return _record("", record, place, title=head.get("Title"), links=links)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Refused(*place, "bad line", len(body))
