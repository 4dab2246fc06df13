"""One of everything that a crawl does wrong, beside good documents: a folder of files for `tenfold corpus build`.

    python benchmarks/corpus_bad.py bad
    tenfold corpus build benchmarks/corpus_bad.yaml --out corpora/bad

Prints how many good documents lie beside the faults: those are what a build must keep. Needs warcio.
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


class Pages:
    """Texts that a build must keep, counted."""

    def __init__(self) -> None:
        self.made, self.lost = 0, 0

    def text(self) -> str:
        self.made += 1
        return prose(self.made)

    def member(self) -> bytes:
        return response(html(self.text()), self.made)

    def line(self, **more: str) -> bytes:
        return json.dumps({"text": self.text(), **more}).encode() + b"\n"

    def spoilt(self, record: bytes) -> bytes:
        """A record that will be damaged: it need not come back."""
        self.lost += 1
        return record


def flipped(member: bytes) -> bytes:
    middle = len(member) // 2
    return member[:middle] + bytes([member[middle] ^ 0xFF]) + member[middle + 1 :]


def crawl(good: Pages) -> dict[str, bytes]:
    """WARC files, each with a good page on either side of its fault."""
    faults = {
        "truncated-member": good.spoilt(good.member())[:200],
        "flipped-byte": flipped(good.spoilt(good.member())),
        "length-too-long": with_length(good.spoilt(good.member()), 5000),
        "length-too-short": with_length(good.spoilt(good.member()), -60),
        "garbage": b"\x00\xffgarbage" * 300,
        "html-bomb": response(b"<div>" * 200_000, 1),
        "page-of-nothing": response(b" ", 2),
        "page-of-100-megabytes": response(b"<p>" + b"word " * (HUGE // 5), 3),
        "page-of-zeros": response(bytes(2000), 4),
        "page-in-latin-1": response(html("caf\xe9 " + good.text()).decode().encode("latin-1"), 5),
    }
    files = {f"{name}.warc.gz": good.member() + fault + good.member() for name, fault in faults.items()}
    files["end-cut-off.warc.gz"] = good.member() + good.member() + good.spoilt(good.member())[:150]
    files["zero-bytes.warc.gz"] = b""
    return files


def lines(good: Pages) -> dict[str, bytes]:
    """JSON lines, compressed and not."""
    twice = good.line()
    bad = b'{"text": 3}\n{"text"\n' + b"[" * 100_000 + b"\n" + b'{"text": "\xff\xfe"}\n{"text": ""}\n'
    huge = b'{"text": "' + b"word " * (HUGE // 5) + b'"}\n'
    same_id = good.line(id="7") + good.line(id="7")
    return {
        "bad.jsonl": good.line() + bad + good.line(),
        "twice.jsonl": twice + twice + same_id,
        "huge.jsonl.gz": gzip.compress(good.line() + huge + good.line(), 1),
        "cut-off.jsonl.gz": gzip.compress(good.line() + good.spoilt(good.line()))[:-40],
    }


def texts(good: Pages) -> dict[str, bytes]:
    """Files that are one text each."""
    return {
        "good.txt": good.text().encode(),
        "empty.txt": b"",
        "latin-1.txt": "caf\xe9".encode("latin-1") * 50,
        "binary.txt": b"text\0text",
        "huge.txt": b"word " * (HUGE // 5),
    }


def main(out: Path) -> None:
    good = Pages()
    for folder, files in {"crawl": crawl(good), "lines": lines(good), "texts": texts(good)}.items():
        (out / folder).mkdir(parents=True)
        for name, data in files.items():
            (out / folder / name).write_bytes(data)
    print(f"{good.made - good.lost} good documents beside the faults; {good.lost} in records that are damaged themselves")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
