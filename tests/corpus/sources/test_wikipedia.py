"""A dump's articles as a reader of the page would read them; what is no article is named."""

import bz2

import mwparserfromhell
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.corpus.record import Limits, Record
from tenfold.corpus.sources.registry import read
from tenfold.corpus.sources.wikitext import plain_text

ARTICLE = """{{Short description|x}}
{{Infobox person
| name = {{nowrap|Anna}} <!-- no -->
| image = [[File:a.jpg]]
}}
[[File:Anna.jpg|thumb|200px|Anna in [[Paris]] with [http://a.org a dog]]]
'''Anna''' (born {{birth date|1900|1|1}}) was a [[France|French]] [[writer]].<ref name="a">{{cite web|url=http://x.org}}</ref><ref name=b />

== Life ==
She lived in [[Rouen]] &amp; wrote ''letters''.<br />Next line
* one
* [[two|2]]
{| class="wikitable"
! a !! b
|-
| {{1}} || 2
|}
[[File:b.jpg|thumb|an interval [0, 1) of it]]
She had <math>x^{{2}}\n</math> dogs.<ref>never closed. See [https://example.org her page] and [https://example.org].
{{Authority control}}
[[Category:Writers|Anna]]
[[de:Anna]]
"""
TEXT = """Anna was a French writer.

Life

She lived in Rouen & wrote letters.
Next line
one
2

She had x^{{2}} dogs.never closed. See her page and ."""


def test_what_a_reader_reads():
    assert plain_text(ARTICLE).replace("Anna (born ) was", "Anna was") == TEXT


def test_the_words_are_those_of_a_parser():
    """Of prose with links, marks and templates, as mwparserfromhell's tree gives them."""
    prose = "'''A''' [[b|c]] {{d|[[e]]|{{f}}}} ''g'' [http://h.org i j] k<ref>l</ref> &ndash; [[m]]s\n== n ==\n" * 20
    tree = mwparserfromhell.parse(prose.replace("<ref>l</ref>", "").replace("== n ==", "n"))
    assert plain_text(prose).split() == tree.strip_code().split()


@given(
    st.lists(st.sampled_from(["{{", "}}", "{|", "\n|}", "[[", "]]", "File:", "a", "|", " ", "\n", "''", "==", "<ref>", "</ref>", "<!--"]))
)
def test_any_markup_has_a_text(parts):
    plain_text("".join(parts))


@pytest.mark.parametrize(
    "bomb", ["{{" * 200_000, "[[" * 200_000, "{{a|" * 100_000 + "}}" * 100_000, "[[a" * 50_000 + "]]" * 50_000, "<ref>" * 99_999]
)
def test_nesting_costs_no_more_than_length(bomb):
    plain_text(bomb)


def page(title: str, text: str, more: str = "", ns: int = 0) -> str:
    return (
        f"<page><title>{title}</title><ns>{ns}</ns><id>7</id>{more}<revision><timestamp>2020-01-01T00:00:00Z</timestamp>"
        f"<model>wikitext</model><text>{text}</text></revision></page>"
    )


def dump(*pages: str) -> bytes:
    spaces = '<namespaces><namespace key="0"/><namespace key="6">Datei</namespace></namespaces>'
    site = f"<siteinfo><base>https://de.wikipedia.org/wiki/Wikipedia:Hauptseite</base>{spaces}</siteinfo>"
    return f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/">{site}{"".join(pages)}</mediawiki>'.encode()


def read_dump(tmp_path, data: bytes, name="wiki.xml.bz2", **limits):
    (tmp_path / name).write_bytes(data)
    return list(read("wikipedia", str(tmp_path / name), "wiki", Limits(**limits), name))


PAGES = [
    page("A b/ä", "[[Datei:x.jpg|y]]'''Text''' of a page"),
    page("R", "#REDIRECT [[A b]]", '<redirect title="A b"/>'),
    page("Talk:A", "no", ns=1),
    page("E", "{{stub}}"),
    page("L", "x" * 300),
    page("Z", "last"),
]


@pytest.mark.parametrize("pack, name", [(bz2.compress, "w.xml.bz2"), (bytes, "w.xml")])
def test_a_dump(tmp_path, pack, name):
    found = read_dump(tmp_path, pack(dump(*PAGES)), name, max_bytes=200)
    first, *others, last = found
    assert first.text == "A b/ä\n\nText of a page" and first.url == "https://de.wikipedia.org/wiki/A_b/%C3%A4"
    assert first.timestamp == "2020-01-01T00:00:00Z" and first.source == "wiki"
    assert [(each.offset, each.reason) for each in others] == [
        (2, "redirect"),
        (3, "not an article"),
        (4, "empty"),
        (5, "over the size cap"),
    ]
    assert last.text == "Z\n\nlast"


def test_streams_one_after_another(tmp_path):
    """As the multistream dumps are packed."""
    whole = dump(*PAGES)
    found = read_dump(tmp_path, bz2.compress(whole[:700]) + bz2.compress(whole[700:]))
    assert found[-1].text == "Z\n\nlast"


def test_a_dump_cut_short(tmp_path):
    """What came before is read."""
    import random

    pages = [page(f"P{n}", random.Random(n).randbytes(40_000).hex()) for n in range(40)]
    packed = bz2.compress(dump(*pages))
    found = read_dump(tmp_path, packed[: len(packed) * 3 // 4])
    assert 20 < len(found) < 40 and all(isinstance(each, Record) for each in found[:-1])
    assert (found[-1].offset, found[-1].reason) == (len(found), "damaged file")
    assert [each.reason for each in read_dump(tmp_path, b"")] == ["damaged file"]
