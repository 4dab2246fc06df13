"""What a source gives: a text with where it came from, or the reason why there is none. Every reader and stage speaks in these.

A source that gives links to join with crawled pages (Reddit) gives records whose `text` is empty and whose `url` is normalised.
"""

import json
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tenfold.errors import UserError

Extractor = Literal["resiliparse", "justext"]


class Record(NamedTuple):
    """One text of a source."""

    id: str
    """`documents.document_id` of the text: 16 hexadecimal digits, the same in whatever file or order the text is found."""
    source: str
    """The recipe's name of the source, such as "common_crawl"."""
    url: str
    """Where a reader of the web would find it; "" where unknown."""
    text: str
    timestamp: str
    """When it was written or crawled, as the source says it (ISO 8601 where it can be told); "" where unknown."""
    meta: str
    """A JSON object as text. "file" and "offset" say where the text lies; other names depend on the kind of source."""


class Refused(NamedTuple):
    """A text that was not taken, or bytes that hold none."""

    source: str
    file: str
    offset: int
    """Byte in the file as it is on disk where the file is WARC or plain; line or item number, from 1, where lines are compressed."""
    reason: str
    """A few plain words, the same for the same fault: "truncated gzip member", "undecodable", "over the size cap", ..."""
    bytes: int
    """How many bytes were lost to it, as far as can be told."""


@dataclass(frozen=True)
class Limits:
    """How far a reader goes with one page or document before it refuses it, and what it asks of a link."""

    max_bytes: int = 1_000_000
    """A page or document of more bytes than this is refused: "over the size cap"."""
    seconds: float = 10.0
    """A page that takes longer to extract is refused, and the process extracting it is killed: "too slow to extract"."""
    min_karma: int = 3
    """Links of Reddit submissions with a smaller score are left out (GPT-2's "3 karma"; the published dumps' "2 upvotes" is 2)."""
    extractor: Extractor = "resiliparse"
    """What turns HTML into text; jusText is slower and is what Pile-CC used."""

    def __post_init__(self) -> None:
        if self.max_bytes < 1:
            raise UserError(f"limits.max_bytes is {self.max_bytes}: a document needs at least 1 byte.\n  Try 1000000.")
        if not self.seconds > 0:
            raise UserError(f"limits.seconds is {self.seconds}: a page needs some time.\n  Try 10.")
        if self.extractor not in ("resiliparse", "justext"):
            raise UserError(f"limits.extractor is {self.extractor!r}.\n  Use 'resiliparse' or 'justext'.")


def metadata(file: str, offset: int, **more: object) -> str:
    """`Record.meta`: where a text lies and whatever else its source says of it, names sorted; what is None or "" is left out."""
    said = {name: value for name, value in more.items() if value is not None and value != ""}
    meta = json.dumps({"file": file, "offset": offset, **said}, ensure_ascii=False, sort_keys=True)
    return meta.encode("utf-8", "replace").decode("utf-8")  # a title may hold half of a surrogate pair, which no file can
