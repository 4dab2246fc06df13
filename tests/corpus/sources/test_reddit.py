"""Links of submissions, by their karma and where they lead."""

import json

import zstandard

from tenfold.corpus.documents import document_id
from tenfold.corpus.record import Limits, Record
from tenfold.corpus.sources.registry import KINDS, read


def submission(url="http://www.example.com/a?utm_medium=x", score=5, **more) -> dict:
    return {
        "url": url,
        "score": score,
        "created_utc": 1262304000,
        "title": "T",
        "subreddit": "s",
        "over_18": False,
        "is_self": False,
        **more,
    }


def links(tmp_path, items, **limits):
    path = tmp_path / "RS_2010-01.zst"
    path.write_bytes(zstandard.compress(b"\n".join(json.dumps(item).encode() for item in items)))
    return list(read("reddit", str(path), "webtext", Limits(**limits), path.name))


def test_a_link_is_a_record_without_text(tmp_path):
    (link,) = links(tmp_path, [submission()])
    assert link[:5] == (document_id("http://example.com/a"), "webtext", "http://example.com/a", "", "2010-01-01T00:00:00Z")
    assert json.loads(link.meta) == {"file": "RS_2010-01.zst", "offset": 1, "karma": 5, "title": "T", "subreddit": "s", "over_18": False}
    assert KINDS["reddit"].gives == "links"


def test_karma_is_a_parameter(tmp_path):
    items = [submission(score=score) for score in (1, 2, 3, 4)]
    for least, kept in ((2, 3), (3, 2)):  # the article says 2 upvotes, the paper 3 karma
        found = links(tmp_path, items, min_karma=least)
        assert sum(isinstance(each, Record) for each in found) == kept
        assert {each.reason for each in found if not isinstance(each, Record)} == {"too little karma"}


def test_reasons(tmp_path):
    items = [
        submission(is_self=True),
        submission(url=None),
        submission(url="http://youtu.be/x"),
        submission(score="many"),
        submission(created_utc=1e300),
        {},
        [],
    ]
    assert [each.reason for each in links(tmp_path, items)] == ["no outbound link"] * 2 + ["blocked address"] + ["bad line"] * 4
