"""An address has one spelling, and normalising it again changes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.corpus.sources.urls import is_blocked, normalise


@pytest.mark.parametrize(
    "url, spelling",
    [
        ("HTTPS://www.Example.COM:443/a/../b/./c//d/#top", "http://example.com/b/c/d"),
        ("http://example.com", "http://example.com"),
        ("http://example.com/", "http://example.com"),
        ("http://example.com:8080/?b=2&a=1&utm_source=x&fbclid=y", "http://example.com:8080?a=1&b=2"),
        ("http://example.com/%7euser/%c3%a4 b", "http://example.com/~user/%C3%A4%20b"),
        ("http://bücher.example/ä", "http://xn--bcher-kva.example/%C3%A4"),
        ("http://www.org/", "http://www.org"),
        ("http://user:secret@example.com/", "http://example.com"),
        ("ftp://example.com/a", ""),
        ("mailto:me@example.com", ""),
        ("http://", ""),
        ("http://[::1", ""),
        ("http://exa mple.com/", ""),
        ("/r/all", ""),
        ("http://example.com:99999/", ""),
    ],
)
def test_one_spelling(url, spelling):
    assert normalise(url) == spelling


@given(st.text() | st.builds("http://{}/{}?{}".format, st.from_regex(r"[a-z]{1,9}\.[a-z]{2,3}", fullmatch=True), st.text(), st.text()))
def test_normalising_twice_is_normalising_once(url):
    once = normalise(url)
    assert normalise(once) == once
    once.encode("ascii")


@pytest.mark.parametrize(
    "url, blocked",
    [
        ("http://i.imgur.com/x", True),
        ("http://imgur.com", True),
        ("http://notimgur.com/x", False),
        ("http://example.com/a.JPG?x=1", True),
        ("http://example.com/a.jpg.html", False),
        ("http://example.com?file=a.jpg", False),
        ("http://old.reddit.com:80/r/x", True),
    ],
)
def test_what_leads_to_no_article(url, blocked):
    assert is_blocked(url) == blocked
