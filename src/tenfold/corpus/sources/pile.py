"""The Pile as published: one document a line of JSON with its component's name (Gao et al. 2020)."""

import json
from collections.abc import Iterator

from tenfold.corpus.record import Limits, Record, Refused
from tenfold.corpus.sources.texts import lines, taken

COMPONENTS = (
    "Pile-CC",
    "PubMed Central",
    "Books3",
    "OpenWebText2",
    "ArXiv",
    "Github",
    "FreeLaw",
    "StackExchange",
    "USPTO Backgrounds",
    "PubMed Abstracts",
    "Gutenberg (PG-19)",
    "OpenSubtitles",
    "Wikipedia (en)",
    "DM Mathematics",
    "Ubuntu IRC",
    "BookCorpus2",
    "EuroParl",
    "HackerNews",
    "YoutubeSubtitles",
    "PhilPapers",
    "NIH ExPorter",
    "Enron Emails",
)
"""The 22 names of `meta.pile_set_name`, in the order of the paper's table 1."""


def read(path: str, file_name: str, limits: Limits) -> Iterator[Record | Refused]:
    """Its documents, the component in `meta`. Refused: "bad line", "unknown component" and what `taken` refuses."""
    for line in lines(path, "pile", file_name, _longest(limits)):
        if isinstance(line, Refused):
            yield line
        elif line[1].strip():
            yield _document(*line, file_name, limits)


def _longest(limits: Limits) -> int:
    return 6 * limits.max_bytes + 4096  # a character may be written as \uXXXX


def _document(number: int, line: bytes, file_name: str, limits: Limits) -> Record | Refused:
    try:
        item = json.loads(line.decode("utf-8-sig"))
        text, component = item["text"], item["meta"]["pile_set_name"]
        if not isinstance(text, str) or not isinstance(component, str):
            raise TypeError
    except UnicodeError:
        return Refused("pile", file_name, number, "undecodable", len(line))
    except (ValueError, KeyError, TypeError, RecursionError):
        return Refused("pile", file_name, number, "bad line", len(line))
    if component not in COMPONENTS:
        return Refused("pile", file_name, number, "unknown component", len(line))
    return taken("pile", file_name, number, text, limits, component=component)
