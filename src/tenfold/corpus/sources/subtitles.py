"""Subtitles as running text: WebVTT (W3C) and SubRip. What is shown twice, as captions made by machines roll, is said once."""

import html
import re
from collections.abc import Iterator

from tenfold.corpus.record import Limits, Record, Refused
from tenfold.corpus.sources.html import decoded
from tenfold.corpus.sources.texts import taken, whole

TIMING = re.compile(r"[ \t]*(?:\d+:)?\d{1,2}:\d\d[.,]\d{1,3}[ \t]*-->")
TAG = re.compile(r"<[^<>\n]*>|\{\\[^{}\n]*\}")
BLOCK = re.compile(r"\n[ \t]*\n")
CUES = 4  # bytes of file that a byte of text may have


def read(path: str, file_name: str, limits: Limits) -> Iterator[Record | Refused]:
    """One video a file."""
    data = whole(path, "subtitles", file_name, CUES * limits.max_bytes)
    if isinstance(data, Refused):
        yield data
    elif b"\0" in data:
        yield Refused("subtitles", file_name, 0, "binary", len(data))
    else:
        yield taken("subtitles", file_name, 0, spoken(decoded(data)), limits)


def spoken(subtitles: str) -> str:
    """What is said, a line a cue's line, without times, numbers, notes, styles and repeats."""
    said: list[str] = []
    for block in BLOCK.split(subtitles.replace("\r\n", "\n").replace("\r", "\n")):
        lines = block.split("\n")
        start = next((number for number, line in enumerate(lines[:3]) if TIMING.match(line)), None)
        if start is None:
            continue  # WEBVTT, NOTE, STYLE, REGION
        shown = [line for raw in lines[start + 1 :] if (line := " ".join(html.unescape(TAG.sub("", raw)).split()))]
        said += shown[_repeated(said[-4:], shown) :]
    return "\n".join(said)


def _repeated(before: list[str], shown: list[str]) -> int:
    """How many of the first lines shown are the last ones said."""
    return next((size for size in range(min(len(before), len(shown)), 0, -1) if before[-size:] == shown[:size]), 0)
