"""Outbound links of Reddit submissions that people gave karma: the addresses of WebText (Radford et al. 2019, section 2.1).

Monthly dumps, one submission a line of JSON, as OpenWebText2 reads them. The records have no text: they are joined with crawled pages
by `urls.normalise` of the page's address.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from tenfold.corpus.documents import document_id
from tenfold.corpus.record import Limits, Record, Refused, metadata
from tenfold.corpus.sources.texts import lines
from tenfold.corpus.sources.urls import is_blocked, normalise


def read(path: str, file_name: str, limits: Limits) -> Iterator[Record | Refused]:
    """The links of a dump. Refused: "bad line", "too little karma", "no outbound link", "blocked address"."""
    for line in lines(path, "reddit", file_name, limits.max_bytes):
        if isinstance(line, Refused):
            yield line
        elif line[1].strip():
            yield _link(*line, file_name, limits)


def _link(number: int, line: bytes, file_name: str, limits: Limits) -> Record | Refused:
    try:
        submission = json.loads(line)
        score, url = int(submission["score"]), normalise(str(submission.get("url") or ""))
        reason = _reason(submission, score, url, limits)
        when = _moment(submission.get("created_utc"))
        said = {name: submission.get(name) for name in ("title", "subreddit", "over_18")}
        meta = metadata(file_name, number, karma=score, **said)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        reason = "bad line"
    if reason:
        return Refused("reddit", file_name, number, reason, len(line))
    return Record(document_id(url), "reddit", url, "", when, meta)


def _reason(submission: dict, score: int, url: str, limits: Limits) -> str:
    if score < limits.min_karma:
        return "too little karma"
    if submission.get("is_self") or not url:
        return "no outbound link"
    return "blocked address" if is_blocked(url) else ""


def _moment(seconds: object) -> str:
    return datetime.fromtimestamp(int(str(seconds).split(".")[0]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else ""
