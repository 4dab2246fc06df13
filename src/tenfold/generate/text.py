"""Tokens to text, a token at a time: whole characters only, and nothing that may turn out to be part of a stop string."""

import codecs
from collections.abc import Sequence


class TextStream:
    """The text of one completion as it grows.

    `push` and `finish` return the new text that is certain; joined, the pieces are the whole text. Bytes that are not UTF-8 become
    U+FFFD, as in `bytes.decode(errors="replace")`, but a character whose last bytes have not come yet is held back, and left out if
    they never come.

    The text ends before the stop string that is complete first (of several that end at one character, the longest).
    """

    def __init__(self, stop: Sequence[str] = ()):
        self.stop = tuple(stop)
        self.stopped = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def push(self, token_bytes: bytes) -> str:
        """The text that this token makes certain. Once `stopped`, nothing more comes."""
        if self.stopped:
            return ""
        self._held += self._decoder.decode(token_bytes)
        if (end := first_stop(self._held, self.stop)) is not None:
            self.stopped = True
            return self._take(end)
        return self._take(len(self._held) - longest_beginning(self._held, self.stop))

    def finish(self) -> str:
        """What was held back for a stop string that did not come."""
        return "" if self.stopped else self._take(len(self._held))

    def _take(self, characters: int) -> str:
        piece, self._held = self._held[:characters], self._held[characters:]
        return piece


def first_stop(text: str, stop: Sequence[str]) -> int | None:
    """Where the stop string begins that is complete first in `text`, or None."""
    found = [(begin + len(s), begin) for s in stop if (begin := text.find(s)) >= 0]
    return min(found)[1] if found else None


def longest_beginning(text: str, stop: Sequence[str]) -> int:
    """The length of the longest end of `text` that is the beginning of a stop string."""
    longest = max(map(len, stop), default=1) - 1
    sizes = range(min(longest, len(text)), 0, -1)
    return next((size for size in sizes if any(s.startswith(text[-size:]) for s in stop)), 0)
