"""What people wrote to each other: mail, threads, questions with answers, and speech as subtitles."""

import json
from email.message import EmailMessage

import pytest

from tenfold.corpus.record import Limits, Record
from tenfold.corpus.sources.registry import read
from tenfold.corpus.sources.subtitles import spoken


def read_one(tmp_path, kind: str, data: bytes | str, name="file", **limits):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return list(read(kind, str(path), "mine", Limits(**limits), name))


def said(found) -> list[str]:
    return [each.text if isinstance(each, Record) else each.reason for each in found]


def letter(text: str, subtype="plain", charset="utf-8", attached=b"") -> bytes:
    message = EmailMessage()
    message["Subject"], message["From"], message["Date"] = "Grüße", "a@b.org", "Mon, 14 May 2001 16:39:00 -0700 (PDT)"
    message.set_content(text, subtype=subtype, charset=charset)
    if attached:
        message.add_attachment(attached, maintype="image", subtype="png")
    return message.as_bytes()


def test_a_message_as_in_a_maildir(tmp_path):
    (found,) = read_one(tmp_path, "mail", letter("Hällo,\nworld\n\n> quoted\n", charset="iso-8859-1", attached=b"\x89PNG" * 99), "1.")
    assert found.text == "Hällo,\nworld\n\n> quoted" and found.timestamp == "2001-05-14T23:39:00Z"
    assert json.loads(found.meta) == {"file": "1.", "offset": 0, "subject": "Grüße"}


def test_messages_of_an_mbox(tmp_path):
    letters = [letter("one\n>From here\n"), letter("<p>two</p><script>x</script>", "html"), letter("x" * 9000), b"", letter("four")]
    mark = b"From a@b.org Mon May 14 16:39:00 2001\n"
    found = read_one(tmp_path, "mail", b"\n".join(mark + each for each in letters), max_bytes=500)
    assert said(found) == ["one\nFrom here", "two", "over the size cap", "empty", "four"]
    assert [found[2].offset, found[3].offset] == [sum(len(mark + each) + 1 for each in letters[:n]) for n in (2, 3)]


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe\0", b"Content-Type: multipart/mixed\n\nx", b"Date: \xff\nSubject: =?x?q?=ff?=\n\n\n", b"\n" * 9]
)
def test_mail_that_no_program_should_write(tmp_path, data):
    assert len(read_one(tmp_path, "mail", data)) == 1


def item(id, parent=0, text="", type="comment", **more) -> dict:
    return {"id": id, "parent": parent, "type": type, "text": text, "by": f"u{id}", "time": 1_300_000_000, **more}


def test_a_thread_in_its_order(tmp_path):
    """Whatever the order of the items; dead and deleted ones are not shown, answers to them are."""
    items = [
        item(5, 4, "deep <i>reply</i>"),
        item(1, type="story", title="Title", url="http://a.org"),
        item(4, 2, "reply"),
        item(2, 1, "first<p>second &amp; third"),
        item(3, 1, "other", dead=True),
        item(6, 3, "to the dead"),
        item(7, type="story", title="Nobody cared"),
        item(8, 99, "lost"),
        item(9, 10, "loop"),
        item(10, 9, "loop"),
    ]
    found = read_one(tmp_path, "hacker_news", "\n".join(map(json.dumps, items)) + '\n{"id": "x"}\n[]')
    assert [each.reason for each in found if not isinstance(each, Record)] == ["bad line"] * 2 + ["no story"] * 2 + ["no comments"]
    thread = next(each for each in found if isinstance(each, Record))
    assert thread.url == "https://news.ycombinator.com/item?id=1" and thread.timestamp == "2011-03-13T07:06:40Z"
    first, *replies = [
        "------\nu2\nfirst\n\nsecond & third\n\n",
        "~~~\nu4\nreply\n\n",
        "~~~\nu5\ndeep reply\n\n",
        "~~~\nu6\nto the dead\n\n",
    ]
    assert thread.text == "Title - u1\nhttp://a.org\n======\n" + first + "".join(replies)


def post(id, kind, body, score=5, **more) -> str:
    from xml.sax.saxutils import quoteattr

    said = {"Id": id, "PostTypeId": kind, "Score": score, "Body": body, "CreationDate": "2010-01-01T00:00:00.000", **more}
    return "<row " + " ".join(f"{name}={quoteattr(str(value))}" for name, value in said.items()) + "/>"


def test_questions_with_their_best_answers(tmp_path):
    rows = [
        post(1, 1, "<p>How?</p>", AnswerCount=5, Title="T", Tags="<a><b>"),
        post(2, 2, "<p>so</p>", 3, ParentId=1),
        post(3, 2, "bad", 2, ParentId=1),
        post(4, 1, "Why?", AnswerCount=1, Title="U"),
        post(5, 2, "<pre><code>x\n  y</code></pre>", 9, ParentId=1),
        post(6, 2, "as well", 3, ParentId=1),
        post(7, 2, "too late", 3, ParentId=1),
        post(8, 2, "no", -1, ParentId=4),
        post(9, 2, "orphan", ParentId=77),
        post(10, 3, "wiki"),
        post(11, 1, "When?", AnswerCount=2, Title="V"),
        post(12, 2, "now", 4, ParentId=11),
    ]
    whole = f'<?xml version="1.0"?>\ufeff<posts>{"".join(rows)}</posts>'.replace("\ufeff", "")
    answered = "Q:\n\nT\n\nHow?\n\nA:\n\nx\n  y\n\nA:\n\nso\n\nA:\n\nas well"
    found = read_one(tmp_path, "stack_exchange", whole, "Posts.xml")
    assert said(found) == [answered, "no answer of enough score", "no question", "Q:\n\nV\n\nWhen?\n\nA:\n\nnow"]
    assert json.loads(found[0].meta)["tags"] == "<a><b>" and found[0].timestamp == "2010-01-01T00:00:00.000"
    cut = read_one(tmp_path, "stack_exchange", whole[: whole.index("orphan")], "Posts.xml")
    assert said(cut)[:3] == [answered, "no answer of enough score", "damaged file"]


VTT = """WEBVTT

NOTE no

STYLE
::cue {}

1
00:00:00.000 --> 00:00:02.000 align:start
<v Anna>Hello <c.yellow>there</c>,

00:02.000 --> 00:00:04.000
Hello there,
how are &lt;you&gt;?

00:00:04.000 --> 00:00:06.000
how are &lt;you&gt;?
fine
"""
SRT = "1\r\n00:00:00,000 --> 00:00:02,000\r\n{\\an8}<i>Hello</i> there,\r\n\r\n2\r\n00:00:02,000 --> 00:00:04,000\r\n42\r\n"


def test_what_is_said(tmp_path):
    assert spoken(VTT) == "Hello there,\nhow are <you>?\nfine"
    assert said(read_one(tmp_path, "subtitles", SRT.encode("utf-16"), "a.srt")) == ["binary"]
    assert said(read_one(tmp_path, "subtitles", SRT.replace("there", "thére").encode("cp1252"), "a.srt")) == ["Hello thére,\n42"]
    assert said(read_one(tmp_path, "subtitles", "", "a.vtt")) == ["empty"]
