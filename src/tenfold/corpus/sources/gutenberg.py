"""Books of Project Gutenberg as text: what is between its header and its licence, and the producers' notes off the front."""

import re
from collections.abc import Iterator

from tenfold.corpus.record import Limits, Record, Refused
from tenfold.corpus.sources.html import decoded
from tenfold.corpus.sources.texts import taken, whole

STARTS = (
    re.compile(
        r"^[ \t]*\*\*\* ?START OF (?:THE|THIS) PROJECT GUTENBERG[^\n]*(?:\n[^\n]+)?\*\*\*[^\n]*\n|^\*\*\* ?START OF[^\n]*\n", re.M | re.I
    ),
    re.compile(r"^[^\n]*\*END[* ]*THE SMALL PRINT![^\n]*\n", re.M | re.I),
)
ENDS = (
    re.compile(r"^[ \t]*\*\*\* ?END OF (?:THE|THIS) PROJECT GUTENBERG", re.M | re.I),
    re.compile(r"^[ \t]*\**[ \t]*End of (?:the |this )?Project Gutenberg", re.M | re.I),
)
NOTES = re.compile(
    r"\s*(?:[^\n]*(?:Produced by|E-text prepared by|This etext was (?:prepared|produced)|HTML version by)[^\n]*\n(?:[^\n]+\n)*)", re.I
)
FIELD = re.compile(r"^(Title|Author|Language|Release Date):[ \t]*([^\n]+)$", re.M)
HEAD = 20_000  # characters in which a header ends, if there is one
TAIL = 40_000  # and in which a licence begins


def read(path: str, file_name: str, limits: Limits) -> Iterator[Record | Refused]:
    """One book a file, in UTF-8 or the older files' Latin-1."""
    data = whole(path, "gutenberg", file_name, limits.max_bytes)
    if isinstance(data, Refused):
        yield data
    elif b"\0" in data:
        yield Refused("gutenberg", file_name, 0, "binary", len(data))
    else:
        text = decoded(data).replace("\r\n", "\n")
        said = {name.lower().replace(" ", "_"): value.strip() for name, value in FIELD.findall(text[:HEAD])}
        yield taken("gutenberg", file_name, 0, stripped(text), limits, **said)


def stripped(text: str) -> str:
    """A book's own text: all of it where nothing says that it is Project Gutenberg's."""
    head = next((found.end() for start in STARTS if (found := start.search(text, 0, HEAD))), 0)
    last = max(len(text) - TAIL, head)
    tail = min((found.start() for end in ENDS if (found := end.search(text, last))), default=len(text))
    body = text[head:tail]
    notes = NOTES.match(body)
    return body[notes.end() if notes else 0 :].strip() + "\n"
