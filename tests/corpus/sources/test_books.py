"""Books without what publishers put around them, and no more of a zip unpacked than a book may have."""

import io
import json
import zipfile

import pytest

from tenfold.corpus.record import Limits, Record
from tenfold.corpus.sources.gutenberg import stripped
from tenfold.corpus.sources.registry import read

BOOK = "CHAPTER I\n\nCall me Ishmael. The end of it is not here.\n\nCHAPTER II\n\nI stuffed a shirt or two.\n"
HEAD = "The Project Gutenberg EBook of Moby Dick, by Herman Melville\n\nTitle: Moby Dick\nAuthor: Herman Melville\nLanguage: English\n\n"
NEW = (
    "*** START OF THE PROJECT GUTENBERG EBOOK MOBY DICK ***\n\nProduced by A and\nB at C\n\n\n",
    "*** END OF THE PROJECT GUTENBERG EBOOK MOBY DICK ***\n",
)
WRAPPED = (
    "*** START OF THIS PROJECT GUTENBERG EBOOK MOBY DICK, OR\nTHE WHALE ***\n\n",
    "End of the Project Gutenberg EBook of Moby Dick\n\n*** END OF THIS\n",
)
OLD = "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n\n", "End of Project Gutenberg Etext of Moby Dick\n"


@pytest.mark.parametrize("before, after", [NEW, WRAPPED, OLD])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_header_and_licence_are_cut(tmp_path, before, after, line_end):
    whole = HEAD + before + BOOK + "\n\n" + after + "licence " * 500
    (tmp_path / "a.txt").write_bytes(whole.replace("\n", line_end).encode())
    (book,) = read("gutenberg", str(tmp_path / "a.txt"), "books", Limits(), "a.txt")
    assert book.text == BOOK
    assert json.loads(book.meta) == {"file": "a.txt", "offset": 0, "title": "Moby Dick", "author": "Herman Melville", "language": "English"}


def test_a_book_of_another_publisher_is_left_whole():
    assert stripped(BOOK) == BOOK


def test_old_encodings_and_bad_files(tmp_path):
    cases = {"a": "Brontë’s".encode("cp1252") * 30, "b": b"\0\1", "c": b"", "d": b"x" * 2000}
    found = {}
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        (each,) = read("gutenberg", str(tmp_path / name), "books", Limits(max_bytes=1000), name)
        found[name] = each.text[:8] if isinstance(each, Record) else each.reason
    assert found == {"a": "Brontë’s", "b": "binary", "c": "empty", "d": "over the size cap"}


def chapter(text: str) -> str:
    head = "<head><title/><style>p {}</style></head>"
    return f'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml">{head}<body>{text}</body></html>'


def epub(chapters: dict[str, str], spine: list[str], folder="OEBPS/", container=True) -> bytes:
    items = "".join(f'<item id="{name}" href="{name}%20x.xhtml" media-type="application/xhtml+xml"/>' for name in chapters)
    order = "".join(f'<itemref idref="{name}"/>' for name in spine)
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>T &amp; U</dc:title>'
        f"<dc:creator>A</dc:creator></metadata><manifest>{items}</manifest><spine>{order}</spine></package>"
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("mimetype", "application/epub+zip")
        if container:
            book.writestr("META-INF/container.xml", f'<container><rootfiles><rootfile full-path="{folder}c.opf"/></rootfiles></container>')
        book.writestr(f"{folder}c.opf", package)
        for name, text in chapters.items():
            book.writestr(f"{folder}{name} x.xhtml", chapter(text))
    return file.getvalue()


def read_epub(tmp_path, data: bytes, **limits):
    (tmp_path / "a.epub").write_bytes(data)
    (found,) = read("epub", str(tmp_path / "a.epub"), "books", Limits(**limits), "a.epub")
    return found


def test_chapters_in_the_order_of_the_spine(tmp_path):
    chapters = {
        "z": "<h1>One</h1><p>First &eacute;<br/>line.</p><pre>a\n  b</pre>",
        "a": "<p>Second <i>chapter</i>,\n wrapped.</p>",
        "nav": "<p>no</p>",
    }
    found = read_epub(tmp_path, epub(chapters, ["z", "a"]))
    assert found.text == "One\n\nFirst é\nline.\n\na\n  b\n\nSecond chapter, wrapped."
    assert json.loads(found.meta) == {"creator": "A", "file": "a.epub", "offset": 0, "title": "T & U"}


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    found = read_epub(tmp_path, epub({"a": "x" * 50_000_000}, ["a"]), max_bytes=100_000)
    assert found.reason == "over the size cap" and found.bytes < 200_000
    many = {f"c{n}": "<p></p>" * 20_000 for n in range(20)}
    assert read_epub(tmp_path, epub(many, list(many)), max_bytes=100_000).reason == "over the size cap"


def test_nesting_costs_nothing(tmp_path):
    assert read_epub(tmp_path, epub({"a": "<div>" * 100_000 + "deep"}, ["a"])).text == "deep"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\3\4",
        epub({"a": "x"}, ["a"])[:-30],
        epub({"a": "x"}, ["a"], container=False),
        epub({"a": "x"}, ["a"]).replace(b"c.opf", b"d.opf", 1),
    ],
)
def test_damaged_books(tmp_path, data):
    assert read_epub(tmp_path, data).reason == "damaged file"


def test_an_encrypted_book(tmp_path):
    data = bytearray(epub({"a": "x"}, ["a"]))
    at = data.rindex(b"PK\1\2", 0, data.rindex(b"a x.xhtml"))
    data[at + 8] |= 1
    assert read_epub(tmp_path, bytes(data)).reason == "encrypted"
