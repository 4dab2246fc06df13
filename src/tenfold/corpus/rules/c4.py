"""The cleaning of C4 (Raffel et al. 2020, section 2.2): rules of lines, which are cut out, then rules of what is left.

Thresholds are those of the paper and of the code that made C4: lines of 5 words, pages of 3 sentences (datatrove has them the other
way round). Three-sentence spans that repeat over the whole collection are a matter of duplicates, not of one document.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tenfold.corpus.rules.rule import Between, Parts, Rule
from tenfold.errors import UserError

CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
END_MARKS = (".", "?", "!", '"', "'")
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
SENTENCE_END = re.compile(r"""[.?!]["')\]]*(?=\s+["'(\[]*[^\W\d_a-z]|\s*$)""")


@dataclass(frozen=True)
class LongestWord(Between):
    """No word of the line is over a thousand characters."""

    most: float = 1000

    def measure(self, parts: Parts) -> float:
        """Characters of the longest word."""
        return max(map(len, parts.words), default=0)


@dataclass(frozen=True)
class EndMark(Rule):
    """The line ends in a mark that ends sentences, and not in an ellipsis."""

    marks: tuple[str, ...] = END_MARKS

    def breaks(self, parts: Parts) -> bool:
        """Whether it does not."""
        return not parts.text.endswith(self.marks) or parts.text.endswith("...")


@dataclass(frozen=True)
class LineWords(Between):
    """The line has some words."""

    least: float = 5

    def measure(self, parts: Parts) -> float:
        """What white space separates."""
        return len(parts.words)


@dataclass(frozen=True)
class Without(Rule):
    """None of some phrases is there, in any case."""

    phrases: tuple[str, ...] = ()

    def breaks(self, parts: Parts) -> bool:
        """Whether one is."""
        return any(phrase in parts.lower for phrase in self.phrases)


@dataclass(frozen=True)
class BadWords(Rule):
    """None of the words of a list is there by itself. The list is yours to give: the paper's is not part of this program."""

    words: tuple[str, ...] = ()

    def breaks(self, parts: Parts) -> bool:
        """Whether one is, between characters that are no letters."""
        found = (word for word in self.words if word.lower() in parts.lower)
        return any(re.search(rf"(?<![^\W\d_]){re.escape(word.lower())}(?![^\W\d_])", parts.lower) for word in found)


def read_words(path: str) -> tuple[str, ...]:
    """The lines of a file of bad words, in lower case. Raises UserError where it cannot be read or has none."""
    try:
        words = tuple(line.strip().lower() for line in Path(path).expanduser().read_text("utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"bad_words names {path!r}, which cannot be read: {error}.\n  Give a text file in UTF-8, a word a line.") from error
    if not words:
        raise UserError(f"bad_words names {path!r}, which has no words.\n  Give a word a line, or leave bad_words empty.")
    return words


@dataclass(frozen=True)
class Sentences(Between):
    """There are some sentences: a mark, perhaps a quote, then white space and a capital, or the end of the line."""

    least: float = 3

    def measure(self, parts: Parts) -> float:
        """Ends of sentences, and one for a line that has none."""
        return sum(max(1, len(SENTENCE_END.findall(line))) for line in parts.lines if line.strip())


LINES: dict[str, Rule] = {
    "c4.line.longest_word": LongestWord(),
    "c4.line.end_mark": EndMark(),
    "c4.line.words": LineWords(),
    "c4.line.javascript": Without(("javascript",)),
    "c4.line.policy": Without(POLICIES),
}

PAGES: dict[str, Rule] = {
    "c4.lorem_ipsum": Without(("lorem ipsum",)),
    "c4.curly_bracket": Without(("{",)),
    "c4.bad_words": BadWords(),
    "c4.sentences": Sentences(),
}


def clean(text: str, lines: Mapping[str, Rule] | None = None) -> str:
    """The lines that keep every rule, without white space at their ends and without citations ([1], [edit])."""
    rules = LINES if lines is None else lines
    stripped = (CITATION.sub("", line.strip()) for line in text.splitlines())
    return "\n".join(line for line in stripped if not _breaks_any(Parts(line), rules)).strip()


def _breaks_any(line: Parts, rules: Mapping[str, Rule]) -> bool:
    return any(rule.breaks(line) for rule in rules.values())
