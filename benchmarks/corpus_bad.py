"""One of everything that a crawl does wrong, beside good documents: a folder of files for `tenfold corpus build`.

    python benchmarks/corpus_bad.py bad
    tenfold corpus build benchmarks/corpus_bad.yaml --out corpora/bad

Prints how many good documents lie beside each fault: those are what the build must keep. Needs warcio.
"""

import gzip
import json
import sys
from io import BytesIO
from pathlib import Path
from random import Random

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

WORDS = "the river that ran by old mill was calm and wide in spring but after rain it rose over its banks to all our fields".split()
HUGE = 100_000_000


def prose(seed: int) -> str:
    """A text of its own."""
    random = Random(seed)
    return f"Document {seed}. " + " ".join(random.choice(WORDS) for _ in range(120)) + "."


def html(text: str) -> bytes:
    return f"<html><head><title>A page</title></head><body><main><p>{text}</p></main></body></html>".encode()


def response(body: bytes, number: int) -> bytes:
    """One gzip member: a page as a server gave it."""
    file = BytesIO()
    writer = WARCWriter(file, gzip=True)
    headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
    url = f"http://site.example/{number}"
    writer.write_record(writer.create_warc_record(url, "response", payload=BytesIO(body), http_headers=headers))
    return file.getvalue()


def with_length(member: bytes, change: int) -> bytes:
    """The record with a Content-Length that is wrong by `change` bytes."""
    head, rest = gzip.decompress(member).split(b"Content-Length: ", 1)
    length, rest = rest.split(b"\r\n", 1)
    return gzip.compress(head + b"Content-Length: %d\r\n" % (int(length) + change) + rest)


def crawls(good: "Pages") -> dict[str, bytes]:
    """WARC files, each with good pages around its fault."""
    around = {
        "truncated-member": good.member()[:200],
        "flipped-byte": flipped(good.member()),
        "length-too-long": with_length(good.bad(), 5000),
        "length-too-short": with_length(good.bad(), -60),
        "garbage": b"\x00\xffgarbage" * 300,
        "html-bomb": response(b"<div>" * 200_000, 1),
        "nothing": response(b"", 2),
        "an-image": response(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8, 3),
    }
    files = {f"{name}.warc.gz": good.member() + fault + good.member() for name, fault in around.items()}
    files["cut-off.warc.gz"] = good.member() + good.member() + good.member()[:150]
    files["zero-bytes.warc.gz"] = b""
    return files


def flipped(member: bytes) -> bytes:
    middle = len(member) // 2
    return member[:middle] + bytes([member[middle] ^ 0xFF]) + member[middle + 1 :]


class Pages:
    """Good pages, counted."""

    def __init__(self) -> None:
        self.count, self.made = 0, 0

    def text(self) -> str:
        self.count += 1
        return self.bad_text()

    def bad_text(self) -> str:
        self.made += 1
        return prose(self.made)

    def member(self) -> bytes:
        return response(html(self.text()), self.made)

    def bad(self) -> bytes:
        return response(html(self.bad_text()), self.made)
