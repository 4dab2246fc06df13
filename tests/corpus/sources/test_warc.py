"""Crawled pages come out as text in their order; a page that cannot be read is named, and takes no other with it."""

import gzip
import io
import json

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from made_warc import conversion, crawl
from tenfold.corpus.documents import document_id
from tenfold.corpus.record import Limits, Record, Refused
from tenfold.corpus.sources import warc
from tenfold.corpus.sources.framing import framed
from tenfold.corpus.sources.members import Damage, pieces
from tenfold.corpus.sources.pages import Page
from tenfold.corpus.sources.registry import read

DEFAULTS = Limits(seconds=20)
PROSE = "The quick brown fox jumps over the lazy dog, and nobody in the village minds it much. "


def page(text: str, encoding: str = "utf-8", head: str = "") -> bytes:
    return (
        f"<html><head>{head}<title>t</title></head><body><nav><a href=/>Home</a><a href=/b>About</a></nav>"
        f"<article><p>{text}</p></article><footer>Copyright</footer></body></html>"
    ).encode(encoding)


def taken(found) -> list[str]:
    return [each.text if isinstance(each, Record) else each.reason for each in found]


def read_pages(tmp_path, pages, kind="warc", limits=DEFAULTS, compressed=True):
    path = tmp_path / "crawl.warc.gz"
    path.write_bytes(crawl(pages, compressed))
    return list(read(kind, str(path), "common_crawl", limits, "crawl.warc.gz"))


def test_main_content_in_order(tmp_path):
    """What a real writer writes, whatever the server did to it: encodings, compression, types, status."""
    words = {"utf-8": PROSE + "ä€", "iso-8859-1": PROSE + "äß", "shift_jis": "吾輩は猫である。名前はまだ無い。どこで生れたか。" * 5}
    packed, chunked = gzip.compress(page(PROSE + "packed")), page(PROSE + "chunked")
    pages = [
        ("http://a.org/1", page(words["utf-8"]), {}),
        ("http://a.org/2", page(words["iso-8859-1"], "iso-8859-1"), {"Content-Type": "text/html; charset=ISO-8859-1"}),
        ("http://a.org/3", page(words["shift_jis"], "shift_jis", "<meta charset=shift_jis>"), {}),
        ("http://a.org/4", packed, {"Content-Encoding": "gzip"}),
        ("http://a.org/5", b"%x\r\n%s\r\n0\r\n\r\n" % (len(chunked), chunked), {"Transfer-Encoding": "chunked"}),
        ("http://a.org/6", b"plain text", {"Content-Type": "text/plain"}),
        ("http://a.org/7", b"\x89PNG", {"Content-Type": "image/png"}),
        ("http://a.org/8", page("gone"), {":status": "404 Not Found"}),
        ("http://a.org/9", b"", {}),
    ]
    found = read_pages(tmp_path, pages)
    assert taken(found) == [
        *words.values(),
        PROSE + "packed",
        PROSE + "chunked",
        "plain text",
        "not HTML or text",
        "status not 200",
        "empty",
    ]
    first = found[0]
    assert first.id == document_id(first.text) and first.source == "common_crawl" and first.url == "http://a.org/1"
    meta = json.loads(first.meta)
    assert meta["file"] == "crawl.warc.gz" and (tmp_path / "crawl.warc.gz").read_bytes()[meta["offset"] :][:2] == b"\x1f\x8b"
    assert first.timestamp.startswith("20") and first.timestamp.endswith("Z")


def test_a_bomb_costs_itself(tmp_path):
    """A megabyte of nested tags takes minutes: the process is killed, and pages before and after it are read by others."""
    bomb = b"<div>" * 200_000
    pages = [(f"http://a.org/{n}", bomb if n in (2, 4) else page(PROSE + str(n)), {}) for n in range(6)]
    found = read_pages(tmp_path, pages, limits=Limits(seconds=0.3, max_bytes=2_000_000))
    assert taken(found) == [PROSE + "0", PROSE + "1", "too slow to extract", PROSE + "3", "too slow to extract", PROSE + "5"]
    assert found[2].bytes == len(bomb)


@pytest.mark.parametrize("size, reason", [(100_000, "over the size cap"), (30_000_000, "over the size cap")])
def test_the_size_cap_holds_for_what_a_page_unpacks_to(tmp_path, size, reason):
    found = read_pages(
        tmp_path, [("http://a.org", gzip.compress(bytes(size)), {"Content-Encoding": "gzip"})], limits=Limits(max_bytes=50_000)
    )
    assert taken(found) == [reason]


def test_justext(tmp_path):
    """Takes the paragraphs that read like a language, by the word list of the one they are in."""
    pytest.importorskip("justext", reason="justext is not installed: pip install 'tenfold[web]'")
    german = "Die Katze sitzt auf der Matte und sie ist mit dem Hund in dem Haus, das von einem alten Mann gebaut worden ist. " * 3
    found = read_pages(tmp_path, [("http://a.org", page(german), {})], limits=Limits(extractor="justext"))
    assert taken(found) == [german.strip()]


