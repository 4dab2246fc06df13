"""WARC files for tests, written by hand where they must be wrong and by warcio where they must be right."""

import gzip
import io

import zstandard
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

PACK = {
    "plain": lambda records: records,
    "gzip": lambda records: [gzip.compress(record, 1, mtime=0) for record in records],
    "zstd": lambda records: [zstandard.ZstdCompressor(write_checksum=True).compress(record) for record in records],
}
SUFFIX = {"plain": "", "gzip": ".gz", "zstd": ".zst"}


def conversion(text: bytes, number: int = 0, length: int | str | None = None) -> bytes:
    """One WET record, with a Content-Length of its own if asked for."""
    return (
        b"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://example.org/%d\r\nWARC-Date: 2020-01-01T00:00:00Z\r\n"
        b"WARC-Record-ID: <urn:uuid:%032d>\r\nContent-Type: text/plain\r\nContent-Length: %s\r\n\r\n%s\r\n\r\n"
        % (number, number, str(len(text) if length is None else length).encode(), text)
    )


def crawl(pages: list[tuple[str, bytes, dict[str, str]]], compressed: bool = True) -> bytes:
    """A WARC file of responses, as warcio writes it: (url, body, more HTTP headers) each; ":status" among them is the status line."""
    file = io.BytesIO()
    writer = WARCWriter(file, gzip=compressed)
    writer.write_record(writer.create_warcinfo_record("crawl.warc", {"software": "test"}))
    for url, body, headers in pages:
        said = {"Content-Type": "text/html", **headers}
        status = said.pop(":status", "200 OK")
        http = StatusAndHeaders(status, list(said.items()), protocol="HTTP/1.1")
        record = writer.create_warc_record(url, "response", payload=io.BytesIO(body), http_headers=http)
        writer.write_request_response_pair(request(writer, url), record)
    return file.getvalue()


def request(writer: WARCWriter, url: str):
    http = StatusAndHeaders("GET / HTTP/1.1", [("Host", "example.org")], is_http_request=True)
    return writer.create_warc_record(url, "request", http_headers=http)
