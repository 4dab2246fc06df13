"""Messages as text: an mbox of many, or a file of one as in a maildir; Enron's public mail is a folder of the latter.

What people wrote and quoted, without headers, attachments and the forms of HTML; as The Pile's Enron Emails.
"""

import re
from collections.abc import Iterator
from datetime import UTC
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

from tenfold.corpus.record import Limits, Record, Refused
from tenfold.corpus.sources.html import decoded
from tenfold.corpus.sources.markup import text_of
from tenfold.corpus.sources.opening import open_bytes
from tenfold.corpus.sources.texts import taken

SEPARATOR = re.compile(rb"From \S+.* \d\d:\d\d")
ATTACHED = 8  # bytes of message that a byte of text may have


def read(path: str, file_name: str, limits: Limits) -> Iterator[Record | Refused]:
    """Each message, its offset that of its first byte."""
    for offset, data in _messages(path, ATTACHED * limits.max_bytes):
        if isinstance(data, int):
            yield Refused("mail", file_name, offset, "over the size cap", data)
        else:
            yield _message(data, offset, file_name, limits)


def _messages(path: str, most: int) -> Iterator[tuple[int, bytes | int]]:
    """(offset, message) of a file; of one over `most` bytes, how many they are. "From " lines part an mbox (RFC 4155)."""
    with open_bytes(path) as file:
        is_mbox = SEPARATOR.match(file.read(200)) is not None
        file.seek(0)
        start = offset = size = 0
        held: list[bytes] = []
        blank = True
        while line := file.readline(1 << 16):
            if is_mbox and blank and SEPARATOR.match(line):
                if size:
                    yield start, b"".join(held) if size <= most else size
                start, size, held = offset, 0, []
            else:
                size += len(line)
                if size <= most:
                    held.append(line[1:] if is_mbox and line.startswith(b">From ") else line)
            blank = not line.strip(b"\r\n")
            offset += len(line)
        if size or not offset:
            yield start, b"".join(held) if size <= most else size


def _message(data: bytes, offset: int, file_name: str, limits: Limits) -> Record | Refused:
    try:
        message = message_from_bytes(data, policy=policy.default)
        text = _body(message)
        said = {"subject": _header(message, "Subject"), "message_id": _header(message, "Message-ID")}
        when = _moment(_header(message, "Date"))
    except Exception:  # the email package promises to raise nothing, and raises many things on headers no program should write
        return Refused("mail", file_name, offset, "damaged message", len(data))
    return taken("mail", file_name, offset, text, limits, timestamp=when, **said)


def _body(message: EmailMessage) -> str:
    part = message.get_body(preferencelist=("plain", "html"))
    if part is None:
        return ""
    payload = part.get_payload(decode=True)
    text = decoded(payload if isinstance(payload, bytes) else b"", part.get_content_charset() or "").replace("\r\n", "\n")
    return (text_of(text) if part.get_content_subtype() == "html" else text).strip()


def _header(message: EmailMessage, name: str) -> str:
    return str(message.get(name, "")).encode("utf-8", "replace").decode("utf-8")


def _moment(date: str) -> str:
    try:
        when = parsedate_to_datetime(date)
        return (when if when.tzinfo is None else when.astimezone(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