def test_binary_in_the_clothes_of_a_page(tmp_path):
    found = read_pages(tmp_path, [("http://a.org", bytes(range(256)) * 40, {})])
    assert taken(found) == ["undecodable"]


def test_wet(tmp_path):
    path = tmp_path / "a.warc.wet.zst"
    records = [conversion("grüße".encode(), 1), conversion(b"\xff\xfe\xfd", 2), conversion(b" \n", 3), conversion(b"x" * 3000, 4)]
    path.write_bytes(b"".join(map(zstandard.compress, records)))
    found = list(read("wet", str(path), "cc", Limits(max_bytes=1000)))
    assert taken(found) == ["grüße", "undecodable", "empty", "over the size cap"]
    assert [each.offset for each in found[1:]] == [sum(len(zstandard.compress(r)) for r in records[:n]) for n in (1, 2, 3)]
    assert found[0].url == "http://example.org/1" and found[0].timestamp == "2020-01-01T00:00:00Z"


def test_wat_gives_links(tmp_path):
    links = [
        {"path": "A@/href", "url": "../x?utm_source=y#z"},
        {"path": "IMG@/src", "url": "/p.png"},
        {"path": "A@/href", "url": "mailto:me"},
    ]
    html = {"Head": {"Title": "A page\ud800"}, "Links": links}
    envelope = json.dumps({"Envelope": {"Payload-Metadata": {"HTTP-Response-Metadata": {"HTML-Metadata": html}}}}).encode()
    record = conversion(envelope, 7).replace(b"Type: conversion", b"Type: metadata").replace(b"text/plain", b"application/json")
    path = tmp_path / "a.warc.wat"
    path.write_bytes(record + record.replace(b'"Envelope"', b'"Envelop_"'))
    good, bad = read("wat", str(path), "cc", Limits())
    assert good.text == "" and good.id == document_id("http://example.org/7")
    assert json.loads(good.meta) == {"file": str(path), "offset": 0, "title": "A page?", "links": ["http://example.org/x"]}
    assert bad.reason == "bad line" and bad.offset == len(record)


def test_from_a_url():
    import fsspec

    with fsspec.open("memory://crawl/a.warc.gz", "wb") as file:
        file.write(crawl([("http://a.org/", page(PROSE), {})]))
    assert taken(read("warc", "memory://crawl/a.warc.gz", "cc", Limits())) == [PROSE.strip()]


def test_a_record_of_no_known_type_is_not_passed_over(tmp_path):
    path = tmp_path / "a.warc"
    path.write_bytes(conversion(b"x").replace(b"Type: conversion", b"Type: conversiom"))
    assert taken(read("wet", str(path), "cc", Limits())) == ["unknown type of record"]


def test_an_address_that_is_no_text(tmp_path):
    """What a record says can be written to a file, whatever its bytes are."""
    path = tmp_path / "a.warc"
    path.write_bytes(conversion(b"x").replace(b"example.org/0", b"example.org/\xff\xed\xa0\x80"))
    (found,) = read("wet", str(path), "cc", Limits())
    assert found.text == "x" and found.url.startswith("http://example.org/") and all(each.encode() for each in found)


def test_zero_bytes(tmp_path):
    (tmp_path / "a.warc.gz").touch()
    assert list(read("warc", str(tmp_path / "a.warc.gz"), "cc", Limits(), "a.warc.gz")) == [Refused("cc", "a.warc.gz", 0, "empty", 0)]


def test_damage_is_reported_under_the_source(tmp_path):
    data = crawl([(f"http://a.org/{n}", page(PROSE + str(n)), {}) for n in range(3)])
    (tmp_path / "a.warc.gz").write_bytes(data[:-20])
    found = list(read("warc", str(tmp_path / "a.warc.gz"), "cc", Limits(), "a.warc.gz"))
    assert Refused("cc", "a.warc.gz", found[-1].offset, "truncated gzip member", found[-1].bytes) == found[-1]
    assert taken(found)[:-1] == [PROSE + "0", PROSE + "1", PROSE + "2"]  # the last member is the last page's request
    assert io.BytesIO(data[found[-1].offset :]).read(2) == b"\x1f\x8b"


@given(st.floats(0, 1), st.binary(max_size=40), st.integers(0, 60), st.booleans())
def test_any_bytes_of_a_crawl_are_taken_or_refused(where, new, size, compressed):
    """Damage inside headers and HTTP messages is no error either."""
    whole = b"%x\r\n%s\r\n0\r\n\r\n" % (len(PROSE), PROSE.encode())
    pages = [
        ("http://a.org/1", whole, {"Transfer-Encoding": "chunked"}),
        ("http://a.org/2", gzip.compress(whole), {"Content-Encoding": "gzip"}),
    ]
    data = crawl(pages, compressed)
    at = int(where * len(data))
    file = io.BytesIO(data[:at] + new + data[at + size :])
    for each in framed(pieces(file), 1 << 20):
        for found in [] if isinstance(each, Damage) else warc._taken(each, "cc", "a.warc", DEFAULTS, warc.PAGES, warc._page):
            assert isinstance(found, Page | Refused)
